"""What every rule's script does around its one call: log to the rule's file, and tell a user's error in one line."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import remove_leftovers
from layergrad.contracts.runs import check_run
from layergrad.contracts.secrets import without_secrets

logger = logging.getLogger("layergrad")


@contextlib.contextmanager
def rule(snakemake: Any) -> Iterator[None]:
    """Log to ``snakemake.log[0]``, if the rule has one, and to stderr; clear away what a killed job left.

    A ``UserError`` ends the script with one line and exit code 2; any other error is logged with its traceback and ends
    it with 1. Passwords and tokens are not told in either.
    """
    with _logging_to([logging.StreamHandler(sys.stderr), *_file_handlers(snakemake)]):
        try:
            check_run()
            remove_leftovers({place for file in map(Path, snakemake.output) for place in (file, file.parent)})
            yield
        except UserError as error:
            logger.error("%s", error)
            sys.exit(2)
        except Exception:
            logger.exception("rule %s failed", snakemake.rule)
            sys.exit(1)


def _file_handlers(snakemake: Any) -> list[logging.Handler]:
    if not snakemake.log:
        return []
    path = Path(snakemake.log[0])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return [_LogFile(path, mode="w", encoding="utf-8", errors="backslashreplace")]
    except OSError as error:
        sys.exit(f"{path}: the log cannot be written: {error.strerror}")


class _LogFile(logging.FileHandler):
    """On a full disk the log stays short; stderr has every line of it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Close it as far as that goes."""
        with contextlib.suppress(OSError):
            super().close()


class Formatter(logging.Formatter):
    """A line of a log, or several with a traceback, in which no password and no token is told."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        return without_secrets(super().format(record))


@contextlib.contextmanager
def _logging_to(handlers: list[logging.Handler]) -> Iterator[None]:
    """Records of this package, and warnings of every other, go to the handlers."""
    root = logging.getLogger()
    for handler in handlers:
        handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
    logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
