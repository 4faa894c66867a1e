"""What else differs between the kinds of response, and which numbers are uncertain or not there."""

import pandas as pd

from layergrad.report.findings.numbers import Finding, Numbers, by_task
from layergrad.report.words import VARIANTS, listing, number, percent

_COLUMNS = {
    "median_prompt_tokens": "the length of prompts",
    "median_response_tokens": "the length of responses",
    "n_truncated": "which responses were truncated",
    "mean_rank_bound": "the rank bound",
}
_QUANTITIES = {"effective_rank": "the effective rank", "stable_rank": "the stable rank"}


def lengths(numbers: Numbers) -> Finding:
    """What differs between the variants besides the kind of response."""
    cells = numbers.tables["cells"].query("response == 'correct'")
    evidence = []
    for (model, task), part in by_task(cells):
        told = [
            f"{VARIANTS[row.variant]} {_tokens(row.median_response_tokens)}, loss {number(row.mean_loss)}"
            for row in part[part["n"] > 0].itertuples()
        ]
        if told:
            evidence.append(f"{numbers.where(model, task)}: {'; '.join(told)}")
    return Finding(
        "What else differs between the kinds of response?",
        "Length and loss, listed here as the median number of response tokens and the mean loss of correct responses. "
        "The loss is a mean over tokens, so a longer response averages over more of them: no difference in size above "
        "can be put down to reasoning alone.",
        evidence,
    )


def _tokens(count: float) -> str:
    return "of unknown length" if pd.isna(count) else f"{count:g} tokens"


def absent(numbers: Numbers) -> Finding | None:
    """What no table of gradients of the study records, as where released statistics took the place of measurements."""
    cells, size = numbers.tables["cells"].query("n > 0"), numbers.tables["layer_means"].query("n > 0")
    missing = [words for column, words in _COLUMNS.items() if cells[column].isna().all()]
    missing += [words for name, words in _QUANTITIES.items() if not (size["quantity"] == name).any()]
    if not missing:
        return None
    return Finding(
        "What is not there?", f"Not recorded, and so without numbers in figures and tables: {listing(missing)}."
    )


def uncertain(numbers: Numbers) -> Finding:
    """Kinds of response without a number, flagged numbers, and responses left out."""
    size = numbers.size()
    lines = _without_numbers(numbers)
    for (model, task, variant, response), part in size[size["noisy"]].groupby(
        ["model", "task", "variant", "response"], sort=False
    ):
        shares = [f"{row.projection} {percent(row.standard_error / abs(row.mean))}" for row in part.itertuples()]
        lines.append(f"{numbers.where(model, task)}, {VARIANTS[variant]}, {response}: {', '.join(shares)}")
    answer = (
        f"{int(size['noisy'].sum())} of {len(size)} mean nuclear norms (one a kind of response and projection) are "
        f"flagged: the standard error passes {percent(numbers.noisy_above)} of the mean, or one response gives none."
    )
    return Finding("Which numbers are uncertain?", f"{answer} {_left_out(numbers)}", lines)


def _without_numbers(numbers: Numbers) -> list[str]:
    cells = numbers.tables["cells"].query("n == 0")
    return [
        f"{numbers.where(row.model, row.task)}, {VARIANTS[row.variant]}, {row.response}: no number at all; "
        f"{row.n_failed} responses failed and {row.n_not_finite} were not finite"
        for row in cells.itertuples()
    ]


def _left_out(numbers: Numbers) -> str:
    cells = numbers.tables["cells"]
    failed, odd = (int(cells[name].sum()) for name in ("n_failed", "n_not_finite"))
    truncated = cells["n_truncated"]
    cut = "It is not recorded how many" if truncated.isna().any() else int(truncated.sum())
    return (
        f"Of {int(cells['n'].sum()) + failed + odd} responses measured, {failed} failed and {odd} gave values that are "
        f"not finite; these are left out of every mean. {cut} were cut at the greatest length and kept."
    )
