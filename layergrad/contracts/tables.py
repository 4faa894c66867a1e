"""The tables that pass between the floors: their columns, and the one way to write and read them.

Every table is a Parquet file with string keys dictionary-encoded, rows sorted by key, and the deterministic facts it
was made from (configuration, versions, checksums) as JSON in the file's metadata under ``layergrad``.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import whole_file
from layergrad.contracts.keys import KEYS

_TEXT = pa.dictionary(pa.int32(), pa.string())


def _schema(**columns: pa.DataType) -> pa.Schema:
    keys = [
        pa.field(name, pa.int32() if name == "replicate" else _TEXT, nullable=False)
        for name in KEYS
        if name != "variant"
    ]
    keys.insert(2, pa.field("variant", _TEXT))  # null for a user's own data
    return pa.schema(keys + [pa.field(name, kind) for name, kind in columns.items()])


SAMPLES = _schema(
    family=_TEXT,
    instruction=pa.string(),
    output=pa.string(),
    answer=pa.string(),
    provenance=_TEXT,
    licence=_TEXT,
)
"""``data/<task>.parquet``: one row a response to be measured."""

GRADIENTS = _schema(
    layer=pa.int32(),
    projection=_TEXT,
    nuclear_norm=pa.float64(),
    frobenius_norm=pa.float64(),
    spectral_norm=pa.float64(),
    s_min=pa.float64(),
    rank_bound=pa.int32(),
    effective_rank=pa.float64(),
    stable_rank=pa.float64(),
    grad_mean=pa.float64(),
    grad_max=pa.float64(),
    grad_min=pa.float64(),
)
"""``gradients/<model>/<task>.parquet``: one row a response, layer and projection."""

MEASURED_SAMPLES = _schema(
    loss=pa.float64(),
    n_prompt_tokens=pa.int32(),
    n_response_tokens=pa.int32(),
    truncated=pa.bool_(),
    status=_TEXT,
    reason=pa.string(),
)
"""``gradients/<model>/<task>.samples.parquet``: one row a response, ``status`` ok or failed with the reason."""

SIMILARITY = _schema(
    kind=_TEXT,
    layer=pa.int32(),
    projection=_TEXT,
    cosine=pa.float64(),
    reason=pa.string(),
)
"""``gradients/<model>/<task>.similarity.parquet``: one row a response and pair of gradients.

``qo`` and ``kv`` are of one layer and stand under projection q and k; ``adjacent`` is of this layer and the
next one. A cosine is null, with a reason, where the gradients differ in shape or one is zero.
"""

SAMPLE_INDEX = pa.field("sample_index", pa.int32())
"""In all gradient tables of a user's own data: the row's place in the input."""


def write_table(frame: pd.DataFrame, path: str | Path, schema: pa.Schema, facts: dict[str, Any]) -> None:
    """Write a keyed table: columns as in ``schema``, sorted by key (then kind, layer, projection), whole or not at all.

    Raises ``ValueError`` if two rows share a key or a column is missing or superfluous: a fault of the program.
    """
    if "sample_index" in frame.columns:
        schema = schema.append(SAMPLE_INDEX)
    if set(frame.columns) != set(schema.names):
        raise ValueError(f"{path}: columns {sorted(frame.columns)} instead of {sorted(schema.names)}")
    key = [name for name in (*KEYS, "kind", "layer", "projection") if name in schema.names]
    doubled = frame.duplicated(subset=key)
    if doubled.any():
        raise ValueError(
            f"{path}: {int(doubled.sum())} rows repeat a key, the first {frame.loc[doubled, key].iloc[0].to_dict()}"
        )
    frame = frame.sort_values(key, kind="stable")[schema.names]
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    write_arrow(table, path, facts)


def write_arrow(table: pa.Table, path: str | Path, facts: dict[str, Any]) -> None:
    """Write an Arrow table with ``facts`` as its only metadata, whole or not at all."""
    metadata = {"layergrad": json.dumps(facts, sort_keys=True, ensure_ascii=False)}
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd", write_page_checksum=True)


def write_statistics(frame: pd.DataFrame, path: str | Path, facts: dict[str, Any]) -> None:
    """Write a small table as Parquet at ``path`` and, for people, as CSV beside it. The order of rows is kept."""
    write_arrow(pa.Table.from_pandas(frame, preserve_index=False), path, facts)
    with whole_file(Path(path).with_suffix(".csv")) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table; text columns come as plain strings. Raises ``UserError`` naming a file that is damaged."""
    with _readable(path):
        frame = pq.read_table(path, page_checksum_verification=True).to_pandas()
    texts = frame.select_dtypes("category").columns
    return frame.astype(dict.fromkeys(texts, "str")) if len(texts) else frame


def read_facts(path: str | Path) -> dict[str, Any]:
    """The deterministic facts that stand in a table's metadata."""
    with _readable(path):
        metadata = pq.read_schema(path).metadata or {}
        return json.loads(metadata.get(b"layergrad", b"{}"))


@contextlib.contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """A missing or damaged file is the user's to mend, told in one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except (pa.ArrowException, OSError, ValueError) as error:  # the last is what damaged metadata raise
        reason = (str(error).splitlines() or ["damaged"])[0]
        message = f"{path}: cannot be read as Parquet ({reason}); remove it and run again to make it anew"
        raise UserError(message) from error
