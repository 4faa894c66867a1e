"""Means and log ratios, of the same units on both sides or of different ones."""

import numpy as np
from scipy import special, stats

from layergrad.statistics.inference.estimate import CONFIDENCE, Estimate
from layergrad.statistics.inference.resamples import Resamples


def paired_log_ratio(a: np.ndarray, b: np.ndarray, resamples: Resamples) -> Estimate:
    """Mean over units of log(a / b); ``a`` and ``b`` (n,) are positive.

    Both are of the same units, in the order of the draws; one where either is zero or null is not in ``n``.
    """
    with np.errstate(invalid="ignore"):
        return paired_mean(_log(a) - _log(b), resamples)


def paired_mean(d: np.ndarray, resamples: Resamples) -> Estimate:
    """Mean of differences ``d`` (n,) as they are."""
    return paired_means(np.asarray(d, float)[:, None], resamples)[0]


def paired_means(d: np.ndarray, resamples: Resamples) -> list[Estimate]:
    """The same for every column of ``d`` (n, columns), in one product; values that are not finite are left out.

    The interval is Student's, the p value that of a sign-flip test (Fisher 1935): the share of flips, the data's own
    among them, with a mean at least as far from zero.
    """
    there = np.isfinite(d)
    n, values = there.sum(axis=0), np.where(there, d, 0.0)
    total = values.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        deviation = np.sqrt((np.where(there, d - mean, 0.0) ** 2).sum(axis=0) / np.where(n > 1, n - 1, np.nan))
        error, effect = deviation / np.sqrt(n), mean / deviation
    as_far = np.abs(resamples.flips @ values) >= np.abs(total) * (1 - 1e-9)
    p = np.where(n > 1, (1 + as_far.sum(axis=0)) / (1 + len(as_far)), np.nan)
    half = error * special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)
    columns = (n, mean, mean - half, mean + half, effect, p, error, n - 1)
    return [Estimate(int(row[0]), *map(float, row[1:])) for row in zip(*columns, strict=True)]


def unpaired_log_ratio(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Mean log of ``a`` (n_a,) minus that of ``b`` (n_b,), which share no units."""
    return unpaired_mean(_log(a), _log(b))


def unpaired_mean(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Mean of ``a`` (n_a,) minus that of ``b`` (n_b,), which share no units: interval and p value of Welch (1947).

    The effect size is Hedges' g (1981): over the pooled standard deviation, corrected for small samples.
    """
    a, b = (side[np.isfinite(side)] for side in (np.asarray(a, float), np.asarray(b, float)))
    n = min(len(a), len(b))
    if n < 2:
        estimate = a.mean() - b.mean() if n else np.nan
        return Estimate(n, float(estimate), *[np.nan] * 6)
    test = stats.ttest_ind(a, b, equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    estimate, dof = a.mean() - b.mean(), len(a) + len(b) - 2
    pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / dof)
    effect = estimate / pooled * (1 - 3 / (4 * dof - 1)) if pooled else np.nan
    numbers = (estimate, low, high, effect, test.pvalue, np.hypot(stats.sem(a), stats.sem(b)), test.df)
    return Estimate(n, *map(float, numbers))


def _log(values: np.ndarray) -> np.ndarray:
    """Natural log, minus infinity for zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.asarray(values, float))
