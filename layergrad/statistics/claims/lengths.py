"""The power of length that the size of gradients follows, and what is left of a size without it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from layergrad.statistics.claims.responses import Samples
from layergrad.statistics.inference import Estimate, length_law
from layergrad.statistics.inference.estimate import CONFIDENCE


@dataclass(frozen=True)
class FittedLaw:
    """Layer mean of a quantity ~ tokens ** slope: the power and its standard error, and how much of the variance of
    the logs it explains, from ``n`` responses."""

    n: int
    slope: float
    standard_error: float
    r_squared: float


def fitted_laws(chosen: Sequence[tuple[str, Samples]], quantity: str) -> list[FittedLaw]:
    """The law of every projection on groups of responses, each with the name of its task."""
    tokens = np.log(np.concatenate([samples.tokens for _, samples in chosen]))
    sizes = np.concatenate([log_size(samples.values[quantity]) for _, samples in chosen])
    names = np.concatenate([[f"{task} {unit}" for unit in samples.units] for task, samples in chosen])
    _, clusters = np.unique(names, return_inverse=True)
    return [_fitted(column, tokens, clusters) for column in sizes.T]


def _fitted(sizes: np.ndarray, tokens: np.ndarray, clusters: np.ndarray) -> FittedLaw:
    """The standard error is robust to the likeness of the responses to one sample (Liang and Zeger 1986)."""
    law = length_law(sizes, tokens)
    known = np.isfinite(law.residuals)
    away = tokens[known] - tokens[known].mean() if known.any() else tokens[known]
    scores = np.bincount(clusters[known], away * law.residuals[known])
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt((scores**2).sum()) / (away**2).sum()
    return FittedLaw(int(known.sum()), law.slope, float(error), law.r_squared)


def without_length(values: np.ndarray, tokens: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Values (n, projections, layers) over tokens (n,) to the power of each projection."""
    return values / np.exp(np.log(tokens)[:, None] * slopes)[:, :, None]


def widened(estimate: Estimate, error: float) -> Estimate:
    """An estimate to which an independent standard error is added; its test is then Student's."""
    if not error:
        return estimate
    total = np.hypot(estimate.standard_error, error)
    t = special.stdtrit(estimate.dof, (1 + CONFIDENCE) / 2)
    low, high = (
        estimate.estimate + side * np.hypot(end - estimate.estimate, t * error)
        for side, end in ((-1, estimate.low), (1, estimate.high))
    )
    p = max(estimate.p, 2 * special.stdtr(estimate.dof, -abs(estimate.estimate) / total))
    return replace(estimate, low=float(low), high=float(high), p=float(p), standard_error=float(total))


def log_size(values: np.ndarray) -> np.ndarray:
    """Log of the mean over layers of values (n, projections, layers); minus infinity for zero, null for null."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(values.mean(axis=2, dtype=float))
