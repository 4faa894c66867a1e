"""Only the newest run of a study writes: jobs that a killed run left behind, at work or in a queue, stop by themselves.

Snakemake allows one run of the same files at a time, but its lock says nothing to the jobs of a run that was killed. So
every run leaves a token, a file that the next run removes, and tells its jobs where it is.
"""

import os
import uuid
from pathlib import Path

from layergrad.contracts.errors import UserError

TOKEN = "LAYERGRAD_RUN"
"""The environment variable that names the token; jobs inherit it, on a cluster too."""


def begin_run(folder: str | Path) -> None:
    """Make the run of this process the one that writes, by a token in ``folder``, which holds nothing else.

    Raises ``UserError`` where it cannot be written: nothing of the study could be.
    """
    folder = Path(folder).resolve()
    token = folder / uuid.uuid4().hex
    try:
        folder.mkdir(parents=True, exist_ok=True)
        token.touch()
        for other in set(folder.iterdir()) - {token}:
            other.unlink()
    except OSError as error:
        raise UserError(f"{folder.parent}: the results cannot be written: {error.strerror}") from error
    os.environ[TOKEN] = str(token)


def check_run() -> None:
    """Raise ``UserError`` if a newer run of the study has begun; without a token (no run, as in a test) do nothing."""
    token = os.environ.get(TOKEN)
    if not token:
        return
    try:
        open(token).close()  # on a network file system, unlike its existence, this is never answered from a cache
    except FileNotFoundError as error:
        raise UserError(
            "a newer run of this study has begun; this job of an older one stops and writes nothing"
        ) from error
