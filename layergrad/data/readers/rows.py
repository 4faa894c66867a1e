"""Rows from JSON, JSON lines, CSV and Parquet files, and so from the hub, whose rows are kept as Parquet.

Values are taken as they stand: in CSV "007" is no number and "NA" is an answer, and in JSON a date is a text.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layergrad.contracts.config.options import RowsOptions
from layergrad.contracts.errors import UserError
from layergrad.data.readers.files import load_json

Rows: TypeAlias = pa.Table | list[dict[str, Any]]


def read(
    files: dict[str, list[Path]], options: RowsOptions, seed: int, count_tokens: Callable[[str], int]
) -> datasets.Dataset:
    """The rows of all files, source by source, with the files' own fields; a null value is an empty one.

    Raises ``UserError`` for a file that is empty or cannot be read, and for rows whose fields differ.
    """
    tables = [_load(path, options.optional) for paths in files.values() for path in paths]
    fields = [set(table.column_names) for table in tables]
    if any(one != fields[0] for one in fields):
        names = ", ".join(str(path) for paths in files.values() for path in paths)
        raise UserError(f"{names}: fields differ between these files: {sorted(set.union(*fields))} in all of them")
    return datasets.concatenate_datasets(tables)


def read_fields(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of one file with these fields alone; what a row lacks is None, and what else it has does not matter.

    Raises ``UserError`` as ``read`` does, and for a required field that no row has.
    """
    return fields_of(parse(path), path, required, optional)


def field_names(rows: Rows) -> list[str]:
    """The fields that any row has."""
    if isinstance(rows, pa.Table):
        return rows.column_names
    return list(dict.fromkeys(field for row in rows for field in row))


def fields_of(rows: Rows, path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> list[dict[str, Any]]:
    """What ``read_fields`` gives, of rows that a file was parsed into."""
    there = field_names(rows)
    missing = [field for field in required if field not in there]
    if missing:
        raise UserError(f"{path}: field {missing[0]} is missing; found are {', '.join(there)}")
    wanted = (*required, *optional)
    found = [field for field in wanted if field in there]
    records = rows.select(found).to_pylist() if isinstance(rows, pa.Table) else rows
    return [{field: record.get(field) for field in wanted} for record in records]


def _load(path: Path, optional: tuple[str, ...]) -> datasets.Dataset:
    parsed = parse(path)
    try:
        return datasets.Dataset(parsed) if isinstance(parsed, pa.Table) else _from_records(parsed, path, optional)
    except (pa.ArrowException, ValueError, LookupError, OverflowError, RecursionError) as error:
        # What pyarrow and datasets raise for values and names that no table can hold; a whole number beyond 64 bits is
        # an OverflowError, JSON nested deeper than Python goes a RecursionError.
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path}: a value or a name in it is none that a table can hold: {reason}") from error


def parse(path: Path) -> Rows:
    """What a file holds: a table, or from JSON a list of records, which need not have the same fields.

    Raises ``UserError`` for a file that is empty, has no rows or cannot be read.
    """
    if path.suffix not in _PARSERS:
        raise UserError(f"{path}: cannot be read as rows; allowed are {', '.join(_PARSERS)}")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty")
    try:
        rows = _PARSERS[path.suffix](path)
    except (ValueError, RecursionError, pa.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path}: cannot be read as {path.suffix.removeprefix('.')}: {reason}") from error
    if not len(rows):
        raise UserError(f"{path}: the file has no rows")
    return rows


def _parse_json(path: Path) -> list[dict[str, Any]]:
    return _records(load_json(path), path)


def _parse_json_lines(path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        try:
            records += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: not valid JSON: {error.msg}") from error
    return _records(records, path)


def _records(records: Any, path: Path) -> list[dict[str, Any]]:
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise UserError(f"{path}: a list of objects is expected, one a row")
    return records


def _parse_csv(path: Path) -> pa.Table:
    """The header is read as any row is: one with more fields is then an error, and names stay as they are."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, header=None, encoding="utf-8-sig")
    return _table([pa.array(frame[place][1:], pa.string()) for place in frame], frame.iloc[0].tolist())


def _parse_parquet(path: Path) -> pa.Table:
    table = pq.read_table(path)
    return _table(table.columns, table.column_names)


def _table(columns: list[Any], names: list[str]) -> pa.Table:
    """Without the metadata of a file, which could call its texts paths of images: the library would open them."""
    if len(set(names)) < len(names):
        raise ValueError(f"two columns have one name; the names are {', '.join(names)}")
    return pa.table(columns, names=names)


def _from_records(records: list[dict[str, Any]], path: Path, optional: tuple[str, ...]) -> datasets.Dataset:
    """A row for every record. Records without fields in common are the user's mistake."""
    fields = list(dict.fromkeys(field for record in records for field in record))
    if not fields:
        raise UserError(f"{path}: the rows have no fields")
    for number, record in enumerate(records, start=1):
        missing = [field for field in fields if field not in record and field not in optional]
        if missing:
            raise UserError(f"{path}: row {number}: the field {missing[0]!r} is missing, which other rows have")
    try:
        return datasets.Dataset.from_dict({field: [record.get(field) for record in records] for field in fields})
    except pa.ArrowException as error:
        raise UserError(f"{path}: values of one field differ in kind: {error}") from error


_PARSERS = {".json": _parse_json, ".jsonl": _parse_json_lines, ".csv": _parse_csv, ".parquet": _parse_parquet}
