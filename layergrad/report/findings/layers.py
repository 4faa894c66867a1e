"""Which layers have the larger gradients."""

import numpy as np
import pandas as pd

from layergrad.contracts.keys import REASONING_VARIANTS
from layergrad.report.findings.numbers import NO_ERROR, NO_VERDICT, Finding, Numbers, around, direction_of, passes
from layergrad.report.words import NONE, VARIANTS, counted, number


def early_and_late(numbers: Numbers) -> Finding | None:
    """Mean over the early layers against mean over the last ones."""
    table = numbers.tables["early_over_last"].query("response == 'correct'")
    table = table[table["variant"].isin(REASONING_VARIANTS)]
    if not table["n"].any():
        return None  # nothing, or a model of so few layers that a segment is empty
    templated = numbers.templated()
    theirs = np.array([key in templated for key in zip(table["task"], table["variant"], strict=True)])
    question = "Which layers have the larger gradients, the early or the last ones?"
    evidence, aside = (_ratio_lines(numbers, part) for part in (table[~theirs], table[theirs]))
    answer = f"{_ratio_answer(table[~theirs])} {_alike(numbers, templated)}".strip()
    return Finding(question, answer if evidence else NO_VERDICT, evidence, aside)


def _ratio_answer(table: pd.DataFrame) -> str:
    """In how many comparisons either end is the larger one beyond its error."""
    table = table[np.isfinite(table["standard_error"])]
    if table.empty:
        return NO_ERROR
    parts = []
    for variant, part in table.groupby("variant", sort=False):
        sure = part[passes(part["log_ratio"], part["standard_error"])]
        early, last = int((sure["log_ratio"] > 0).sum()), int((sure["log_ratio"] < 0).sum())
        parts.append(f"with {VARIANTS[variant]}, the early ones in {early} and the last ones in {last} of {len(part)}")
    return f"Larger beyond the error are: {'; '.join(parts)} comparisons."


def _alike(numbers: Numbers, templated: set[tuple[str, str]]) -> str:
    """Whether early and last layers are nearer to each other with detailed reasoning than without."""
    table = numbers.differences("early_late_distance").query("from_variant == 'none' and to_variant == 'detailed'")
    own = [not {(task, "none"), (task, "detailed")} & templated for task in table["task"]]
    table = table[np.array(own, bool) & np.isfinite(table["standard_error"])]
    if table.empty:
        return ""
    sure = table[passes(table["difference"], table["standard_error"])]
    nearer, farther = int((sure["difference"] < 0).sum()), int((sure["difference"] > 0).sum())
    return (
        "On the samples that both have, early and last layers are more alike with detailed reasoning than without in "
        f"{nearer}, less alike in {farther} of {counted(len(table), 'comparison')}."
    )


def _ratio_lines(numbers: Numbers, table: pd.DataFrame) -> list[str]:
    """Every ratio, and which end is the larger one beyond the error."""
    lines = []
    for (model, task, variant), part in table.groupby(["model", "task", "variant"], sort=False):
        told = [
            f"{row.projection} {number(row.ratio)} ({_ratio_word(row.log_ratio, row.standard_error)})"
            for row in part.itertuples()
        ]
        where = f"{numbers.where(model, task)}, {VARIANTS[variant]}, {counted(int(part['n'].max()), 'response')}"
        lines.append(f"{where}, early over last: {', '.join(told)}")
    return lines


def _ratio_word(log_ratio: float, standard_error: float) -> str:
    low, high = around(log_ratio, standard_error)
    word = direction_of([low], [high])
    return {"rises": "early larger", "falls": "last larger", "stays level": "alike within the error", None: NONE}[word]
