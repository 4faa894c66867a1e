"""Rows from JSON, JSON lines, CSV and Parquet files, and from the hub."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import datasets

from layergrad.contracts.config import Strict
from layergrad.contracts.errors import UserError

# Every value of a CSV file is text as it stands: "007" is no number and "NA" is an answer.
_LOADERS = {
    ".json": ("json", {}),
    ".jsonl": ("json", {}),
    ".csv": ("csv", {"dtype": "str", "keep_default_na": False}),
    ".parquet": ("parquet", {}),
}


class Options(Strict):
    """There are none: templates name the fields of the rows."""


def read(files: dict[str, list[Path]], options: Options, seed: int, count_tokens: Callable[[str], int]):
    """The rows of all files, source by source. Raises ``UserError`` for a file that is empty or cannot be read."""
    tables = [_load(path) for paths in files.values() for path in paths]
    try:
        return datasets.concatenate_datasets(tables)
    except (ValueError, datasets.exceptions.DatasetsError) as error:
        names = ", ".join(str(path) for paths in files.values() for path in paths)
        raise UserError(f"{names}: rows of these files do not fit together: {str(error).splitlines()[0]}") from error


def _load(path: Path) -> datasets.Dataset:
    if path.suffix not in _LOADERS:
        raise UserError(f"{path}: cannot be read as rows; allowed are {', '.join(_LOADERS)}")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty")
    loader, settings = _LOADERS[path.suffix]
    with tempfile.TemporaryDirectory() as cache:
        try:
            return datasets.load_dataset(
                loader, data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True, **settings
            )
        except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise UserError(f"{path}: cannot be read as {path.suffix.removeprefix('.')}: {reason}") from error
