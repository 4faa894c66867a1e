"""What a claim compares: the interface, and comparisons of sizes of single responses, averaged over samples."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from layergrad.contracts.keys import REASONING_VARIANTS
from layergrad.statistics.claims.evidence import Case, Group
from layergrad.statistics.claims.expectations import LARGER, REFUTES, SUPPORTS, Expectation
from layergrad.statistics.claims.lengths import widened
from layergrad.statistics.claims.scores import Score
from layergrad.statistics.differences import absolute
from layergrad.statistics.inference import Estimate, unpaired_means

FLOOR_DRAWS = 200


@dataclass(frozen=True)
class Result:
    """What a comparison finds for one projection: an estimate in ``unit``, the p value of its side of the claim."""

    projection: str | None
    estimate: Estimate
    p: float
    side: int
    unit: str = "log ratio"
    contrast: str | None = None
    """Where it is another one than that of the comparison."""
    absolute: float = np.nan
    """Absolute relative difference of the two mean curves, as in the paper's code, and what noise alone makes of it."""
    floor: float = np.nan
    by_flips: bool = False
    """Whether the p value is that of a sign-flip test, which few samples cannot pass."""
    note: str = ""
    """What else a reader must know of a number that has no verdict."""


class Comparison(ABC):
    """A statistic of some groups of responses, and what the claim expects of it.

    It is evaluated in two steps, so that the flips of all comparisons of a task are one matrix product: ``scores`` are
    columns (n, any number) of values a sample, whose means are then given to ``results`` as estimates.
    """

    contrast: str

    @property
    def quantity(self) -> str:
        """What is compared."""
        return "nuclear_norm"

    @property
    @abstractmethod
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""

    @property
    @abstractmethod
    def statistic(self) -> str:
        """What is estimated and how it is tested, in words."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What the claim expects of it, in words."""

    @property
    def traits(self) -> frozenset[str]:
        """What decides which controls mean something for it."""
        return traits_of(self.groups)

    def scores(self, case: Case) -> np.ndarray:
        """Values a sample of the task, null for samples that do not take part. Raises ``MissingDataError``."""
        return np.empty((case.responses.n_units, 0))

    @abstractmethod
    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection; ``means`` are those of ``scores``. Raises ``MissingDataError``."""

    def effects(self, case: Case) -> np.ndarray:
        """Its log ratio in each sample of the task (n,), mean over projections; empty if it is not of single samples.

        Null for samples that do not take part. Raises ``MissingDataError``.
        """
        return np.empty(0)


def traits_of(groups: tuple[Group, ...]) -> frozenset[str]:
    """What follows from the responses alone."""
    others = [group for group in groups if group.response != "correct"]
    found = {
        "others": bool(others),
        "detailed_others": all(group.variant == "detailed" for group in groups),
        "variants": not others and all(group.variant in REASONING_VARIANTS for group in groups),
        "one_model": all(group.of == "model" for group in groups),
    }
    return frozenset(name for name, there in found.items() if there)


@dataclass(frozen=True)
class Mean(Comparison):
    """Mean over samples of a score."""

    contrast: str
    score: Score
    expect: Expectation = LARGER

    @property
    def quantity(self) -> str:
        """What is compared."""
        return self.score.quantity

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""
        return self.score.groups

    @property
    def traits(self) -> frozenset[str]:
        """What decides which controls mean something for it."""
        return traits_of(self.groups) | self.score.traits

    @property
    def statistic(self) -> str:
        """What is estimated and how it is tested, in words."""
        test = "sign-flip test" if self.expect == LARGER else "Student's t"
        return f"mean over samples of the {self.score.words}, paired by sample; {test} over samples"

    @property
    def expected(self) -> str:
        """What the claim expects of it, in words."""
        return self.expect.words

    def scores(self, case: Case) -> np.ndarray:
        """One column a projection."""
        return self.score.of(case)

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection."""
        means = [widened(*pair) for pair in zip(means, self.score.length_doubt(case), strict=True)]
        found = [
            Result(projection, mean, *self.expect.judged(mean), by_flips=self.expect == LARGER)
            for projection, mean in zip(case.responses.projections, means, strict=True)
        ]
        apart_in_kind = self.score.other_over_correct and case.control.change is None
        return _with_floors(found, self.score, case) if apart_in_kind else found

    def effects(self, case: Case) -> np.ndarray:
        """Its log ratio in each sample of the task (n,), mean over projections."""
        return self.score.of(case).mean(axis=1)


@dataclass(frozen=True)
class Farther(Comparison):
    """Whether the mean of one score lies farther from zero than that of another, on shared samples.

    |x| > |y| holds where x - y and x + y have one sign, so the p value is the larger one of both (an
    intersection-union test); a test of |x| - |y| itself would suffer from the bias that noise gives both.
    """

    contrast: str
    far: Score
    near: Score

    @property
    def quantity(self) -> str:
        """What is compared."""
        return self.far.quantity

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""
        return (*self.far.groups, *self.near.groups)

    @property
    def traits(self) -> frozenset[str]:
        """What decides which controls mean something for it."""
        return traits_of(self.groups) | (self.far.traits & self.near.traits)

    @property
    def statistic(self) -> str:
        """What is estimated and how it is tested, in words."""
        return (
            f"absolute mean {self.far.words} of one less that of the other; the difference and the sum of the two must "
            "have one sign, each by its own test"
        )

    @property
    def expected(self) -> str:
        """What the claim expects of it, in words."""
        return LARGER.words

    def scores(self, case: Case) -> np.ndarray:
        """The difference of the two and their sum, each with one column a projection."""
        far, near = self.far.of(case), self.near.of(case)
        return np.hstack([far - near, far + near])

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection."""
        projections = case.responses.projections
        less, more = means[: len(projections)], means[len(projections) :]
        return [replace(farther(*row), by_flips=True) for row in zip(projections, less, more, strict=True)]


@dataclass(frozen=True)
class FartherElsewhere(Farther):
    """The same, where the farther score is of the samples of all reasoning tasks, none of which is of this one."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of this task."""
        return self.near.groups

    def scores(self, case: Case) -> np.ndarray:
        """None: what shares no samples has no flips."""
        return np.empty((case.responses.n_units, 0))

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection."""
        near, far = self.near.of(case), _scores_elsewhere(self.far, case)
        rows = zip(case.responses.projections, unpaired_means(far, near), unpaired_means(far, -near), strict=True)
        return [farther(*row) for row in rows]


@lru_cache(maxsize=1)  # the contrasts of one claim and control have the same
def _scores_elsewhere(score: Score, case: Case) -> np.ndarray:
    """A score of the samples of all reasoning tasks, (samples, projections)."""
    return np.concatenate([score.of(other) for other in case.elsewhere("reasoning", score.groups)])


def farther(projection: str, less: Estimate, more: Estimate) -> Result:
    """From the estimates of far - near and far + near: |far| - |near| is one of them or its negative."""
    far, near = (more.estimate + less.estimate) / 2, (more.estimate - less.estimate) / 2
    estimate = less if far * near >= 0 else more
    if far < 0:
        estimate = replace(
            estimate,
            estimate=-estimate.estimate,
            low=-estimate.high,
            high=-estimate.low,
            effect_size=-estimate.effect_size,
        )
    side = SUPPORTS if abs(far) > abs(near) else REFUTES
    return Result(projection, estimate, max(less.p, more.p), side, "difference of absolute log ratios")


def _with_floors(results: list[Result], score: Score, case: Case) -> list[Result]:
    """Add the absolute relative difference of the mean curves, and its mean after random swaps within samples."""
    units, (other, correct) = case.values(score.groups, score.quantity)
    differences, swapped = apart(correct, other, case.draws().flips[:FLOOR_DRAWS, units])
    floors = swapped.mean(axis=0)
    return [replace(r, absolute=float(d), floor=float(f)) for r, d, f in zip(results, differences, floors, strict=True)]


def apart(correct: np.ndarray, other: np.ndarray, flips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute relative difference, mean over layers, of the mean curves of (n, projections, layers): (projections,).

    The second are (draws, projections): the same after the two sides of each sample are swapped where ``flips``
    (draws, n) is negative.
    """
    a, b = correct.mean(axis=0), other.mean(axis=0)
    shift = (flips < 0).astype(float) @ (other - correct).reshape(len(correct), -1) / len(correct)
    shift = shift.reshape(-1, *a.shape)
    return absolute(a, b).mean(axis=1), absolute(a + shift, b - shift).mean(axis=2)
