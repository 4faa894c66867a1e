"""A user's own fine-tuning data: as samples to be measured, and with what was measured added to it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import whole_file, write_text
from layergrad.contracts.keys import sample_id
from layergrad.data.readers.pairs import read_pairs
from layergrad.data.readers.rows import field_names, parse


def read_user_data(path: str | Path, limit: int | None = None) -> pd.DataFrame:
    """Rows of a JSON, JSON lines, CSV or Parquet file, of the fields that ``readers.pairs.read_pairs`` reads.

    The key's task is the file's stem, its variant is null; ``sample_index`` is the row's place in the file. Raises
    ``UserError`` with file, row and field for a bad row.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    return _keyed(read_pairs(path, limit), path.stem)


def refuse_fields(path: str | Path, names: list[str]) -> None:
    """Raise ``UserError`` if a file of rows has one of these fields, which are to be added to it."""
    there = field_names(parse(Path(path)))
    taken = [name for name in names if name in there]
    if taken:
        raise UserError(f"{path}: has a field {taken[0]} already, which would be added; rename it or leave it out")


def add_fields(path: str | Path, added: pd.DataFrame, out: str | Path) -> None:
    """Write those rows of a file that ``added`` has, as they stand and in its format, with the columns of ``added``.

    The index of ``added`` is the rows' place in the file, from 0.
    """
    rows, out = parse(Path(path)), Path(out)
    if isinstance(rows, pa.Table):
        _write_table(_with_columns(rows.take(added.index.to_numpy()), added), out)
    else:
        fields = added.astype(object).where(added.notna(), None).to_dict("records")
        _write_records([rows[place] | more for place, more in zip(added.index, fields, strict=True)], out)


def _with_columns(table: pa.Table, added: pd.DataFrame) -> pa.Table:
    for name in added:
        table = table.append_column(name, pa.Array.from_pandas(added[name]))
    return table


def _write_table(table: pa.Table, out: Path) -> None:
    with whole_file(out) as temporary:
        if out.suffix == ".parquet":
            pq.write_table(table, temporary)
        else:
            table.to_pandas().to_csv(temporary, index=False, lineterminator="\n")


def _write_records(records: list[dict[str, Any]], out: Path) -> None:
    lines = list(map(_json, records))
    write_text(out, "[\n" + ",\n".join(lines) + "\n]\n" if out.suffix == ".json" else "\n".join([*lines, ""]))


def _json(record: dict[str, Any]) -> str:
    """One line. Half of a surrogate pair, which no UTF-8 holds, stays the escape that it was."""
    text = json.dumps(record, ensure_ascii=False)
    return json.dumps(record) if any("\ud800" <= character <= "\udfff" for character in text) else text


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
