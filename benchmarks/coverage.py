"""How often the intervals of layergrad.statistics.inference cover a known truth: `python -m benchmarks.coverage`."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from layergrad.statistics.curves import roughness
from layergrad.statistics.inference import (
    Estimate,
    Resamples,
    equivalence,
    mad_estimate,
    mad_log_ratio,
    paired_means,
    unpaired_mean,
)

LAYERS = 30
SIZES = (16, 64, 500)
RATIO_SIZES = (16, 24, 48, 64, 500)
BOOTSTRAP = 200


@dataclass(frozen=True)
class Structure:
    """A true mean curve and log-normal noise of mean one: of each layer by itself, and shared by all of a sample."""

    curve: np.ndarray
    own: float
    common: float = 0.0

    @property
    def mad(self) -> float:
        """The true MAD."""
        return float(roughness(self.curve))

    def draw(self, generator: np.random.Generator, n: int, shared: np.ndarray | None = None) -> np.ndarray:
        """Samples x layers; ``shared`` (n, 1) are the standard normal values behind the common noise."""
        shared = generator.standard_normal((n, 1)) if shared is None else shared
        own = generator.standard_normal((n, len(self.curve)))
        return self.curve * np.exp(self.own * own - self.own**2 / 2 + self.common * shared - self.common**2 / 2)

    def times(self, ratio: float) -> "Structure":
        """A curve ``ratio`` times as high with the same relative noise, as one of longer gradients is."""
        return replace(self, curve=ratio * self.curve)


def wandering(level: float, mad: float) -> np.ndarray:
    """A curve of unequal steps up and down, the same at every call."""
    steps = np.random.default_rng(5).uniform(-1, 1, LAYERS - 1)
    curve = np.concatenate([[0.0], np.cumsum(steps)])
    return level + (curve - curve.mean()) * mad / np.abs(steps).mean()


def zigzag(level: float, step: float) -> np.ndarray:
    """A curve of equal steps, up and down in turn."""
    return level + step / 2 * (-1.0) ** np.arange(LAYERS)


FALLING = 4 * np.exp(-np.arange(LAYERS) / 5) + 0.3
SPIKE = np.where(np.arange(LAYERS) == 3, 0.85, 0.4)
FLAT = np.full(LAYERS, 0.4)


def structures(n: int) -> dict[str, Structure]:
    """Of the first table; the worst case depends on the number of samples."""
    error = np.sqrt(2 * (np.exp(0.3**2) - 1) / n)
    return {
        "independent noise 0.6": Structure(wandering(0.4, 0.031), 0.6),
        "common noise 0.6, own 0.2": Structure(wandering(0.4, 0.031), 0.2, 0.6),
        "rough, independent noise 0.6": Structure(zigzag(1.0, 0.3), 0.6),
        "flat, independent noise 0.6": Structure(FLAT, 0.6),
        "nearly flat, common 0.6, own 0.2": Structure(wandering(0.4, 0.003), 0.2, 0.6),
        "falling, common 0.6, own 0.3": Structure(FALLING, 0.3, 0.6),
        "its first 7 layers": Structure(FALLING[:7], 0.3, 0.6),
        "one spike, independent noise 0.6": Structure(SPIKE, 0.6),
        "every step 0.84 standard errors": Structure(zigzag(1.0, 0.84 * error), 0.3),
    }


def pairs() -> dict[str, tuple[Structure, Structure]]:
    """Of the second table: two curves of the same true MAD, or of one four times as large."""
    curve = wandering(0.4, 0.031)
    return {
        "noise 0.6 against 0.1, independent": (Structure(curve, 0.6), Structure(curve, 0.1)),
        "noise 0.6 against 0.6, independent": (Structure(curve, 0.6), Structure(curve, 0.6)),
        "4 times the MAD at one level, noise 0.6": (
            Structure(wandering(0.8, 0.124), 0.6),
            Structure(wandering(0.8, 0.031), 0.6),
        ),
        "common 0.6, own 0.2 in both": (Structure(curve, 0.2, 0.6), Structure(curve, 0.2, 0.6)),
        "common 0.8, own 0.3 against 0.4, 0.1": (Structure(curve, 0.3, 0.8), Structure(curve, 0.1, 0.4)),
        "falling, own 0.3 against 0.1, common 0.6": (Structure(FALLING, 0.3, 0.6), Structure(FALLING, 0.1, 0.6)),
        "its first 7 layers": (Structure(FALLING[:7], 0.3, 0.6), Structure(FALLING[:7], 0.1, 0.6)),
        "both flat, noise 0.6 against 0.1": (Structure(FLAT, 0.6), Structure(FLAT, 0.1)),
    }


def log_ratio(pair: tuple[Structure, Structure]) -> float:
    """The true one, zero for two flat curves, which have none."""
    a, b = pair
    return float(np.log(a.mad / b.mad)) if b.mad else 0.0


def covers(estimate: Estimate, truth: float) -> bool:
    """Whether the interval has the truth in it."""
    return estimate.low - 1e-12 <= truth <= estimate.high + 1e-12


def percentile_bootstrap(samples: np.ndarray, generator: np.random.Generator) -> tuple[float, float]:
    """The 95 % interval of the MAD of resampled mean curves, which does not cover: the control of the simulation."""
    n = len(samples)
    curves = generator.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP) / n @ samples
    return tuple(np.quantile(roughness(curves), [0.025, 0.975]))


def mad_row(structure: Structure, n: int, replications: int) -> dict[str, float]:
    """Bias, coverage and width for one structure and size."""
    generator, truth = np.random.default_rng(1), structure.mad
    found, plain, bootstrap = [], [], []
    for _ in range(replications):
        samples = structure.draw(generator, n)
        found.append(mad_estimate(samples))
        plain.append(roughness(samples.mean(axis=0)))
        low, high = percentile_bootstrap(samples, generator)
        bootstrap.append(low <= truth <= high)
    return {
        "true MAD": truth,
        "plain, mean": np.mean(plain),
        "corrected, mean": np.mean([one.estimate for one in found]),
        "median width": np.median([one.high - one.low for one in found]),
        "coverage": np.mean([covers(one, truth) for one in found]),
        "wrongly above": np.mean([one.low > truth + 1e-12 for one in found]),
        "coverage of a percentile bootstrap": np.mean(bootstrap),
    }


def draw_pair(pair: tuple[Structure, Structure], n: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Samples of both, of the same units: they have the common noise in common."""
    shared = generator.standard_normal((n, 1))
    return [side.draw(generator, n, shared) for side in pair]


def ratio_row(pair: tuple[Structure, Structure], n: int, replications: int) -> dict[str, float]:
    """For paired samples of two structures: estimate and interval over the true ratio, coverage and rejections.

    Since the ratio of ``a`` times r is r times that of ``a``, the same samples tell what is found at any true ratio.
    """
    generator, truth, found, plain = np.random.default_rng(2), log_ratio(pair), [], []
    for _ in range(replications):
        left, right = draw_pair(pair, n, generator)
        found.append(mad_log_ratio(left, right))
        plain.append(np.log(roughness(left.mean(axis=0)) / roughness(right.mean(axis=0))))
    estimate, low, high = (
        np.array([getattr(one, name) for one in found]) - truth for name in ("estimate", "low", "high")
    )
    return {
        "plain / truth": np.exp(np.median(plain) - truth),
        "corrected / truth": np.exp(np.median(estimate)),
        "low / truth": np.exp(np.median(low)),
        "high / truth": np.exp(np.median(high)),
        "coverage": np.mean((low <= 0) & (high >= 0)),
        **{f"unequal at {r}": np.mean((low + np.log(r) > 0) | (high + np.log(r) < 0)) for r in (1, 2, 4, 10)},
    }


LOG_RATIOS: dict[str, Callable[[np.random.Generator, tuple], np.ndarray]] = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "Student, 3 degrees of freedom": lambda generator, shape: generator.standard_t(3, shape),
    "exponential less its mean": lambda generator, shape: generator.standard_exponential(shape) - 1,
}
"""Distributions of mean zero."""


def mean_row(draw: Callable, n: int, replications: int) -> dict[str, float]:
    """Paired and unpaired means of one distribution; the unpaired side is half as large and twice as wide.

    The paired ones, which come in one product, are four times as many.
    """
    generator = np.random.default_rng(3)
    paired = paired_means(draw(generator, (n, 4 * replications)), Resamples(0, n))
    unpaired = [unpaired_mean(draw(generator, (n,)), 2 * draw(generator, (n // 2,))) for _ in range(replications)]
    return {
        "paired: coverage": np.mean([covers(one, 0) for one in paired]),
        "sign flip, p < 0.05": np.mean([one.p < 0.05 for one in paired]),
        "unpaired: coverage": np.mean([covers(one, 0) for one in unpaired]),
        "Welch, p < 0.05": np.mean([one.p < 0.05 for one in unpaired]),
    }


def equivalence_row(deviation: float, n: int, replications: int) -> dict[str, float]:
    """How often a log ratio is found within 0.1: where it is 0.1 itself, and where it is none."""
    noise = deviation * np.random.default_rng(4).standard_normal((n, replications))
    row = {}
    for truth in (0.1, 0.0):
        found = paired_means(noise + truth, Resamples(0, n))
        row[f"true log ratio {truth:g}"] = np.mean([equivalence(one, 0.1) < 0.05 for one in found])
    return row


def tables(replications: int) -> dict[str, pd.DataFrame]:
    """All tables by their titles."""
    mad = [
        {"samples": n, "structure": name} | mad_row(one, n, replications)
        for n in SIZES
        for name, one in structures(n).items()
    ]
    ratios = [
        {"samples": n, "structure": name} | ratio_row(pair, n, replications)
        for n in RATIO_SIZES
        for name, pair in pairs().items()
    ]
    means = [
        {"samples": n, "differences": name} | mean_row(draw, n, replications)
        for n in SIZES
        for name, draw in LOG_RATIOS.items()
    ]
    equal = [
        {"samples": n, "standard deviation": deviation} | equivalence_row(deviation, n, replications)
        for n in SIZES
        for deviation in (0.1, 0.3)
    ]
    return {
        "MAD": pd.DataFrame(mad),
        "Ratio of two MADs": pd.DataFrame(ratios),
        "Means and log ratios": pd.DataFrame(means),
        "Found equivalent": pd.DataFrame(equal),
    }


def main(replications: int) -> None:
    """Print the tables in Markdown."""
    for title, table in tables(replications).items():
        print(f"### {title}\n\n{table.to_markdown(index=False, floatfmt='.3g', missingval='')}\n", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
