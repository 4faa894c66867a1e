"""Fetch the sources of a task into one folder, with a list of the files and their checksums."""

import contextlib
import functools
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import httpx2
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from pydantic import TypeAdapter

from layergrad.contracts.config.sources import FileSource, HubSource, Source
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256, read_json, whole_folder, write_json
from layergrad.contracts.sources import fetch

logger = logging.getLogger(__name__)

SECONDS = 10
"""How long the hub may take to answer whether it has a repository."""

huggingface_hub.utils.disable_progress_bars()
datasets.disable_progress_bars()


def fetch_sources(sources: Mapping[str, Any], listing: str | Path) -> None:
    """Fetch every source to ``<folder of listing>/<name of source>/`` and write the listing, a JSON file, last.

    ``sources`` are ``Source`` models or what they dump to. The listing holds, by source, its files as ``path``
    (relative to the listing's folder) and ``sha256``, and from the hub also the repository and its commit. Raises
    ``UserError`` as ``contracts.sources.fetch`` does.
    """
    folder = Path(listing).parent
    entries = {}
    for name, value in sources.items():
        source = TypeAdapter(Source).validate_python(value)
        files = _fetch_one(source, folder / name)
        origin = source.model_dump(include={"hub", "revision"})
        entries[name] = [
            {"path": str(file.relative_to(folder)), "sha256": file_sha256(file), **origin} for file in files
        ]
        logger.info("fetched %s: %s", name, ", ".join(str(file) for file in files))
    write_json(listing, entries)


def fetched_files(listing: str | Path) -> dict[str, list[Path]]:
    """By source, the files that a listing names. Raises ``UserError`` for a file that is gone or has changed."""
    folder = Path(listing).parent
    for entry in (entry for entries in read_json(listing).values() for entry in entries):
        path = folder / entry["path"]
        if not path.is_file() or file_sha256(path) != entry["sha256"]:
            raise UserError(f"{path}: gone or changed since it was fetched; remove {listing} to fetch it again")
    return {name: [folder / entry["path"] for entry in entries] for name, entries in read_json(listing).items()}


def newest(repository: str, subset: str | None, split: str) -> HubSource:
    """A data set on the hub at its newest commit, or where there is no network, at that which the hub's cache has.

    Raises ``UserError`` where neither has it.
    """
    try:
        commit = huggingface_hub.HfApi().dataset_info(repository, timeout=SECONDS).sha
    except (OfflineModeIsEnabled, httpx2.TransportError) as error:
        commit = _cached_commit(repository)
        if commit is None:
            raise UserError(
                f"{repository}: the hub cannot be reached ({error}), and its cache does not have this data set"
            ) from error
    except HfHubHTTPError as error:
        raise UserError(
            f"{repository}: the hub gives no such data set: {str(error).strip().splitlines()[0]}"
        ) from error
    if commit is None:
        raise UserError(f"{repository}: the hub names no commit of this data set")
    return HubSource(hub=repository, revision=commit, subset=subset, split=split)


def _cached_commit(repository: str) -> str | None:
    with contextlib.suppress(LocalEntryNotFoundError):
        return Path(huggingface_hub.snapshot_download(repository, repo_type="dataset", local_files_only=True)).name
    return None


def _fetch_one(source: Source, folder: Path) -> list[Path]:
    if isinstance(source, HubSource):
        return [_from_hub(source, folder)]
    files = fetch(source, folder)
    return [_copy(files[0], folder)] if isinstance(source, FileSource) else files


def _copy(path: Path, folder: Path) -> Path:
    """A local file is copied, so that the samples can be made again after the user has changed it."""
    if path.is_dir():
        raise UserError(f"source file {path}: is a folder; a task's source is one file")
    with whole_folder(folder) as temporary:
        shutil.copyfile(path, temporary / path.name)
    return folder / path.name


def _from_hub(source: HubSource, folder: Path) -> Path:
    """The rows of one split of a data set on the hub, as a Parquet file."""
    with whole_folder(folder) as temporary:
        try:
            rows = datasets.load_dataset(
                _repository(source), name=source.subset, split=source.split, cache_dir=temporary
            )
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"source hub {source.hub}, subset {source.subset}, split {source.split}, revision {source.revision}: "
                f"cannot be loaded from {huggingface_hub.constants.ENDPOINT}: {reason}; "
                "check the network or HF_ENDPOINT, or download it by hand and name it as a file source"
            ) from error
        rows.to_parquet(temporary / "rows.parquet")
        for path in temporary.iterdir():  # the library's cache has done its work
            if path.name != "rows.parquet":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder / "rows.parquet"


def _repository(source: HubSource) -> str:
    """The folder of a whole repository at its commit, in the hub's cache, which serves all splits and tasks.

    What the cache has is taken as it is where there is no network. Whether there is one is asked once, since the
    download itself would ask five times more, for half a minute. Raises ``OSError`` where neither has it.
    """
    fetch = functools.partial(
        huggingface_hub.snapshot_download, source.hub, repo_type="dataset", revision=source.revision
    )
    try:
        huggingface_hub.HfApi().dataset_info(source.hub, revision=source.revision, timeout=SECONDS)
    except (OfflineModeIsEnabled, httpx2.TransportError) as error:
        with contextlib.suppress(LocalEntryNotFoundError):
            return fetch(local_files_only=True)
        raise OSError(f"the hub cannot be reached ({error}), and its cache does not have this commit") from error
    return fetch()
