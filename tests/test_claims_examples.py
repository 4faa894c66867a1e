"""The samples in which a claim shows most, against plain loops over the same responses."""

import math
from itertools import pairwise
from statistics import mean

import numpy as np
import pandas as pd
import pytest
from synthetic_claims import Truth, study_of

from layergrad.contracts.tables import SAMPLES, write_table
from layergrad.statistics.claims.examples import SHOWN, examples, with_texts

GROUPS = (("none", "correct"), ("simplified", "correct"), ("detailed", "correct"), ("detailed", "irrelevant"))


@pytest.fixture(scope="module")
def evidence():
    """Two tasks of reasoning and one of knowledge; a template wrote the simplified responses of one."""
    truth = Truth(GROUPS, n=7, layers=5, spread=0.8)
    templated = Truth(GROUPS, n=6, layers=5, spread=0.8, templated=frozenset({"simplified"}))
    knowledge = Truth((("popular_100", "correct"), ("popular_500", "correct")), n=5, layers=5, family="knowledge")
    return study_of(np.random.default_rng(3), a=truth, b=templated, w=knowledge)


def norms(evidence, task, unit, variant, response="correct"):
    samples = evidence.responses["tiny", task].groups[variant, response, "none"]
    return samples.values["nuclear_norm"][samples.units.tolist().index(unit)].tolist()


def size(curve):
    return mean(curve)


def roughness(curve):
    return mean(abs(after - before) for before, after in pairwise(curve))


def slow_largest(evidence, tasks, of_curve, over, under):
    """Task, unit and effect of the samples farthest from none."""
    found = []
    for task in tasks:
        for unit in range(evidence.responses["tiny", task].n_units):
            pairs = zip(norms(evidence, task, unit, *over), norms(evidence, task, unit, *under), strict=True)
            found.append((task, unit, mean(math.log(of_curve(one) / of_curve(other)) for one, other in pairs)))
    return sorted(found, key=lambda sample: -abs(sample[2]))[:SHOWN]


@pytest.mark.parametrize(
    ("claim", "contrast", "tasks", "of_curve", "over", "under"),
    [
        ("C1", "none over simplified", ["a"], size, ["none"], ["simplified"]),
        ("C5", "irrelevant over correct, detailed", ["a", "b"], size, ["detailed", "irrelevant"], ["detailed"]),
        ("C4", "MAD, none over detailed", ["a", "b"], roughness, ["none"], ["detailed"]),
        ("C10", "MAD, popular_100 over popular_500", ["w"], roughness, ["popular_100"], ["popular_500"]),
    ],
)
def test_they_are_those_of_largest_effect(evidence, claim, contrast, tasks, of_curve, over, under):
    table = examples(evidence)
    part = table[(table["claim"] == claim) & (table["contrast"] == contrast)]
    samples = part.drop_duplicates("place")
    expected = slow_largest(evidence, tasks, of_curve, over, under)
    assert list(samples["place"]) == [1, 2, 3]
    assert list(zip(samples["task"], samples["unit"], strict=True)) == [(task, unit) for task, unit, _ in expected]
    assert list(samples["effect"]) == pytest.approx([effect for *_, effect in expected])
    responses = {(variant, *response) for variant, *response in (over, under)}
    told = set(part[["variant", "response"]].itertuples(index=False, name=None))
    assert told == {(variant, *(response or ["correct"])) for variant, *response in responses}


def test_what_is_not_of_single_samples_has_none(evidence):
    assert not set(examples(evidence)["claim"]) & {"C7", "C12", "C13", "C14", "B5", "B6"}


def test_their_texts_are_those_that_were_measured(evidence, tmp_path):
    rows = [
        {"task": "a", "sample_id": f"id{9 - unit}", "variant": variant, "response": response, "replicate": 0}
        | {
            "control": control,
            "family": "math",
            "instruction": f"prompt {9 - unit}",
            "provenance": "field",
            "licence": "MIT",
        }
        | {"output": f"{variant} {response} {control} {9 - unit}"}
        for unit in range(7)
        for variant, response in GROUPS
        for control in ("none", "equal_length")
    ]
    frame = pd.DataFrame(rows).assign(answer="")
    write_table(frame, tmp_path / "a.parquet", SAMPLES, {})
    table = examples(evidence)
    table = table[table["task"] == "a"]
    told = with_texts(table, [tmp_path / "a.parquet"])
    assert "unit" not in told.columns
    for row, unit in zip(told.to_dict("records"), table["unit"], strict=True):
        name = unit + 3  # the first in the order of ids
        assert row["sample_id"] == f"id{name}"
        assert row["instruction"] == f"prompt {name}"
        assert row["output"] == f"{row['variant']} {row['response']} none {name}"
