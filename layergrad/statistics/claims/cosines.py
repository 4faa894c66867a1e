"""Comparisons of cosines between gradients of one response."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import special

from layergrad.statistics.claims.comparisons import Comparison, Result
from layergrad.statistics.claims.evidence import Case, Group, MissingDataError
from layergrad.statistics.claims.expectations import COSINE_MARGIN, REFUTES, SUPPORTS
from layergrad.statistics.claims.responses import Samples
from layergrad.statistics.inference import Estimate

KINDS = {"qo": "q with o", "kv": "k with v", "adjacent": "neighbouring layers"}


@dataclass(frozen=True)
class Cosines(Comparison):
    """Mean cosines within a layer and between neighbouring ones, at every layer: of each kind of response, or of
    irrelevant ones less correct ones of the same samples."""

    contrast: str
    of_differences: bool = False

    groups: ClassVar[tuple[Group, ...]] = ()
    traits: ClassVar[frozenset[str]] = frozenset({"one_model"})
    statistic: ClassVar[str] = "mean cosine over samples where it is farthest from 0; t tests at every layer"
    expected: ClassVar[str] = f"between -{COSINE_MARGIN} and {COSINE_MARGIN} at every layer (tests of equivalence)"

    def results(self, case: Case, means: list[Estimate]) -> list[Result]:
        """One result a kind of cosine, projection and kind of response."""
        found = []
        for told, cosines in self._differences(case) if self.of_differences else self._single(case):
            for (kind, projection), values in cosines.items():
                if np.isfinite(values).sum(axis=0).max(initial=0) >= 2:
                    estimate, p, side = farthest_from_zero(values)
                    found.append(Result(projection, estimate, p, side, "cosine", f"{KINDS[kind]}, {told}"))
        if not found:
            raise MissingDataError("no cosines between gradients were measured")
        return found

    @staticmethod
    def _single(case: Case) -> Iterator[tuple[str, dict]]:
        for (variant, response, _), samples in _groups(case):
            yield f"{response} {variant}", samples.cosines

    @staticmethod
    def _differences(case: Case) -> Iterator[tuple[str, dict]]:
        for (variant, response, _), _ in _groups(case):
            if response == "irrelevant":
                (other, one), (correct, two) = case.samples([Group(variant, response), Group(variant)])
                yield (
                    f"irrelevant less correct {variant}",
                    {kind: values[one] - correct.cosines[kind][two] for kind, values in other.cosines.items()},
                )


def _groups(case: Case) -> list[tuple[tuple[str, str, str], Samples]]:
    """Uncontrolled responses, but for those of variants that a template wrote."""
    return [
        (key, samples)
        for key, samples in case.responses.groups.items()
        if key[2] == "none" and key[0] not in case.responses.templated
    ]


def farthest_from_zero(values: np.ndarray) -> tuple[Estimate, float, int]:
    """The mean farthest from zero of columns (n, layers), nulls left out, with the p value of its side of the margin.

    All columns lie within the margin only if each does (an intersection-union test): the largest of their p values.
    That one lies beyond is tested at the farthest one, times the number of columns (Bonferroni).
    """
    values = values[:, np.isfinite(values).sum(axis=0) >= 2]
    n = np.isfinite(values).sum(axis=0)
    mean, error = np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1) / np.sqrt(n)
    inside = COSINE_MARGIN - np.abs(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = special.stdtr(n - 1, -np.where(error > 0, np.abs(inside) / error, np.inf))
    at = int(np.argmax(np.abs(mean)))
    half = error[at] * special.stdtrit(n[at] - 1, 0.975)
    effect = mean[at] / (error[at] * np.sqrt(n[at])) if error[at] else np.nan
    numbers = (mean[at], mean[at] - half, mean[at] + half, effect, np.nan, error[at], n[at] - 1)
    estimate = Estimate(int(n[at]), *map(float, numbers))
    if inside[at] > 0:
        return estimate, float(p.max()), SUPPORTS
    return estimate, float(min(1.0, p[at] * len(n))), REFUTES
