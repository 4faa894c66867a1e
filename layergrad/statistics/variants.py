"""How a quantity changes from one variant to another, on the samples that both have."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from layergrad.statistics.curves import log_early_over_last
from layergrad.statistics.differences import DRAWS
from layergrad.statistics.inference import mad_log_ratio, noise_corrected_mad, over_mean
from layergrad.statistics.measured import Measured

COUNTS = ["n", "n_from", "n_to"]
NUMBERS = ["mean_from", "mean_to", "difference", "standard_error", "log_ratio", "low", "high"]

Compare = Callable[[np.ndarray, np.ndarray, bool], dict[str, float]]
"""From the samples x layers of two variants, and whether they are the same samples, to some of ``NUMBERS``."""


def variant_differences(measured: Measured, parts: dict[str, range], seed: int) -> pd.DataFrame:
    """From every variant to every later one, by response, control, projection and quantity: what changes, how surely.

    Both sides are of the ``n`` samples that the two variants share, so that no other article or problem comes in; of
    all ``n_from`` and ``n_to`` samples where they share none, which is ``n`` = 0. Replicates are averaged first.

    ``nuclear_norm`` and ``nuclear_norm_over_loss`` are layer means, with the standard error of the difference, null
    for a single sample. ``mad`` and ``relative_mad``, that over the mean of its curve, are of the mean curve of the
    nuclear norm and corrected for noise, with ``log_ratio`` to over from and the ends of its 95 % interval, null below
    three samples, infinite where noise may be all of a MAD. ``early_late_distance`` is |mean over samples of
    log(early / last)|, with the spread of the difference over seeded bootstrap draws of the shared samples.
    """
    norm = measured.values("nuclear_norm")
    compared: dict[str, tuple[pd.DataFrame, Compare]] = {
        "nuclear_norm": (norm, _means),
        "nuclear_norm_over_loss": (measured.values("nuclear_norm_over_loss"), _means),
        "mad": (norm, _mads),
        "relative_mad": (norm, _relative_mads),
        "early_late_distance": (log_early_over_last(norm, parts), partial(_distances, seed)),
    }
    rows = [
        key | {"quantity": quantity, "n_from": len(a), "n_to": len(b)} | compare(a, b, shared)
        for quantity, (values, compare) in compared.items()
        for key, a, b, shared in _sides(values)
    ]
    key = ["from_variant", "to_variant", "response", "control", "projection", "quantity"]
    table = pd.DataFrame(rows, columns=[*key, *COUNTS, *NUMBERS])
    table = table.astype(dict.fromkeys(COUNTS, "int64") | dict.fromkeys(NUMBERS, "float64"))  # one without rows too
    return table.assign(difference=table["mean_to"] - table["mean_from"])


def _sides(values: pd.DataFrame) -> Iterator[tuple[dict, np.ndarray, np.ndarray, bool]]:
    """Samples x layers of two variants where values are finite, and whether both are of the same samples in one order.

    ``n`` in the key counts these.
    """
    for (response, control), group in values.groupby(level=["response", "control"], observed=True):
        variants = {name: by_sample(side) for name, side in group.groupby(level="variant", observed=True)}
        for (one, a), (other, b) in itertools.combinations(variants.items(), 2):
            for projection in values.columns.unique("projection"):
                left, right = (_finite(side[projection]) for side in (a, b))
                both = left.index.intersection(right.index).sort_values()
                if len(both):
                    left, right = left.loc[both], right.loc[both]
                key = {"from_variant": one, "to_variant": other, "response": response, "control": control}
                if len(left) and len(right):
                    key |= {"projection": projection, "n": len(both)}
                    yield key, left.to_numpy(float), right.to_numpy(float), len(both) > 0


def by_sample(side: pd.DataFrame) -> pd.DataFrame:
    """Mean over the replicates of each sample, of responses (rows) of one cell."""
    return side.groupby(level="sample_id", observed=True).mean()


def _finite(side: pd.DataFrame) -> pd.DataFrame:
    return side[np.isfinite(side).all(axis=1)]


def _means(a: np.ndarray, b: np.ndarray, shared: bool) -> dict[str, float]:
    """Layer means, and the standard error of their difference, which is paired on shared samples."""
    a, b = a.mean(axis=1), b.mean(axis=1)
    error = _standard_error(b - a) if shared else np.hypot(_standard_error(a), _standard_error(b))
    return {"mean_from": a.mean(), "mean_to": b.mean(), "standard_error": error}


def _standard_error(values: np.ndarray) -> float:
    """Of the mean, null for a single value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _mads(a: np.ndarray, b: np.ndarray, shared: bool) -> dict[str, float]:
    """Corrected MADs, and their log ratio with its interval."""
    ratio = mad_log_ratio(b, a, paired=shared)
    means = {"mean_from": noise_corrected_mad(a), "mean_to": noise_corrected_mad(b)}
    return means | {"log_ratio": ratio.estimate, "low": ratio.low, "high": ratio.high}


def _relative_mads(a: np.ndarray, b: np.ndarray, shared: bool) -> dict[str, float]:
    return _mads(over_mean(a), over_mean(b), shared)


def _distances(seed: int, a: np.ndarray, b: np.ndarray, shared: bool) -> dict[str, float]:
    """|mean log ratio| of early and last layers, and the bootstrap error of the difference on shared samples."""
    n = len(a)
    found = {"mean_from": abs(a.mean()), "mean_to": abs(b.mean())}
    if not shared or n < 2:
        return found
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)  # the same on both sides
    drawn = np.abs(counts @ b / n) - np.abs(counts @ a / n)
    return found | {"standard_error": float(drawn.std(ddof=1))}
