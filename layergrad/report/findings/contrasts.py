"""Whether gradients tell correct responses from others, against what random swaps would give."""

from collections import Counter
from collections.abc import Callable

import pandas as pd

from layergrad.report.findings.numbers import NO_VERDICT, Finding, Numbers
from layergrad.report.words import VARIANTS, counted, listing, percent


def apart(numbers: Numbers, response: str, question: str, variants: tuple[str, ...]) -> Finding | None:
    """Relative difference of correct and other responses against its noise floor, by variant."""
    table = numbers.tables["relative_difference"]
    table = table[(table["response"] == response) & table["variant"].isin(variants)]
    if table.empty:
        return None
    templated = numbers.templated()
    counts: dict[str, Counter[str]] = {}
    evidence: list[str] = []
    aside: list[str] = []
    for (model, task, variant), part in table.groupby(["model", "task", "variant"], sort=False):
        line = f"{numbers.where(model, task)}, {VARIANTS[variant]}: {_apart_line(part, response)}"
        (aside if (task, variant) in templated else evidence).append(line)
        if (task, variant) not in templated:
            above = int((part["absolute"] > part["noise_floor_95"]).sum())
            counts.setdefault(variant, Counter()).update(above=above, all=len(part))
    return Finding(question, _apart_answer(counts), evidence, aside)


def _apart_answer(counts: dict[str, Counter[str]]) -> str:
    if not counts:
        return NO_VERDICT
    total: Counter[str] = Counter()
    for count in counts.values():
        total.update(count)
    verdict = "In part" if total["above"] else "Not here"
    verdict = "Yes" if total["above"] == total["all"] else verdict
    parts = [f"{count['above']} of {count['all']} ({VARIANTS[variant]})" for variant, count in counts.items()]
    return f"{verdict}. The difference is greater than in 95 % of random swaps in {listing(parts)} comparisons."


def _apart_line(part: pd.DataFrame, response: str) -> str:
    larger = int((part["signed"] > 0).sum())
    layers = Counter(layer for text in part["largest_layers"] for layer in text.split())
    often = [layer for layer, _ in sorted(layers.items(), key=lambda item: (-item[1], int(item[0])))[:5]]
    return (
        f"difference {_range(part['absolute'], percent)}, noise floor {_range(part['noise_floor'], percent)} "
        f"({counted(int(part['n'].max()), 'pair')}), {response} responses larger in {larger} of "
        f"{counted(len(part), 'projection')}; farthest apart in layers {', '.join(often)}"
    )


def _range(values: pd.Series, form: Callable[[float], str]) -> str:
    low, high = form(values.min()), form(values.max())
    return low if low == high else f"{low} to {high}"
