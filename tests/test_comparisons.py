"""Two models and two tasks side by side, against plain loops over the same tables."""

import itertools
import math
from statistics import mean, stdev
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_tables import KNOWLEDGE, Task

from layergrad.contracts.config.comparisons import check_pairs, comparisons_of
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, SAMPLES, read_facts, read_table, write_table
from layergrad.report.comparisons_page import sentences
from layergrad.statistics.comparisons import write_comparison

CELLS = {("none", "correct"): 6, ("none", "irrelevant"): 4, ("detailed", "correct"): 3}
LABELS = {"one": "before", "other": "after", "on": "puzzles"}


def compared(one, other, folder, *, paired):
    """The table of a comparison, from the paths of the tables of both sides."""
    tables = {name: [one[name], other[name]] for name in ("gradients", "samples", "data")}
    write_comparison(**tables, path=folder / "pair.parquet", labels=LABELS | {"paired": paired})
    return read_table(folder / "pair.parquet")


def norms_of(paths, variant, projection, layer):
    """By sample, its nuclear norm, the mean over replicates; of correct responses that may be used."""
    status = {}
    for row in read_table(paths["samples"]).to_dict("records"):
        status[row["sample_id"], row["variant"], row["response"], row["control"], row["replicate"]] = row["status"]
    found = {}
    for row in read_table(paths["gradients"]).to_dict("records"):
        key = (row["sample_id"], row["variant"], row["response"], row["control"], row["replicate"])
        if status[key] != "ok" or (row["projection"], row["layer"]) != (projection, layer):
            continue
        if (row["variant"], row["response"], row["control"]) == (variant, "correct", "none"):
            found.setdefault(row["sample_id"], []).append(row["nuclear_norm"])
    return {sample: mean(values) for sample, values in found.items()}


def without_a_sample(paths, variant, sample):
    """One correct response fails."""
    samples, spectra = read_table(paths["samples"]), read_table(paths["gradients"])
    failed, gone = (
        (table["variant"] == variant) & (table["response"] == "correct") & (table["sample_id"] == f"{sample:016x}")
        for table in (samples, spectra)
    )
    samples.loc[failed, ["status", "reason"]] = ["failed", "no response token"]
    write_table(samples, paths["samples"], MEASURED_SAMPLES, {})
    write_table(spectra[~gone], paths["gradients"], GRADIENTS, {"model": "synthetic"})


def with_replicates(paths):
    """Each response once more, half as large."""
    for name, schema in (("data", SAMPLES), ("samples", MEASURED_SAMPLES), ("gradients", GRADIENTS)):
        table = read_table(paths[name])
        again = table.assign(replicate=1)
        if name == "gradients":
            again[["nuclear_norm", "frobenius_norm", "spectral_norm"]] /= 2
        write_table(pd.concat([table, again]), paths[name], schema, {"model": "synthetic"})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models on one task, the other with larger gradients, replicates, a zero and a failed response."""
    folder = tmp_path_factory.mktemp("models")
    one = Task(cells=CELLS, layers=4, spread=0.3).write(folder / "one")
    other = Task(cells=CELLS, layers=4, spread=0.3, seed=1, scale={("none", "correct"): 3.0}).write(folder / "other")
    spectra = read_table(other["gradients"])
    zero = (spectra["sample_id"] == f"{4:016x}") & (spectra["layer"] == 2) & (spectra["projection"] == "k")
    spectra.loc[zero & (spectra["variant"] == "none"), ["nuclear_norm", "frobenius_norm", "spectral_norm"]] = 0.0
    write_table(spectra, other["gradients"], GRADIENTS, {"model": "synthetic"})
    with_replicates(other)
    without_a_sample(one, "none", 1)
    return one, other, compared(one, other, folder, paired=True)


def test_two_models_are_compared_sample_by_sample(models):
    one, other, table = models
    assert len(table) == 2 * 4 * 4
    for row in table.to_dict("records"):
        assert {name: row[name] for name in LABELS} == LABELS
        assert (row["response"], row["control"]) == ("correct", "none")
        a, b = (norms_of(side, row["variant"], row["projection"], row["layer"]) for side in (one, other))
        shared = sorted(set(a) & set(b))
        logs = [math.log(b[sample] / a[sample]) for sample in shared if b[sample] > 0]
        half = stats.t.ppf(0.975, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
        assert row["n"] == len(logs)
        assert row["log_ratio"] == pytest.approx(mean(logs), rel=1e-9)
        assert (row["low"], row["high"]) == pytest.approx((mean(logs) - half, mean(logs) + half), rel=1e-9)
        assert row["mean_one"] == pytest.approx(mean(a[sample] for sample in shared))
        assert row["mean_other"] == pytest.approx(mean(b[sample] for sample in shared))
        error = stdev(b[sample] for sample in shared) / math.sqrt(len(shared))
        assert row["standard_error_other"] == pytest.approx(error)
        assert row["n_one"] == row["n_other"] == len(shared)
    none = table.query("variant == 'none'")
    assert none["n_one"].unique().tolist() == [5]
    assert none.query("projection == 'k' and layer == 2")["n"].item() == 4


def test_two_tasks_are_compared_as_different_samples(tmp_path):
    one = Task("puzzles", cells=CELLS, layers=3, spread=0.3).write(tmp_path)
    fewer = {("none", "correct"): 4, ("simplified", "correct"): 3}
    other = Task("sums", cells=fewer, layers=3, spread=0.2, seed=1).write(tmp_path)
    table = compared(one, other, tmp_path, paired=False)
    places = list(itertools.product(["none"], "qkvo", range(3)))  # the only variant of both
    assert list(table[["variant", "projection", "layer"]].itertuples(index=False, name=None)) == places
    for row in table.to_dict("records"):
        sides = [norms_of(side, "none", row["projection"], row["layer"]).values() for side in (one, other)]
        a, b = ([math.log(value) for value in side] for side in sides)
        squares = [stdev(side) ** 2 / len(side) for side in (a, b)]
        dof = sum(squares) ** 2 / sum(square**2 / (len(side) - 1) for square, side in zip(squares, (a, b), strict=True))
        half = stats.t.ppf(0.975, dof) * math.sqrt(sum(squares))
        assert row["log_ratio"] == pytest.approx(mean(b) - mean(a), rel=1e-9)
        assert row["low"] == pytest.approx(mean(b) - mean(a) - half, rel=1e-9)
        assert row["high"] == pytest.approx(mean(b) - mean(a) + half, rel=1e-9)
        assert (row["n_one"], row["n_other"], row["n"]) == (6, 4, 4)


def test_models_of_different_depth_have_curves_and_no_ratio(tmp_path):
    one, other = (Task(cells=CELLS, layers=n, seed=n).write(tmp_path / str(n)) for n in (3, 5))
    table = compared(one, other, tmp_path, paired=True)
    assert len(table) == 2 * 4 * 5
    assert table[["log_ratio", "low", "high"]].isna().all(axis=None)
    assert (table["n"] == 0).all()
    assert (table["mean_one"].isna() == (table["layer"] >= 3)).all()
    assert table["mean_other"].notna().all()


def test_a_single_sample_has_a_ratio_without_an_interval(tmp_path):
    cells = {("none", "correct"): 1}
    one, other = (Task(cells=cells, layers=2, seed=seed).write(tmp_path / str(seed)) for seed in (0, 1))
    for paired in (True, False):
        table = compared(one, other, tmp_path, paired=paired)
        assert np.isfinite(table["log_ratio"]).all()
        assert table[["low", "high"]].isna().all(axis=None)


def test_without_a_shared_sample_or_variant_the_table_is_empty_and_whole(tmp_path, models):
    one = Task(cells={("none", "correct"): 2}, layers=2).write(tmp_path / "one")
    other = Task(cells={("none", "correct"): 1, ("detailed", "correct"): 2}, layers=2).write(tmp_path / "other")
    without_a_sample(other, "none", 0)
    knowledge = Task(family="knowledge", cells=KNOWLEDGE, layers=2).write(tmp_path / "knowledge")
    for table in (compared(one, other, tmp_path, paired=True), compared(one, knowledge, tmp_path, paired=False)):
        assert table.empty
        assert list(table.columns) == list(models[2].columns)


def test_the_table_tells_what_it_was_made_from_and_has_a_csv(models, tmp_path):
    one, other, table = models
    compared(one, other, tmp_path, paired=True)
    assert set(read_facts(tmp_path / "pair.parquet")) == {"one", "other"}
    again = pd.read_csv(tmp_path / "pair.csv", keep_default_na=False, na_values=[""])
    assert again["log_ratio"].tolist() == pytest.approx(table["log_ratio"].tolist(), rel=1e-5)


def test_the_sentences_count_the_layers_whose_interval_leaves_out_1():
    low = {"q": [0.1, -0.1, 0.2], "k": [-0.1, -0.5, 0.1], "v": [-0.1, -0.1, -0.1]}
    table = pd.DataFrame(
        [
            {"variant": "none", "projection": name, "layer": layer, "low": end, "log_ratio": end + 0.1}
            | {"high": end + 0.2, "mean_one": 1.0, "mean_other": 1.0}
            for name, ends in low.items()
            for layer, end in enumerate(ends)
        ]
    )
    (sentence,) = sentences(table, "One", "Other")
    assert sentence.startswith("No reasoning: the nuclear norms of Other are typically those of One times 1.18 for q")
    for beyond in ("above 1 in 2 of 3", "above 1 in 1 and below 1 in 1 of 3", "beyond 1 in none of 3"):
        assert f"(interval {beyond} layers)" in sentence
    deeper = table.assign(mean_one=table["mean_one"].where(table["layer"] < 2))
    assert sentences(deeper, "One", "Other") == ["There is no ratio by layer: One has 2 layers, Other 3."]
    assert sentences(table[:0], "One", "Other") == ["No correct response was measured on both sides."]


def comparisons_in(names, bases, tasks, pairs):
    """The comparisons of models, with their bases, and tasks that share a variant."""
    models = [SimpleNamespace(name=name, base=bases.get(name)) for name in names]
    specs = [SimpleNamespace(name=name, variants={"none": None}) for name in tasks]
    check_pairs(pairs, models, specs)
    return [(one, other, on, paired) for one, other, on, paired in comparisons_of(pairs, models, specs)]


def test_a_model_is_compared_with_its_base_once_and_tasks_on_every_model():
    implied = [("a", "b", "x", True), ("a", "b", "y", True)]
    assert comparisons_in("ab", {"b": "a", "a": "gone"}, "xy", []) == implied
    assert comparisons_in("ab", {"b": "a"}, "x", [["b", "a"]]) == [("b", "a", "x", True)]
    assert comparisons_in("ab", {}, "xy", [["x", "y"]]) == [("x", "y", "a", False), ("x", "y", "b", False)]
    with pytest.raises(ValueError, match=r"\[b, a\] given, but this pair is there already"):
        comparisons_in("ab", {}, "x", [["a", "b"], ["b", "a"]])
