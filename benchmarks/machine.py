"""The machine and the libraries that a result was measured on."""

import os
import platform
import re
from pathlib import Path

import numpy as np
import psutil
import scipy
import torch
import transformers


def describe() -> dict[str, str]:
    """What a reader needs in order to compare their own numbers, by heading."""
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()}; {torch.get_num_threads()} threads for torch",
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()}, {platform.machine()}, Python {platform.python_version()}",
        "load before the start": f"{os.getloadavg()[0]:.1f} (mean number of running processes, last minute)",
        "torch": f"{torch.__version__}, {_torch_blas()}, {torch.backends.cpu.get_cpu_capability()}",
        "transformers": transformers.__version__,
        "numpy": f"{np.__version__}, {_blas(np)}",
        "scipy": f"{scipy.__version__}, {_blas(scipy)}",
    }


def _processor() -> str:
    """The kernel's name of it on Linux, where ``platform`` knows none."""
    information = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", information.read_text()) if information.exists() else None
    return found[1] if found else platform.processor()


def _torch_blas() -> str:
    build = torch.__config__.show()
    kind = re.search(r"BLAS_INFO=(\w+)", build)
    version = re.search(r"Math Kernel Library Version (\S+)", build)
    return " ".join(found[1] for found in (kind, version) if found)


def _blas(module) -> str:
    blas = module.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']}"
