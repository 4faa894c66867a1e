"""The rows of the table of claims."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

NAN = float("nan")


@dataclass
class Row:
    """One row: a cell's, a model's or the study's."""

    claim: str
    control: str
    level: str
    """``cell``, ``model`` or ``overall``."""
    model: str | None = None
    task: str | None = None
    contrast: str | None = None
    projection: str | None = None
    n: int = 0
    """Samples of a cell; above it, the cells that were judged."""
    estimate: float = NAN
    """In ``unit``; above the cells their median."""
    low: float = NAN
    high: float = NAN
    """Ends of the 95 % interval."""
    effect_size: float = NAN
    """Mean over standard deviation of the paired differences."""
    p: float = NAN
    q: float = NAN
    verdict: str = ""
    """Empty in a cell that is still to be judged."""
    reason: str = ""
    unit: str = ""
    absolute_difference: float = NAN
    """Where two responses of one sample are compared: the paper's absolute relative difference of the mean curves,"""
    noise_floor: float = NAN
    """and the mean of it after random swaps within samples, which is what noise alone makes of it."""
    side: int = 0
    detectable: float = NAN


COLUMNS = [field.name for field in fields(Row) if field.name not in ("side", "detectable")]


def frame_of(rows: list[Row]) -> pd.DataFrame:
    """The table of claims, in the order of the rows."""
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    frame = pd.DataFrame(columns)
    texts = [name for name in COLUMNS if isinstance(getattr(Row("", "", ""), name), str | None)]
    return frame.astype(dict.fromkeys(texts, "str") | {"n": np.int64})
