"""From p values to verdicts: false discovery rate within a claim, then from cells to models and to the study."""

from collections import Counter
from statistics import median

import numpy as np
from scipy import special

from layergrad.statistics.claims.entry import Claim
from layergrad.statistics.claims.expectations import REFUTES, SUPPORTS
from layergrad.statistics.claims.rows import Row
from layergrad.statistics.inference import Estimate, false_discovery

SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"
NOT_EVALUABLE, DESCRIPTIVE = "not evaluable", "descriptive"
VERDICTS = (SUPPORTED, REFUTED, INCONCLUSIVE, NOT_EVALUABLE, DESCRIPTIVE)
JUDGED = (SUPPORTED, REFUTED, INCONCLUSIVE)

LEVEL = 0.05
MOST = 0.9
POWER = 0.8
FEWEST_FLIPPED = 6
"""Samples whose signs can be flipped in more than 2 / 0.05 ways, so that a two-sided p value can be below it."""


def judge(cells: list[Row]) -> None:
    """Give ``q`` and ``verdict`` to the cells of one claim under one control.

    Those that have a verdict already, since there is nothing to judge, keep it and are not in the family of tests.
    """
    judged = [row for row in cells if not row.verdict]
    for row, q in zip(judged, false_discovery(np.array([row.p for row in judged])), strict=True):
        row.q = float(q)
        side = {SUPPORTS: SUPPORTED, REFUTES: REFUTED}.get(row.side, INCONCLUSIVE)
        row.verdict = side if q < LEVEL else INCONCLUSIVE
        row.reason = resolution(row) if row.verdict == INCONCLUSIVE else ""


def rolled_up(cells: list[Row], claim: Claim, control: str, level: str, model: str | None = None) -> Row:
    """One row over the judged cells of a model or of the study."""
    judged = [row for row in cells if row.verdict in JUDGED]
    shown = [row for row in cells if np.isfinite(row.estimate)] if claim.descriptive else judged
    counts = Counter(row.verdict for row in judged)
    row = Row(claim.name, control, level, model, n=len(shown), unit=shown[0].unit if shown else "")
    row.estimate, row.effect_size = (_median(shown, name) for name in ("estimate", "effect_size"))
    if claim.descriptive and len({cell.contrast for cell in shown}) > 1:
        row.estimate = row.effect_size = float("nan")  # a median over unlike things would say nothing
    if claim.descriptive and shown:
        row.verdict, row.reason = DESCRIPTIVE, "shown without a verdict"
    elif not judged:
        row.verdict, row.reason = NOT_EVALUABLE, _why_not(cells)
    else:
        row.verdict, row.reason = overall(counts, claim.every), _told(cells, counts)
    return row


def overall(counts: dict[str, int], every: bool) -> str:
    """The verdict on a claim from the counts of its cells' verdicts.

    A claim about every cell falls with one that is refuted. Any other is taken to be about ``MOST`` of them: it is
    supported where so many are and none is refuted, and refuted where too many are refuted for it to be true.
    """
    n = sum(counts.get(verdict, 0) for verdict in JUDGED)
    supported, refuted = counts.get(SUPPORTED, 0), counts.get(REFUTED, 0)
    if refuted > (0 if every else (1 - MOST) * n):
        return REFUTED
    return SUPPORTED if supported >= (1 if every else MOST) * n and not refuted else INCONCLUSIVE


def _median(rows: list[Row], name: str) -> float:
    values = [value for row in rows if np.isfinite(value := getattr(row, name))]
    return float(median(values)) if values else float("nan")


def _why_not(cells: list[Row]) -> str:
    """The reason that most cells give."""
    reasons = Counter(row.reason for row in cells if row.reason)
    return reasons.most_common(1)[0][0] if reasons else "the study has no such responses"


def _told(cells: list[Row], counts: dict[str, int]) -> str:
    """The count of every verdict, and how small an effect could be seen where that was too little."""
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in JUDGED if counts.get(verdict))
    told = f"{told} of {sum(counts.values())} cells"
    aside = sum(row.verdict == DESCRIPTIVE for row in cells)
    told += f"; {aside} more are shown and not judged" if aside else ""
    unsure = [row for row in cells if row.verdict == INCONCLUSIVE and np.isfinite(row.detectable)]
    if not unsure:
        return told
    smallest = amount(_median(unsure, "detectable"), unsure[0].unit)
    return f"{told}; the typical inconclusive cell would show an effect of {smallest} in 80 % of such studies"


def detectable(estimate: Estimate, by_flips: bool = False) -> float:
    """The effect that a two-sided test at 5 % would find in 80 % of studies of this precision; infinite for none."""
    if by_flips and estimate.n < FEWEST_FLIPPED:
        return float("inf")
    if not np.isfinite([estimate.standard_error, estimate.dof]).all() or estimate.dof < 1:
        return float("nan")
    return float(estimate.standard_error * special.stdtrit(estimate.dof, [1 - LEVEL / 2, POWER]).sum())


def resolution(row: Row) -> str:
    """What an estimate without a sure side excludes, and what it could not have seen."""
    if not np.isfinite([row.low, row.high]).all():
        return "noise leaves the estimate without an interval"
    if np.isposinf(row.detectable):
        return f"{row.n} samples are too few: no sign-flip test of them can have p < {LEVEL}"
    if not np.isfinite(row.detectable):
        return "the interval has values of both sides"
    excluded = max(abs(row.low), abs(row.high))
    return (
        f"an effect beyond {amount(excluded, row.unit)} is excluded; one of {amount(row.detectable, row.unit)} would "
        "be seen in 80 % of such studies, a smaller one less often"
    )


def amount(value: float, unit: str) -> str:
    """A log ratio as the per cent that it stands for, anything else as it is."""
    if "log ratio" not in unit:
        return f"{value:.2g}"
    percent = 100 * np.expm1(value)
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
