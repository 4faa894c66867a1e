"""Released statistics that are torn, short, foreign or not there: what is wrong is told by line, the rest is used."""

import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from released_files import (
    COLUMNS,
    LAYERS,
    MODELS,
    ROWS,
    Layout,
    data_of,
    exported,
    imported,
    written,
)

from layergrad.cli import main
from layergrad.contracts.config.load import load_study
from layergrad.contracts.errors import UserError
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, read_table, write_table
from layergrad.released.importing import import_released
from layergrad.released.layout import files, present
from layergrad.statistics.measured import read_measured

NONE_CORRECT = "cot_500/small_1b/grads_puzzles_train_no_cot.jsonl"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A sound study in the authors' layout."""
    return written(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """The gradients of puzzles on small, from files that are sound."""
    return imported(source, tmp_path_factory.mktemp("whole") / "t", data=data_of(source))[0]


@pytest.fixture
def layout(source, tmp_path):
    """One of a test's own, whose statistics may be changed."""
    return Layout(tmp_path / "own").write()


def weight(layer, projection):
    return f"model.layers.{layer}.self_attn.{projection}_proj.weight"


def torn(text):
    return text[: len(text) - 200]


def edited(number, change):
    """A change of one line, counted from 1, as an object."""

    def edit(text):
        lines = text.splitlines(keepends=True)
        entry = json.loads(lines[number - 1])
        changed = change(entry)
        lines[number - 1] = json.dumps(entry if changed is None else changed) + "\n"
        return "".join(lines)

    return edit


def without_layer(entry):
    for projection in "qkvo":
        del entry[weight(2, projection)]


def without_last_layer(entry):
    for projection in "qkvo":
        del entry[weight(LAYERS - 1, projection)]


# How a file is changed; where the problem is, what it says, and how many of its samples failed.
BAD = {
    "the last line is torn": (torn, [(6, r"not valid JSON: .*; the file ends within the line")], 1),
    "no object": (edited(2, lambda entry: [1, 2]), [(2, "an object is expected, list given")], 1),
    "an empty line": (lambda text: text.replace("\n", "\n\n", 1), [(2, "the line is empty")], 0),
    "not UTF-8": (lambda text: text.encode().replace(b'"output"', b'"outp\xff"', 1), [(1, "not valid JSON: ")], 1),
    "deep nesting": (lambda text: text + "[" * 100_000 + "\n", [(7, "not valid JSON: ")], 0),
    "a layer is missing": (edited(3, without_layer), [(3, "layer 2 is missing, but there is a layer 4")], 1),
    "the last layer is missing": (edited(3, without_last_layer), [(3, "it has 4 layers, most lines have 5")], 1),
    "no layer at all": (
        edited(1, lambda entry: {key: entry[key] for key in ("instruction", "output", "loss")}),
        [(1, rf"{re.escape(weight(0, 'q'))} is missing")],
        1,
    ),
    "an absurd layer": (
        edited(1, lambda entry: entry | {weight(9999, "q"): {}}),
        [(1, "layer 5 is missing, but there is a layer 9999")],
        1,
    ),
    "a projection is missing": (
        edited(4, lambda entry: entry.pop(weight(1, "k")) and None),
        [(4, rf"{re.escape(weight(1, 'k'))} is missing; it must be an object of numbers")],
        1,
    ),
    "a number is missing": (
        edited(5, lambda entry: entry[weight(0, "o")].pop("S_max") and None),
        [(5, rf"S_max of {re.escape(weight(0, 'o'))} is missing; it must be a number")],
        1,
    ),
    "a number is text": (
        edited(1, lambda entry: entry[weight(0, "v")].update(S_sum="1.0")),
        [(1, r"S_sum of .* is '1.0'; it must be a number")],
        1,
    ),
    "a number is too large": (
        edited(1, lambda entry: entry[weight(0, "v")].update(S_sum=10**400)),
        [(1, "an integer in it is too large for a number")],
        1,
    ),
    "no loss": (edited(1, lambda entry: entry.pop("loss") and None), [(1, "loss is missing; it must be a number")], 1),
    "a prompt of nobody": (
        edited(2, lambda entry: entry.update(instruction="Who?")),
        [(2, "its instruction is not in the data of the task: 'Who\\?'")],
        1,
    ),
    "an output of another": (
        edited(2, lambda entry: entry.update(output="irrelevant none 1")),
        [(2, "its output is not in the data of the task: 'irrelevant none 1'")],
        1,
    ),
    "a line is doubled": (
        lambda text: text + text.splitlines(keepends=True)[1],
        [(7, "it repeats line 2, which is used")],
        0,
    ),
    "an unknown field": (
        edited(1, lambda entry: entry.update(epoch=1)),
        [(1, "'epoch' is not read")],
        0,
    ),
    "a number that is NaN": (
        edited(1, lambda entry: entry[weight(3, "q")].update(S_sum=float("nan"))),
        [(1, rf"S_sum of {re.escape(weight(3, 'q'))} is nan")],
        0,
    ),
    "a loss that is infinite": (edited(1, lambda entry: entry.update(loss=float("inf"))), [(1, "loss is inf")], 0),
    "an empty file": (lambda text: "", [(None, "the file is empty")], ROWS),
}


@pytest.mark.parametrize(("change", "expected", "failed"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_told_by_line_and_the_rest_is_used(source, whole, layout, tmp_path, change, expected, failed):
    path = layout.released / NONE_CORRECT
    changed = change(path.read_text(encoding="utf-8"))
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    spectra, samples, problems = imported(layout, tmp_path / "t", data=data_of(source))

    assert set(problems["file"]) == {NONE_CORRECT}
    unheard = problems["problem"].str.contains("samples have no line in it")
    told = [(None if pd.isna(p.line) else int(p.line), p.problem) for p in problems[~unheard].itertuples()]
    assert [number for number, _ in told] == [number for number, _ in expected]
    for (_, problem), (_, pattern) in zip(told, expected, strict=True):
        assert re.search(pattern, problem), problem

    wrong = samples[samples["status"] == "failed"]
    assert len(samples) == 6 * ROWS
    assert len(wrong) == failed
    assert wrong["reason"].str.startswith(NONE_CORRECT).all()
    ok = samples[samples["status"] == "ok"]
    assert len(spectra) == len(ok) * LAYERS * 4
    # What is used is what it would be without the rest, but for the numbers that the line itself changed.
    keys = ["variant", "response", "sample_id", "layer", "projection"]
    both = spectra.merge(whole, on=keys, suffixes=("", "_whole"))
    assert len(both) == len(spectra)
    same = [both[name].eq(both[f"{name}_whole"]) | both[name].isna() for name in COLUMNS]
    assert np.all(same)
    assert read_measured(tmp_path / "t.parquet", tmp_path / "t.samples.parquet", data_of(source)).n_layers == LAYERS


def test_numbers_that_are_not_finite_are_kept_and_left_out_of_means(source, layout, tmp_path):
    path = layout.released / NONE_CORRECT
    change = edited(1, lambda entry: entry[weight(3, "q")].update(S_sum=float("nan"), M_max=float("-inf")))
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    _, _, problems = imported(layout, tmp_path / "t", data=data_of(source))
    assert problems["used"].tolist() == [True]
    measured = read_measured(tmp_path / "t.parquet", tmp_path / "t.samples.parquet", data_of(source))
    assert Counter(measured.responses["outcome"]) == {"used": 6 * ROWS - 1, "not_finite": 1}
    lines = exported(layout, tmp_path / "t", data_of(source), tmp_path / "out")[NONE_CORRECT]
    assert sorted(lines) == sorted(path.read_text(encoding="utf-8").splitlines())


def test_a_faulty_line_is_made_good_by_a_later_one(source, layout, tmp_path):
    path = layout.released / NONE_CORRECT
    text = path.read_text(encoding="utf-8")
    path.write_text(edited(1, without_layer)(text) + text.splitlines(keepends=True)[0], encoding="utf-8")
    spectra, samples, problems = imported(layout, tmp_path / "t", data=data_of(source))
    assert problems[["line", "used"]].to_numpy().tolist() == [[1, False]]
    assert set(samples["status"]) == {"ok"}
    assert len(spectra) == 6 * ROWS * LAYERS * 4


def test_a_file_that_is_not_there_leaves_its_cell_out(source, layout, tmp_path):
    (layout.released / NONE_CORRECT).unlink()
    _, samples, problems = imported(layout, tmp_path / "t", data=data_of(source))
    assert len(samples) == 5 * ROWS
    assert not ((samples["variant"] == "none") & (samples["response"] == "correct")).any()
    told = ["there is no such file; its responses are left out"]
    assert (problems["file"].tolist(), problems["problem"].tolist()) == ([NONE_CORRECT], told)
    assert problems["line"].isna().all()


def test_responses_that_the_study_does_not_take_are_no_problem(source, tmp_path):
    pool = read_table(data_of(source))
    chosen = pool[pool.groupby(["variant", "response"]).cumcount() < 2]
    study = load_study(source.config)
    found = files(study.task("puzzles"), study.model("small"))
    import_released(source.released, found, "puzzles", tmp_path / "t", chosen, pool)
    assert read_table(tmp_path / "t.import.parquet").empty
    assert set(read_table(tmp_path / "t.samples.parquet")["sample_id"]) == set(chosen["sample_id"])
    assert len(read_table(tmp_path / "t.parquet")) == 6 * 2 * LAYERS * 4


def test_where_nothing_is_there_it_is_one_line(layout, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(layout.folder)
    options = ["--study", "config/small.yaml", "--task", "puzzles", "--out", str(tmp_path / "t")]
    for path in layout.released.rglob("small_1b/*.jsonl"):
        path.write_text("[]\n" if "cot_500" in str(path) else "")
    assert main(["import-released", "--model", "small", *options]) == 2
    assert "not one line of 6 files of puzzles can be used; the first problem: cot_500" in capsys.readouterr().err
    assert main(["import-released", "--model", "nobody", *options]) == 2
    assert "--model: 'nobody' given; the study has small, small-it" in capsys.readouterr().err
    for path in layout.released.rglob(f"{MODELS['small-it']}/*.jsonl"):
        path.unlink()
    assert main(["import-released", "--model", "small-it", *options]) == 2
    assert "released: has none of the files cot_500/small_1b_it_new/grads_" in capsys.readouterr().err
    with pytest.raises(UserError, match="released has none of the 6 files of puzzles on small-it, the first of"):
        present(load_study("config/small.yaml"))
    assert not list(tmp_path.glob("t.*"))


def test_a_wrong_folder_is_one_line(layout, monkeypatch):
    monkeypatch.chdir(layout.folder)
    with pytest.raises(UserError, match=r"released: elsewhere given, which is no folder; allowed is one that holds"):
        present(load_study("config/small.yaml", {"released": "elsewhere"}))
    with pytest.raises(UserError, match="released: data has none of the 6 files"):
        present(load_study("config/small.yaml", {"released": "data"}))


@pytest.mark.parametrize(
    ("key", "value"), [("similarity", True), ("projections", "attention+mlp"), ("controls", ["irrelevant_deranged"])]
)
def test_what_released_statistics_do_not_have_cannot_be_asked_for(layout, key, value):
    with pytest.raises(UserError, match=f"{key}: .* given, but released statistics have none of it"):
        load_study(layout.config, {key: value, "length_tokenizer": "small"})


def test_export_tells_what_it_leaves_out(source, tmp_path, caplog):
    spectra, samples, _ = imported(source, tmp_path / "t", data=data_of(source))
    control = samples[samples["variant"] == "none"].assign(control="answer_only")
    samples.loc[0, ["status", "reason"]] = ["failed", "out of memory"]
    gone = spectra["sample_id"] + spectra["variant"] + spectra["response"]
    spectra = spectra[gone != "".join(samples.loc[0, ["sample_id", "variant", "response"]])]
    with_mlp = pd.concat([spectra, spectra[spectra["projection"] == "q"].assign(projection="up")])
    write_table(with_mlp, tmp_path / "t.parquet", GRADIENTS, {})
    write_table(pd.concat([samples, control]), tmp_path / "t.samples.parquet", MEASURED_SAMPLES, {})
    with caplog.at_level("WARNING", "layergrad"):
        lines = exported(source, tmp_path / "t", data_of(source), tmp_path / "out")
    assert sum(map(len, lines.values())) == 6 * ROWS - 1
    assert f"1 of {8 * ROWS} responses are left out: failed" in caplog.text
    assert f"{2 * ROWS} of {8 * ROWS} responses are left out: of controls or replicates" in caplog.text
    assert "left out: gradients of up" in caplog.text


def test_export_of_tables_that_do_not_belong_together_is_one_line(source, tmp_path, capsys):
    imported(source, tmp_path / "small/puzzles")
    options = ["export-released", "--study", str(source.config), "--out", str(tmp_path / "out")]
    other = str(data_of(source, "titles"))
    assert main([*options, "--gradients", str(tmp_path / "small/puzzles"), "--data", other]) == 2
    assert "has not all of the responses that were measured" in capsys.readouterr().err
    assert main([*options, "--gradients", str(tmp_path / "large/puzzles"), "--data", other]) == 2
    assert "'large' given; the study has small, small-it" in capsys.readouterr().err
    assert main([*options, "--gradients", str(tmp_path / "small/titles"), "--data", other]) == 2
    assert "small/titles.parquet: there is no such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
