"""What an entry of the ledger is."""

from dataclasses import dataclass

from layergrad.contracts.keys import REASONING_VARIANTS
from layergrad.statistics.claims.comparisons import Comparison
from layergrad.statistics.claims.controls import CONTROLS, Control

CELL_RULE = (
    "A cell (model, task, contrast, projection) is supported where q < 0.05 on the side of the claim, refuted where "
    "q < 0.05 on the other side, otherwise inconclusive; q is the false discovery rate (Benjamini-Hochberg) over all "
    "cells of the claim under one control."
)
MOST_RULE = (
    "Overall supported if at least 90 % of the cells are and none is refuted, refuted if more than 10 % of them are "
    "refuted, otherwise inconclusive."
)
EVERY_RULE = "It says every: overall supported only if every cell is, refuted as soon as one cell is."
NO_RULE = "It has no direction to test; the numbers are shown and there is no verdict."


@dataclass(frozen=True)
class Claim:
    """One claim: what it says, where it stands, how it is tested.

    ``missing`` says why it cannot be evaluated on the data of any study, ``note`` how an open choice was made: always
    in the strict way.
    """

    name: str
    title: str
    statement: str
    source: str
    comparisons: tuple[Comparison, ...] = ()
    every: bool = False
    descriptive: bool = False
    note: str = ""
    missing: str = ""

    @property
    def statistic(self) -> str:
        """What is estimated, in words."""
        return "; ".join(dict.fromkeys(comparison.statistic for comparison in self.comparisons)) or "none"

    @property
    def direction(self) -> str:
        """What the claim expects of every contrast, in words."""
        if self.descriptive or self.missing:
            return "none"
        return "; ".join(f"{comparison.contrast}: {comparison.expected}" for comparison in self.comparisons)

    @property
    def cells(self) -> str:
        """The responses that it needs, in words."""
        groups = dict.fromkeys(group for comparison in self.comparisons for group in comparison.groups)
        told = [f"{g.variant} {g.response}" + (" (base model)" if g.of == "base" else "") for g in groups]
        return ", ".join(told) or self.missing or "all"

    @property
    def rule(self) -> str:
        """When it has which verdict, in words."""
        if self.missing:
            return f"Not evaluable: {self.missing}."
        rule = NO_RULE if self.descriptive else f"{CELL_RULE} {EVERY_RULE if self.every else MOST_RULE}"
        return f"{rule} {self.note}".strip()

    def tested(self) -> list[tuple[Control, list[Comparison]]]:
        """Every control that means something for it, without control first, with the comparisons it is applied to."""
        pairs = [(control, [c for c in self.comparisons if control.needs <= c.traits]) for control in CONTROLS]
        return [(control, comparisons) for control, comparisons in pairs if comparisons]


def family_of(comparison: Comparison) -> str | None:
    """``reasoning`` or ``knowledge``: the tasks it is for; none where it takes whatever a task has."""
    variants = {group.variant for group in comparison.groups}
    if not variants:
        return None
    return "reasoning" if variants <= set(REASONING_VARIANTS) else "knowledge"
