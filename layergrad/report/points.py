"""The points of the figures: one row a layer of a curve, with an interval of one standard error to either side.

Every table has the columns of ``POINT`` after those that name the curve; ``low`` and ``high`` are null where a mean
stands on a single response. The interval of a ratio is its 95 % interval.
"""

import numpy as np
import pandas as pd

POINT = ["projection", "layer", "n", "value", "low", "high"]


def quantity_points(curves: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Mean curves of one quantity, by variant and response; without means that do not exist."""
    table = curves[(curves["quantity"] == quantity) & curves["mean"].notna()]
    return _points(table, ["variant", "response"])


def response_points(pairs: pd.DataFrame) -> pd.DataFrame:
    """Both mean nuclear-norm curves of each comparison, by variant, the response ``against`` correct, and response.

    ``pairs`` is the table ``relative_difference_layers``: curves of the samples that have both responses.
    """
    key = pairs[["variant", "projection", "layer", "n"]].assign(against=pairs["response"])
    sides = [
        key.assign(response=name, mean=pairs[f"mean_{side}"], standard_error=pairs[f"standard_error_{side}"])
        for side, name in (("correct", "correct"), ("other", pairs["response"]))
    ]
    return _points(pd.concat(sides, ignore_index=True), ["variant", "against", "response"])


def side_points(comparison: pd.DataFrame) -> pd.DataFrame:
    """Both mean nuclear-norm curves of a comparison, by variant and side, one or other."""
    key = comparison[["variant", "projection", "layer"]]
    sides = [
        key.assign(side=side, **{name: comparison[f"{name}_{side}"] for name in ("n", "mean", "standard_error")})
        for side in ("one", "other")
    ]
    table = pd.concat(sides, ignore_index=True)
    return _points(table[table["mean"].notna()], ["variant", "side"])


def ratio_points(comparison: pd.DataFrame) -> pd.DataFrame:
    """Ratio of the nuclear norms of a comparison, other over one, by variant, with its 95 % interval."""
    ends = {"value": "log_ratio", "low": "low", "high": "high"}
    ratios = comparison.assign(side="ratio", **{name: np.exp(comparison[column]) for name, column in ends.items()})
    return ratios.loc[ratios["value"].notna(), ["variant", "side", *POINT]].reset_index(drop=True)


def _points(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    low, high = table["mean"] - table["standard_error"], table["mean"] + table["standard_error"]
    return table.assign(value=table["mean"], low=low, high=high)[[*key, *POINT]].reset_index(drop=True)


def wants_log_scale(points: pd.DataFrame) -> bool:
    """Whether most values (5 to 95 %) span more than a factor of 10."""
    value = points["value"].to_numpy(float)
    positive = value[value > 0]
    return bool(positive.size) and bool(np.divide(*np.quantile(positive, [0.95, 0.05])) > 10)
