"""MAD of a mean curve without the bias that noise gives it, and the log ratio of two."""

import numpy as np
from scipy import stats

from layergrad.statistics.curves import roughness
from layergrad.statistics.inference.estimate import CONFIDENCE, Estimate
from layergrad.statistics.inference.resamples import Resamples


def noise_corrected_mad(samples: np.ndarray) -> float:
    """MAD of the mean curve of ``samples`` (n, layers), less the bias of its noise."""
    n, total = len(samples), samples.sum(axis=0)
    without_each = roughness((total - samples) / (n - 1))
    return float(n * roughness(total / n) - (n - 1) * without_each.mean())


def mad_estimate(samples: np.ndarray, resamples: Resamples) -> Estimate:
    """The same with its 95 % interval; it has no p value, since a MAD is never below zero."""
    n, estimate = len(samples), noise_corrected_mad(samples)
    error = roughness(resamples.weights @ samples / resamples.weights.sum(axis=1, keepdims=True)).std(ddof=1)
    half = error * stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    numbers = (estimate, max(estimate - half, 0), estimate + half, np.nan, np.nan, error, n - 1)
    return Estimate(n, *map(float, numbers))


def mad_log_ratio(a: np.ndarray, b: np.ndarray, resamples: Resamples, *, paired: bool = True) -> Estimate:
    """Log of MAD(a) / MAD(b), both noise-corrected, of (n, layers); ``paired``: row i of both is the same unit.

    Where noise leaves either MAD without a lower bound, the interval is infinite on that side.
    """
    first, second = mad_estimate(a, resamples), mad_estimate(b, resamples)
    n = min(first.n, second.n)
    if first.estimate <= 0 or second.estimate <= 0:
        return Estimate(n, np.nan, -np.inf, np.inf, np.nan, 1.0, np.inf, n - 1)
    estimate = np.log(first.estimate / second.estimate)
    error = np.hypot(first.standard_error / first.estimate, second.standard_error / second.estimate)
    half, p = error * stats.t.ppf((1 + CONFIDENCE) / 2, n - 1), 2 * stats.t.sf(abs(estimate) / error, n - 1)
    return Estimate(n, *map(float, (estimate, estimate - half, estimate + half, np.nan, p, error, n - 1)))
