"""Scores of single samples: log ratios of sizes, whose means over samples are what most claims are about."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from layergrad.statistics.claims.evidence import Case, Group, MissingDataError
from layergrad.statistics.claims.lengths import log_size


@dataclass(frozen=True)
class SizeRatio:
    """Of each sample, log of the layer means ``over`` less log of those ``under``."""

    over: tuple[Group, ...]
    under: tuple[Group, ...]
    quantity: str = "nuclear_norm"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"log ratio of layer-mean {self.quantity.replace('_', ' ')}s"

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs."""
        return (*self.over, *self.under)

    @property
    def traits(self) -> frozenset[str]:
        """What decides which controls mean something for it: a loss on another scale changes norms, but no rank."""
        return frozenset({"sized", "spectral"} | ({"scaled"} if self.quantity == "nuclear_norm" else set()))

    @property
    def other_over_correct(self) -> bool:
        """Whether it compares two responses of one sample, so that swapping them shows what noise does."""
        if len(self.groups) != 2 or self.quantity != "nuclear_norm":
            return False
        over, under = self.groups
        return over.response != "correct" and under == Group(over.variant)

    def of(self, case: Case) -> np.ndarray:
        """(samples of the task, projections), null for samples that have not all the responses."""
        units, values = case.values(self.groups, self.quantity)
        logs = [log_size(array) for array in values]
        return case.spread(units, np.sum(logs[: len(self.over)], axis=0) - np.sum(logs[len(self.over) :], axis=0))

    def length_doubt(self, case: Case) -> np.ndarray:
        """Standard error (projections,) that a fitted length law adds to the mean."""
        return case.length_doubt(self.over, self.under, self.quantity)


def ratio(over: Group, under: Group, quantity: str = "nuclear_norm") -> SizeRatio:
    """Of one group over another."""
    return SizeRatio((over,), (under,), quantity)


def irrelevant_over_correct(variant: str) -> SizeRatio:
    """Of the two responses of one sample."""
    return ratio(Group(variant, "irrelevant"), Group(variant))


@dataclass(frozen=True)
class EarlyOverLast:
    """Of each sample, log of the mean over early layers less log of that over the last ones."""

    group: Group

    quantity: ClassVar[str] = "nuclear_norm"
    words: ClassVar[str] = "log ratio of the mean nuclear norms of early and last layers"
    other_over_correct: ClassVar[bool] = False
    traits: ClassVar[frozenset[str]] = frozenset({"spectral"})
    """A factor of the whole curve does not change it."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs."""
        return (self.group,)

    def of(self, case: Case) -> np.ndarray:
        """(samples of the task, projections), null for samples that have no such response."""
        early, last = case.parts["early"], case.parts["last"]
        if not early or not last:
            raise MissingDataError("the model has too few layers for an early and a last part")
        units, (values,) = case.values(self.groups, self.quantity)
        return case.spread(units, log_size(values[:, :, list(early)]) - log_size(values[:, :, list(last)]))

    def length_doubt(self, case: Case) -> np.ndarray:
        """None (projections,): the length has no part in it."""
        return np.zeros(len(case.responses.projections))


Score = SizeRatio | EarlyOverLast
