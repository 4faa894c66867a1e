"""A user's own fine-tuning data as samples to be measured."""

from pathlib import Path

import pandas as pd

from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import sample_id
from layergrad.contracts.options import RowsOptions
from layergrad.data.readers import rows


def read_user_data(path: str | Path, limit: int | None = None) -> pd.DataFrame:
    """Rows of a JSON, JSON lines, CSV or Parquet file with ``instruction``, ``input`` (optional) and ``output``.

    An input stands below the instruction, on a line of its own. The key's task is the file's stem, its variant is null;
    ``sample_index`` is the row's place in the file. Raises ``UserError`` with file, row and field for a bad row.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    table = rows.read({"data": [path]}, RowsOptions(optional=("input",)), seed=0, count_tokens=len).to_pandas()
    missing = [name for name in ("instruction", "output") if name not in table.columns]
    if missing:
        raise UserError(f"{path}: field {missing[0]} is missing; found are {', '.join(table.columns)}")
    table = table.head(limit) if limit else table
    for name in ("instruction", "output"):
        for number, value in enumerate(table[name], start=1):
            if not isinstance(value, str) or not value:
                raise UserError(f"{path}: row {number}: {name} is {value!r:.80}; it must be text that is not empty")
    return _keyed(table, path.stem)


def _keyed(table: pd.DataFrame, task: str) -> pd.DataFrame:
    inputs = table["input"] if "input" in table.columns else [None] * len(table)
    instructions = pd.Series(
        [text + "\n" + extra if extra else text for text, extra in zip(table["instruction"], inputs, strict=True)]
    )
    occurrences = instructions.groupby(instructions).cumcount()
    return pd.DataFrame(
        {
            "task": task,
            "sample_id": [sample_id(task, *pair) for pair in zip(instructions, occurrences, strict=True)],
            "variant": None,
            "response": "correct",
            "replicate": 0,
            "control": "none",
            "sample_index": range(len(table)),
            "instruction": instructions,
            "output": table["output"].tolist(),
        }
    )
