"""The one resample index of a task, and the noise floor that is made with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layergrad.statistics.differences import absolute

DRAWS = 9_999
"""Seeded sign flips of a task: the smallest p value is 1 / (DRAWS + 1)."""

BOOTSTRAP_DRAWS = 999
"""Seeded bootstrap draws of a task."""


@dataclass(frozen=True)
class Resamples:
    """Seeded draws over the ``n_units`` samples of a task, shared by all that is compared within it.

    Two contrasts of one task meet the same draws on the samples that they share, so that they may be compared with each
    other, and a contrast that is added changes no other. ``rows`` are the units that a contrast has, in its own order.
    """

    seed: int
    n_units: int
    rows: tuple[int, ...] | None = None

    def of(self, rows: Sequence[int]) -> "Resamples":
        """The same draws for the units at ``rows`` alone."""
        narrower = Resamples(self.seed, self.n_units, tuple(np.arange(self.n_units)[self._rows][list(rows)].tolist()))
        narrower.__dict__.update(flips=self.flips[:, list(rows)], weights=self.weights[:, list(rows)])
        return narrower

    @property
    def _rows(self) -> slice | list[int]:
        return slice(None) if self.rows is None else list(self.rows)

    @cached_property
    def flips(self) -> np.ndarray:
        """Draws x units of -1.0 or 1.0."""
        drawn = np.random.default_rng([self.seed, 0]).integers(0, 2, size=(DRAWS, self.n_units), dtype=np.int8)
        return 2.0 * drawn[:, self._rows] - 1.0

    @cached_property
    def weights(self) -> np.ndarray:
        """Bootstrap draws x units: how often each unit is drawn, with replacement, of the whole task."""
        even = np.full(self.n_units, 1 / self.n_units)
        drawn = np.random.default_rng([self.seed, 1]).multinomial(self.n_units, even, size=BOOTSTRAP_DRAWS)
        return drawn[:, self._rows].astype(float)


def noise_floor(a: np.ndarray, b: np.ndarray, resamples: Resamples) -> tuple[float, float]:
    """Absolute relative difference of two mean curves that noise alone makes: its mean and its 95 % point.

    ``a`` and ``b`` are units x layers; the two sides of each unit are swapped at random, as in
    ``statistics.differences.relative_difference``.
    """
    swaps = resamples.flips < 0
    shift = swaps @ (b - a) / len(a)
    floor = absolute(a.mean(axis=0) + shift, b.mean(axis=0) - shift).mean(axis=1)
    return float(floor.mean()), float(np.quantile(floor, 0.95))
