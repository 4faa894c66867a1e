"""MAD of a mean curve, corrected for the noise of the means, and the log ratio of two.

Noise makes the steps of a mean curve longer, so that the MAD of the mean curve never understates the true one. Choosing
the sign of each step on one part of the data and measuring its length on an independent part never overstates it: a
wrong sign only takes away. The truth lies between the two. What noise does is worst for a step of about one standard
error, and even there is bounded, so the second is never short by more than ``SHORTFALL`` standard errors. Which step
has which error cannot be known (Cai and Low 2011), so that an interval has to cover both ends.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize, special

from layergrad.statistics.inference.estimate import CONFIDENCE, Estimate

PART = 0.5
"""Noise that is added to a step to choose its sign, in standard errors; less leaves a smaller bias and more spread."""

SHORTFALL = -optimize.minimize_scalar(
    lambda step: -2 * step * special.ndtr(-step / np.hypot(1, PART)), bounds=(0, 3), method="bounded"
).fun
"""The most that ``signed_steps`` is short by on average, in standard errors of the step: 0.38."""

CERTAIN = 5
"""Standard errors of a step from which its sign is certain: its signed length is the plain one, to the last bit."""

SMALLEST = 3
"""Units without which there is no interval."""


@dataclass(frozen=True)
class MadBounds:
    """Three estimates from ``n`` units: the first is not above the true MAD on average, the two others not below it.

    They are the mean of ``signed_steps``, the same with ``SHORTFALL`` standard errors added, and the plain MAD.
    ``influence`` (n, 3) is what each unit adds to them: jackknife pseudo-values less their mean. All is null for fewer
    than three units or two layers.
    """

    values: np.ndarray
    influence: np.ndarray

    @property
    def n(self) -> int:
        return len(self.influence)

    @property
    def middle(self) -> float:
        """Between what does not overstate and the nearest that does not understate; not below zero, as no MAD is."""
        below = max(self.values[0], 0.0)
        return (below + min(below + self.values[1] - self.values[0], self.values[2])) / 2

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the three (3, 3), by the jackknife, which is not too small on average (Efron and Stein 1981)."""
        return self.shared(self)

    def times(self, ratio: float) -> "MadBounds":
        """Those of a curve ``ratio`` times as high."""
        return MadBounds(ratio * self.values, ratio * self.influence)

    def shared(self, other: "MadBounds") -> np.ndarray:
        """Covariance (3, 3) with those of another curve of the same units."""
        return self.influence.T @ other.influence / (self.n * (self.n - 1))


def noise_corrected_mad(samples: np.ndarray) -> float:
    """MAD of the true mean curve of ``samples`` (n, layers): see ``mad_estimate``."""
    return mad_estimate(samples).estimate


def mad_estimate(samples: np.ndarray) -> Estimate:
    """MAD of the true mean curve with its 95 % interval, from ``samples`` (n, layers); rows with a null are left out.

    MAD = 1/(N-1) sum_i |s_(i+1) - s_i|. The interval reaches from the estimate that does not overstate to the nearest
    one that does not understate, each widened by Student's t times its jackknife error. It has no p value, since no MAD
    is below zero. All is null for fewer than three units or two layers.
    """
    bounds = mad_bounds(_complete(samples))
    if np.isnan(bounds.values).any():
        return Estimate(bounds.n, *[np.nan] * 7)
    t = special.stdtrit(bounds.n - 1, (1 + CONFIDENCE) / 2)
    reach = t * np.sqrt(np.diag(bounds.covariance))
    low, high = max(bounds.values[0] - reach[0], 0.0), max((bounds.values + reach)[1:].min(), 0.0)
    return _estimate(bounds.n, bounds.middle, low, high, np.nan, t)


def mad_log_ratio(a: np.ndarray, b: np.ndarray, *, paired: bool = True, against: float = 1.0) -> Estimate:
    """``bounds_log_ratio`` of ``a`` over ``b``, both (n, layers), from their rows without a null.

    ``paired``: row i of both is the same unit, and has no null on either side.
    """
    a, b = (np.asarray(side, float) for side in (a, b))
    if paired:
        both = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
        a, b = a[both], b[both]
    return bounds_log_ratio(mad_bounds(_complete(a)), mad_bounds(_complete(b)), paired=paired, against=against)


def bounds_log_ratio(first: MadBounds, second: MadBounds, *, paired: bool = True, against: float = 1.0) -> Estimate:
    """Log of one true MAD over another; ``paired``: both are of the same units.

    The ends are those of Fieller (1954) for a ratio, each with the estimates that make it widest, so that an end is
    infinite where noise may be all of a MAD. ``p`` is of a true ratio of ``against`` and below 0.05 exactly where the
    interval leaves out its log. ``standard_error`` is from the wider half of the interval.
    A curve without steps and without noise has no ratio; all is null where one of the bounds is.
    """
    n = min(first.n, second.n)
    if np.isnan([first.values, second.values]).any():
        return Estimate(n, *[np.nan] * 7)
    if first.middle == 0 or second.middle == 0:
        return Estimate(n, np.nan, -np.inf, np.inf, np.nan, 1.0, np.inf, n - 1)
    shared = first.shared(second) if paired else np.zeros((3, 3))
    t = special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)
    with np.errstate(divide="ignore"):
        low, high = np.log(_least(first, second, shared, t)), -np.log(_least(second, first, shared.T, t))
        estimate = np.log(first.middle / second.middle)
    second, shared = second.times(against), against * shared
    apart = max(_errors_above(first, second, shared), _errors_above(second, first, shared.T), 0.0)
    return _estimate(n, estimate, low, high, 2 * special.stdtr(n - 1, -apart), t)


def over_mean(samples: np.ndarray) -> np.ndarray:
    """Samples (n, layers) without nulls for the MAD over the mean of its own curve; null for a mean of zero.

    Their mean curve is that of ``samples`` over its mean, and their scatter is to first order the quotient's (the delta
    method): what a sample adds to the curve, less the curve times what it adds to the mean.
    """
    curve, size = samples.mean(axis=0), samples.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (samples + (1 - size / size.mean()) * curve) / size.mean()


def mad_bounds(samples: np.ndarray) -> MadBounds:
    """The three estimates from ``samples`` (n, layers) without nulls."""
    n, steps = len(samples), np.diff(samples, axis=1)
    if n < SMALLEST or not steps.size:
        return MadBounds(np.full(3, np.nan), np.full((n, 3), np.nan))
    mean = steps.mean(axis=0)
    away = steps - mean
    squares = (away**2).sum(axis=0)
    without = np.maximum(squares - away**2 * (n / (n - 1)), 0)  # sums of squares without each unit
    whole = _three(mean, np.sqrt(squares / (n - 1) / n))
    parts = _three(mean - away / (n - 1), np.sqrt(without / (n - 2) / (n - 1)))
    return MadBounds(whole, (n - 1) * (parts.mean(axis=0) - parts))


def _three(mean: np.ndarray, error: np.ndarray) -> np.ndarray:
    """The values of ``MadBounds``, last, for steps (..., steps) and their standard errors."""
    below = signed_steps(mean, error).mean(axis=-1)
    return np.stack([below, below + SHORTFALL * error.mean(axis=-1), np.abs(mean).mean(axis=-1)], axis=-1)


def signed_steps(mean: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Length of steps whose sign is chosen on one part of the data and whose length is measured on another.

    With e normal of the step's standard error and k = ``PART``, mean + k e and mean - e / k are independent (data
    fission, Leiner et al. 2023); this is the expectation over e of sign(mean + k e) (mean - e / k). Over the data it
    has the expectation |step| - 2 |step| Phi(-|step| / error / sqrt(1 + k^2)): right for a step of zero and for a
    long one.
    """
    length, near = np.abs(mean), np.abs(mean) < CERTAIN * error
    step, error = mean[near], error[near]
    ratio = step / (PART * error)
    density = np.exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi)
    length[near] = step * special.erf(ratio / np.sqrt(2)) - 2 / PART * error * density
    return length


def _least(top: MadBounds, bottom: MadBounds, shared: np.ndarray, t: float) -> float:
    """The least ratio that the data allow: the largest lower end of Fieller's sets over what may be below; 0 if none.

    It is the root of (A - r B)^2 = t^2 (var A - 2 r cov + r^2 var B) where A - r B is positive.
    """
    above, variance = np.maximum(bottom.values[1:], 0), np.diag(bottom.covariance)[1:]
    below, square = top.values[0], top.values[0] ** 2 - t**2 * top.covariance[0, 0]
    if below <= 0 or square <= 0:
        return 0.0
    half = below * above - t**2 * shared[0, 1:]
    root = np.sqrt(np.maximum(half**2 - square * (above**2 - t**2 * variance), 0))
    with np.errstate(divide="ignore"):
        return float((square / (half + root)).max())


def _errors_above(top: MadBounds, bottom: MadBounds, shared: np.ndarray) -> float:
    """How many standard errors ``top``, at its least, lies above ``bottom``, at its most."""
    above = np.maximum(bottom.values[1:], 0)
    variance = top.covariance[0, 0] + np.diag(bottom.covariance)[1:] - 2 * shared[0, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nan_to_num((top.values[0] - above) / np.sqrt(np.maximum(variance, 0)), posinf=np.inf).max())


def _estimate(n: int, estimate: float, low: float, high: float, p: float, t: float) -> Estimate:
    """An estimate that is never outside its interval, with the standard error of the wider half."""
    estimate = float(np.clip(estimate, low, high))
    error = max(high - estimate, estimate - low) / t
    return Estimate(n, estimate, float(low), float(high), np.nan, float(p), float(error), float(n - 1))


def _complete(samples: np.ndarray) -> np.ndarray:
    """The rows without a null."""
    samples = np.asarray(samples, float)
    return samples[np.isfinite(samples).all(axis=1)]
