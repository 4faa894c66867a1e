"""Responses that sources hold ready: byte for byte, prompt by prompt; and a mirror in place of the network."""

import json

import pytest
from conftest import ROOT
from test_data_build import make_task

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256
from layergrad.contracts.keys import sample_id
from layergrad.contracts.sources import MIRROR
from layergrad.data.build import build_task
from layergrad.data.sources import fetch_sources

ADDRESS = "http://127.0.0.1:9/data"  # nothing answers there
PROMPTS = [" What is a?\n", "What is b?", "What is b?", "What is c? "]
OUTPUTS = {
    "none_correct": ["1", "2", "3", "4"],
    "none_irrelevant": ["1", "4", "2", "3"],
    "detailed_correct": ["First.\n\nSo 1.  ", "\tSo 2.", "So 3!", "So 4."],
    "detailed_irrelevant": ["So 2. So 4.", " So 1.", "So 4.", ""],
}


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder with the four files, one of them in another order, set as the mirror."""
    folder = tmp_path / "mirror"
    for name, outputs in OUTPUTS.items():
        rows = [{"instruction": p, "input": "", "output": o} for p, o in zip(PROMPTS, outputs, strict=True)]
        path = folder / name.split("_")[1] / f"{name.split('_')[0]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows[::-1] if name == "none_irrelevant" else rows))
    monkeypatch.setenv(MIRROR, str(folder))
    return folder


def sources(mirror):
    """Url sources that only the mirror has."""
    files = {name: "/".join(reversed(name.split("_"))) + ".json" for name in OUTPUTS}
    return {name: {"url": f"{ADDRESS}/{file}", "sha256": file_sha256(mirror / file)} for name, file in files.items()}


def given_task(mirror, **changes):
    """Two variants, all of whose responses are given."""
    variants = {
        name: {"correct": {"source": f"{name}_correct"}, "irrelevant": {"source": f"{name}_irrelevant"}, "tokens": 9}
        for name in ("none", "detailed")
    }
    values = {
        "sources": sources(mirror),
        "rows": ["none_correct"],
        "instruction": {"field": "instruction"},
        "answer": {"field": "output"},
        "group": None,
        "variants": variants,
        "samples": {"none": 4, "detailed": {"correct": 4, "irrelevant": 3}},
    }
    return make_task(**(values | changes))


def built(task, tmp_path):
    """The task's table, from what its sources give."""
    listing = tmp_path / task.name / "SOURCES.json"
    fetch_sources(task.model_dump(mode="json")["sources"], listing)
    tokenizer = ROOT / "tests/data/tokenizer/tokenizer.json"
    return build_task(task, {}, listing, tokenizer, 0, "length_matched").samples


def test_texts_are_those_of_the_sources_to_the_byte(mirror, tmp_path):
    frame = built(given_task(mirror), tmp_path)
    found = {(row.sample_id, row.variant, row.response): (row.instruction, row.output) for row in frame.itertuples()}
    expected = {}
    for name, outputs in OUTPUTS.items():
        variant, response = name.split("_")
        given = list(zip(PROMPTS, outputs, strict=True))
        seen = {}
        for prompt, output in given[::-1] if name == "none_irrelevant" else given:
            occurrence = seen[prompt] = seen.get(prompt, -1) + 1
            if output:
                expected[sample_id("towns", prompt, occurrence), variant, response] = (prompt, output)
    assert found == expected


def test_the_bare_answer_and_who_wrote(mirror, tmp_path):
    frame = built(given_task(mirror), tmp_path)
    bare = frame.query("variant == 'none' and response == 'correct'").set_index("sample_id")["output"]
    assert (frame["answer"] == frame["sample_id"].map(bare)).all()
    assert set(frame.query("response == 'irrelevant'")["provenance"]) == {"shuffle"}


def test_a_source_that_fits_no_prompt_is_told(mirror, tmp_path):
    task = given_task(mirror, rows=["own"], sources=sources(mirror) | {"own": {"file": str(tmp_path / "own.json")}})
    (tmp_path / "own.json").write_text(json.dumps([{"instruction": "Why?", "input": "", "output": "5"}]))
    with pytest.raises(UserError, match=r"source none_correct: no instruction in it is a prompt.*'Why\?'"):
        built(task, tmp_path)


def test_a_response_is_given_by_a_source_that_is_there(mirror):
    variants = {"none": {"correct": {"source": "nowhere"}, "tokens": 9}}
    with pytest.raises(ValueError, match=r"variants.none.correct: source 'nowhere'; sources are \['detailed_correct'"):
        given_task(mirror, variants=variants, samples={"none": 1})


def test_a_limit_leaves_the_first_samples(mirror, tmp_path):
    task = given_task(mirror)
    whole, few = built(task, tmp_path), built(task.limited(2), tmp_path)
    assert few.groupby(["variant", "response"]).size().eq(2).all()
    for cell, rows in few.groupby(["variant", "response"]):
        first = whole.groupby(["variant", "response"]).get_group(cell).head(2)
        assert rows["sample_id"].tolist() == first["sample_id"].tolist()


def test_a_file_of_the_mirror_has_the_checksum(mirror, tmp_path):
    task = given_task(mirror)
    (mirror / "correct" / "none.json").write_text("[]")
    with pytest.raises(UserError, match=r"correct/none\.json for url .*: sha256 \w+ expected, \w+ found"):
        fetch_sources(task.model_dump(mode="json")["sources"], tmp_path / "SOURCES.json")


def test_what_the_mirror_lacks_is_fetched_from_the_address(mirror, tmp_path):
    (mirror / "correct" / "none.json").rename(mirror / "elsewhere.json")
    with pytest.raises(UserError, match=r"cannot be fetched: .*the mirror .* does not have it"):
        fetch_sources({"rows": {"url": f"{ADDRESS}/correct/none.json", "sha256": "0" * 64}}, tmp_path / "SOURCES.json")


def test_a_mirror_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRROR, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"mirror .*nowhere: there is no such folder"):
        fetch_sources({"rows": {"url": f"{ADDRESS}/a.json", "sha256": "0" * 64}}, tmp_path / "SOURCES.json")
