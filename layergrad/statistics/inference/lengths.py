"""The law of nuclear norm and length: a power of the number of response tokens."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LengthLaw:
    """log norm = intercept of the group + slope * log tokens; ``r_squared`` is within the groups.

    ``residuals`` are in the order of the data, null where a value was; ``intercepts`` by group, in sorted order.
    """

    slope: float
    intercepts: dict
    r_squared: float
    residuals: np.ndarray


def length_law(log_norm: np.ndarray, log_tokens: np.ndarray, groups: np.ndarray | None = None) -> LengthLaw:
    """Least squares of ``log_norm`` (n,) on ``log_tokens`` (n,), one slope and an intercept by group.

    ``groups`` (n,) are labels, such as model and projection; without them there is one intercept. Values that are not
    finite are left out. Without two different lengths in any group the slope is null.
    """
    x, y = np.asarray(log_tokens, float), np.asarray(log_norm, float)
    names, group = np.unique(np.zeros(len(x)) if groups is None else groups, return_inverse=True)
    there = np.isfinite(x) & np.isfinite(y)
    count = np.bincount(group[there], minlength=len(names))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = (np.bincount(group[there], v[there], minlength=len(names)) / count for v in (x, y))
        dx, dy = (np.where(there, v - mean[group], 0.0) for v, mean in ((x, mean_x), (y, mean_y)))
        slope = (dx @ dy) / (dx @ dx)
        residuals = dy - slope * dx
        r_squared = 1 - (residuals @ residuals) / (dy @ dy)
    intercepts = dict(zip(names.tolist(), (mean_y - slope * mean_x).tolist(), strict=True))
    return LengthLaw(float(slope), intercepts, float(r_squared), np.where(there, residuals, np.nan))
