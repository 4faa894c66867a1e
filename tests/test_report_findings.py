"""The findings say what the numbers say: an effect, its absence, its reverse."""

import numpy as np
import pytest
from synthetic_tables import KNOWLEDGE, REASONING, Task

from layergrad.contracts.paths import STATISTICS
from layergrad.contracts.tables import read_table
from layergrad.report.findings import Numbers, direction_of, findings
from layergrad.statistics.compute import collect_statistics, compute_statistics

RESPONSES = ("correct", "irrelevant", "incorrect")
FALLING = {(v, r): scale for v, scale in (("none", 8.0), ("simplified", 2.0)) for r in RESPONSES}
RISING = {(v, r): scale for v, scale in (("none", 0.1), ("simplified", 0.4)) for r in RESPONSES}
SIZE = "Are gradients larger where a response reasons less?"
ROUGHNESS = "Do gradients differ more from layer to layer where a response reasons less?"
IRRELEVANT = "Do gradients tell correct reasoning from irrelevant text?"
INCORRECT = "Do gradients tell correct from mistaken reasoning?"


def findings_of(folder, *tasks):
    parts = []
    for task in tasks:
        out = folder / "tiny" / task.name
        compute_statistics(**task.write(folder / "in"), folder=out, model={"name": "tiny"}, task=task.name)
        parts += [out / f"{name}.parquet" for name in STATISTICS]
    collect_statistics(parts, folder)
    tables = {name: read_table(folder / f"{name}.parquet") for name in STATISTICS}
    numbers = Numbers(tables, {"tiny": "Tiny"}, {task.name: task.name.capitalize() for task in tasks}, 0.15)
    return {finding.question: finding for finding in findings(numbers)}


def test_an_effect_is_told(tmp_path):
    scale = FALLING | {("detailed", "irrelevant"): 2.0}
    told = findings_of(tmp_path, Task(scale=scale, layers=9, spread=0.05))
    way = "no reasoning → simplified reasoning → detailed reasoning"
    assert told[SIZE].answer == f"Yes. Along {way}, the mean nuclear norm falls at every step in all 4 comparisons."
    assert told[ROUGHNESS].answer.startswith(f"Yes. Along {way}, the mean step between layers (MAD) falls")
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


def test_the_evidence_has_the_numbers_of_the_statistics(tmp_path):
    told = findings_of(tmp_path, Task(scale=FALLING, layers=9))
    means = read_table(tmp_path / "layer_means.parquet").query(
        "quantity == 'nuclear_norm' and segment == 'all' and response == 'correct' and projection == 'q'"
    )["mean"]
    values = " → ".join(f"{mean:.3g}" if mean < 1 else f"{mean:#.3g}" for mean in means)
    assert f"q {values} (falls)" in told[SIZE].evidence[0]


def test_templated_responses_are_no_part_of_a_verdict(tmp_path):
    cells = {key: count for key, count in REASONING.items() if key[1] != "incorrect"}
    other = Task("rhymes", cells=cells, scale=RISING, layers=9, spread=0.05, provenance="template")
    told = findings_of(tmp_path, Task(scale=FALLING, layers=9, spread=0.05), other)
    assert told[SIZE].answer.startswith("Yes.")
    assert "all 4 comparisons" in told[SIZE].answer
    assert len(told[SIZE].evidence) == 1
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
    popularity = told["Are gradients larger for unpopular topics than for popular ones?"]
    assert popularity.answer.startswith("Yes. Along popular 100 → unpopular, the mean nuclear norm rises")


def test_noisy_means_and_failed_responses_are_told(tmp_path):
    task = Task(cells={("none", "correct"): 2, ("detailed", "correct"): 12}, spread=0.6, layers=4, seed=3)
    told = findings_of(tmp_path, task)["Which numbers are uncertain?"]
    flags = read_table(tmp_path / "layer_means.parquet").query("quantity == 'nuclear_norm' and segment == 'all'")[
        "noisy"
    ]
    assert told.answer.startswith(f"{flags.sum()} of 8 mean nuclear norms")
    assert "0 failed" in told.answer


@pytest.mark.parametrize(
    ("values", "errors", "direction"),
    [
        ([3, 2, 1], [0.1, 0.1, 0.1], "falls"),
        ([1, 2, 3], [0.1, 0.1, 0.1], "rises"),
        ([1, 1.1, 1], [0.1, 0.1, 0.1], "stays level"),
        ([3, 2, 2.1], [0.1, 0.1, 0.1], "falls, then stays level"),
        ([3, 2, 3], [0.1, 0.1, 0.1], "falls, then rises"),
        ([3, 1], [0.1, np.nan], "stays level"),
    ],
)
def test_directions(values, errors, direction):
    assert direction_of(np.array(values, float), np.array(errors, float)) == direction
