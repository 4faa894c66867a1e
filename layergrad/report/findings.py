"""What the numbers say, in words made from the numbers alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from layergrad.contracts.keys import KNOWLEDGE_VARIANTS, REASONING_VARIANTS
from layergrad.report.words import VARIANTS, counted, listing, number, percent

POPULAR = ("popular_100", "popular_500", "popular_1000")
ERRORS = 2
"""A step between two means counts as one only from so many standard errors of the difference on."""

WAYS = {
    "falls": "falls at every step",
    "rises": "rises at every step",
    "stays level": "shows no change beyond the error",
}
NO_VERDICT = "No verdict: only templated responses were measured."


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

    def roughness(self) -> pd.DataFrame:
        """MAD of the mean nuclear-norm curve over all layers."""
        table = self.tables["mad"].query("quantity == 'nuclear_norm' and segment == 'all'")
        return table.rename(columns={"mad": "mean"})

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
LENGTH_SIZE = Chain("Does length alone, without reasoning, change the size?", POPULAR, "Yes.", "Yes.")
LENGTH_ROUGHNESS = Chain("Does length alone change how gradients differ from layer to layer?", POPULAR, "Yes.", "Yes.")
POPULARITY = Chain(
    "Are gradients larger for unpopular topics than for popular ones?",
    ("popular_100", "unpopular"),
    "No, the reverse.",
    "Yes.",
)


def findings(numbers: Numbers) -> list[Finding]:
    """All findings that the tasks of the study allow, in the order of the report."""
    norm, mad = ("the mean nuclear norm", numbers.size()), ("the mean step between layers (MAD)", numbers.roughness())
    over_loss = ("the mean nuclear norm over loss", numbers.size("nuclear_norm_over_loss"))
    every = [
        _along_chain(numbers, REASONING_SIZE, *norm),
        _along_chain(numbers, REASONING_OVER_LOSS, *over_loss),
        _along_chain(numbers, REASONING_ROUGHNESS, *mad),
        _early_and_late(numbers),
        _apart(numbers, "irrelevant", "Do gradients tell correct reasoning from irrelevant text?", REASONING_VARIANTS),
        _apart(numbers, "incorrect", "Do gradients tell correct from mistaken reasoning?", REASONING_VARIANTS),
        _apart(numbers, "irrelevant", "Do gradients tell correct knowledge from irrelevant text?", KNOWLEDGE_VARIANTS),
        _along_chain(numbers, LENGTH_SIZE, *norm),
        _along_chain(numbers, LENGTH_ROUGHNESS, *mad),
        _along_chain(numbers, POPULARITY, *norm),
        _lengths(numbers),
        _uncertain(numbers),
    ]
    return [finding for finding in every if finding is not None]


def _along_chain(numbers: Numbers, chain: Chain, thing: str, table: pd.DataFrame) -> Finding | None:
    """How ``thing`` goes along the chain over correct responses, in every task that has two of its variants."""
    templated = numbers.templated()
    directions, evidence, aside, taken = [], [], [], set()
    for (model, task), part in _tasks(table[table["response"] == "correct"]):
        present = [variant for variant in chain.variants if variant in set(part["variant"])]
        own = [variant for variant in present if (task, variant) not in templated]
        if len(own) > 1:
            directions += _directions(part, own).values()
            taken |= set(own)
            evidence.append(_chain_line(numbers.where(model, task), part, own))
        if len(present) > 1 and own != present:
            aside.append(_chain_line(numbers.where(model, task), part, present))
    if not evidence and not aside:
        return None
    way = _arrow(VARIANTS[variant] for variant in chain.variants if variant in taken)
    return Finding(chain.question, _chain_answer(chain, directions, thing, way), evidence, aside)


def _directions(part: pd.DataFrame, variants: list[str]) -> dict[str, str]:
    """Which way every projection goes along the variants."""
    lines = {name: line.set_index("variant").loc[variants] for name, line in part.groupby("projection", sort=False)}
    return {
        name: direction_of(line["mean"].to_numpy(float), line["standard_error"].to_numpy(float))
        for name, line in lines.items()
    }


def direction_of(values: np.ndarray, errors: np.ndarray) -> str:
    """``falls``, ``rises`` or ``stays level`` if every step does, else each step's word: ``falls, then stays level``.

    A step that does not pass twice its standard error is level, and so is one whose error is not known.
    """
    steps, allowed = np.diff(values), ERRORS * np.hypot(errors[1:], errors[:-1])
    signs = np.where(np.abs(steps) > allowed, np.sign(steps), 0)
    words = [{-1: "falls", 0: "stays level", 1: "rises"}[int(sign)] for sign in signs]
    return words[0] if len(set(words)) == 1 else ", then ".join(words)


def _chain_line(where: str, part: pd.DataFrame, variants: list[str]) -> str:
    told = []
    for projection, direction in _directions(part, variants).items():
        values = part[part["projection"] == projection].set_index("variant").loc[variants, "mean"]
        told.append(f"{projection} {_arrow(map(number, values))} ({direction})")
    return f"{where}, {_arrow(VARIANTS[variant] for variant in variants)}: {'; '.join(told)}"


def _arrow(words: Iterable[str]) -> str:
    return " → ".join(words)


def _chain_answer(chain: Chain, directions: list[str], thing: str, way: str) -> str:
    n, counts = len(directions), Counter(directions)
    if not n:
        return NO_VERDICT
    verdict = {"falls": chain.falls, "rises": chain.rises, "stays level": "Not seen."}.get(directions[0], "It depends.")
    if len(counts) > 1:
        parts = [f"{WAYS.get(word, word)} in {count}" for word, count in counts.items()]
        return f"It depends. Along {way}, {thing} {listing(parts)} of {n} comparisons."
    where = f"all {n} comparisons" if n > 1 else "the one comparison"
    return f"{verdict} Along {way}, {thing} {WAYS.get(directions[0], directions[0])} in {where}."


def _tasks(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    return iter(table.groupby(["model", "task"], sort=False))


def _early_and_late(numbers: Numbers) -> Finding | None:
    """Mean over the early layers against mean over the last ones."""
    table = numbers.tables["layer_means"].query("quantity == 'nuclear_norm' and response == 'correct'")
    table = table[table["variant"].isin(REASONING_VARIANTS)]
    wide = table.pivot(index=["model", "task", "variant", "projection"], columns="segment", values="mean")
    if wide.empty:
        return None
    order = pd.MultiIndex.from_frame(table[wide.index.names].drop_duplicates())
    ratio = (wide["early"] / wide["last"]).loc[order].dropna()
    if ratio.empty:
        return None  # a model of so few layers that a segment is empty
    templated = numbers.templated()
    theirs = np.array([(task, variant) in templated for _, task, variant, _ in ratio.index])
    question = "Which layers have the larger gradients, the early or the last ones?"
    evidence, aside = (_ratio_lines(numbers, part) for part in (ratio[~theirs], ratio[theirs]))
    return Finding(question, _ratio_answer(ratio[~theirs]), evidence, aside)


def _ratio_answer(ratio: pd.Series) -> str:
    if ratio.empty:
        return NO_VERDICT
    larger = (ratio > 1).groupby(level="variant", sort=False).agg(["sum", "size"])
    parts = [f"with {VARIANTS[variant]} in {row['sum']} of {row['size']}" for variant, row in larger.iterrows()]
    answer = f"The mean over the early layers is the larger one {listing(parts)} comparisons."
    sides = {name: ratio.xs(name, level="variant") for name in ("none", "detailed") if name in larger.index}
    if len(sides) < 2:
        return answer
    near = pd.concat([np.log(side).abs().rename(name) for name, side in sides.items()], axis=1, join="inner")
    count = int((near["detailed"] < near["none"]).sum())
    return (
        f"{answer} Early and last layers are more alike with detailed reasoning than without in {count} of {len(near)}."
    )


def _ratio_lines(numbers: Numbers, ratio: pd.Series) -> list[str]:
    lines = []
    for (model, task, variant), part in ratio.groupby(level=["model", "task", "variant"], sort=False):
        values = ", ".join(f"{key[-1]} {number(value)}" for key, value in part.items())
        lines.append(f"{numbers.where(model, task)}, {VARIANTS[variant]}, early over last: {values}")
    return lines


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
            for row in part.itertuples()
        ]
        evidence.append(f"{numbers.where(model, task)}: {'; '.join(told)}")
    return Finding(
        "What else differs between the kinds of response?",
        "Length and loss, listed here as the median number of response tokens and the mean loss of correct responses. "
        "The loss is a mean over tokens, so a longer response averages over more of them: no difference in size above "
        "can be put down to reasoning alone.",
        evidence,
    )


def _uncertain(numbers: Numbers) -> Finding:
    """Flagged cells, and responses left out."""
    size = numbers.size()
    lines = []
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


def _left_out(numbers: Numbers) -> str:
    cells = numbers.tables["cells"]
    failed, odd, cut = (int(cells[name].sum()) for name in ("n_failed", "n_not_finite", "n_truncated"))
    return (
        f"Of {int(cells['n'].sum()) + failed + odd} responses measured, {failed} failed and {odd} gave values that are "
        f"not finite; these are left out of every mean. {cut} were cut at the greatest length and kept."
    )
