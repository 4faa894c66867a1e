"""How far apart two kinds of response are: the relative difference of their mean nuclear-norm curves."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from layergrad.contracts.files import text_sha256
from layergrad.statistics.measured import RESPONSE, Measured

DRAWS = 200
"""Seeded draws of every resampled number."""

REFERENCE = "correct"
PAIR = ["sample_id", "replicate"]


def relative_difference(measured: Measured, seed: int) -> pd.DataFrame:
    """Correct against every other response of the same samples, by variant, control and projection.

    ``absolute`` is the mean over layers of |a_i - b_i| / |a_i|, the form of the paper's released code; ``signed`` that
    of (b_i - a_i) / a_i, the form of its text; a is the mean curve of the correct responses. Since noise alone makes
    ``absolute`` positive, ``noise_floor`` is its mean after the two responses of each sample are swapped at random, and
    ``noise_floor_95`` the value that 95 % of these draws do not pass.
    """
    rows = []
    for key, pairs in _pairs(measured):
        swaps = _swaps(pairs, (*key, seed))
        for projection in pairs.columns.unique("projection"):
            a, b = _sides(pairs[projection])
            rows.append((*key, projection, len(a), *_summary(a, b, swaps)))
    columns = ["n", "absolute", "signed", "noise_floor", "noise_floor_95", "largest_layers"]
    return pd.DataFrame(rows, columns=["variant", "control", "response", "projection", *columns])


def relative_difference_layers(measured: Measured) -> pd.DataFrame:
    """The same by layer, without the noise floor, and the two mean curves with their standard errors, of the pairs."""
    tables = []
    for (variant, control, response), pairs in _pairs(measured):
        for projection in pairs.columns.unique("projection"):
            key = {"variant": variant, "control": control, "response": response, "projection": projection}
            tables.append(pd.DataFrame(key | _by_layer(*_sides(pairs[projection]))))
    columns = ["variant", "control", "response", "projection", *_by_layer(*np.ones((2, 2, 1)))]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _by_layer(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray | int]:
    """Columns of ``relative_difference_layers`` for two samples x layers."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    return {
        "layer": np.arange(a.shape[1]),
        "n": len(a),
        "absolute": absolute(mean_a, mean_b),
        "signed": signed(mean_a, mean_b),
        "mean_correct": mean_a,
        "standard_error_correct": _standard_error(a),
        "mean_other": mean_b,
        "standard_error_other": _standard_error(b),
    }


def _standard_error(samples: np.ndarray) -> np.ndarray:
    """Of the mean over samples (ddof 1), null for a single one."""
    if len(samples) < 2:
        return np.full(samples.shape[1], np.nan)
    return samples.std(axis=0, ddof=1) / np.sqrt(len(samples))


def absolute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b| / |a|, with 1e-10 for a reference of zero, as in the paper's released code."""
    return np.abs(a - b) / np.abs(_not_zero(a))


def signed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(b - a) / a, with 1e-10 for a reference of zero."""
    return (b - a) / _not_zero(a)


def _not_zero(a: np.ndarray) -> np.ndarray:
    return np.where(a == 0, 1e-10, a)


def _pairs(measured: Measured) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """By (variant, control, response): nuclear norms of the samples that have both that response and a correct one.

    Rows are (response, sample), the correct ones first and both in one order; columns are projection and layer.
    """
    values = measured.values("nuclear_norm")
    for (variant, control), group in values.groupby(level=["variant", "control"], observed=True):
        sides = {name: side.droplevel(RESPONSE[:3]) for name, side in group.groupby(level="response", observed=True)}
        for response in [name for name in sides if name != REFERENCE and REFERENCE in sides]:
            both = sides[REFERENCE].index.intersection(sides[response].index).sort_values()
            if len(both):
                yield (variant, control, response), pd.concat([sides[REFERENCE].loc[both], sides[response].loc[both]])


def _sides(pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Correct and other responses, each samples x layers."""
    a, b = np.split(pairs.to_numpy(float), 2)
    return a, b


def _swaps(pairs: pd.DataFrame, key: tuple) -> np.ndarray:
    """Draws x samples of 0 and 1, the same whatever else is measured."""
    seed = int(text_sha256(*map(str, key))[:16], 16)
    return np.random.default_rng(seed).integers(0, 2, size=(DRAWS, len(pairs) // 2))


def _summary(a: np.ndarray, b: np.ndarray, swaps: np.ndarray) -> tuple:
    """Of two samples x layers: absolute, signed, noise floor and its 95 % point, and the five layers farthest apart."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    shift = swaps @ (b - a) / len(a)  # what swapping adds to the one mean curve and takes from the other
    floor = absolute(mean_a + shift, mean_b - shift).mean(axis=1)
    by_layer = absolute(mean_a, mean_b)
    largest = np.argsort(-by_layer, kind="stable")[:5]
    return (
        by_layer.mean(),
        signed(mean_a, mean_b).mean(),
        floor.mean(),
        np.quantile(floor, 0.95),
        " ".join(map(str, largest)),
    )
