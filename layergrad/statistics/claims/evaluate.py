"""Every claim of the ledger on the responses of a study: a row a cell, a model and the whole, under every control."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from layergrad.statistics.claims.comparisons import Comparison, Result
from layergrad.statistics.claims.controls import NONE, UNTRAINED, Control
from layergrad.statistics.claims.entry import Claim, family_of
from layergrad.statistics.claims.evidence import Case, Evidence, MissingDataError
from layergrad.statistics.claims.ledger import LEDGER
from layergrad.statistics.claims.rows import Row
from layergrad.statistics.claims.verdicts import DESCRIPTIVE, NOT_EVALUABLE, detectable, judge, rolled_up
from layergrad.statistics.inference import Estimate, paired_means

TEMPLATED = "the responses were written by a template: shown, not judged"


def evaluate(evidence: Evidence, ledger: Sequence[Claim] = LEDGER) -> list[Row]:
    """The rows of the table of claims: by claim and control, the study first, then its models, then their cells."""
    tested = [(claim, control, found) for claim in ledger for control, found in claim.tested()]
    cells: dict[tuple[str, str], list[Row]] = {(claim.name, control.name): [] for claim, control, _ in tested}
    for task in evidence.tasks:  # the outermost loop, since the draws of few tasks are kept
        for model in evidence.trained:
            for row in _cells(evidence, model, task, tested):
                cells[row.claim, row.control].append(row)
    rows = []
    for claim in ledger:
        if claim.missing:
            rows.append(Row(claim.name, NONE, "overall", verdict=NOT_EVALUABLE, reason=claim.missing))
        for control, _ in claim.tested():
            rows += _with_totals(cells[claim.name, control.name], claim, control, evidence)
    return rows


def _cells(
    evidence: Evidence, model: str, task: str, tested: list[tuple[Claim, Control, list[Comparison]]]
) -> Iterator[Row]:
    """One row a contrast and projection; one a contrast where it cannot be evaluated."""
    family = "knowledge" if task in evidence.tasks_of("knowledge") else "reasoning"
    pending = []
    for claim, control, comparisons in tested:
        for comparison in [c for c in comparisons if family_of(c) in (None, family)]:
            row = Row(claim.name, control.name, "cell", model, task, _told(comparison.contrast, control))
            try:
                case = _case(evidence, model, task, control)
                pending.append((row, claim, comparison, case, comparison.scores(case)))
            except MissingDataError as reason:
                yield replace(row, verdict=NOT_EVALUABLE, reason=str(reason))
    for (row, claim, comparison, case, _), means in zip(pending, _means(pending), strict=True):
        try:
            for result in comparison.results(case, means):
                yield _filled(row, result, claim, comparison, case)
        except MissingDataError as reason:
            yield replace(row, verdict=NOT_EVALUABLE, reason=str(reason))


def _case(evidence: Evidence, model: str, task: str, control: Control) -> Case:
    measured = evidence.untrained(model) if control.name == UNTRAINED else model
    if (measured, task) not in evidence.responses:
        raise MissingDataError(f"{measured} was not measured on {task}")
    return Case(evidence, measured, task, control)


def _told(contrast: str, control: Control) -> str:
    return contrast.replace("irrelevant", control.stand_in)


def _means(pending: list[tuple]) -> list[list[Estimate]]:
    """The means of all scores of a task, from one product with its flips."""
    if not pending:
        return []
    *_, case, _ = pending[0]
    scores = [columns for *_, columns in pending]
    means = paired_means(np.hstack(scores), case.draws())
    ends = np.cumsum([columns.shape[1] for columns in scores])
    return [means[end - columns.shape[1] : end] for columns, end in zip(scores, ends, strict=True)]


def _filled(row: Row, result: Result, claim: Claim, comparison: Comparison, case: Case) -> Row:
    """The row with its numbers; one that is not to be judged has its verdict already."""
    estimate = result.estimate
    templated = any(group.variant in case.responses.templated for group in comparison.groups)
    verdict, reason = "", result.note
    if claim.descriptive or templated:
        verdict, reason = DESCRIPTIVE, reason or (TEMPLATED if templated else "")
    elif np.isnan(result.p):
        verdict, reason = NOT_EVALUABLE, f"{estimate.n} samples are too few for an interval"
    return replace(
        row,
        contrast=_told(result.contrast or comparison.contrast, case.control),
        projection=result.projection,
        n=estimate.n,
        estimate=estimate.estimate,
        low=estimate.low,
        high=estimate.high,
        effect_size=estimate.effect_size,
        p=result.p,
        verdict=verdict,
        reason=reason,
        unit=result.unit,
        absolute_difference=result.absolute,
        noise_floor=result.floor,
        side=result.side,
        detectable=detectable(estimate, result.by_flips),
    )


def _with_totals(cells: list[Row], claim: Claim, control: Control, evidence: Evidence) -> list[Row]:
    judge(cells)
    models = [
        rolled_up([row for row in cells if row.model == model], claim, control.name, "model", model)
        for model in evidence.trained
    ]
    if control.fitted_on:
        for model, row in zip(evidence.trained, models, strict=True):
            row.reason += _explained(evidence, model, control.fitted_on, claim)
    total = rolled_up(cells, claim, control.name, "overall")
    if control.name != NONE:  # what a study has not measured is told once
        models, cells = ([row for row in rows if row.verdict != NOT_EVALUABLE] for rows in (models, cells))
    return [total, *models, *cells]


def _explained(evidence: Evidence, model: str, fitted_on: str, claim: Claim) -> str:
    """How much of the variance length alone explains, for the quantity of the claim."""
    try:
        laws = evidence.laws(model, fitted_on, claim.comparisons[0].quantity)
    except MissingDataError:
        return ""
    shares, slopes = np.array([law.r_squared for law in laws]), np.array([law.slope for law in laws])
    return (
        f"; length alone, to the power {slopes.min():.2f} to {slopes.max():.2f}, explains {100 * shares.min():.0f} to "
        f"{100 * shares.max():.0f} % of the variance of the logs it was fitted on"
    )
