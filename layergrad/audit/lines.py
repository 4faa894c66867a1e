"""An audit for a person at a terminal."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from tabulate import tabulate


def lines(table: pd.DataFrame) -> Iterator[str]:
    """The counts that there are, a column a variant and response; then a line a warning."""
    cells = table[["variant", "response"]].fillna("").agg(" ".join, axis="columns").str.strip()
    counts = table.select_dtypes("number").dropna(axis="columns", how="all")
    rows = [[name.replace("_", " "), *map(_shown, counts[name])] for name in counts]
    headers = ["", *cells.str.replace(" ", "\n")]
    yield tabulate(rows, headers, disable_numparse=True, colalign=("left", *["right"] * len(cells)))
    for cell, warnings in zip(cells, table["warnings"], strict=True):
        yield from (f"{cell}: {warning}" for warning in warnings.split("; ") if warning)


def _shown(value: Any) -> str:
    """Means and medians with one digit after the point, counts without."""
    if pd.isna(value):
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
