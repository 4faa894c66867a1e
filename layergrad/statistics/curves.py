"""Mean curves over layers, how rough they are, and their means over layers."""

import itertools

import numpy as np
import pandas as pd

from layergrad.statistics.measured import CELL, QUANTITIES, Measured

DRAWS = 200
"""Seeded draws of every resampled number."""


def curves(measured: Measured) -> pd.DataFrame:
    """Mean over responses with standard error (ddof 1), by cell, projection, layer and quantity.

    ``n`` counts the values in a mean: a zero gradient has no effective or stable rank, and a loss of zero no ratio.
    """
    groups = measured.spectra.groupby([*CELL, "projection", "layer"], observed=True)
    tables = {name: groups[name].agg(n="count", mean="mean", standard_error="sem").reset_index() for name in QUANTITIES}
    return pd.concat([table.assign(quantity=name) for name, table in tables.items()], ignore_index=True)


def layer_means(measured: Measured, parts: dict[str, range], noisy_above: float) -> pd.DataFrame:
    """Mean over the layers of each segment, then over responses, with the standard error of the latter mean.

    ``noisy`` marks what is not known to within ``noisy_above`` of its mean, a single response included.
    """
    tables = []
    for quantity in QUANTITIES:
        values = measured.values(quantity)
        for projection, (segment, layers) in itertools.product(values.columns.unique("projection"), parts.items()):
            by_response = values[projection][list(layers)].mean(axis=1)
            groups = by_response.groupby(level=CELL, observed=True)
            table = groups.agg(n="count", mean="mean", standard_error="sem").reset_index()
            tables.append(table.assign(projection=projection, segment=segment, quantity=quantity))
    table = pd.concat(tables, ignore_index=True)
    steady = table["standard_error"] <= noisy_above * table["mean"].abs()
    return table.assign(noisy=table["mean"].notna() & ~steady)


def mad(measured: Measured, parts: dict[str, range], seed: int) -> pd.DataFrame:
    """Mean absolute difference of neighbouring layers of the mean curve, by cell, projection, segment and quantity.

    MAD = 1/(N-1) sum_i |s_(i+1) - s_i| on the curve averaged over responses; a step between two segments belongs to
    neither, and a segment without a step has none. It scales with the size of what is measured, so ``relative_mad`` is
    MAD over the mean of the same curve and layers. The standard errors are the spread over seeded bootstrap draws of
    the responses, null for a single one.
    """
    rows = []
    for quantity in QUANTITIES:
        for cell, values in measured.values(quantity).groupby(level=CELL, observed=True):
            for projection in values.columns.unique("projection"):
                samples = values[projection].to_numpy(float)
                for segment, row in _mad_by_segment(samples, parts, seed).items():
                    rows.append((*cell, projection, segment, quantity, len(samples), *row))
    errors = ["mad", "standard_error", "relative_mad", "relative_standard_error"]
    columns = ["projection", "segment", "quantity", "n", "first_layer", "last_layer", *errors]
    return pd.DataFrame(rows, columns=[*CELL, *columns])


def _mad_by_segment(samples: np.ndarray, parts: dict[str, range], seed: int) -> dict[str, tuple]:
    """First and last layer, then MAD and relative MAD, each with its error; ``samples`` is responses x layers."""
    curve, drawn = mean_curve(samples), resampled(samples, seed)
    found = {}
    for segment, layers in parts.items():
        numbers = []
        for number in (roughness, roughness_over_mean):
            whole, draws = (number(some[..., layers.start : layers.stop]) for some in (curve, drawn))
            numbers += [whole, draws.std(ddof=1) if len(samples) > 1 else np.nan]
        found[segment] = (*((layers[0], layers[-1]) if layers else (None, None)), *numbers)
    return found


def roughness(curves: np.ndarray) -> np.ndarray:
    """MAD of curves, their layers last; null where there is no step."""
    steps = np.abs(np.diff(curves))
    return steps.mean(axis=-1) if steps.shape[-1] else np.full(curves.shape[:-1], np.nan)[()]


def roughness_over_mean(curves: np.ndarray) -> np.ndarray:
    """MAD of curves over their mean; null where there is no step or the mean is zero."""
    steps = np.asarray(roughness(curves))
    mean = curves.mean(axis=-1) if curves.shape[-1] else np.zeros(steps.shape)
    return np.divide(steps, mean, out=np.full(steps.shape, np.nan), where=mean != 0)[()]


def early_over_last(measured: Measured, parts: dict[str, range]) -> pd.DataFrame:
    """Early over last layers by cell and projection, from each response's own mean nuclear norms.

    ``log_ratio`` is the mean over responses of log(early / last), with its standard error; ``ratio`` is its
    exponential, the geometric mean. A response with a mean of zero has no ratio and is not in ``n``.
    """
    values = log_early_over_last(measured.values("nuclear_norm"), parts).droplevel("layer", axis=1)
    table = values.where(np.isfinite(values)).stack(future_stack=True).rename("value").reset_index()
    table["projection"] = pd.Categorical(table["projection"], values.columns, ordered=True)
    groups = table.groupby([*CELL, "projection"], observed=True)["value"]
    table = groups.agg(n="count", log_ratio="mean", standard_error="sem").reset_index()
    return table.assign(ratio=np.exp(table["log_ratio"]))


def log_early_over_last(values: pd.DataFrame, parts: dict[str, range]) -> pd.DataFrame:
    """log(mean over early layers / mean over last ones) of each response, a single "layer" 0 for each projection."""
    ratios = {}
    for projection in values.columns.unique("projection"):
        early, last = (values[projection][list(parts[name])].mean(axis=1) for name in ("early", "last"))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios[projection, 0] = np.log(early / last)
    return pd.DataFrame(ratios, index=values.index).rename_axis(columns=["projection", "layer"])


def mean_curve(samples: np.ndarray) -> np.ndarray:
    """Mean over responses of responses x layers, null values left out; null where there are no others."""
    return _weighted_mean(samples, np.ones((1, len(samples))))[0]


def resampled(samples: np.ndarray, seed: int) -> np.ndarray:
    """Mean curves, draws x layers, of responses drawn with replacement."""
    n = len(samples)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    return _weighted_mean(samples, counts)


def _weighted_mean(samples: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights (draws x responses) times samples (responses x layers), over the weights of the values that are there."""
    there = ~np.isnan(samples)
    total = weights @ there
    return np.divide(weights @ np.where(there, samples, 0), total, out=np.full(total.shape, np.nan), where=total > 0)
