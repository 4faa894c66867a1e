"""The authors' format: where files lie, from it to the tables and back, and files that are not as they should be."""

import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from released_files import LAYERS, MODELS, NUMBERS, ROWS, Layout, line
from test_paper_data import file_of

from layergrad.cli import main
from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import sample_id
from layergrad.contracts.sources import MIRROR
from layergrad.contracts.study_files import load_study
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, SAMPLES, read_table, write_table
from layergrad.data.build import build_task
from layergrad.data.sources import fetch_sources
from layergrad.gradients.extract import extract
from layergrad.gradients.settings import Settings
from layergrad.models.load import ModelOrigin, origin_facts
from layergrad.released.exporting import export_released
from layergrad.released.importing import import_released
from layergrad.released.layout import files, present
from layergrad.statistics.measured import read_measured

COLUMNS = ["grad_mean", "grad_max", "grad_min", "frobenius_norm", "nuclear_norm", "spectral_norm", "s_min"]
NULL = ["rank_bound", "effective_rank", "stable_rank"]
NONE_CORRECT = "cot_500/small_1b/grads_puzzles_train_no_cot.jsonl"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A study in the authors' layout, with the tables of its responses in ``tables/``."""
    layout = Layout(tmp_path_factory.mktemp("source")).write()
    for task in load_study(layout.config).tasks:
        tables_of(task, layout.folder / "data", layout.folder / "tables" / task.name)
    return layout


def tables_of(task, mirror, folder):
    """The table of a task's responses, from a mirror of its sources; its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MIRROR, str(mirror))
        fetch_sources(task.model_dump(mode="json")["sources"], folder / "SOURCES.json")
        built = build_task(task.content(), {}, folder / "SOURCES.json", None, 0, "length_matched")
    write_table(built.samples, folder / f"{task.name}.parquet", SAMPLES, {})
    return folder / f"{task.name}.parquet"


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """The gradients of puzzles on small, from files that are sound."""
    return imported(source, tmp_path_factory.mktemp("whole") / "t", data=data_of(source))[0]


@pytest.fixture
def layout(source, tmp_path):
    """One of a test's own, whose statistics may be changed."""
    return Layout(tmp_path / "own").write()


def data_of(source, task="puzzles"):
    return source.folder / f"tables/{task}/{task}.parquet"


def imported(layout, prefix, task="puzzles", model="small", data=None):
    """Import one model and task; gradients, samples, problems."""
    study = load_study(layout.config)
    samples = read_table(data) if data else None
    import_released(layout.released, files(study.task(task), study.model(model)), task, prefix, samples)
    return [read_table(f"{prefix}{end}.parquet") for end in ("", ".samples", ".import")]


def exported(layout, prefix, data, folder, task="puzzles", model="small"):
    """Export one model and task; lines by path."""
    study = load_study(layout.config)
    written = export_released(prefix, data, files(study.task(task), study.model(model)), folder)
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8").splitlines() for path in written}


def test_files_lie_where_the_paper_has_them():
    study = load_study(ROOT / "config/released.yaml")
    found = []
    for model in study.models:
        for task in study.tasks:
            for (variant, response), path in files(task, model).items():
                folder, _, name = file_of(task.name, variant, response).partition("/")
                stem = name.removesuffix(".json")
                assert str(path) == f"{folder}/{model.released_as}/grads_{stem}.jsonl"
                found.append(path)
    assert len(set(found)) == len(found) == 560
    assert Counter(path.parts[1] for path in found)["qwen2_1_5b_it_new"] == 56


def test_cells_that_no_file_gives_have_a_place_of_their_own():
    study = load_study(ROOT / "config/test.yaml")
    found = {"/".join(cell): str(path) for cell, path in files(study.task("mini_math"), study.models[0]).items()}
    assert found["detailed/incorrect"] == "mini_math/tiny-llama/grads_detailed_incorrect.jsonl"
    assert "none/incorrect" not in found
    assert len(set(found.values())) == 7


@pytest.mark.parametrize("task", ["puzzles", "titles"])
@pytest.mark.parametrize("with_data", [True, False])
def test_import_gives_every_number_its_place(source, tmp_path, task, with_data):
    data = data_of(source, task) if with_data else None
    spectra, samples, problems = imported(source, tmp_path / "t", task, "small-it", data)
    assert problems.empty
    assert list(spectra.columns) == GRADIENTS.names
    assert list(samples.columns) == MEASURED_SAMPLES.names
    assert spectra[NULL].isna().all(axis=None)
    assert samples[["n_prompt_tokens", "n_response_tokens", "truncated", "reason"]].isna().all(axis=None)
    assert set(samples["status"]) == {"ok"}
    cells = list(files(load_study(source.config).task(task), load_study(source.config).model("small-it")).items())
    rows = spectra.set_index(["variant", "response", "sample_id", "layer", "projection"])[COLUMNS].to_dict("index")
    losses = samples.set_index(["variant", "response", "sample_id"])["loss"].to_dict()
    expected, expected_losses = {}, {}
    for (variant, response), path in cells:
        seen = Counter()
        for entry in source.lines[str(path)]:
            key = (variant, response, sample_id(task, entry["instruction"], seen[entry["instruction"]]))
            seen[entry["instruction"]] += 1
            expected_losses[key] = entry["loss"]
            for layer in range(LAYERS):
                for projection in "qkvo":
                    numbers = entry[f"model.layers.{layer}.self_attn.{projection}_proj.weight"]
                    expected[*key, layer, projection] = dict(zip(COLUMNS, map(numbers.get, NUMBERS), strict=True))
    assert rows == expected
    assert losses == expected_losses
    assert len(losses) == len(cells) * ROWS


def test_keys_join_with_the_data_where_a_prompt_recurs(source, tmp_path):
    _, samples, _ = imported(source, tmp_path / "t", data=data_of(source))
    keys = ["task", "sample_id", "variant", "response", "replicate", "control"]
    joined = samples.merge(read_table(data_of(source)), on=keys)
    assert len(joined) == len(samples) == 6 * ROWS
    assert joined.groupby("instruction")["sample_id"].nunique().max() == 2
    assert read_measured(tmp_path / "t.parquet", tmp_path / "t.samples.parquet", data_of(source)).n_layers == LAYERS


@pytest.mark.parametrize("task", ["puzzles", "titles"])
def test_export_after_import_is_the_source(source, tmp_path, task):
    imported(source, tmp_path / "t", task, data=data_of(source, task))
    lines = exported(source, tmp_path / "t", data_of(source, task), tmp_path / "out", task)
    study = load_study(source.config)
    assert set(lines) == {str(path) for path in files(study.task(task), study.model("small")).values()}
    for path, found in lines.items():
        assert sorted(found) == sorted((source.released / path).read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("name", ["strategyqa", "wiki"])  # a prompt recurs in the one, the other has 454 rows in a cell
def test_every_released_response_has_its_line(released_data, tmp_path, name):
    study = load_study(ROOT / "config/released.yaml")
    task = study.task(name)
    paths, rng = files(task, study.models[0]), np.random.default_rng(0)
    for (variant, response), path in paths.items():
        rows = json.loads((released_data / file_of(name, variant, response)).read_bytes())
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("".join(f"{json.dumps(line(row, rng, layers=1))}\n" for row in rows))
    data = tables_of(task, released_data, tmp_path / "tables")
    import_released(tmp_path, paths, name, tmp_path / "t", read_table(data))
    assert read_table(tmp_path / "t.import.parquet").empty
    samples = read_table(tmp_path / "t.samples.parquet")
    assert set(samples["status"]) == {"ok"}
    assert len(samples) == (3000 if name == "strategyqa" else 2 * (3 * 500 + 454))
    lines = [text for path in paths.values() for text in (tmp_path / path).read_text().splitlines()]
    export_released(tmp_path / "t", data, paths, tmp_path / "out")
    back = [text for path in paths.values() for text in (tmp_path / "out" / path).read_text().splitlines()]
    assert sorted(back) == sorted(lines)


def test_import_after_export_keeps_what_was_measured(source, tiny_model_folder, tmp_path):
    samples, origin = read_table(data_of(source)), ModelOrigin.of(str(tiny_model_folder))
    prefix = tmp_path / "measured/small/puzzles"
    extract(samples, origin, origin_facts(origin), Settings(), prefix, tmp_path / "parts")
    measured, responses = read_table(f"{prefix}.parquet"), read_table(f"{prefix}.samples.parquet")
    arguments = ["--gradients", str(prefix), "--data", str(data_of(source)), "--out", str(tmp_path / "released")]
    assert main(["export-released", "--study", str(source.config), *arguments]) == 0
    study = load_study(source.config)
    import_released(
        tmp_path / "released", files(study.task("puzzles"), study.model("small")), "puzzles", tmp_path / "t"
    )
    back, samples = read_table(tmp_path / "t.parquet"), read_table(tmp_path / "t.samples.parquet")
    assert len(back) == 6 * ROWS * 3 * 4
    kept = [name for name in measured.columns if name not in NULL]
    pd.testing.assert_frame_equal(back[kept], measured[kept], check_exact=True)
    keys = list(responses.columns[:7])
    assert keys[-1] == "loss"
    pd.testing.assert_frame_equal(samples[keys], responses[keys], check_exact=True)


def test_the_commands_work_from_the_study_alone(source, tmp_path, monkeypatch):
    monkeypatch.chdir(source.folder)
    options = ["--study", "config/small.yaml", "--model", "small", "--task", "titles", "--out", str(tmp_path / "t")]
    assert main(["import-released", *options]) == 0
    assert len(read_table(tmp_path / "t.parquet")) == 8 * ROWS * LAYERS * 4
    assert (tmp_path / "t.import.csv").read_text() == "file,line,used,problem\n"


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
