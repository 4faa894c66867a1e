"""One estimate with all that a verdict needs, the test of equivalence and the false discovery rate."""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
"""Of every interval."""


@dataclass(frozen=True)
class Estimate:
    """An estimate from ``n`` units (of the smaller side where the two sides share none), with its 95 % interval.

    ``effect_size`` is standardised: mean over standard deviation of the paired differences, Hedges' g where the sides
    share no units, null for a MAD. ``p`` is two-sided, of no difference. ``standard_error`` and ``dof`` are those of
    the Student distribution that ``equivalence`` uses. A number that the data do not give is null (NaN); an end of an
    interval that they do not bound is infinite.
    """

    n: int
    estimate: float
    low: float
    high: float
    effect_size: float
    p: float
    standard_error: float
    dof: float


def equivalence(estimate: Estimate, margin: float) -> float:
    """P value of two one-sided t tests (Schuirmann 1987) that the truth lies outside -margin .. margin.

    It is below 0.05 exactly where the 90 % interval lies inside the margins; null without a standard error.
    """
    inside = margin - abs(estimate.estimate)
    if estimate.standard_error == 0:
        return 0.0 if inside > 0 else 1.0
    return float(special.stdtr(estimate.dof, -inside / estimate.standard_error))


def false_discovery(p: np.ndarray) -> np.ndarray:
    """Q values of Benjamini and Hochberg (1995) over the p values that are there; the others stay null."""
    p = np.asarray(p, float)
    q, there = np.full(p.shape, np.nan), ~np.isnan(p)
    if there.any():
        q[there] = stats.false_discovery_control(p[there])
    return q
