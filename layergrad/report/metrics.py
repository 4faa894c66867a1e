"""The headline numbers as one small JSON file, which ``dvc metrics show`` can print and compare."""

from pathlib import Path

import pandas as pd

from layergrad.contracts.files import write_json
from layergrad.contracts.tables import read_table


def write_metrics(statistics: dict[str, str | Path], path: str | Path) -> None:
    """Write model / task / variant / number / projection, for correct responses, to six significant digits.

    The numbers are the layer-mean nuclear norm, the MAD of its mean curve over all layers, and, by the response
    compared with, the absolute relative difference. What does not exist is left out.
    """
    tables = {name: read_table(statistics[name]) for name in ("layer_means", "mad", "relative_difference")}
    metrics: dict = {}
    for name, column in (("layer_means", "mean"), ("mad", "mad")):
        table = tables[name].query(
            "control == 'none' and response == 'correct' and segment == 'all' and quantity == 'nuclear_norm'"
        )
        for row in table.to_dict("records"):
            _put(metrics, row, ["nuclear_norm" if name == "layer_means" else "mad"], row[column])
    for row in tables["relative_difference"].query("control == 'none'").to_dict("records"):
        _put(metrics, row, ["relative_difference", row["response"]], row["absolute"])
    write_json(path, metrics)


def _put(metrics: dict, row: dict, names: list[str], value: float) -> None:
    if pd.isna(value):
        return
    node = metrics
    for key in (row["model"], row["task"], row["variant"], *names):
        node = node.setdefault(key, {})
    node[row["projection"]] = float(f"{value:.6g}")
