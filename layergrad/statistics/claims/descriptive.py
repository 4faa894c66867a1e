"""Numbers that are shown without a verdict: popularity, peaks of the curves, what goes with a response's size."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import signal, stats

from layergrad.statistics.claims.comparisons import Comparison, Result
from layergrad.statistics.claims.evidence import Case, Group
from layergrad.statistics.claims.expectations import UNDECIDED
from layergrad.statistics.claims.lengths import log_size
from layergrad.statistics.inference import Estimate, unpaired_log_ratio

PROMINENCE = 0.1
"""A peak rises above both its sides by so much of the range of its curve, and by two standard errors."""


@dataclass(frozen=True)
class Unpaired(Comparison):
    """Log ratio of layer means of two variants that share no samples."""

    contrast: str
    over: Group
    under: Group

    statistic: ClassVar[str] = "difference of the mean logs of layer-mean nuclear norms; interval and test of Welch"
    expected: ClassVar[str] = "nothing"

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""
        return self.over, self.under

    @property
    def traits(self) -> frozenset[str]:
        """What decides which controls mean something for it."""
        return frozenset({"scaled", "sized", "spectral", "one_model"})

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection, with the lengths of both sides."""
        over, under = (case.values([group], self.quantity)[1][0].mean(axis=2) for group in self.groups)
        tokens = [np.median(samples.tokens) for ((samples, _),) in (case.samples([group]) for group in self.groups)]
        note = f"median response tokens {tokens[0]:.4g} and {tokens[1]:.4g}"
        found = []
        for i, projection in enumerate(case.responses.projections):
            estimate = unpaired_log_ratio(over[:, i], under[:, i])
            found.append(Result(projection, estimate, estimate.p, UNDECIDED, note=note))
        return found


@dataclass(frozen=True)
class Peaks(Comparison):
    """Peaks of the mean curve, its two ends not counted."""

    contrast: str
    group: Group

    statistic: ClassVar[str] = (
        f"number of peaks of the mean curve that rise above both sides by {PROMINENCE:.0%} of its range and by two "
        "standard errors"
    )
    expected: ClassVar[str] = "nothing"

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""
        return (self.group,)

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection, with the layers of the peaks."""
        units, (values,) = case.values(self.groups, self.quantity)
        found = []
        for i, projection in enumerate(case.responses.projections):
            layers = peaks(values[:, i].mean(axis=0), stats.sem(values[:, i]))
            note = f"at layers {', '.join(map(str, layers))}" if len(layers) else "no peak between the ends"
            estimate = Estimate(len(units), float(len(layers)), *[np.nan] * 6)
            found.append(Result(projection, estimate, np.nan, UNDECIDED, "peaks", note=note))
        return found


def peaks(curve: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Layers of the peaks of a curve (layers,) whose standard errors are ``error``."""
    layers, found = signal.find_peaks(curve, prominence=PROMINENCE * np.ptp(curve))
    return layers[found["prominences"] > 2 * error[layers]]


@dataclass(frozen=True)
class GoesWith(Comparison):
    """Rank correlation over responses of the layer-mean nuclear norm with their loss, and with their length."""

    contrast: str
    group: Group

    statistic: ClassVar[str] = "Spearman's rank correlation over responses (interval of Bonett and Wright)"
    expected: ClassVar[str] = "nothing"

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""
        return (self.group,)

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection for loss, one for length."""
        ((samples, _),) = case.samples(self.groups)
        sizes = log_size(samples.values[self.quantity])
        return [
            Result(projection, estimate, estimate.p, UNDECIDED, "rank correlation", f"{self.contrast} with {name}")
            for name, other in (("loss", samples.loss), ("tokens", samples.tokens))
            for i, projection in enumerate(case.responses.projections)
            for estimate in [rank_correlation(sizes[:, i], other)]
        ]


def rank_correlation(x: np.ndarray, y: np.ndarray) -> Estimate:
    """Of values (n,), those not finite left out; null where all of one side are the same."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[known], y[known], int(known.sum())
    if n < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(n, *[np.nan] * 7)
    r, p = stats.spearmanr(x, y)
    half = stats.norm.ppf(0.975) * np.sqrt((1 + r**2 / 2) / (n - 3))
    low, high = np.tanh(np.arctanh(np.clip(r, -0.999999, 0.999999)) + np.array([-half, half]))
    return Estimate(n, *map(float, (r, low, high, np.nan, p, np.nan, np.nan)))
