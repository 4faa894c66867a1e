"""From single measurements to medians with their spread, and to the ratios that matter with their targets."""

import math

import pandas as pd

CASE = ["model", "sample", "tokens", "response_tokens"]

STEP = "layergrad / fine-tuning step, (d) / (b)"
PAPER = "the paper's procedure / layergrad, (a) / (d)"
SPECTRA = "spectra / floor, ((d) - (c)) / (c)"
SPECTRA_CLOCK = "spectra on their own clock / floor"
EXTREMES = "extreme entries / floor, ((e) - (d)) / (c)"
DENSE = "dense SVDs of (a) / spectra, that is (d) - (c)"
DENSE_CLOCK = "dense SVDs of (a) / spectra on their own clock"
MEMORY = "peak memory over the model, (d) / (a)"
MEMORY_EXTREMES = "peak memory over the model, (e) / (a)"
BATCHING = "throughput, batched / one by one"

_SPECTRA_AT_MOST = {"none": 0.12, "simplified": 0.25, "detailed": 0.35, "wide, short": 0.04, "wide, long": 0.08}
_DENSE_AT_LEAST = {"wide, short": 1500, "wide, long": 90}
AT_MOST = {
    STEP: {"none": 0.48, "simplified": 0.75, "detailed": 1.0},
    SPECTRA: _SPECTRA_AT_MOST,
    SPECTRA_CLOCK: _SPECTRA_AT_MOST,
    EXTREMES: {"none": 0.20, "simplified": 0.12, "detailed": 0.12},
    MEMORY: {"wide, short": 0.6, "wide, long": 0.6},
    MEMORY_EXTREMES: {"wide, short": 0.6, "wide, long": 0.6},
}
AT_LEAST = {
    DENSE: _DENSE_AT_LEAST,
    DENSE_CLOCK: _DENSE_AT_LEAST,
    BATCHING: {"set of none": 1.3, "mixed set": 1.0},
}
"""Targets of the ratios by sample."""


def medians(table: pd.DataFrame) -> pd.DataFrame:
    """Median, quartiles and number of repeats of every procedure and quantity on every sample.

    The differences between two procedures of one round are procedures of their own: ``d - c``, the spectra, and
    ``e - d``, the extreme entries.
    """
    table = pd.concat([table, _differences(table, "d", "c"), _differences(table, "e", "d")])
    groups = table.groupby([*CASE, "procedure", "quantity"], sort=False)["value"]
    quartiles = {"lower_quartile": groups.quantile(0.25), "upper_quartile": groups.quantile(0.75)}
    return pd.DataFrame({"repeats": groups.count(), "median": groups.median(), **quartiles}).reset_index()


def _differences(table: pd.DataFrame, more: str, less: str) -> pd.DataFrame:
    """Seconds of ``more`` beyond those of ``less`` in the same round."""
    seconds = table[table["quantity"] == "seconds"].set_index([*CASE, "repeat"])
    value = {key: seconds.loc[seconds["procedure"] == key, "value"] for key in (more, less)}
    difference = (value[more] - value[less]).dropna().reset_index()
    return difference.assign(procedure=f"{more} - {less}", quantity="seconds")


def ratios(summary: pd.DataFrame) -> pd.DataFrame:
    """What the medians say of each sample: ``ratio``, its ``value``, and ``target`` and ``reached`` where there is one.

    A ratio over something that is no larger than zero, as a difference lost in the noise may be, is not a number.
    """
    rows = []
    for (model, sample), part in summary.groupby(["model", "sample"], sort=False):
        median = part.set_index(["procedure", "quantity"])["median"]
        rows += [
            {"model": model, "sample": sample, "ratio": name, "value": value, **_judged(name, sample, value)}
            for name, value in _ratios_of(median).items()
        ]
    return pd.DataFrame(rows)


def _ratios_of(median: pd.Series) -> dict[str, float]:
    """Those of one sample whose parts were measured."""
    seconds, memory = "seconds", "peak_memory_mb"
    parts = {
        STEP: (("d", seconds), ("b", seconds)),
        PAPER: (("a", seconds), ("d", seconds)),
        SPECTRA: (("d - c", seconds), ("c", seconds)),
        SPECTRA_CLOCK: (("d", "svd_seconds"), ("c", seconds)),
        EXTREMES: (("e - d", seconds), ("c", seconds)),
        DENSE: (("a", "svd_seconds"), ("d - c", seconds)),
        DENSE_CLOCK: (("a", "svd_seconds"), ("d", "svd_seconds")),
        MEMORY: (("d", memory), ("a", memory)),
        MEMORY_EXTREMES: (("e", memory), ("a", memory)),
        BATCHING: (("batched", "tokens_per_second"), ("one by one", "tokens_per_second")),
    }
    return {
        name: median[over] / median[under] if median[under] > 0 else math.nan
        for name, (over, under) in parts.items()
        if over in median and under in median
    }


def _judged(name: str, sample: str, value: float) -> dict[str, str]:
    at_most, at_least = AT_MOST.get(name, {}).get(sample), AT_LEAST.get(name, {}).get(sample)
    if at_most is None and at_least is None:
        return {"target": "", "reached": ""}
    if at_least is None:
        target, met = f"at most {at_most:g}", value <= at_most
    else:
        target, met = f"at least {at_least:g}", value >= at_least
    return {"target": target, "reached": "lost in the noise" if not value > 0 else "yes" if met else "no"}
