"""Rows of a prompt and a response, as people keep them for fine-tuning: by fields, or as the turns of a chat."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd

from layergrad.contracts.config.options import PairsOptions
from layergrad.contracts.errors import UserError
from layergrad.data.readers.rows import field_names, fields_of, parse

TURNS = "messages"
ROLES = (["user", "assistant"], ["system", "user", "assistant"])
"""The turns of a chat that are a prompt and a response; those of a longer one would lose who says what."""


def read(
    files: dict[str, list[Path]], options: PairsOptions, seed: int, count_tokens: Callable[[str], int]
) -> datasets.Dataset:
    """The ``instruction`` and the ``output`` of every row of all files, as ``read_pairs`` gives them."""
    tables = [read_pairs(path) for paths in files.values() for path in paths]
    return datasets.Dataset.from_pandas(pd.concat(tables, ignore_index=True), preserve_index=False)


def read_pairs(path: Path, limit: int | None = None) -> pd.DataFrame:
    """One row a row of the file: its prompt as ``instruction`` and its response as ``output``, byte for byte.

    A row has ``instruction``, ``input`` (optional, null is empty) and ``output``; or, where the file has no such
    fields, ``messages``: turns with ``role`` and ``content``, a system's (optional), a user's and an assistant's. An
    input stands below the instruction, what the system says above what the user says, each on lines of its own. Other
    fields do not matter. Raises ``UserError`` with file, row and field for a bad row.
    """
    rows = parse(path)
    chats = TURNS in field_names(rows) and not {"instruction", "output"} & set(field_names(rows))
    required, optional = ((TURNS,), ()) if chats else (("instruction", "output"), ("input",))
    records = fields_of(rows[:limit], path, required, optional)
    of_one = _of_turns if chats else _of_fields
    return pd.DataFrame([of_one(record, f"{path}: row {number}") for number, record in enumerate(records, start=1)])


def _of_fields(record: dict[str, Any], where: str) -> dict[str, str]:
    """A null, in Parquet also a NaN, is no value."""
    values = {name: None if value != value else value for name, value in record.items()}  # only a NaN is not itself
    instruction, output = (_text(values[name], f"{where}: {name}") for name in ("instruction", "output"))
    if values["input"] not in (None, ""):
        instruction += "\n" + _text(values["input"], f"{where}: input")
    return {"instruction": instruction, "output": output}


def _of_turns(record: dict[str, Any], where: str) -> dict[str, str]:
    turns = record[TURNS]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UserError(f"{where}: {TURNS} is {turns!r:.80}; it must be a list of turns, each with role and content")
    roles = [turn.get("role") for turn in turns]
    if roles not in ROLES:
        given = ", ".join(map(str, roles)) or "none"
        allowed = " or ".join(", ".join(roles) for roles in ROLES)
        raise UserError(f"{where}: {TURNS} has the turns {given:.120}; allowed are {allowed}")
    *before, response = (_text(turn.get("content"), f"{where}: {TURNS}: content of {turn['role']}") for turn in turns)
    return {"instruction": "\n".join(before), "output": response}


def _text(value: Any, what: str) -> str:
    """The value, which must be text that is not empty."""
    if value is None:
        raise UserError(f"{what} is missing")
    if not isinstance(value, str):
        raise UserError(f"{what} is {value!r:.80}; it must be text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise UserError(f"{what} has half of a surrogate pair, which is no character")
    if value == "":
        raise UserError(f"{what} is ''; it must be text that is not empty")
    return value
