"""Mean curves over layers, how rough they are, and their means over layers."""

import itertools

import numpy as np
import pandas as pd

from layergrad.statistics.inference import mad_estimate
from layergrad.statistics.measured import CELL, QUANTITIES, Measured


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


def mad(measured: Measured, parts: dict[str, range]) -> pd.DataFrame:
    """Mean absolute difference of neighbouring layers of the mean curve, by cell, projection, segment and quantity.

    MAD = 1/(N-1) sum_i |s_(i+1) - s_i| on the curve averaged over responses; a step between two segments belongs to
    neither, and a segment without a step has none. ``mad`` is that of the curve as it is, which noise makes too large;
    ``corrected_mad`` is ``mad_estimate`` with the ends of its 95 % interval, null below three responses. MAD scales
    with the size of what is measured, so ``relative_mad`` is ``mad`` over the mean of the same curve and layers.
    """
    rows = []
    for quantity in QUANTITIES:
        for cell, values in measured.values(quantity).groupby(level=CELL, observed=True):
            for projection in values.columns.unique("projection"):
                samples = values[projection].to_numpy(float)
                key = (*cell, projection)
                rows += [(*key, segment, quantity, *_mads(samples, layers)) for segment, layers in parts.items()]
    numbers = ["n", "first_layer", "last_layer", "mad", "corrected_mad", "corrected_low", "corrected_high"]
    return pd.DataFrame(rows, columns=[*CELL, "projection", "segment", "quantity", *numbers, "relative_mad"])


def _mads(samples: np.ndarray, layers: range) -> tuple:
    """Of responses x layers: n, first and last layer; MAD, the corrected one with its interval, MAD over the mean."""
    samples = samples[:, layers.start : layers.stop]
    curve, corrected = mean_curve(samples), mad_estimate(samples)
    ends = (layers[0], layers[-1]) if layers else (None, None)
    mads = (roughness(curve), corrected.estimate, corrected.low, corrected.high, roughness_over_mean(curve))
    return (len(samples), *ends, *mads)


def roughness(curves: np.ndarray) -> np.ndarray:
    """MAD of curves, their layers last; null where there is no step."""
    steps = np.abs(np.diff(curves))
    return steps.mean(axis=-1) if steps.shape[-1] else np.full(curves.shape[:-1], np.nan)[()]


def roughness_over_mean(curve: np.ndarray) -> float:
    """MAD of a curve over its mean; null where there is no step or the mean is zero."""
    return float(roughness(curve) / curve.mean()) if len(curve) > 1 and curve.mean() else np.nan


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
    there = ~np.isnan(samples)
    n, total = there.sum(axis=0), np.where(there, samples, 0).sum(axis=0)
    return np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
