"""What the numbers say, in words made from the numbers alone."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from layergrad.contracts.keys import KNOWLEDGE_VARIANTS, REASONING_VARIANTS
from layergrad.report.words import NONE, VARIANTS, counted, listing, number, percent

POPULAR = ("popular_100", "popular_500", "popular_1000")
ERRORS = 2
"""A step between two means counts as one only from so many standard errors of the difference on."""

WAYS = {
    "falls": "falls at every step",
    "rises": "rises at every step",
    "stays level": "shows no change beyond the error",
}
NO_VERDICT = "No verdict: only templated responses were measured."
NO_ERROR = "No verdict: no comparison has a known error."


@dataclass
class Finding:
    """A question, its answer in a sentence, and the numbers behind it, one line a task."""

    question: str
    answer: str
    evidence: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    """Numbers of templated responses, which are no part of the answer."""


@dataclass(frozen=True)
class Numbers:
    """The statistics of the responses without controls, by name, and how models and tasks are called."""

    tables: dict[str, pd.DataFrame]
    models: dict[str, str]
    tasks: dict[str, str]
    noisy_above: float

    def size(self, quantity: str = "nuclear_norm") -> pd.DataFrame:
        """Mean of a quantity over all layers."""
        table = self.tables["layer_means"]
        return table[(table["quantity"] == quantity) & (table["segment"] == "all")]

    def roughness(self, kind: str = "mad") -> pd.DataFrame:
        """MAD of the mean nuclear-norm curve over all layers, or ``relative_mad``, that over the mean of the curve."""
        table = self.tables["mad"].query("quantity == 'nuclear_norm' and segment == 'all'")
        error = "standard_error" if kind == "mad" else "relative_standard_error"
        kept = [name for name in table.columns if "mad" not in name and "standard_error" not in name]
        return table[kept].assign(mean=table[kind], standard_error=table[error])

    def differences(self, quantity: str) -> pd.DataFrame:
        """From variant to variant on the samples that both have, correct responses."""
        table = self.tables["variant_differences"]
        return table[(table["quantity"] == quantity) & (table["response"] == "correct")]

    def where(self, model: str, task: str) -> str:
        """Name of a task, and of the model if there are several."""
        return self.tasks[task] if len(self.models) == 1 else f"{self.tasks[task]} on {self.models[model]}"

    def templated(self) -> set[tuple[str, str]]:
        """(task, variant) whose correct responses a template wrote, at least some of them."""
        cells = self.tables["cells"].query("response == 'correct'")
        rows = cells[["task", "variant", "provenance"]].itertuples(index=False)
        return {(task, variant) for task, variant, origin in rows if "template" in origin.split(", ")}


@dataclass(frozen=True)
class Chain:
    """A question of how a quantity goes along some variants, and what each way of going says to it."""

    question: str
    variants: tuple[str, ...]
    falls: str
    rises: str


@dataclass(frozen=True)
class Thing:
    """What goes along a chain: how it is called, its mean in every variant, its differences on shared samples."""

    words: str
    means: pd.DataFrame
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


def findings(numbers: Numbers) -> list[Finding]:
    """All findings that the tasks of the study allow, in the order of the report."""
    norm = Thing("the mean nuclear norm", numbers.size(), numbers.differences("nuclear_norm"))
    name = "nuclear_norm_over_loss"
    over_loss = Thing("the mean nuclear norm over loss", numbers.size(name), numbers.differences(name))
    mad = Thing("the mean step between layers (MAD)", numbers.roughness(), numbers.differences("mad"))
    relative = Thing(
        "MAD over the mean of its curve", numbers.roughness("relative_mad"), numbers.differences("relative_mad")
    )
    every = [
        _along_chain(numbers, REASONING_SIZE, norm),
        _along_chain(numbers, REASONING_OVER_LOSS, over_loss),
        _along_chain(numbers, REASONING_ROUGHNESS, mad),
        _along_chain(numbers, REASONING_RELATIVE, relative),
        _early_and_late(numbers),
        _apart(numbers, "irrelevant", "Do gradients tell correct reasoning from irrelevant text?", REASONING_VARIANTS),
        _apart(numbers, "incorrect", "Do gradients tell correct from mistaken reasoning?", REASONING_VARIANTS),
        _apart(numbers, "irrelevant", "Do gradients tell correct knowledge from irrelevant text?", KNOWLEDGE_VARIANTS),
        _along_chain(numbers, LENGTH_SIZE, norm),
        _along_chain(numbers, LENGTH_ROUGHNESS, mad),
        _along_chain(numbers, LENGTH_RELATIVE, relative),
        _along_chain(numbers, POPULARITY, norm),
        _lengths(numbers),
        _uncertain(numbers),
    ]
    return [finding for finding in every if finding is not None]


def _along_chain(numbers: Numbers, chain: Chain, thing: Thing) -> Finding | None:
    """How ``thing`` goes along the chain over correct responses, in every task that has two of its variants."""
    templated = numbers.templated()
    directions, evidence, aside, taken = [], [], [], set()
    for (model, task), part in _tasks(thing.means[thing.means["response"] == "correct"]):
        shared = thing.differences.query("model == @model and task == @task")
        present = [variant for variant in chain.variants if variant in set(part["variant"])]
        own = [variant for variant in present if (task, variant) not in templated]
        if len(own) > 1:
            steps = _steps(part, shared, own)
            directions += _directions(steps)
            taken |= set(own)
            evidence += _step_lines(numbers.where(model, task), steps)
        steps = _steps(part, shared, present).items()
        aside += _step_lines(
            numbers.where(model, task), {pair: step for pair, step in steps if not set(pair) <= set(own)}
        )
    if not evidence and not aside:
        return None
    way = _arrow(VARIANTS[variant] for variant in chain.variants if variant in taken)
    answer = _chain_answer(chain, directions, thing.words, way) if evidence else NO_VERDICT
    return Finding(chain.question, answer, evidence, aside)


def _steps(part: pd.DataFrame, shared: pd.DataFrame, variants: list[str]) -> dict[tuple[str, str], pd.DataFrame]:
    """From each variant to the next, by projection: both means, their difference and its standard error.

    On the samples that both variants have, with the error of the paired difference; where they share none, over all of
    each, with the errors of the two means added in squares.
    """
    steps = {}
    for one, other in itertools.pairwise(variants):
        paired = shared[(shared["from_variant"] == one) & (shared["to_variant"] == other)].set_index("projection")
        steps[one, other] = _unpaired(part, one, other) if paired.empty else paired
    return steps


def _unpaired(part: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    a, b = (part[part["variant"] == variant].set_index("projection") for variant in (one, other))
    return pd.DataFrame(
        {
            "n_from": a["n"],
            "n_to": b["n"],
            "mean_from": a["mean"],
            "mean_to": b["mean"],
            "difference": b["mean"] - a["mean"],
            "standard_error": np.hypot(a["standard_error"], b["standard_error"]),
        }
    ).loc[a.index]


def _directions(steps: dict[tuple[str, str], pd.DataFrame]) -> list[str | None]:
    """Which way every projection goes along the steps."""
    projections = next(iter(steps.values())).index
    numbers = [step.reindex(projections)[["difference", "standard_error"]].to_numpy(float) for step in steps.values()]
    return [direction_of(*by_projection.T) for by_projection in np.stack(numbers, axis=1)]


def direction_of(differences: Sequence[float], errors: Sequence[float]) -> str | None:
    """``falls``, ``rises`` or ``stays level`` if every step does, else each step's word: ``falls, then stays level``.

    A step that does not pass twice its standard error is level. None where a difference or an error is not known.
    """
    if not np.isfinite([differences, errors]).all():
        return None
    signs = np.where(passes(differences, errors), np.sign(differences), 0)
    words = [{-1: "falls", 0: "stays level", 1: "rises"}[int(sign)] for sign in signs]
    return words[0] if len(set(words)) == 1 else ", then ".join(words)


def passes(values: Sequence[float], errors: Sequence[float]) -> np.ndarray:
    """Whether values differ from zero by more than ``ERRORS`` standard errors; never where either is not known."""
    return np.abs(np.asarray(values, float)) > ERRORS * np.asarray(errors, float)


def _step_lines(where: str, steps: dict[tuple[str, str], pd.DataFrame]) -> list[str]:
    """One line a step: on which samples, and from what to what each projection goes."""
    lines = []
    for (one, other), step in steps.items():
        told = [
            f"{row.Index} {_arrow([number(row.mean_from), number(row.mean_to)])} "
            f"({direction_of([row.difference], [row.standard_error]) or NONE})"
            for row in step.itertuples()
        ]
        lines.append(f"{where}, {_arrow([VARIANTS[one], VARIANTS[other]])}, {_basis(step)}: {'; '.join(told)}")
    return lines


def _basis(step: pd.DataFrame) -> str:
    if "n" in step:
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


def _tasks(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    return iter(table.groupby(["model", "task"], sort=False))


def _early_and_late(numbers: Numbers) -> Finding | None:
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
        told = [f"{row.projection} {number(row.ratio)} ({_ratio_word(row)})" for row in part.itertuples()]
        where = f"{numbers.where(model, task)}, {VARIANTS[variant]}, {counted(int(part['n'].max()), 'response')}"
        lines.append(f"{where}, early over last: {', '.join(told)}")
    return lines


def _ratio_word(row: tuple) -> str:
    word = direction_of([row.log_ratio], [row.standard_error])
    return {"rises": "early larger", "falls": "last larger", "stays level": "alike within the error", None: NONE}[word]


def _apart(numbers: Numbers, response: str, question: str, variants: tuple[str, ...]) -> Finding | None:
    """Relative difference of correct and other responses against its noise floor, by variant."""
    table = numbers.tables["relative_difference"]
    table = table[(table["response"] == response) & table["variant"].isin(variants)]
    if table.empty:
        return None
    templated = numbers.templated()
    counts: dict[str, Counter] = {}
    evidence, aside = [], []
    for (model, task, variant), part in table.groupby(["model", "task", "variant"], sort=False):
        line = f"{numbers.where(model, task)}, {VARIANTS[variant]}: {_apart_line(part, response)}"
        (aside if (task, variant) in templated else evidence).append(line)
        if (task, variant) not in templated:
            above = int((part["absolute"] > part["noise_floor_95"]).sum())
            counts.setdefault(variant, Counter()).update(above=above, all=len(part))
    return Finding(question, _apart_answer(counts), evidence, aside)


def _apart_answer(counts: dict[str, Counter]) -> str:
    if not counts:
        return NO_VERDICT
    total = Counter()
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


def _lengths(numbers: Numbers) -> Finding:
    """What differs between the variants besides the kind of response."""
    cells = numbers.tables["cells"].query("response == 'correct'")
    evidence = []
    for (model, task), part in _tasks(cells):
        told = [
            f"{VARIANTS[row.variant]} {row.median_response_tokens:g} tokens, loss {number(row.mean_loss)}"
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


def _uncertain(numbers: Numbers) -> Finding:
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
    failed, odd, cut = (int(cells[name].sum()) for name in ("n_failed", "n_not_finite", "n_truncated"))
    return (
        f"Of {int(cells['n'].sum()) + failed + odd} responses measured, {failed} failed and {odd} gave values that are "
        f"not finite; these are left out of every mean. {cut} were cut at the greatest length and kept."
    )
