"""Variants against one another: differences of size, of roughness, and of early against last layers."""

import math
from statistics import mean, stdev

import numpy as np
import pytest
from plain_statistics import CELL, corrected_of, mean_of, norms_of, statistics_of
from synthetic_tables import Task

from layergrad.contracts.tables import read_table
from layergrad.statistics.inference import mad_log_ratio

STEPS = {("none", "correct"): 8, ("simplified", "correct"): 5, ("detailed", "correct"): 3, ("none", "irrelevant"): 4}


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Nested variants, the largest norms at the samples that only the first one has; their loss, and the statistics."""
    folder = tmp_path_factory.mktemp("steps")
    task = Task(cells=STEPS, layers=6, spread=0.3, scale={("none", "correct"): 2.0, ("simplified", "correct"): 1.4})
    loss = task.frames()[1].query("response == 'correct'").set_index(["variant", "sample_id"])["loss"]
    return task, loss, statistics_of(task.write(folder), folder / "s")


def repeated(samples, counts):
    return [sample for sample, count in zip(samples, counts, strict=True) for _ in range(count)]


def test_variants_are_compared_on_the_samples_that_both_have(steps):
    task, loss, statistics = steps
    table = statistics["variant_differences"]
    assert len(table) == 3 * 4 * 5
    assert set(table["response"]) == {"correct"}
    for row in table.query("quantity in ['nuclear_norm', 'nuclear_norm_over_loss']").to_dict("records"):
        pair = row["from_variant"], row["to_variant"]
        n = min(STEPS[variant, "correct"] for variant in pair)
        means = [[sum(c) / 6 for c in norms_of(task, v, "correct", row["projection"])[:n]] for v in pair]
        if row["quantity"] == "nuclear_norm_over_loss":
            means = [
                [x / loss[v, f"{i:016x}"] for i, x in enumerate(side)] for v, side in zip(pair, means, strict=True)
            ]
        differences = [other - one for one, other in zip(*means, strict=True)]
        assert row["n"] == n
        assert (row["mean_from"], row["mean_to"]) == pytest.approx([sum(side) / n for side in means])
        assert row["difference"] == pytest.approx(sum(differences) / n)
        assert row["standard_error"] == pytest.approx(stdev(differences) / math.sqrt(n))


def sides_of(steps, row):
    """The norms of both variants of a row on the samples that they share."""
    task, _, _ = steps
    pair = row["from_variant"], row["to_variant"]
    n = min(STEPS[variant, "correct"] for variant in pair)
    return [norms_of(task, variant, "correct", row["projection"])[:n] for variant in pair]


def over_mean_of(curves):
    """Curves of a relative size each, less what that size adds to the mean curve, over the mean of the mean curve."""
    curve = mean_of(curves)
    size = mean(curve)
    return [[(x + y - mean(own) / size * y) / size for x, y in zip(own, curve, strict=True)] for own in curves]


@pytest.mark.parametrize("quantity", ["mad", "relative_mad"])
def test_roughness_is_compared_by_the_log_ratio_of_corrected_mads(steps, quantity):
    *_, statistics = steps
    for row in statistics["variant_differences"].query("quantity == @quantity").to_dict("records"):
        one, other = sides_of(steps, row)
        if quantity == "relative_mad":
            one, other = over_mean_of(one), over_mean_of(other)
        means = corrected_of(one)[0], corrected_of(other)[0]
        assert (row["mean_from"], row["mean_to"]) == pytest.approx(means)
        assert row["difference"] == pytest.approx(means[1] - means[0])
        assert math.isnan(row["standard_error"])
        ratio = mad_log_ratio(np.array(other), np.array(one))
        told = [row["log_ratio"], row["low"], row["high"]]
        assert told == pytest.approx([ratio.estimate, ratio.low, ratio.high])


def test_the_error_of_a_difference_of_distances_draws_the_same_samples_on_both_sides(steps):
    *_, statistics = steps
    for row in statistics["variant_differences"].query("quantity == 'early_late_distance'").to_dict("records"):
        sides = [[math.log(sum(c[:2]) / sum(c[4:])) for c in side] for side in sides_of(steps, row)]
        n = len(sides[0])
        counts = np.random.default_rng(3).multinomial(n, [1 / n] * n, size=200).tolist()
        one, other = ([abs(mean(repeated(side, count))) for count in counts] for side in sides)
        means = [abs(mean(side)) for side in sides]
        assert (row["mean_from"], row["mean_to"]) == pytest.approx(means)
        assert row["difference"] == pytest.approx(means[1] - means[0])
        assert row["standard_error"] == pytest.approx(stdev(y - x for x, y in zip(one, other, strict=True)))
        assert math.isnan(row["low"])


def test_variants_without_a_common_sample_are_compared_over_all_of_each(tmp_path):
    task = Task(cells=STEPS, layers=4, spread=0.3)
    paths = task.write(tmp_path)
    for path in paths.values():
        table = read_table(path)
        table.loc[table["variant"] == "detailed", "sample_id"] += "f"
        table.to_parquet(path)
    table = statistics_of(paths, tmp_path / "s")["variant_differences"]
    counts = table.drop_duplicates(["from_variant", "to_variant"])[["n", "n_from", "n_to"]].to_numpy().tolist()
    assert counts == [[5, 5, 5], [0, 8, 3], [0, 5, 3]]
    rows = table.query("from_variant == 'none' and to_variant == 'detailed' and projection == 'v'")
    rows = rows.set_index("quantity")
    a, b = (norms_of(task, variant, "correct", "v") for variant in ("none", "detailed"))
    means = [[mean(curve) for curve in side] for side in (a, b)]
    norm = rows.loc["nuclear_norm"]
    assert (norm["mean_from"], norm["mean_to"]) == pytest.approx([mean(side) for side in means])
    assert norm["standard_error"] == pytest.approx(math.sqrt(sum(stdev(side) ** 2 / len(side) for side in means)))
    ratio = mad_log_ratio(np.array(b), np.array(a), paired=False)
    assert rows.loc["mad", ["log_ratio", "low", "high"]].tolist() == pytest.approx(
        [ratio.estimate, ratio.low, ratio.high]
    )
    assert math.isnan(rows.loc["early_late_distance", "standard_error"])


def test_early_over_last_is_of_each_response_first(steps):
    task, _, statistics = steps
    table = statistics["early_over_last"]
    assert len(table) == 4 * 4
    for row in table.to_dict("records"):
        curves = norms_of(task, *(row[key] for key in CELL))
        logs = [math.log((curve[0] + curve[1]) / (curve[4] + curve[5])) for curve in curves]
        assert row["n"] == len(logs)
        assert row["log_ratio"] == pytest.approx(sum(logs) / len(logs))
        assert row["ratio"] == pytest.approx(math.exp(sum(logs) / len(logs)))
        assert row["standard_error"] == pytest.approx(stdev(logs) / math.sqrt(len(logs)))
