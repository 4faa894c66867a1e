"""The one resample index of a task, and the noise floor that is made with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from layergrad.statistics.differences import absolute

DRAWS = 9_999
"""Seeded sign flips of a task: the smallest p value is 1 / (DRAWS + 1)."""

BOOTSTRAP_DRAWS = 999
"""Seeded bootstrap draws of a task, and flips of a noise floor."""


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
        """The same draws for the units at ``rows`` of these alone."""
        return Resamples(self.seed, self.n_units, tuple(np.arange(self.n_units)[self._rows][list(rows)].tolist()))

    @property
    def flips(self) -> np.ndarray:
        """Draws x units of -1.0 or 1.0."""
        return _flips(self.seed, self.n_units)[:, self._rows]

    @property
    def weights(self) -> np.ndarray:
        """Bootstrap draws x units: how often each is drawn, with replacement, from all units of the task.

        Over some of the units the total varies from draw to draw, so that a mean is over that total.
        """
        return _weights(self.seed, self.n_units)[:, self._rows]

    @property
    def _rows(self) -> slice | list[int]:
        return slice(None) if self.rows is None else list(self.rows)


@lru_cache(maxsize=2)
def _flips(seed: int, n_units: int) -> np.ndarray:
    drawn = np.random.default_rng([seed, 0]).integers(0, 2, size=(DRAWS, n_units), dtype=np.int8)
    return 2.0 * drawn - 1.0


@lru_cache(maxsize=2)
def _weights(seed: int, n_units: int) -> np.ndarray:
    drawn = np.random.default_rng([seed, 1]).multinomial(n_units, np.full(n_units, 1 / n_units), size=BOOTSTRAP_DRAWS)
    return drawn.astype(float)


def noise_floor(a: np.ndarray, b: np.ndarray, resamples: Resamples) -> tuple[float, float]:
    """Absolute relative difference of two mean curves that noise alone makes: its mean and its 95 % point.

    ``a`` and ``b`` are units x layers; the two sides of each unit are swapped at random, as in
    ``statistics.differences.relative_difference``.
    """
    swaps = (1 - resamples.flips[:BOOTSTRAP_DRAWS]) / 2
    shift = swaps @ (b - a) / len(a)
    floor = absolute(a.mean(axis=0) + shift, b.mean(axis=0) - shift).mean(axis=1)
    return float(floor.mean()), float(np.quantile(floor, 0.95))
