"""The statistics against plain loops over the same tables."""

import itertools
import math
from statistics import stdev

import numpy as np
import pandas as pd
import pytest
from plain_statistics import CELL, corrected_of, mad_of, mean_of, norms_of, relative_mad_of, statistics_of
from synthetic_tables import KNOWLEDGE, Task

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import text_sha256
from layergrad.contracts.paths import STATISTICS
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, read_facts, read_table, write_table
from layergrad.statistics.compute import collect_statistics, compute_statistics
from layergrad.statistics.curves import mad
from layergrad.statistics.differences import absolute, relative_difference, signed
from layergrad.statistics.measured import read_measured

SMALL = {("none", "correct"): 5, ("none", "irrelevant"): 4, ("detailed", "correct"): 1, ("detailed", "irrelevant"): 1}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small task, two of whose responses may not be used, its frames and its statistics."""
    folder = tmp_path_factory.mktemp("small")
    task = Task(cells=SMALL, layers=7, spread=0.3)
    paths = task.write(folder)
    _, samples, spectra = task.frames()
    failed = (samples["response"] == "irrelevant") & (samples["sample_id"] == f"{2:016x}")
    samples.loc[failed, ["status", "reason"]] = ["failed", "no response token"]
    samples.loc[failed, "loss"] = np.nan
    gone = (spectra["response"] == "irrelevant") & (spectra["sample_id"] == f"{2:016x}")
    spectra = spectra[~gone].reset_index(drop=True)
    broken = (spectra["variant"] == "none") & (spectra["response"] == "correct") & (spectra["sample_id"] == f"{1:016x}")
    spectra.loc[broken & (spectra["layer"] == 4) & (spectra["projection"] == "k"), "nuclear_norm"] = np.nan
    zero = (spectra["variant"] == "none") & (spectra["sample_id"] == f"{0:016x}") & (spectra["layer"] == 2)
    spectra.loc[zero, ["nuclear_norm", "frobenius_norm", "spectral_norm"]] = 0.0
    spectra.loc[zero, ["effective_rank", "stable_rank"]] = np.nan
    write_table(samples, paths["samples"], MEASURED_SAMPLES, {})
    write_table(spectra, paths["gradients"], GRADIENTS, {"weights": "random"})
    return paths, samples, spectra[~broken], statistics_of(paths, folder / "statistics")


def values_of(spectra, samples, quantity, variant, response, projection, layer):
    """Plain truth: the values of one cell, projection and layer, sample by sample."""
    found = {}
    for row in spectra.to_dict("records"):
        if (row["variant"], row["response"], row["projection"], row["layer"]) != (variant, response, projection, layer):
            continue
        same = (samples["variant"] == variant) & (samples["response"] == response)
        loss = samples.loc[same & (samples["sample_id"] == row["sample_id"]), "loss"].item()
        row["sigma1_ratio"] = row["spectral_norm"] / row["nuclear_norm"] if row["nuclear_norm"] else 0.0
        row["nuclear_norm_over_loss"] = row["nuclear_norm"] / loss
        found[row["sample_id"]] = row[quantity]
    return found


def test_curves_are_means_and_standard_errors_over_the_usable_responses(small):
    _, samples, spectra, statistics = small
    assert len(statistics["curves"]) == 7 * 4 * 7 * 4
    for row in statistics["curves"].query("layer in [2, 4]").to_dict("records"):
        values = values_of(spectra, samples, row["quantity"], *(row[key] for key in CELL), row["layer"]).values()
        values = [value for value in values if not math.isnan(value)]
        assert row["n"] == len(values)
        mean = sum(values) / len(values)
        assert row["mean"] == pytest.approx(mean)
        if len(values) == 1:
            assert math.isnan(row["standard_error"])
        else:
            variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
            assert row["standard_error"] == pytest.approx(math.sqrt(variance / len(values)))


def test_a_response_that_is_not_finite_is_left_out_of_every_projection(small):
    *_, statistics = small
    curves = statistics["curves"].query("variant == 'none' and quantity == 'nuclear_norm'")
    assert set(curves.query("response == 'correct'")["n"]) == {4}
    assert set(curves.query("response == 'irrelevant'")["n"]) == {3}
    cells = statistics["cells"].query("variant == 'none'").set_index("response")
    assert cells.loc["correct", ["n", "n_failed", "n_not_finite"]].tolist() == [4, 0, 1]
    assert cells.loc["irrelevant", ["n", "n_failed", "n_not_finite"]].tolist() == [3, 1, 0]


def test_mad_is_of_the_mean_curve_and_skips_steps_between_segments(small):
    *_, statistics = small
    curve = statistics["curves"].set_index(["quantity", *CELL, "layer"])["mean"]
    for row in statistics["mad"].to_dict("records"):
        first, last = {"all": (0, 6), "early": (0, 1), "mid": (2, 3), "last": (4, 6)}[row["segment"]]
        cell = (row["quantity"], *(row[key] for key in CELL))
        steps = [abs(curve[(*cell, i + 1)] - curve[(*cell, i)]) for i in range(first, last)]
        assert (row["first_layer"], row["last_layer"]) == (first, last)
        assert row["mad"] == pytest.approx(sum(steps) / len(steps))


def test_roughness_and_its_interval_are_those_of_plain_loops(tmp_path):
    task = Task(cells={("none", "correct"): 6}, layers=9, spread=0.3)
    table = statistics_of(task.write(tmp_path), tmp_path / "s")["mad"].query("quantity == 'nuclear_norm'")
    table = table.set_index(["projection", "segment"])
    samples = norms_of(task, "none", "correct", "k")
    for segment, layers in {"all": slice(0, 9), "early": slice(0, 3), "mid": slice(3, 6), "last": slice(6, 9)}.items():
        row, part = table.loc[("k", segment)], [curve[layers] for curve in samples]
        assert row["n"] == 6
        assert row["mad"] == pytest.approx(mad_of(mean_of(part)))
        assert row["relative_mad"] == pytest.approx(relative_mad_of(mean_of(part)))
        corrected = row[["corrected_mad", "corrected_low", "corrected_high"]].tolist()
        assert corrected == pytest.approx(corrected_of(part))
        assert corrected[0] < row["mad"]


def test_the_corrected_mad_is_null_below_three_responses(small):
    *_, statistics = small
    table = statistics["mad"].query("quantity == 'nuclear_norm'").set_index("variant")
    assert table.loc["detailed", ["corrected_mad", "corrected_low", "corrected_high"]].isna().all(axis=None)
    assert table.loc["detailed", "mad"].notna().all()
    assert table.loc["none"].query("n == 3")["corrected_mad"].notna().all()


@pytest.mark.slow
def test_the_interval_of_mad_has_the_truth_in_it_and_the_raw_one_is_above(tmp_path):
    shape = [1.5 - layer / 6 + 0.2 * (layer % 2) for layer in range(6)]
    truth = [height * mad_of(shape) for height in (1.0, 0.9, 2.2, 1.4)]
    covered, raw = [], []
    for seed in range(40):
        task = Task(cells={("none", "correct"): 12}, layers=6, spread=1.2, seed=seed)
        rows = mad(read_measured(**task.write(tmp_path)), {"all": range(6)}).query("quantity == 'nuclear_norm'")
        covered.append((rows["corrected_low"] <= truth) & (truth <= rows["corrected_high"]))
        raw.append(rows["mad"].tolist())
    assert np.mean(covered) > 0.9
    assert (np.mean(raw, axis=0) > 1.05 * np.array(truth)).all()


def test_layer_means_are_of_each_response_first(small):
    _, samples, spectra, statistics = small
    rows = statistics["layer_means"].query("quantity == 'sigma1_ratio' and segment in ['all', 'last']")
    assert len(rows) == 4 * 4 * 2
    for row in rows.to_dict("records"):
        layers = range(7) if row["segment"] == "all" else range(4, 7)
        by_layer = [values_of(spectra, samples, "sigma1_ratio", *(row[key] for key in CELL), layer) for layer in layers]
        means = [sum(layer[sample] for layer in by_layer) / len(by_layer) for sample in by_layer[0]]
        mean = sum(means) / len(means)
        assert row["mean"] == pytest.approx(mean)
        if len(means) > 1:
            variance = sum((value - mean) ** 2 for value in means) / (len(means) - 1)
            assert row["standard_error"] == pytest.approx(math.sqrt(variance / len(means)))
            assert row["noisy"] == (row["standard_error"] > 0.15 * mean)
        else:
            assert row["noisy"]


def test_relative_difference_pairs_the_responses_of_a_sample(small):
    _, samples, spectra, statistics = small
    by_layer = statistics["relative_difference_layers"].set_index([*CELL, "layer"])
    for row in statistics["relative_difference"].to_dict("records"):
        variant, projection = row["variant"], row["projection"]
        absolute, signed = [], []
        for layer in range(7):
            key = ("nuclear_norm", variant)
            correct = values_of(spectra, samples, *key, "correct", projection, layer)
            other = values_of(spectra, samples, *key, "irrelevant", projection, layer)
            both = sorted(set(correct) & set(other))
            a, b = (sum(side[sample] for sample in both) / len(both) for side in (correct, other))
            absolute.append(abs(a - b) / abs(a or 1e-10))
            signed.append((b - a) / (a or 1e-10))
            told = by_layer.loc[(variant, "irrelevant", projection, layer)]
            assert told["signed"] == pytest.approx(signed[-1])
            assert (told["mean_correct"], told["mean_other"]) == pytest.approx((a, b))
            for name, side in (("correct", correct), ("other", other)):
                error = stdev(side[sample] for sample in both) / math.sqrt(len(both)) if len(both) > 1 else math.nan
                assert told[f"standard_error_{name}"] == pytest.approx(error, nan_ok=True)
        assert row["n"] == len(both) == (2 if variant == "none" else 1)
        assert row["absolute"] == pytest.approx(sum(absolute) / 7)
        assert row["signed"] == pytest.approx(sum(signed) / 7)
        largest = sorted(range(7), key=lambda layer: -absolute[layer])[:5]
        assert row["largest_layers"] == " ".join(map(str, largest))


def test_a_reference_of_zero_counts_as_1e_minus_10_as_in_the_papers_code():
    a, b = np.array([0.0, 2.0, -4.0]), np.array([1.0, 3.0, -2.0])
    assert absolute(a, b) == pytest.approx([1e10, 0.5, 0.5])
    assert signed(a, b) == pytest.approx([1e10, 0.5, -0.5])


def test_the_noise_floor_and_its_quantile_are_those_of_plain_swaps(tmp_path):
    task = Task(cells={("none", "correct"): 5, ("none", "irrelevant"): 5}, layers=4, spread=0.3)
    row = statistics_of(task.write(tmp_path), tmp_path / "s")["relative_difference"].query("projection == 'v'").iloc[0]
    a, b = (norms_of(task, "none", response, "v") for response in ("correct", "irrelevant"))
    rng = np.random.default_rng(int(text_sha256("none", "none", "irrelevant", "3")[:16], 16))
    drawn = [swapped_difference(a, b, swaps) for swaps in rng.integers(0, 2, size=(200, 5)).tolist()]
    assert row["noise_floor"] == pytest.approx(sum(drawn) / 200)
    place = 0.95 * 199  # linear between the two ranks about it
    low, high = sorted(drawn)[int(place) : int(place) + 2]
    assert row["noise_floor_95"] == pytest.approx(low + (place - int(place)) * (high - low))
    every = [swapped_difference(a, b, swaps) for swaps in itertools.product([0, 1], repeat=5)]
    assert row["noise_floor"] == pytest.approx(sum(every) / 32, rel=0.15)  # 200 draws of 32 possible ones


def swapped_difference(a, b, swaps):
    left = mean_of([y if swap else x for x, y, swap in zip(a, b, swaps, strict=True)])
    right = mean_of([x if swap else y for x, y, swap in zip(a, b, swaps, strict=True)])
    return sum(abs(x - y) / abs(x) for x, y in zip(left, right, strict=True)) / len(left)


def test_without_an_effect_the_difference_is_about_its_noise_floor(tmp_path):
    ratios = []
    for seed in range(8):
        task = Task(cells={("none", "correct"): 24, ("none", "irrelevant"): 24}, layers=5, seed=seed)
        table = relative_difference(read_measured(**task.write(tmp_path)), seed=0)
        ratios += (table["absolute"] / table["noise_floor"]).tolist()
    assert 0.7 < np.mean(ratios) < 1.4


def test_an_effect_stands_far_above_its_noise_floor(tmp_path):
    cells = {("detailed", "correct"): 16, ("detailed", "irrelevant"): 16, ("detailed", "incorrect"): 16}
    scale = {("detailed", "irrelevant"): 2.0, ("detailed", "incorrect"): 0.5}
    table = statistics_of(Task(cells=cells, scale=scale).write(tmp_path), tmp_path / "s")["relative_difference"]
    table = table.set_index(["response", "projection"])
    assert table.loc["irrelevant", "signed"].between(0.8, 1.2).all()
    assert table.loc["incorrect", "signed"].between(-0.6, -0.4).all()
    assert (table["absolute"] > table["noise_floor_95"]).all()


def test_statistics_do_not_depend_on_the_order_of_rows_and_are_the_same_bytes_again(small, tmp_path):
    paths, _, _, statistics = small
    shuffled = {"gradients": tmp_path / "g.parquet", "samples": tmp_path / "s.parquet", "data": paths["data"]}
    for name in ("gradients", "samples"):
        read_table(paths[name]).sample(frac=1, random_state=1).to_parquet(shuffled[name])
    again = statistics_of(shuffled, tmp_path / "again")
    for name in STATISTICS:
        pd.testing.assert_frame_equal(statistics[name], again[name])
    statistics_of(paths, tmp_path / "twice")
    first = paths["gradients"].parent.parent / "statistics"
    for name in STATISTICS:
        assert (tmp_path / "twice" / f"{name}.parquet").read_bytes() == (first / f"{name}.parquet").read_bytes()


def test_collecting_keeps_every_row_and_where_it_came_from(tmp_path):
    parts = []
    for name, cells, family in (("puzzles", SMALL, "math"), ("wiki", KNOWLEDGE, "knowledge")):
        task = Task(name, family, cells, layers=3)
        out = tmp_path / "statistics" / "tiny" / name
        compute_statistics(**task.write(tmp_path), folder=out, model={"name": "tiny"}, task=name)
        parts += [out / f"{table}.parquet" for table in STATISTICS]
    collect_statistics(parts, tmp_path / "statistics")
    for table in STATISTICS:
        whole = read_table(tmp_path / "statistics" / f"{table}.parquet")
        assert len(whole) == sum(len(read_table(part)) for part in parts if part.stem == table)
        assert whole["task"].unique().tolist() == ["puzzles", "wiki"]
        assert (tmp_path / "statistics" / f"{table}.csv").is_file()
    assert set(read_facts(tmp_path / "statistics" / "mad.parquet")) == {"tiny/puzzles", "tiny/wiki"}


def test_provenance_comes_from_the_data(small, tmp_path):
    *_, statistics = small
    cells = statistics["cells"].set_index("response")
    assert set(cells.loc["correct", "provenance"]) == {"human"}
    assert set(cells.loc["irrelevant", "provenance"]) == {"shuffle"}


def test_a_table_with_rows_missing_is_an_error_in_one_line(small, tmp_path):
    paths, *_ = small
    spectra = read_table(paths["gradients"]).iloc[1:]
    write_table(spectra, tmp_path / "g.parquet", GRADIENTS, {})
    with pytest.raises(UserError, match=r"27 of 28 rows") as error:
        statistics_of(paths | {"gradients": tmp_path / "g.parquet"}, tmp_path / "s")
    assert "\n" not in str(error.value)


def test_nothing_usable_is_an_error(small, tmp_path):
    paths, samples, spectra, _ = small
    write_table(spectra.iloc[:0], tmp_path / "g.parquet", GRADIENTS, {})
    write_table(samples.assign(status="failed"), tmp_path / "s.parquet", MEASURED_SAMPLES, {})
    broken = paths | {"gradients": tmp_path / "g.parquet", "samples": tmp_path / "s.parquet"}
    with pytest.raises(UserError, match="no response was measured"):
        statistics_of(broken, tmp_path / "out")


def test_an_unknown_variant_is_an_error(small, tmp_path):
    paths, *_ = small
    samples = read_table(paths["samples"]).replace({"variant": {"detailed": "slow"}})
    write_table(samples, tmp_path / "s.parquet", MEASURED_SAMPLES, {})
    with pytest.raises(UserError, match="variant 'slow' given"):
        statistics_of(paths | {"samples": tmp_path / "s.parquet"}, tmp_path / "out")
