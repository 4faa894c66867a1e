"""A user's own fine-tuning data as samples to be measured."""

from pathlib import Path
from typing import Any

import pandas as pd

from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import sample_id
from layergrad.data.readers import rows


def read_user_data(path: str | Path, limit: int | None = None) -> pd.DataFrame:
    """Rows of a JSON, JSON lines, CSV or Parquet file with ``instruction``, ``input`` (optional) and ``output``.

    Other fields do not matter. An input stands below the instruction, on a line of its own; a null one is empty. The
    key's task is the file's stem, its variant is null; ``sample_index`` is the row's place in the file. Raises
    ``UserError`` with file, row and field for a bad row.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    records = rows.read_fields(path, required=("instruction", "output"), optional=("input",))[:limit]
    texts = [_texts(record, f"{path}: row {number}") for number, record in enumerate(records, start=1)]
    return _keyed(pd.DataFrame(texts), path.stem)


def _texts(record: dict[str, Any], where: str) -> dict[str, str]:
    """The prompt and the output of a row. A null, in Parquet also a NaN, is no value."""
    values = {name: None if value != value else value for name, value in record.items()}  # only a NaN is not itself
    for name, value in values.items():
        if value is None and name != "input":
            raise UserError(f"{where}: {name} is missing")
        if value is not None and not isinstance(value, str):
            raise UserError(f"{where}: {name} is {value!r:.80}; it must be text")
        if value and any("\ud800" <= character <= "\udfff" for character in value):
            raise UserError(f"{where}: {name} has half of a surrogate pair, which is no character")
        if value == "" and name != "input":
            raise UserError(f"{where}: {name} is ''; it must be text that is not empty")
    prompt = "\n".join(filter(None, (values["instruction"], values["input"])))
    return {"instruction": prompt, "output": values["output"]}


def _keyed(texts: pd.DataFrame, task: str) -> pd.DataFrame:
    occurrences = texts.groupby("instruction").cumcount()
    return pd.DataFrame(
        {
            "task": task,
            "sample_id": [sample_id(task, *pair) for pair in zip(texts["instruction"], occurrences, strict=True)],
            "variant": None,
            "response": "correct",
            "replicate": 0,
            "control": "none",
            "sample_index": range(len(texts)),
            "instruction": texts["instruction"],
            "output": texts["output"],
        }
    )
