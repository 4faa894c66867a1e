"""What a new task's file has to say of a user's own rows, known from looking at all of them."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from layergrad.contracts.config.sources import FileSource, HubSource
from layergrad.contracts.errors import UserError
from layergrad.data.irrelevant import Response, irrelevant
from layergrad.data.readers.pairs import read_pairs
from layergrad.data.readers.rows import field_names, parse
from layergrad.data.sources import fetch_sources, fetched_files, newest


class Sketch(NamedTuple):
    """A user's rows, as a task's file is to describe them."""

    source: dict[str, Any]
    title: str
    fields: list[str]
    pairs: pd.DataFrame
    """What ``read_pairs`` gives."""


def sketch(data: str, subset: str | None, split: str | None) -> Sketch:
    """The rows of a file, or of one split (train, if none is given) of a data set on the hub, at its newest commit.

    Raises ``UserError`` for what is neither, and for rows that are no prompts and responses.
    """
    path = Path(data)
    if path.is_file():
        if subset or split:
            raise UserError(f"{data}: is a file; --subset and --split are for data sets on the hub")
        return _sketch(FileSource(file=data), path.stem, path)
    if path.suffix in (".json", ".jsonl", ".csv", ".parquet") or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", data):
        raise UserError(f"{data}: there is no such file, and a data set on the hub has an id such as owner/name")
    source = newest(data, subset, split or "train")
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "SOURCES.json"
        fetch_sources({"rows": source}, listing)
        (rows,) = fetched_files(listing)["rows"]
        try:
            return _sketch(source, path.name, rows)
        except UserError as error:
            raise UserError(str(error).replace(str(rows), data)) from error


def _sketch(source: FileSource | HubSource, title: str, path: Path) -> Sketch:
    described = source.model_dump(exclude_none=True)
    return Sketch(described, title, field_names(parse(path)), read_pairs(path))


def irrelevant_count(pairs: pd.DataFrame, count_tokens: Callable[[str], int]) -> int:
    """How many rows can have a length-matched irrelevant response, made of what rows with other prompts say."""
    responses = [
        Response(str(number), group=instruction, text=output, pool=output)
        for number, (instruction, output) in enumerate(zip(pairs["instruction"], pairs["output"], strict=True))
    ]
    return sum(map(bool, irrelevant(responses, "length_matched", 0, count_tokens)))
