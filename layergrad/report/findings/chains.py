"""How a quantity goes along kinds of response: with more reasoning, or with more length."""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from layergrad.contracts.keys import REASONING_VARIANTS
from layergrad.report.findings.numbers import NO_ERROR, NO_VERDICT, Finding, Numbers, by_task, direction_of
from layergrad.report.words import NONE, VARIANTS, counted, listing, number

POPULAR = ("popular_100", "popular_500", "popular_1000")

WAYS = {
    "falls": "falls at every step",
    "rises": "rises at every step",
    "stays level": "shows no change beyond the error",
}


@dataclass(frozen=True)
class Chain:
    """A question of how a quantity goes along some variants, and what each way of going says to it."""

    question: str
    variants: tuple[str, ...]
    falls: str
    rises: str


@dataclass(frozen=True)
class Thing:
    """What goes along a chain: how it is called, and how it differs from variant to variant."""

    words: str
    differences: pd.DataFrame


REASONING_SIZE = Chain(
    "Are gradients larger where a response reasons less?", REASONING_VARIANTS, "Yes.", "No, the reverse."
)
REASONING_OVER_LOSS = Chain("Are they larger per unit of loss, too?", REASONING_VARIANTS, "Yes.", "No, the reverse.")
REASONING_ROUGHNESS = Chain(
    "Do gradients differ more from layer to layer where a response reasons less?",
    REASONING_VARIANTS,
    "Yes.",
    "No, the reverse.",
)
REASONING_RELATIVE = Chain(
    "Do they differ more from layer to layer relative to their size, too?",
    REASONING_VARIANTS,
    "Yes.",
    "No, the reverse.",
)
LENGTH_SIZE = Chain("Does length alone, without reasoning, change the size?", POPULAR, "Yes.", "Yes.")
LENGTH_ROUGHNESS = Chain("Does length alone change how gradients differ from layer to layer?", POPULAR, "Yes.", "Yes.")
LENGTH_RELATIVE = Chain(
    "Does length alone change how they differ from layer to layer relative to their size?", POPULAR, "Yes.", "Yes."
)
POPULARITY = Chain(
    "Are gradients larger for unpopular topics than for popular ones?",
    ("unpopular", "popular_100"),
    "Yes.",
    "No, the reverse.",
)


def along_chain(numbers: Numbers, chain: Chain, thing: Thing) -> Finding | None:
    """How ``thing`` goes along the chain over correct responses, in every task that has two of its variants."""
    templated = numbers.templated()
    directions, evidence, aside, taken = [], [], [], set()
    for (model, task), part in by_task(thing.differences):
        there = {*part["from_variant"], *part["to_variant"]}
        present = [variant for variant in chain.variants if variant in there]
        own = [variant for variant in present if (task, variant) not in templated]
        if len(own) > 1:
            steps = _steps(part, own)
            directions += _directions(steps)
            taken |= set(own)
            evidence += _step_lines(numbers.where(model, task), steps)
        others = {pair: step for pair, step in _steps(part, present).items() if not set(pair) <= set(own)}
        aside += _step_lines(numbers.where(model, task), others)
    if not evidence and not aside:
        return None
    way = _arrow(VARIANTS[variant] for variant in chain.variants if variant in taken)
    answer = _chain_answer(chain, directions, thing.words, way) if evidence else NO_VERDICT
    return Finding(chain.question, answer, evidence, aside)


def _steps(part: pd.DataFrame, variants: list[str]) -> dict[tuple[str, str], pd.DataFrame]:
    """From each variant to the next, by projection: both means, and the interval of what changes."""
    return {
        (one, other): part[(part["from_variant"] == one) & (part["to_variant"] == other)].set_index("projection")
        for one, other in itertools.pairwise(variants)
    }


def _directions(steps: dict[tuple[str, str], pd.DataFrame]) -> list[str | None]:
    """Which way every projection goes along the steps."""
    projections = next(iter(steps.values())).index
    numbers = [step.reindex(projections)[["low", "high"]].to_numpy(float) for step in steps.values()]
    return [direction_of(*by_projection.T) for by_projection in np.stack(numbers, axis=1)]


def _step_lines(where: str, steps: dict[tuple[str, str], pd.DataFrame]) -> list[str]:
    """One line a step: on which samples, and from what to what each projection goes."""
    lines = []
    for (one, other), step in steps.items():
        told = [
            f"{row.Index} {_arrow([number(row.mean_from), number(row.mean_to)])} "
            f"({direction_of([row.low], [row.high]) or NONE})"
            for row in step.itertuples()
        ]
        lines.append(f"{where}, {_arrow([VARIANTS[one], VARIANTS[other]])}, {_basis(step)}: {'; '.join(told)}")
    return lines


def _basis(step: pd.DataFrame) -> str:
    if step["n"].any():
        return f"on {counted(int(step['n'].max()), 'shared sample')}"
    return f"on {int(step['n_from'].max())} and {int(step['n_to'].max())} responses, no sample shared"


def _arrow(words: Iterable[str]) -> str:
    return " → ".join(words)


def _chain_answer(chain: Chain, directions: list[str | None], thing: str, way: str) -> str:
    known = [direction for direction in directions if direction]
    n, counts = len(known), Counter(known)
    if not n:
        return NO_ERROR
    rest = len(directions) - n
    dropped = f" {counted(rest, 'comparison')} without a known error not counted." if rest else ""
    if len(counts) > 1:
        parts = [f"{WAYS.get(word, word)} in {count}" for word, count in counts.items()]
        return f"It depends. Along {way}, {thing} {listing(parts)} of {n} comparisons.{dropped}"
    verdict = {"falls": chain.falls, "rises": chain.rises, "stays level": "Not seen."}.get(known[0], "It depends.")
    where = f"all {n} comparisons" if n > 1 else "the one comparison"
    return f"{verdict} Along {way}, {thing} {WAYS.get(known[0], known[0])} in {where}.{dropped}"
