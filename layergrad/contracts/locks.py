"""One writer at a time: a lock beside what is written, which the system takes back when its process ends, even killed.

Where a file system has no such locks, ``filelock`` warns and uses a file with the process's number instead.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from layergrad.contracts.errors import UserError
from layergrad.contracts.runs import check_run

logger = logging.getLogger("layergrad")


@contextlib.contextmanager
def only_writer(prefix: str | Path, wait: bool = False) -> Iterator[None]:
    """Nobody else is in such a block for ``prefix``: the lock is ``<prefix>.lock``, gone when the block ends.

    Where another one is: raises ``UserError``, or with ``wait`` waits for its end. That is for the jobs of a study:
    what a killed run left at work stops by itself at its next batch. Raises ``UserError`` too where nothing can be
    written.
    """
    path = Path(f"{prefix}.lock")
    lock = FileLock(path)
    try:
        made = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, prefix, wait)
    except OSError as error:
        raise UserError(f"{prefix}: cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the disk takes nothing any more, which is told by what was to be written
            path.unlink()  # while it is held: who has it open sees that it is gone, and makes a new one
        lock.release()
        for folder in made:
            with contextlib.suppress(OSError):  # something was written there
                folder.rmdir()


def _acquire(lock: FileLock, prefix: str | Path, wait: bool) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        if not wait:
            raise UserError(f"{prefix}: another run is writing it; wait for its end or give another --out") from error
        logger.warning("%s: waiting for a job of an earlier run, which is still at work", prefix)
        lock.acquire(poll_interval=0.5, cancel_check=_replaced)


def _replaced() -> bool:
    """Never by a value: that a newer run has begun is raised, so that it is told in its own words."""
    check_run()
    return False
