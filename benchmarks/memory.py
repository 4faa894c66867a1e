"""Peak memory of a procedure over its loaded model, in a process of its own."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from transformers import PreTrainedModel

from benchmarks.procedures import procedures
from layergrad.contracts.errors import UserError
from layergrad.models.memory import give_large_blocks_back
from layergrad.models.tokens import EncodedResponse

_PROCESS = Path("/proc/self")


def check_machine() -> None:
    """Raise ``UserError`` where the kernel does not tell peak memory in the way that is read here."""
    if not (_PROCESS / "clear_refs").exists():
        raise UserError("the benchmark reads peak memory from /proc/self; it runs on Linux only")


def peak_memory(load: Callable[[], PreTrainedModel], procedure: str, encoded: EncodedResponse) -> float:
    """Megabytes (10^6 bytes) that the procedure of that key holds at most, beyond what the process with the model has.

    ``load`` makes the model in the new process, and must be picklable.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak, load, procedure, encoded).result()


def _peak(load: Callable[[], PreTrainedModel], key: str, encoded: EncodedResponse) -> float:
    if key in ("d", "e"):
        give_large_blocks_back()  # as every gradient job does
    procedure = procedures(load())[key]
    (_PROCESS / "clear_refs").write_text("5")  # forgets the peak of loading
    loaded = _kilobytes("VmRSS")
    with procedure.ready():
        procedure.run(encoded)
    return (_kilobytes("VmHWM") - loaded) * 1024 / 1e6


def _kilobytes(name: str) -> int:
    """Resident memory in units of 1024 bytes: ``VmRSS`` that of now, ``VmHWM`` the highest."""
    lines = (_PROCESS / "status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))
