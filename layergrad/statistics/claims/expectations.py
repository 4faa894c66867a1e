"""What a claim expects of an estimate, and how surely the estimate is on that side or on the other."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from layergrad.statistics.inference import Estimate, equivalence

SUPPORTS, REFUTES, UNDECIDED = 1, -1, 0

RATIO_MARGIN = 0.1
"""Log ratios nearer to zero count as no difference: about 10 %."""

COSINE_MARGIN = 0.05
"""Cosines nearer to zero count as none."""


class Expectation(Protocol):
    """Which values of the truth bear a claim out."""

    @property
    def words(self) -> str:
        """The values, as they are told to people."""

    def judged(self, estimate: Estimate) -> tuple[float, int]:
        """P value, and the side that the estimate is on: ``SUPPORTS``, ``REFUTES``, or ``UNDECIDED`` without one.

        The p value is that of the hypothesis that the truth is not on this side.
        """


@dataclass(frozen=True)
class Above:
    """A truth above ``value``; two-sided, the estimate's own test where ``value`` is zero."""

    value: float = 0.0

    @property
    def words(self) -> str:
        """The values, as they are told to people."""
        return "above 0" if self.value == 0 else f"above {self.value:.3g}, a ratio above {np.exp(self.value):.3g}"

    def judged(self, estimate: Estimate) -> tuple[float, int]:
        """P value and side."""
        distance = estimate.estimate - self.value
        p = estimate.p if self.value == 0 else min(1.0, 2 * _beyond(abs(distance), estimate))
        return _judged(p, distance)


@dataclass(frozen=True)
class Within:
    """A truth between ``-margin`` and ``margin``: equivalence, never the mere absence of significance."""

    margin: float

    @property
    def words(self) -> str:
        """The values, as they are told to people."""
        return f"between -{self.margin:g} and {self.margin:g} (test of equivalence)"

    def judged(self, estimate: Estimate) -> tuple[float, int]:
        """Two one-sided tests inside the margins; outside, one test of lying beyond the nearer one."""
        distance = self.margin - abs(estimate.estimate)
        return _judged(equivalence(estimate, self.margin) if distance > 0 else _beyond(-distance, estimate), distance)


@dataclass(frozen=True)
class AtMost:
    """A truth below ``margin``: not larger by more than counts, however much smaller; one-sided."""

    margin: float

    @property
    def words(self) -> str:
        """The values, as they are told to people."""
        return f"below {self.margin:g} (one-sided test against that margin)"

    def judged(self, estimate: Estimate) -> tuple[float, int]:
        """P value and side."""
        distance = self.margin - estimate.estimate
        return _judged(_beyond(abs(distance), estimate), distance)


def _beyond(distance: float, estimate: Estimate) -> float:
    """One-sided p value of an estimate that lies so far beyond what it is tested against."""
    if estimate.standard_error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(special.stdtr(estimate.dof, -distance / estimate.standard_error))


def _judged(p: float, distance: float) -> tuple[float, int]:
    """Towards the claim where ``distance`` is positive; without a p value or an estimate there is no side."""
    if not np.isfinite([p, distance]).all():
        return float("nan"), UNDECIDED
    return float(p), SUPPORTS if distance > 0 else REFUTES if distance < 0 else UNDECIDED


LARGER = Above()
"""What most claims expect."""
