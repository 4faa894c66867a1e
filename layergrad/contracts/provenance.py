"""Who made results when and where: a note of every run, which no rule reads and DVC does not track."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from layergrad.contracts.config.study import Study
from layergrad.contracts.files import write_json
from layergrad.contracts.secrets import hide_secrets
from layergrad.contracts.versions import package_versions


def note_run(study: Study, folder: str | Path) -> Path:
    """Write ``<folder>/<time>.json``: commit, host, command, versions and the resolved configuration of a run.

    Passwords and tokens, as in a command or an address, are not written.
    """
    now = datetime.now(UTC)
    path = Path(folder) / f"{now:%Y-%m-%dT%H-%M-%S.%f}.json"
    facts = {
        "started": now.isoformat(timespec="seconds"),
        "command": sys.argv,
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": (_git("status", "--porcelain") or "").splitlines(),
        "host": platform.node(),
        "machine": {"platform": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "python": platform.python_version(),
        "versions": package_versions(),
        "study": study.model_dump(mode="json"),
    }
    write_json(path, hide_secrets(facts))
    return path


def _git(*arguments: str) -> str | None:
    """What git says, or none outside a repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
