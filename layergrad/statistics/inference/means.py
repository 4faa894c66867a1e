"""Means and log ratios, of the same units on both sides or of different ones."""

import numpy as np
from scipy import special

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
    values = np.where(np.isfinite(d), d, 0.0)
    n, mean, variance = _moments(d)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(variance)
        error, effect = deviation / np.sqrt(n), mean / deviation
    as_far = np.abs(resamples.flips @ values) >= np.abs(values.sum(axis=0)) * (1 - 1e-9)
    p = np.where(n > 1, (1 + as_far.sum(axis=0)) / (1 + len(as_far)), np.nan)
    half = error * special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)
    return _estimates(n, mean, mean - half, mean + half, effect, p, error, n - 1)


def unpaired_log_ratio(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Mean log of ``a`` (n_a,) minus that of ``b`` (n_b,), which share no units."""
    return unpaired_mean(_log(a), _log(b))


def unpaired_mean(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Mean of ``a`` (n_a,) minus that of ``b`` (n_b,), which share no units."""
    return unpaired_means(*(np.asarray(side, float)[:, None] for side in (a, b)))[0]


def unpaired_means(a: np.ndarray, b: np.ndarray) -> list[Estimate]:
    """The same for every column of ``a`` (n_a, columns) and ``b`` (n_b, columns); values not finite are left out.

    Interval and p value are those of Welch (1947). The effect size is Hedges' g (1981): over the pooled standard
    deviation, corrected for small samples.
    """
    (n_a, mean_a, variance_a), (n_b, mean_b, variance_b) = _moments(a), _moments(b)
    estimate, pooled_dof = mean_a - mean_b, n_a + n_b - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        square_a, square_b = variance_a / n_a, variance_b / n_b
        error = np.sqrt(square_a + square_b)
        dof = error**4 / (square_a**2 / (n_a - 1) + square_b**2 / (n_b - 1))
        dof = np.where(error == 0, pooled_dof, dof)
        pooled = np.sqrt(((n_a - 1) * variance_a + (n_b - 1) * variance_b) / pooled_dof)
        effect = np.where(pooled > 0, estimate / pooled * (1 - 3 / (4 * pooled_dof - 1)), np.nan)
        p = 2 * special.stdtr(dof, -np.abs(estimate / error))
    half = error * special.stdtrit(dof, (1 + CONFIDENCE) / 2)
    return _estimates(np.minimum(n_a, n_b), estimate, estimate - half, estimate + half, effect, p, error, dof)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every column the number of finite values, their mean and their variance; null where there are too few."""
    there = np.isfinite(values)
    n = there.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=0) / n
        squares = np.where(there, values - mean, 0.0) ** 2
    return n, mean, squares.sum(axis=0) / np.where(n > 1, n - 1, np.nan)


def _estimates(n: np.ndarray, *numbers: np.ndarray) -> list[Estimate]:
    """One a column, from the fields of ``Estimate`` as arrays (columns,)."""
    return [Estimate(int(count), *map(float, row)) for count, *row in zip(n, *numbers, strict=True)]


def _log(values: np.ndarray) -> np.ndarray:
    """Natural log, minus infinity for zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.asarray(values, float))
