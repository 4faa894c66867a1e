"""Two models or two tasks side by side: their mean curves over layers, and how far apart they are in each."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layergrad.contracts.tables import read_facts, write_statistics
from layergrad.statistics.differences import REFERENCE
from layergrad.statistics.inference import Resamples, paired_means, unpaired_means
from layergrad.statistics.measured import CELL, Measured, read_measured
from layergrad.statistics.variants import by_sample

RATIO = ["n", "log_ratio", "low", "high"]
SIDES = ("one", "other")
CURVES = [f"{number}_{side}" for side in SIDES for number in ("n", "mean", "standard_error")]


def write_comparison(
    gradients: list[str | Path],
    samples: list[str | Path],
    data: list[str | Path],
    path: str | Path,
    *,
    labels: dict[str, Any],
) -> None:
    """Write ``comparison`` as Parquet and CSV at ``path``, its first columns ``one``, ``other``, ``on`` and ``paired``.

    ``labels`` has these: two names, that of the task or model which both share, and whether their samples are the same.
    ``gradients``, ``samples`` and ``data`` are the tables of the one and of the other, in this order.
    """
    one, other = (read_measured(*tables) for tables in zip(gradients, samples, data, strict=True))
    table = comparison(one, other, paired=labels["paired"])
    facts = {
        side: {"gradients": read_facts(spectra), "data": read_facts(texts)}
        for side, spectra, texts in zip(SIDES, gradients, data, strict=True)
    }
    write_statistics(pd.DataFrame(labels, index=table.index).join(table), path, facts)


def comparison(one: Measured, other: Measured, *, paired: bool) -> pd.DataFrame:
    """Nuclear norms of correct responses on both sides, by variant that both have, projection and layer.

    ``log_ratio`` is the mean of log(other / one) with the ends of its 95 % interval: ``paired`` by sample, Student's
    over the samples that both have; else the difference of the two mean logs, Welch's over the samples of each. ``n``
    counts samples, of the smaller side where they are not the same; one with a norm of zero has no logarithm. There is
    no ratio where the numbers of layers differ, and no interval for a single sample. ``mean`` and ``standard_error``
    of either side are of its curve over ``n_one`` or ``n_other`` samples, null for a layer that it has not. Replicates
    are averaged first.
    """
    sides = [_by_variant(measured) for measured in (one, other)]
    parts = []
    for variant in [name for name in sides[0] if name in sides[1]]:
        a, b = (side[variant] for side in sides)
        if paired:
            both = a.index.intersection(b.index).sort_values()
            a, b = a.loc[both], b.loc[both]
        if len(a) and len(b):
            ratios = _ratios(a, b, paired, one.n_layers == other.n_layers)
            cell = dict(zip(CELL, (variant, REFERENCE, "none"), strict=True))
            parts.append(_curves(a, b).join(ratios).reset_index().assign(**cell))
    columns = [*CELL, "projection", "layer", *RATIO, *CURVES]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    numbers = {name: "int64" if name.startswith(("n", "layer")) else "float64" for name in columns[len(CELL) + 1 :]}
    table["n"] = table["n"].fillna(0)
    return table[columns].astype(numbers | dict.fromkeys([*CELL, "projection"], "str"))


def _by_variant(measured: Measured) -> dict[str, pd.DataFrame]:
    """Nuclear norms of correct responses without control, samples by (projection, layer)."""
    values = measured.values("nuclear_norm")
    response, control = (values.index.get_level_values(name) for name in ("response", "control"))
    kept = values[(response == REFERENCE) & (control == "none")]
    return {name: by_sample(side) for name, side in kept.groupby(level="variant", observed=True)}


def _curves(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard error and number of samples of both sides, by projection and every layer that either has."""
    numbers: dict[str, pd.Series] = {}
    for name, side in zip(SIDES, (a, b), strict=True):
        numbers |= {f"mean_{name}": side.mean(), f"standard_error_{name}": side.sem()}
    return pd.DataFrame(numbers).assign(n_one=len(a), n_other=len(b))


def _ratios(a: pd.DataFrame, b: pd.DataFrame, paired: bool, same_layers: bool) -> pd.DataFrame:
    """Columns of ``RATIO`` by projection and layer; no row where the layers are not the same."""
    shared = a.columns.intersection(b.columns) if same_layers else a.columns[:0]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (np.log(side[shared].to_numpy(float)) for side in (a, b))
        difference = other - one if paired else None
    # Which flips are drawn is of no matter: of the estimates only the interval is taken, and no p value.
    found = unpaired_means(other, one) if difference is None else paired_means(difference, Resamples(0, len(a)))
    rows = [(estimate.n, estimate.estimate, estimate.low, estimate.high) for estimate in found]
    return pd.DataFrame(rows, index=shared, columns=RATIO)
