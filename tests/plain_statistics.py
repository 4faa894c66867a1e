"""Plain loops over the values of synthetic tasks: what the statistics are compared with."""

import itertools
import math
from statistics import NormalDist, mean, stdev

from scipy import stats

from layergrad.contracts.paths import STATISTICS
from layergrad.contracts.tables import read_table
from layergrad.statistics.compute import compute_statistics
from layergrad.statistics.inference.mad import SHORTFALL

CELL = ["variant", "response", "projection"]


def statistics_of(paths, folder, **settings):
    settings = {"model": {"name": "tiny"}, "task": "puzzles", "seed": 3} | settings
    compute_statistics(**paths, folder=folder, **settings)
    return {name: read_table(folder / f"{name}.parquet") for name in STATISTICS}


def norms_of(task, variant, response, projection):
    """Nuclear norms of a synthetic task, one list of layers a sample."""
    rows = task.frames()[2].query("variant == @variant and response == @response and projection == @projection")
    return [part.sort_values("layer")["nuclear_norm"].tolist() for _, part in rows.groupby("sample_id")]


def mean_of(curves):
    return [sum(layer) / len(layer) for layer in zip(*curves, strict=True)]


def mad_of(curve):
    return sum(abs(y - x) for x, y in itertools.pairwise(curve)) / (len(curve) - 1)


def relative_mad_of(curve):
    return mad_of(curve) / (sum(curve) / len(curve))


def bounds_of(curves):
    """Step by step: the MAD that does not overstate, the same with the most it may be short by, and the plain one."""
    steps = list(zip(*([y - x for x, y in itertools.pairwise(curve)] for curve in curves), strict=True))
    means, errors = [mean(step) for step in steps], [stdev(step) / math.sqrt(len(step)) for step in steps]
    normal = NormalDist()
    below = mean(
        m * (2 * normal.cdf(2 * m / e) - 1) - 4 * e * normal.pdf(2 * m / e) for m, e in zip(means, errors, strict=True)
    )
    return below, below + SHORTFALL * mean(errors), mean(map(abs, means))


def corrected_of(curves):
    """Corrected MAD and the ends of its interval, each response left out in turn."""
    n, whole = len(curves), bounds_of(curves)
    without = [bounds_of([*curves[:i], *curves[i + 1 :]]) for i in range(n)]
    jackknife = [math.sqrt((n - 1) ** 2 / n) * stdev(found) for found in zip(*without, strict=True)]
    t = stats.t.ppf(0.975, n - 1)
    low, *high = (end + side * t * e for end, side, e in zip(whole, (-1, 1, 1), jackknife, strict=True))
    low, high, below = max(low, 0.0), max(min(high), 0.0), max(whole[0], 0.0)
    middle = (below + min(below + whole[1] - whole[0], whole[2])) / 2
    return min(max(middle, low), high), low, high
