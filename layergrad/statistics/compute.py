"""Write the statistics of one (model, task), and those of a whole study."""

from pathlib import Path
from typing import Any

import pandas as pd

from layergrad.contracts.paths import STATISTICS
from layergrad.contracts.tables import read_facts, read_table, write_statistics
from layergrad.statistics.cells import cells
from layergrad.statistics.curves import curves, early_over_last, layer_means, mad
from layergrad.statistics.differences import DRAWS, relative_difference, relative_difference_layers
from layergrad.statistics.measured import CELL, read_measured
from layergrad.statistics.segments import segments
from layergrad.statistics.variants import variant_differences

_KEY = ["model", "task", "family", *CELL]


def compute_statistics(
    gradients: str | Path,
    samples: str | Path,
    data: str | Path,
    folder: str | Path,
    *,
    model: dict[str, Any],
    task: str,
    seed: int = 0,
    noisy_above: float = 0.15,
) -> None:
    """Write every table of ``STATISTICS`` for one model and task into ``folder``, as Parquet and CSV.

    ``model`` needs the keys ``name`` and, if the model declares any, ``segments``.
    """
    measured = read_measured(gradients, samples, data)
    parts = segments(measured.n_layers, model.get("segments"))
    tables = {
        "cells": cells(measured),
        "curves": curves(measured),
        "mad": mad(measured, parts),
        "layer_means": layer_means(measured, parts, noisy_above),
        "early_over_last": early_over_last(measured, parts),
        "variant_differences": variant_differences(measured, parts, seed),
        "relative_difference": relative_difference(measured, seed),
        "relative_difference_layers": relative_difference_layers(measured),
    }
    settings = {"seed": seed, "noisy_above": noisy_above, "draws": DRAWS}
    facts = {"gradients": read_facts(gradients), "data": read_facts(data), "statistics": settings}
    labels = {"model": model["name"], "task": task, "family": measured.responses["family"].iloc[0]}
    for name in STATISTICS:
        write_statistics(_labelled(tables[name], labels), Path(folder) / f"{name}.parquet", facts)


def _labelled(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """The key first, as plain text."""
    table = table.assign(**labels)
    key = [name for name in _KEY if name in table]
    table = table[[*key, *(name for name in table.columns if name not in key)]]
    return table.astype(dict.fromkeys(table.select_dtypes("category").columns, "str"))


def collect_statistics(parts: list[str | Path], folder: str | Path) -> None:
    """Join the tables of all (model, task) jobs, in the order given, into one of each name in ``folder``."""
    for name in STATISTICS:
        paths = [Path(part) for part in parts if Path(part).name == f"{name}.parquet"]
        tables = [read_table(path) for path in paths]
        facts = {f"{path.parent.parent.name}/{path.parent.name}": read_facts(path) for path in paths}
        write_statistics(pd.concat(tables, ignore_index=True), Path(folder) / f"{name}.parquet", facts)
