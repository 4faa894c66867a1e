"""Tables of gradients to the authors' format."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

import pandas as pd

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import whole_file
from layergrad.contracts.keys import ATTENTION_PROJECTIONS, KEYS
from layergrad.contracts.tables import read_table
from layergrad.released.layout import LOSS, NUMBERS, TEXTS, Cell, parameters

logger = logging.getLogger("layergrad")


def export_released(
    prefix: str | Path, data: str | Path, files: Mapping[Cell, PurePath], folder: str | Path
) -> list[Path]:
    """Write the gradients of one model and task into ``folder``, one of ``files`` a cell, and give what was written.

    ``<prefix>.parquet`` and ``<prefix>.samples.parquet`` are the tables, ``data`` is the task's table of samples, which
    has the texts. A number that is null is written as NaN. What the format has no place for is left out and told:
    responses that failed, controls, and projections of the MLP. Raises ``UserError`` for tables that do not belong
    together, for a cell that has no file, and where nothing is left to write.
    """
    spectra, samples = read_table(f"{prefix}.parquet"), read_table(f"{prefix}.samples.parquet")
    responses = _with_texts(_exportable(samples, prefix), read_table(data), data)
    spectra = _of_attention(spectra, prefix)
    cells = dict(iter(responses.groupby(["variant", "response"])))
    for cell in cells.keys() - files.keys():
        raise UserError(f"{prefix}: has {', '.join(cell)} responses, which the task of the study does not take")
    written = []
    for cell, rows in cells.items():
        path = Path(folder) / files[cell]
        with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in _lines(rows, spectra, prefix))
        logger.info("%s: %d lines", path, len(rows))
        written.append(path)
    return written


def _exportable(samples: pd.DataFrame, prefix: str | Path) -> pd.DataFrame:
    """The measured responses that the format has a place for."""
    fits = (samples["control"] == "none") & (samples["replicate"] == 0) & samples["variant"].notna()
    kept = samples[fits & (samples["status"] == "ok")]
    if kept.empty:
        raise UserError(f"{prefix}: has no measured response that the authors' format has a place for")
    for what, count in {"failed": fits.sum() - len(kept), "of controls or replicates": (~fits).sum()}.items():
        if count:
            logger.warning("%s: %d of %d responses are left out: %s", prefix, count, len(samples), what)
    return kept


def _of_attention(spectra: pd.DataFrame, prefix: str | Path) -> pd.DataFrame:
    fits = spectra["projection"].isin(ATTENTION_PROJECTIONS)
    if not fits.all():
        logger.warning("%s: left out: gradients of %s", prefix, ", ".join(spectra.loc[~fits, "projection"].unique()))
    return spectra[fits]


def _with_texts(responses: pd.DataFrame, data: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """In the order of the data."""
    keys = list(KEYS)
    found = data[[*keys, *TEXTS]].merge(responses[[*keys, LOSS]], on=keys)
    if len(found) != len(responses):
        raise UserError(f"{path}: has not all of the responses that were measured; name the task's own table")
    return found


def _lines(rows: pd.DataFrame, spectra: pd.DataFrame, prefix: str | Path) -> Iterator[dict]:
    """The objects of one cell."""
    keys = list(KEYS)
    numbers = rows[keys].merge(spectra, on=keys)
    numbers["projection"] = pd.Categorical(numbers["projection"], ATTENTION_PROJECTIONS, ordered=True)
    names = parameters(numbers["layer"].nunique())
    order = pd.Categorical(numbers["sample_id"], rows["sample_id"], ordered=True)
    numbers = numbers.assign(order=order).sort_values(["order", "layer", "projection"])
    if len(numbers) != len(rows) * len(names):
        raise UserError(f"{prefix}: {len(numbers)} rows of layers and projections, {len(rows) * len(names)} expected")
    values = numbers[list(NUMBERS.values())].to_numpy(float).reshape(len(rows), len(names), -1)
    for row, found in zip(rows.itertuples(), values, strict=True):
        line = {**{name: getattr(row, name) for name in TEXTS}, LOSS: row.loss}
        entries = (dict(zip(NUMBERS, entry, strict=True)) for entry in found.tolist())
        yield line | dict(zip(names, entries, strict=True))
