"""The benchmark on tiny models from end to end; its procedures against each other; its ratios of hand-made times."""

import math
from functools import partial
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from benchmarks import machine
from benchmarks.cases import Case, evenly, nearest, random_sample, wide_model
from benchmarks.procedures import NAMES, Procedure, procedures
from benchmarks.report import page, write_report
from benchmarks.run import Effort, Subject, measure
from benchmarks.summary import (
    BATCHING,
    DENSE,
    DENSE_CLOCK,
    EXTREMES,
    MEMORY,
    PAPER,
    SPECTRA,
    SPECTRA_CLOCK,
    STEP,
    medians,
    ratios,
)
from benchmarks.timing import time_rounds
from layergrad.models.load import ModelOrigin, load_model
from layergrad.models.tokens import EncodedResponse

SMALL = {
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 512,
    "vocab_size": 400,
    "num_hidden_layers": 2,
    "tie_word_embeddings": False,
}


def sample(length, n_response, seed=0):
    ids = np.random.default_rng(seed).integers(0, 400, length)
    return EncodedResponse(tuple(int(i) for i in ids), length - n_response, truncated=False)


@pytest.fixture(scope="module")
def table(tiny_model_folder):
    """What the whole benchmark measures with two repeats, on the wider model one of the paper's procedure, three of
    the floor and of layergrad."""
    load = partial(load_model, ModelOrigin(str(tiny_model_folder)))
    real = Subject("Tiny", load, {"none": sample(12, 2), "detailed": sample(50, 30)})
    wide = Subject("Wider", partial(wide_model, **SMALL), {"wide, short": sample(20, 3)})
    sets = {"set of none": [sample(12, 2, seed) for seed in range(4)], "mixed set": [sample(12, 2), sample(50, 30)]}
    return measure(real, sets, wide, Effort(repeats=2, repeats_dense_wide=1, repeats_short_wide=3))


@pytest.mark.slow
def test_everything_is_measured_as_often_as_asked(table):
    assert (table["value"] > 0).all()
    counts = table.groupby(["sample", "procedure", "quantity"]).size().to_dict()
    dense_wide = {"none": 2, "detailed": 2, "wide, short": 1}
    expected = {(s, key, "seconds"): 2 for s in dense_wide for key in "bcde"}
    expected |= {(s, "a", "seconds"): n for s, n in dense_wide.items()}
    expected |= {("wide, short", key, "seconds"): 3 for key in "cd"}
    expected |= {(s, key, "svd_seconds"): expected[s, key, "seconds"] for s in dense_wide for key in "ade"}
    expected |= {("wide, short", key, "peak_memory_mb"): 1 for key in "ade"}
    arms = ("one by one", "batched")
    expected |= {(s, arm, "tokens_per_second"): 2 for s in ("set of none", "mixed set") for arm in arms}
    assert counts == expected
    clocks = table.pivot_table("value", ["sample", "procedure", "repeat"], "quantity").dropna(subset="svd_seconds")
    assert (clocks["svd_seconds"] < clocks["seconds"]).all()


@pytest.mark.slow
def test_memory_holds_what_must_be_there(table):
    """All gradients of the attention (float32), and U and V of the largest; layergrad holds no such matrix."""
    memory = table[table["quantity"] == "peak_memory_mb"].set_index("procedure")["value"]
    gradients = SMALL["num_hidden_layers"] * (2 * 512 * 512 + 2 * 512 * 128) * 4 / 1e6
    assert memory["a"] > gradients + 2 * 512 * 512 * 4 / 1e6
    assert memory["d"] < memory["a"] - gradients / 2


@pytest.mark.slow
def test_the_report_is_whole_and_complete(table, tmp_path):
    write_report(table, machine.describe(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"benchmark.{kind}" for kind in ("csv", "md", "svg", "png")}
    read = pd.read_csv(tmp_path / "benchmark.csv")
    assert read["value"].to_numpy() == pytest.approx(table["value"].to_numpy(), rel=1e-5)
    text = (tmp_path / "benchmark.md").read_text()
    for words in ("repeats", "quartiles", "at most 0.48", "at least 1.3", "torch", "cores", *NAMES.values()):
        assert words in text, words
    ElementTree.parse(tmp_path / "benchmark.svg")
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("length", "n_response"), [(12, 1), (50, 30)])
def test_procedures_agree(length, n_response, tiny_model_folder):
    model = load_model(ModelOrigin(str(tiny_model_folder)))
    encoded, results = sample(length, n_response), {}
    for key, procedure in procedures(model).items():
        with procedure.ready():
            results[key] = procedure.run(encoded)
        assert not any(weight.requires_grad or weight.grad is not None for weight in model.parameters()), key
    without, extremes = results["d"].measurement, results["e"].measurement
    assert results["b"] == pytest.approx(without.loss, rel=1e-5)
    assert results["c"] == pytest.approx(without.loss, rel=1e-5)
    assert all(results[key].svd_seconds > 0 for key in "ade")
    paper = results["a"].statistics
    plain, full = ({f"{p.module_name}.weight": s for p, s in m.spectra.items()} for m in (without, extremes))
    assert set(plain) == set(full) == set(paper)
    for name, truth in paper.items():
        assert plain[name].values.sum() == pytest.approx(truth["nuclear_norm"], rel=1e-4)
        assert full[name].values[0] == pytest.approx(truth["spectral_norm"], rel=1e-4)
        assert full[name].largest == pytest.approx(truth["grad_max"], rel=1e-4)
        assert full[name].smallest == pytest.approx(truth["grad_min"], rel=1e-4)
        assert full[name].mean == pytest.approx(truth["grad_mean"], abs=1e-5 * truth["grad_max"])


def test_only_what_a_procedure_trains_gets_a_gradient(tiny_model_folder):
    model = load_model(ModelOrigin(str(tiny_model_folder)))
    compared, trained = procedures(model), {}
    for key in "abc":
        with compared[key].ready():
            compared[key].run(sample(12, 2))
            trained[key] = {name for name, weight in model.named_parameters() if weight.grad is not None}
    attention = {name for name in trained["b"] if "_proj" in name and "self_attn" in name}
    assert len(attention) == 4 * model.config.num_hidden_layers
    assert trained == {"a": attention, "b": {name for name, _ in model.named_parameters()}, "c": set()}


def test_procedures_take_turns():
    calls = []
    cases = [Case("model", name, sample(length, 2)) for name, length in (("short", 10), ("long", 20))]
    compared = {
        key: Procedure(lambda encoded, key=key: calls.append(f"{key}{len(encoded.ids)}"), []) for key in ("a", "b", "c")
    }
    progress = SimpleNamespace(advance=lambda tokens: None)
    rows = time_rounds(cases, compared, {"a": 1, "b": 2, "c": 2}, progress)
    thrown_away, first, second = ["b10 c10 b20 c20", "a10 b10 c10 a20 b20 c20", "b10 c10 b20 c20"]
    assert " ".join(calls) == f"{thrown_away} {first} {second}"
    assert [f"{row['procedure']}{row['tokens']}" for row in rows] == f"{first} {second}".split()


def rows_of(sample_name, quantity, values):
    """Rows of one sample: a list of values by round for each procedure."""
    case = Case("model", sample_name, sample(10, 2))
    return [case.row(key, quantity, i, value) for key, listed in values.items() for i, value in enumerate(listed, 1)]


@pytest.fixture
def by_hand():
    """Medians of a, b, c, d, e are 12, 4, 2, 3, 3.5; of d - c 0.5, of e - d 0.25, which those of medians are not."""
    seconds = {"a": [12], "b": [4, 5, 4], "c": [1, 2, 6], "d": [3, 2.5, 6.5], "e": [3.25, 3.5, 6.75]}
    rows = rows_of("none", "seconds", seconds) + rows_of("none", "svd_seconds", {"a": [10], "d": [0.2, 0.4, 0.3]})
    rows += rows_of("wide, long", "seconds", {"b": [4], "c": [2.0], "d": [1.9], "e": [2.1]})
    rows += rows_of("wide, short", "peak_memory_mb", {"a": [500], "d": [300], "e": [310]})
    rows += rows_of("set of none", "tokens_per_second", {"one by one": [10, 20, 30], "batched": [20, 25, 40]})
    return pd.DataFrame(rows)


def test_ratios_of_hand_made_times(by_hand):
    summary = medians(by_hand)
    found = ratios(summary).set_index(["sample", "ratio"])
    values = {
        ("none", STEP): 3 / 4,
        ("none", PAPER): 12 / 3,
        ("none", SPECTRA): 0.5 / 2,
        ("none", EXTREMES): 0.25 / 2,
        ("none", SPECTRA_CLOCK): 0.3 / 2,
        ("none", DENSE): 10 / 0.5,
        ("none", DENSE_CLOCK): 10 / 0.3,
        ("wide, long", STEP): 1.9 / 4,
        ("wide, long", SPECTRA): -0.1 / 2,
        ("wide, short", MEMORY): 300 / 500,
        ("set of none", BATCHING): 25 / 20,
    }
    for key, value in values.items():
        assert found.loc[key, "value"] == pytest.approx(value), key
    reached = {key: found.loc[key, "reached"] for key in values}
    assert reached == dict.fromkeys(values, "no") | {
        ("none", PAPER): "",
        ("none", EXTREMES): "yes",
        ("none", DENSE): "",
        ("none", DENSE_CLOCK): "",
        ("wide, long", STEP): "",
        ("wide, long", SPECTRA): "lost in the noise",
        ("wide, short", MEMORY): "yes",
    }
    assert found.loc[("none", EXTREMES), "target"] == "at most 0.2"
    assert found.loc[("set of none", BATCHING), "target"] == "at least 1.3"


def test_medians_have_their_spread(by_hand):
    summary = medians(by_hand).set_index(["sample", "procedure", "quantity"])
    row = summary.loc[("none", "c", "seconds")]
    assert row[["repeats", "lower_quartile", "median", "upper_quartile"]].tolist() == [3, 1.5, 2, 4]
    assert summary.loc[("none", "a", "seconds"), "repeats"] == 1


def test_a_difference_lost_in_the_noise_gives_no_factor(by_hand):
    more = pd.DataFrame(rows_of("wide, long", "svd_seconds", {"a": [10]}))
    found = ratios(medians(pd.concat([by_hand, more]))).set_index(["sample", "ratio"])
    assert math.isnan(found.loc[("wide, long", DENSE), "value"])
    assert found.loc[("wide, long", DENSE), "reached"] == "lost in the noise"


def test_the_page_tells_repeats_and_missed_targets(by_hand):
    lines = page(medians(by_hand), {"processor": "abacus"}).splitlines()
    [step] = [line for line in lines if STEP in line.replace("\\", "") and "| none" in line]
    assert [cell.strip() for cell in step.split("|")][-4:-1] == ["0.750", "at most 0.48", "no"]
    [paper] = [line for line in lines if "(a) the paper" in line and "| none" in line and "12.0" in line]
    assert [cell.strip() for cell in paper.split("|")][-4:-1] == ["1", "12.0", "-"]


def test_samples_are_chosen_by_length():
    samples = [sample(length, 2) for length in (40, 10, 30, 20)]
    assert len(nearest(samples, 26).ids) == 30
    assert [len(s.ids) for s in evenly(samples, 2)] == [20, 40]
    assert [len(s.ids) for s in evenly(samples, 4)] == [10, 20, 30, 40]
    made = random_sample(700, like=sample(50, 30), vocabulary=1000)
    assert (len(made.ids), made.n_response) == (700, 420)
    assert 900 < max(made.ids) < 1000
