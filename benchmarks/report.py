"""The results as files: every single measurement as CSV, and what they say as a page for people."""

from pathlib import Path

import pandas as pd

from benchmarks.figure import draw
from benchmarks.procedures import NAMES
from benchmarks.summary import CASE, medians, ratios
from layergrad.contracts.files import whole_file, write_text
from layergrad.report.tables import markdown
from layergrad.report.words import NONE, number

WORDS = NAMES | {"d - c": "spectra: (d) - (c) of one round", "e - d": "extreme entries: (e) - (d) of one round"}
INSIDE = {
    "a": "the dense SVDs inside (a)",
    "d": "the spectra inside (d)",
    "e": "the spectra and extreme entries inside (e)",
}
_METHOD = """\
Times are medians with quartiles. The procedures take turns, a b c d e on one sample after another and then again, so
that whatever else the machine does meets all of them; a first round is thrown away. Clearing gradients is not counted.
Spectra and extreme entries are medians of the differences within a round. On their own clock, like the dense SVDs, the
spectra are the time in which threads are at the captured factors: without what capturing costs, and without the noise
of two long times whose difference is short. Peak memory is that of a process of its own, beyond what it held once the
model was loaded; for layergrad it returns large free blocks at once, as every gradient job does. Batches are those of
the gradient job. Every single measurement is in `benchmark.csv`. On Llama-3-8B's width the paper's procedure takes so
long that it is repeated less often; the floor and layergrad on the short sample are repeated more often, since little
lies between them.
"""


def write_report(table: pd.DataFrame, machine: dict[str, str], folder: str | Path) -> None:
    """Write ``benchmark.csv`` (one row a measurement), ``.md``, ``.svg`` and ``.png`` into ``folder``."""
    path = Path(folder) / "benchmark"
    with whole_file(path.with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    summary = medians(table)
    draw(summary, path)
    write_text(path.with_suffix(".md"), page(summary, machine))


def page(summary: pd.DataFrame, machine: dict[str, str]) -> str:
    """The results as Markdown: ratios first, then what they were made from, then the machine."""
    facts = pd.DataFrame(machine.items(), columns=["", "this machine"])
    parts = [
        "# What the measurement costs",
        "Made by `make benchmark`.",
        "![Seconds a sample of each procedure](benchmark.svg)",
        "## Ratios and targets",
        markdown(_ratio_table(summary)),
        "## Seconds a sample",
        markdown(_quantity_table(summary, ["seconds", "svd_seconds"], "seconds")),
        "## Peak memory over the loaded model",
        markdown(_quantity_table(summary, ["peak_memory_mb"], "MB")),
        "## Batches",
        markdown(_quantity_table(summary, ["tokens_per_second"], "tokens a second")),
        "## How it was measured",
        _METHOD,
        markdown(facts),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _ratio_table(summary: pd.DataFrame) -> pd.DataFrame:
    table = ratios(summary)
    return table.assign(value=table["value"].map(number))


def _quantity_table(summary: pd.DataFrame, quantities: list[str], unit: str) -> pd.DataFrame:
    part = summary[summary["quantity"].isin(quantities)]
    part = part.sort_values(["sample", "procedure"], kind="stable", key=lambda column: column.map(_order(part, column)))
    shown = part[CASE].astype(str).rename(columns={"response_tokens": "of them response"})
    shown["procedure"] = [_procedure(row.procedure, row.quantity) for row in part.itertuples()]
    shown["repeats"] = part["repeats"].astype(str)
    shown[f"{unit}, median"] = part["median"].map(number)
    spread = zip(part["lower_quartile"], part["upper_quartile"], part["repeats"], strict=True)
    shown["quartiles"] = [f"{number(low)} to {number(high)}" if n > 1 else NONE for low, high, n in spread]
    return shown


def _order(part: pd.DataFrame, column: pd.Series) -> dict[str, int]:
    """Samples in the order of measurement, procedures in that of their names."""
    values = part["sample"].unique() if column.name == "sample" else sorted(part["procedure"].unique())
    return {value: place for place, value in enumerate(values)}


def _procedure(key: str, quantity: str) -> str:
    if quantity == "svd_seconds":
        return INSIDE[key]
    return f"({key}) {WORDS[key]}" if key in NAMES else WORDS.get(key, key)
