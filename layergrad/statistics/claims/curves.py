"""Comparisons of mean curves: how rough they are, where two lie farthest apart, whether they have one shape."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from layergrad.statistics.claims.comparisons import FLOOR_DRAWS, Comparison, Result, apart, traits_of
from layergrad.statistics.claims.evidence import Case, Group, MissingDataError
from layergrad.statistics.claims.expectations import LARGER, REFUTES, SUPPORTS, UNDECIDED, Above, Expectation
from layergrad.statistics.claims.lengths import widened
from layergrad.statistics.differences import absolute
from layergrad.statistics.inference import Estimate, MadBounds, bounds_log_ratio, mad_bounds

FIRST_LAYERS = 5
"""Layers 0 to 4, and as many layers of largest relative difference."""

ALIKE = 0.8
"""Curves of one shape have a correlation above it."""

_DEPTHS = np.linspace(0, 1, 20)
_SIZE = re.compile(r"\d+(\.\d+)?[bm](?![A-Za-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Roughness(Comparison):
    """Log ratio of the noise-corrected MADs of two mean curves, paired by sample."""

    contrast: str
    over: Group
    under: Group
    expect: Expectation = LARGER

    statistic: ClassVar[str] = "log ratio of the MADs of two mean curves, corrected for noise, over shared samples"

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""
        return self.over, self.under

    @property
    def traits(self) -> frozenset[str]:
        """What decides which controls mean something for it."""
        return traits_of(self.groups) | {"scaled", "sized", "spectral", "rough"}

    @property
    def expected(self) -> str:
        """What the claim expects of it, in words."""
        return self.expect.words

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection."""
        units, _ = case.values(self.groups, self.quantity)
        bounds = [_mad_bounds(*case.owning(group), tuple(units.tolist())) for group in self.groups]
        doubts = case.length_doubt([self.over], [self.under], self.quantity)
        ratio = np.exp(self.expect.value) if isinstance(self.expect, Above) else 1.0
        found = []
        for projection, over, under, doubt in zip(case.responses.projections, *bounds, doubts, strict=True):
            estimate = widened(bounds_log_ratio(over, under, against=ratio), doubt)
            p, side = self.expect.judged(estimate)
            if ratio != 1 and not doubt:  # the test of that ratio itself
                p = estimate.p
            found.append(Result(projection, estimate, p, side))
        return found

    def effects(self, case: Case) -> np.ndarray:
        """Log ratio of the MADs of each sample's own two curves (n,), mean over projections."""
        units, (over, under) = case.values(self.groups, self.quantity)
        with np.errstate(divide="ignore"):
            ratios = np.log(_own_mads(over)) - np.log(_own_mads(under))
        return case.spread(units, ratios).mean(axis=1)


def _own_mads(curves: np.ndarray) -> np.ndarray:
    """Of every single curve of (n, projections, layers): (n, projections)."""
    return np.abs(np.diff(curves, axis=2)).mean(axis=2)


@lru_cache(maxsize=256)  # several claims compare the same curve with others, and a base model's is its own too
def _mad_bounds(case: Case, group: Group, units: tuple[int, ...]) -> list[MadBounds]:
    """Of the mean curve of some samples, those of every projection."""
    known, (values,) = case.values([group], "nuclear_norm")
    chosen = values[np.searchsorted(known, units)]
    return [mad_bounds(chosen[:, i]) for i in range(chosen.shape[1])]


@dataclass(frozen=True)
class LargestLayers(Comparison):
    """Of the five layers where two mean curves lie farthest apart, the share that is among layers 0 to 4."""

    contrast: str
    other: Group
    correct: Group

    statistic: ClassVar[str] = (
        "share of layers 0 to 4 among the five layers of largest absolute relative difference; bootstrap over samples"
    )
    expected: ClassVar[str] = "1, all five; refuted where most of the five lie elsewhere"

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""
        return self.other, self.correct

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection; undecided where the two curves are not apart at all."""
        units, (other, correct) = case.values(self.groups, self.quantity)
        if case.responses.n_layers <= FIRST_LAYERS:
            raise MissingDataError(f"the model has no layers but the first {FIRST_LAYERS}")
        weights = case.draws(units).weights
        weights = weights[weights.sum(axis=1) > 0]
        mean = weights / weights.sum(axis=1, keepdims=True)
        drawn = [(mean @ side.reshape(len(units), -1)).reshape(-1, *side.shape[1:]) for side in (correct, other)]
        shares, whole = _share(absolute(*drawn)), _share(absolute(correct.mean(axis=0), other.mean(axis=0)))
        differences, swapped = apart(correct, other, case.draws().flips[:FLOOR_DRAWS, units])
        found = []
        for i, projection in enumerate(case.responses.projections):
            estimate, p, side = _judged_share(len(units), whole[i], shares[:, i])
            if differences[i] <= np.quantile(swapped[:, i], 0.95):
                p, side = 1.0, UNDECIDED
            difference, floor = float(differences[i]), float(swapped[:, i].mean())
            found.append(
                Result(projection, estimate, p, side, "share of five layers", absolute=difference, floor=floor)
            )
        return found


def _share(differences: np.ndarray) -> np.ndarray:
    """Of the layers (last axis) with the five largest differences, the share of the first five layers."""
    largest = np.argsort(-differences, axis=-1, kind="stable")[..., :FIRST_LAYERS]
    return (largest < FIRST_LAYERS).mean(axis=-1)


def _judged_share(n: int, whole: float, drawn: np.ndarray) -> tuple[Estimate, float, int]:
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    not_all, not_few = (1 + (drawn < 1).sum()) / (1 + len(drawn)), (1 + (drawn > 0.5).sum()) / (1 + len(drawn))
    side = SUPPORTS if whole == 1 else REFUTES if whole < 0.5 else UNDECIDED
    p = {SUPPORTS: not_all, REFUTES: not_few, UNDECIDED: 1.0}[side]
    return Estimate(n, float(whole), float(low), float(high), np.nan, p, np.nan, np.nan), float(p), side


@dataclass(frozen=True)
class SameShape(Comparison):
    """Correlation over depth of the mean curves of two models, of one family or of two."""

    contrast: str
    group: Group
    one_family: bool

    statistic: ClassVar[str] = (
        "correlation of the logs of two models' mean curves at 20 depths; bootstrap over samples; sizes of one family "
        "are models whose names differ only in a number with b or m"
    )

    @property
    def groups(self) -> tuple[Group, ...]:
        """All responses that it needs of a task."""
        return (self.group,)

    @property
    def traits(self) -> frozenset[str]:
        """What decides which controls mean something for it: none, since it is of two models."""
        return frozenset()

    @property
    def expected(self) -> str:
        """What the claim expects of it, in words."""
        return f"above {ALIKE}" if self.one_family else f"below {ALIKE}"

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a projection and larger model."""
        own = family_name(case.model)
        names = [name for name in case.evidence.trained if (name, case.task) in case.evidence.responses]
        families = [family_name(name) for name in names]
        if max(families.count(family) for family in families) < 2:
            raise MissingDataError("the study has no two sizes of one family of models")
        later = names[names.index(case.model) + 1 :]
        curves, found = _mean_curves(case, self.group), []
        for name in [name for name in later if (family_name(name) == own) == self.one_family]:
            others = _mean_curves(replace(case, model=name), self.group)
            contrast = f"{self.contrast}, {name}"
            for i, projection in enumerate(case.responses.projections):
                judged = _judged_correlation(_correlation(curves[:, i], others[:, i]), self.one_family, case)
                found.append(Result(projection, *judged, "correlation", contrast))
        return found


def family_name(model: str) -> str:
    """A model's name without its size, the same for all sizes of a family."""
    return _SIZE.sub("*", model)


@lru_cache(maxsize=64)  # a model's are compared with those of every other one
def _mean_curves(case: Case, group: Group) -> np.ndarray:
    """Log mean curves at common depths, (1 + draws, projections, depths), the first one of the data as they are."""
    units, (values,) = case.values([group], "nuclear_norm")
    weights = np.vstack([np.ones(len(units)), case.draws(units).weights])
    n, width, layers = values.shape
    curves = (weights @ values.reshape(n, -1) / weights.sum(axis=1, keepdims=True)).reshape(-1, width, layers)
    places = _DEPTHS * (layers - 1)
    below = np.minimum(places.astype(int), layers - 2) if layers > 1 else np.zeros(len(places), int)
    part = places - below
    above = np.minimum(below + 1, layers - 1)
    with np.errstate(divide="ignore"):
        return np.log(curves[..., below] * (1 - part) + curves[..., above] * part)


def _correlation(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Of rows (draws, depths) with rows."""
    one, two = (side - side.mean(axis=1, keepdims=True) for side in (one, two))
    return (one * two).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))


def _judged_correlation(r: np.ndarray, high_expected: bool, case: Case) -> tuple[Estimate, float, int]:
    whole, drawn = float(r[0]), r[1:][np.isfinite(r[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975])
    across = ((drawn <= ALIKE) if whole > ALIKE else (drawn >= ALIKE)).sum()
    p = min(1.0, 2 * (1 + across) / (1 + len(drawn)))
    side = SUPPORTS if (whole > ALIKE) == high_expected else REFUTES
    estimate = Estimate(case.responses.n_units, whole, float(low), float(high), np.nan, p, np.nan, np.nan)
    return estimate, float(p), side
