"""The findings say what the numbers say: an effect, its absence, its reverse."""

import numpy as np
import pandas as pd
import pytest
from synthetic_tables import KNOWLEDGE, REASONING, Task

from layergrad.contracts.paths import STATISTICS
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, read_table, write_table
from layergrad.report.findings import Numbers, findings
from layergrad.report.findings.numbers import around, direction_of
from layergrad.statistics.compute import collect_statistics, compute_statistics

RESPONSES = ("correct", "irrelevant", "incorrect")
FALLING = {(v, r): scale for v, scale in (("none", 8.0), ("simplified", 2.0)) for r in RESPONSES}
RISING = {(v, r): scale for v, scale in (("none", 0.1), ("simplified", 0.4)) for r in RESPONSES}
SIZE = "Are gradients larger where a response reasons less?"
ROUGHNESS = "Do gradients differ more from layer to layer where a response reasons less?"
RELATIVE = "Do they differ more from layer to layer relative to their size, too?"
EARLY = "Which layers have the larger gradients, the early or the last ones?"
LENGTH = "Does length alone, without reasoning, change the size?"
LENGTH_ROUGHNESS = "Does length alone change how gradients differ from layer to layer?"
POPULARITY = "Are gradients larger for unpopular topics than for popular ones?"
IRRELEVANT = "Do gradients tell correct reasoning from irrelevant text?"
INCORRECT = "Do gradients tell correct from mistaken reasoning?"


def computed(paths, folder, task):
    compute_statistics(**paths, folder=folder / "tiny" / task.name, model={"name": "tiny"}, task=task.name)
    return {name: read_table(folder / "tiny" / task.name / f"{name}.parquet") for name in STATISTICS}


def statistics_of(folder, *tasks):
    made = [computed(task.write(folder / "in"), folder, task) for task in tasks]
    collect_statistics([folder / "tiny" / task.name / f"{name}.parquet" for task in tasks for name in made[0]], folder)
    return {name: read_table(folder / f"{name}.parquet") for name in STATISTICS}


def told_of(tables, *tasks):
    numbers = Numbers(tables, {"tiny": "Tiny"}, {task: task.capitalize() for task in tasks or ["puzzles"]}, 0.15)
    return {finding.question: finding for finding in findings(numbers)}


def findings_of(folder, *tasks):
    return told_of(statistics_of(folder, *tasks), *(task.name for task in tasks))


def test_an_effect_is_told(tmp_path):
    scale = FALLING | {("detailed", "irrelevant"): 2.0}
    told = findings_of(tmp_path, Task(scale=scale, layers=9, spread=0.05))
    way = "no reasoning → simplified reasoning → detailed reasoning"
    assert told[SIZE].answer == f"Yes. Along {way}, the mean nuclear norm falls at every step in all 4 comparisons."
    assert told[ROUGHNESS].answer.startswith(
        f"Yes. Along {way}, the mean step between layers (MAD, corrected for noise) falls"
    )
    assert told[IRRELEVANT].answer.startswith("In part.")
    assert "4 of 4 (detailed reasoning)" in told[IRRELEVANT].answer
    assert "irrelevant responses larger in 4 of 4 projections" in told[IRRELEVANT].evidence[2]
    assert not told[SIZE].aside


def test_the_reverse_is_told(tmp_path):
    told = findings_of(tmp_path, Task(scale=RISING, layers=9, spread=0.05))
    assert told[SIZE].answer.startswith("No, the reverse. Along no reasoning")
    assert "rises at every step in all 4 comparisons" in told[SIZE].answer
    assert told[ROUGHNESS].answer.startswith("No, the reverse.")


def test_no_effect_is_told(tmp_path):
    told = findings_of(tmp_path, Task(layers=9, spread=0.3, seed=6))
    assert told[SIZE].answer.startswith("Not seen. Along no reasoning")
    assert told[INCORRECT].answer.startswith("Not here.")


def test_the_evidence_has_the_numbers_of_the_shared_samples(tmp_path):
    task = Task(scale=FALLING, layers=9)
    told = findings_of(tmp_path, task)
    spectra = task.frames()[2].query("response == 'correct' and projection == 'q'")
    shared = spectra[spectra["sample_id"] < f"{10:016x}"]  # of 12, 10 and 12 samples
    means = shared.groupby("variant", sort=False)["nuclear_norm"].mean()
    values = " → ".join(f"{mean:#.3g}" for mean in means[["none", "simplified"]])
    assert (
        told[SIZE]
        .evidence[0]
        .startswith(f"Puzzles, no reasoning → simplified reasoning, on 10 shared samples: q {values} (falls); k ")
    )


def test_roughness_that_only_follows_the_size_is_told_apart(tmp_path):
    told = findings_of(tmp_path, Task(scale=FALLING, layers=9, spread=0.03, seed=2))
    assert told[ROUGHNESS].answer.startswith("Yes.")
    assert told[RELATIVE].answer.startswith("Not seen.")


def test_early_and_last_count_only_beyond_the_error(tmp_path):
    told = findings_of(tmp_path, Task(layers=9, spread=0.05))
    assert told[EARLY].answer.startswith(
        "Larger beyond the error are: with no reasoning, the early ones in 4 and the last ones in 0 of 4; with"
    )
    assert "early over last: q 1.8" in told[EARLY].evidence[0]
    tables = statistics_of(tmp_path / "unsure", Task(layers=9, spread=0.05))
    tables["early_over_last"]["standard_error"] = 1.0
    unsure = told_of(tables)[EARLY]
    assert unsure.answer.startswith("Larger beyond the error are: with no reasoning, the early ones in 0 and")
    assert "alike within the error" in unsure.evidence[0]
    tables["early_over_last"]["standard_error"] = np.nan
    unknown = told_of(tables)[EARLY]
    assert unknown.answer.startswith("No verdict: no comparison has a known error.")
    assert "(-)" in unknown.evidence[0]


def test_a_number_that_is_not_known_is_no_verdict_and_not_counted(tmp_path):
    tables = statistics_of(tmp_path, Task(scale=FALLING, layers=9, spread=0.05))
    table = tables["variant_differences"]
    table.loc[(table["quantity"] == "nuclear_norm") & (table["projection"] == "q"), "standard_error"] = np.nan
    told = told_of(tables)[SIZE]
    assert "falls at every step in all 3 comparisons. 1 comparison without a known error not counted." in told.answer
    assert "(-); k" in told.evidence[0]
    table.loc[table["quantity"] == "nuclear_norm", "difference"] = np.nan
    assert told_of(tables)[SIZE].answer == "No verdict: no comparison has a known error."


def test_samples_of_their_own_are_compared_unpaired(tmp_path):
    cells = {("popular_100", "correct"): 8, ("popular_500", "correct"): 8}
    task = Task("wiki", "knowledge", cells, scale={("popular_100", "correct"): 2.0}, layers=9, spread=0.05)
    paths = task.write(tmp_path / "in")
    for path in paths.values():
        table = read_table(path)
        table.loc[table["variant"] == "popular_500", "sample_id"] += "f"
        table.to_parquet(path)
    told = told_of(computed(paths, tmp_path, task), "wiki")
    for question in (LENGTH, LENGTH_ROUGHNESS):
        assert told[question].answer.startswith("Yes.")
        line = told[question].evidence[0]
        assert line.startswith("Wiki, popular 100 → popular 500, on 8 and 8 responses, no sample shared: q")
        assert line.count("(falls)") == 4


def test_a_change_of_roughness_counts_where_its_interval_leaves_out_none(tmp_path):
    tables = statistics_of(tmp_path, Task(scale=FALLING, layers=9, spread=0.05))
    table = tables["variant_differences"]
    row = table.query(
        "quantity == 'mad' and response == 'correct' and from_variant == 'none' and to_variant == 'simplified'"
        " and projection == 'q'"
    ).index.item()
    line = told_of(tables)[ROUGHNESS].evidence[0]
    means = " → ".join(f"{table.loc[row, name]:#.3g}" for name in ("mean_from", "mean_to"))
    assert f"q {means} (falls); k" in line
    table.loc[row, ["low", "high"]] = [-np.inf, np.inf]
    told = told_of(tables)[ROUGHNESS]
    assert "(stays level); k" in told.evidence[0]
    assert "falls at every step in 3" in told.answer
    assert "not counted" not in told.answer
    table.loc[row, ["low", "high"]] = [-np.inf, -0.1]
    assert "(falls); k" in told_of(tables)[ROUGHNESS].evidence[0]
    table.loc[row, ["low", "high"]] = np.nan
    assert "1 comparison without a known error not counted." in told_of(tables)[ROUGHNESS].answer


def test_a_kind_of_response_that_failed_altogether_is_named_and_left_out(tmp_path):
    task = Task(layers=3)
    paths = task.write(tmp_path / "in")
    _, samples, spectra = task.frames()
    gone = (samples["variant"] == "simplified") & (samples["response"] == "correct")
    samples.loc[gone, ["status", "reason"]] = ["failed", "no response token"]
    samples.loc[gone, "loss"] = np.nan
    write_table(samples, paths["samples"], MEASURED_SAMPLES, {})
    spectra = spectra[(spectra["variant"] != "simplified") | (spectra["response"] != "correct")]
    write_table(spectra, paths["gradients"], GRADIENTS, {})
    told = told_of(computed(paths, tmp_path, task))
    line = "Puzzles, simplified reasoning, correct: no number at all; 10 responses failed and 0 were not finite"
    assert told["Which numbers are uncertain?"].evidence[0] == line
    assert "simplified" not in "".join(told["What else differs between the kinds of response?"].evidence)
    assert told[SIZE].evidence[0].startswith("Puzzles, no reasoning → detailed reasoning, on 12 shared samples")
    text = " ".join(f"{finding.answer} {finding.evidence}" for finding in told.values())
    assert "nan" not in text


def test_templated_responses_are_no_part_of_a_verdict(tmp_path):
    cells = {key: count for key, count in REASONING.items() if key[1] != "incorrect"}
    other = Task("rhymes", cells=cells, scale=RISING, layers=9, spread=0.05, provenance="template")
    told = findings_of(tmp_path, Task(scale=FALLING, layers=9, spread=0.05), other)
    assert told[SIZE].answer.startswith("Yes.")
    assert "all 4 comparisons" in told[SIZE].answer
    assert len(told[SIZE].evidence) == 2
    assert told[SIZE].aside[0].startswith("Rhymes")
    assert all(line.startswith("Rhymes") for line in told[IRRELEVANT].aside)
    alone = findings_of(tmp_path / "alone", other)
    assert alone[SIZE].answer == "No verdict: only templated responses were measured."
    assert alone[IRRELEVANT].answer == "No verdict: only templated responses were measured."


def test_a_task_of_knowledge_asks_for_length_and_popularity(tmp_path):
    scale = {("popular_100", "correct"): 4.0, ("popular_500", "correct"): 2.0, ("unpopular", "correct"): 8.0}
    told = findings_of(tmp_path, Task("wiki", "knowledge", KNOWLEDGE, scale=scale, layers=9, spread=0.05))
    assert SIZE not in told
    assert told["Does length alone, without reasoning, change the size?"].answer.startswith("Yes.")
    popularity = told[POPULARITY]
    assert popularity.answer.startswith("Yes. Along unpopular → popular 100, the mean nuclear norm falls")


def test_noisy_means_and_failed_responses_are_told(tmp_path):
    task = Task(cells={("none", "correct"): 2, ("detailed", "correct"): 12}, spread=0.6, layers=4, seed=3)
    told = findings_of(tmp_path, task)["Which numbers are uncertain?"]
    flags = read_table(tmp_path / "layer_means.parquet").query("quantity == 'nuclear_norm' and segment == 'all'")[
        "noisy"
    ]
    assert told.answer.startswith(f"{flags.sum()} of 8 mean nuclear norms")
    assert "0 failed" in told.answer


@pytest.mark.parametrize(
    ("low", "high", "direction"),
    [
        ([-2, -2], [-1, -1], "falls"),
        ([1, 1], [2, 2], "rises"),
        ([-1, -3], [3, 1], "stays level"),
        ([-2, -1], [-1, 1], "falls, then stays level"),
        ([-2, 1], [-1, 2], "falls, then rises"),
        ([-2], [0], "stays level"),
        ([0], [2], "stays level"),
        ([-np.inf], [np.inf], "stays level"),
        ([-np.inf, 0.1], [-0.1, np.inf], "falls, then rises"),
        ([np.nan], [1], None),
        ([-2, -2], [-1, np.nan], None),
    ],
)
def test_directions(low, high, direction):
    assert direction_of(np.array(low, float), np.array(high, float)) == direction
    assert direction_of(low, high) == direction


def test_a_difference_counts_from_two_standard_errors_on():
    low, high = around(pd.Series([-0.21, -0.19, 0.21, 1.0]), pd.Series([0.1, 0.1, 0.1, np.nan]))
    assert [direction_of([one], [other]) for one, other in zip(low, high, strict=True)] == [
        "falls",
        "stays level",
        "rises",
        None,
    ]
