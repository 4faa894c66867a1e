"""How a quantity changes from one variant to another, on the samples that both have."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from layergrad.statistics.curves import log_early_over_last, resampled, roughness, roughness_over_mean
from layergrad.statistics.measured import Measured

COLUMNS = ["n", "mean_from", "mean_to", "difference", "standard_error"]


def variant_differences(measured: Measured, parts: dict[str, range], seed: int) -> pd.DataFrame:
    """From every variant to every later one, by response, control, projection and quantity: what changes, how surely.

    Both sides are of the ``n`` samples that the two variants share, so that no other article or problem comes in; a
    pair of variants without any has no row. Replicates are averaged first. ``nuclear_norm`` and
    ``nuclear_norm_over_loss`` are layer means, with the standard error of the paired difference; ``mad`` and
    ``relative_mad`` are of the mean curve of the nuclear norm, and ``early_late_distance`` is |mean over samples of
    log(early / last)|, with the spread of the difference over seeded bootstrap draws of the samples, the same on both
    sides. The error is null for a single sample.
    """
    norm = measured.values("nuclear_norm")
    compared = {
        "nuclear_norm": (norm, _means),
        "nuclear_norm_over_loss": (measured.values("nuclear_norm_over_loss"), _means),
        "mad": (norm, partial(_curves, roughness, seed)),
        "relative_mad": (norm, partial(_curves, roughness_over_mean, seed)),
        "early_late_distance": (log_early_over_last(norm, parts), partial(_curves, _distance, seed)),
    }
    rows = [
        (*key, quantity, *compare(a, b))
        for quantity, (values, compare) in compared.items()
        for key, a, b in _shared(values)
    ]
    table = pd.DataFrame(
        rows, columns=["from_variant", "to_variant", "response", "control", "projection", "quantity", *COLUMNS]
    )
    return table.astype(dict.fromkeys(COLUMNS[1:], "float64"))  # those of a table without rows too


def _shared(values: pd.DataFrame) -> Iterator[tuple[tuple, np.ndarray, np.ndarray]]:
    """Samples x layers of two variants, in one order: the samples whose values are finite in both."""
    for (response, control), group in values.groupby(level=["response", "control"], observed=True):
        sides = {name: _by_sample(side) for name, side in group.groupby(level="variant", observed=True)}
        for (one, a), (other, b) in itertools.combinations(sides.items(), 2):
            both = a.index.intersection(b.index).sort_values()
            for projection in values.columns.unique("projection"):
                left, right = (side.loc[both, projection].to_numpy(float) for side in (a, b))
                known = np.isfinite(np.hstack([left, right])).all(axis=1)
                if known.any():
                    yield (one, other, response, control, projection), left[known], right[known]


def _by_sample(side: pd.DataFrame) -> pd.DataFrame:
    return side.groupby(level="sample_id", observed=True).mean()


def _means(a: np.ndarray, b: np.ndarray) -> tuple:
    """Layer means, and the standard error of their paired difference."""
    a, b = a.mean(axis=1), b.mean(axis=1)
    error = (b - a).std(ddof=1) / np.sqrt(len(a)) if len(a) > 1 else np.nan
    return len(a), a.mean(), b.mean(), (b - a).mean(), error


def _curves(number: Callable[[np.ndarray], np.ndarray], seed: int, a: np.ndarray, b: np.ndarray) -> tuple:
    """A number of each mean curve, and the paired bootstrap error of the difference."""
    one, other = number(a.mean(axis=0)), number(b.mean(axis=0))
    drawn = number(resampled(b, seed)) - number(resampled(a, seed))  # one seed, so the same samples on both sides
    error = drawn.std(ddof=1) if len(a) > 1 else np.nan
    return len(a), one, other, other - one, error


def _distance(log_ratio: np.ndarray) -> np.ndarray:
    return np.abs(log_ratio[..., 0])
