"""Files that are either whole or not there, and what they contain by checksum."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from layergrad.contracts.errors import UserError
from layergrad.contracts.runs import check_run

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_RANDOM = "[a-z0-9_]" * 8  # what tempfile puts into a name


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; renamed to ``path`` when the block ends well, removed when it does not.

    Raises ``UserError`` where the disk is full or read-only, and in a job of a run that a newer one has replaced.
    """
    path = Path(path)
    with _writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            check_run()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """The same for a folder: what was at ``path`` before is replaced only when the block ends well."""
    path = Path(path)
    with _writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o755)
            for file in temporary.rglob("*"):
                file.chmod(0o755 if file.is_dir() else 0o644)
            check_run()
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Tell a disk that takes nothing in one line; libraries that are not Python's say it in words alone."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reasons = {os.strerror(number) for number in _NO_ROOM}
        reason = next((reason for reason in reasons if reason in str(error)), None)
        if reason is None:
            raise
        raise UserError(f"{path}: cannot be written: {reason}; what was finished before is kept") from error


def remove_leftovers(paths: Iterable[str | Path]) -> None:
    """Remove what a killed job left under temporary names of these files and folders."""
    for path in map(Path, paths):
        for left in path.parent.glob(f".{glob.escape(path.name)}.{_RANDOM}*"):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def read_text(path: str | Path, what: str) -> str:
    """A person's UTF-8 text file. Raises ``UserError`` that says ``what`` it was to be if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file ({what})") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({what}): {error}") from error


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON that a person can read and that is the same bytes for the same value."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a UTF-8 JSON file that this project wrote. Raises ``UserError`` naming a file that is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); remove it and run again to make it anew") from error


def file_sha256(path: str | Path) -> str:
    """sha256 of a file's bytes, as 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(*texts: str) -> str:
    """sha256 of texts in order, each closed by a zero byte, as 64 hex digits."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", errors="surrogatepass") + b"\0")
    return digest.hexdigest()


def files_below(folder: str | Path, inner: set[str]) -> list[str]:
    """Paths, relative to ``folder``, of every file in some of its folders."""
    found = [path for name in sorted(inner) for path in sorted((Path(folder) / name).rglob("*")) if path.is_file()]
    return [str(path.relative_to(folder)) for path in found]


def write_manifest(folder: str | Path, expected: list[str]) -> None:
    """Remove every file below ``folder`` that is not expected, then list the expected ones with sha256 and size.

    ``expected`` are paths relative to ``folder``. The list goes to ``MANIFEST.json`` in it, the target of a phase.
    """
    check_run()
    folder = Path(folder)
    keep = {folder / name for name in expected}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif not path.is_dir() and path not in keep and path.name != "MANIFEST.json":
            path.unlink()
    entries = {
        name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in sorted(expected)
    }
    write_json(folder / "MANIFEST.json", entries)
