"""The paper's ten tasks hold what its authors released, byte for byte."""

import json

import pytest
from conftest import ROOT

from layergrad.contracts.config.load import load_study
from layergrad.contracts.keys import sample_id
from layergrad.contracts.sources import MIRROR
from layergrad.data.build import build_task
from layergrad.data.sources import fetch_sources

STUDY = load_study(ROOT / "config/paper.yaml")
FOLDERS = {"simplified": "with_cot", "detailed": "with_cot_gpt4o", "none": "no_cot"}
WIKI = {
    "popular_100": "popular_wikipedia_100",
    "popular_500": "popular_wikipedia_500",
    "popular_1000": "popular_wikipedia_1000",
    "unpopular": "long_tail_wikipedia",
}
MATH = {"math_algebra": "algebra", "math_counting": "counting_probability", "math_geometry": "geometry"}


def file_of(task, variant, response):
    """Where the released repository keeps a cell."""
    if task == "wiki":
        folder, stem = "wiki_popularity", WIKI[variant]
    elif task in MATH:
        folder, stem = "lighteval_math", f"{MATH[task]}_{FOLDERS[variant]}"
    else:
        folder, stem = "cot_500", f"{task}_train_{FOLDERS[variant]}"
    return f"{folder}{'_wrong_answer_shuffle' if response == 'irrelevant' else ''}/{stem}.json"


@pytest.mark.parametrize("task", STUDY.tasks, ids=lambda task: task.name)
def test_every_cell_is_the_released_file(task, released_data, tmp_path, monkeypatch):
    monkeypatch.setenv(MIRROR, str(released_data))
    listing = tmp_path / task.name / "SOURCES.json"
    fetch_sources(task.model_dump(mode="json")["sources"], listing)
    frame = build_task(task.content(), STUDY.template_texts(task), listing, None, 0, "length_matched").samples
    cells = dict(iter(frame.groupby(["variant", "response"])))
    assert set(cells) == {(variant, response) for variant in task.variants for response in ("correct", "irrelevant")}
    for (variant, response), rows in cells.items():
        seen, expected = {}, {}
        for row in json.loads((released_data / file_of(task.name, variant, response)).read_bytes()):
            occurrence = seen[row["instruction"]] = seen.get(row["instruction"], -1) + 1
            identity = sample_id(task.name, row["instruction"], occurrence)
            expected[identity] = (row["instruction"], row["output"])
        assert len(expected) == (454 if variant == "unpopular" else 500)
        assert {r.sample_id: (r.instruction, r.output) for r in rows.itertuples()} == expected
