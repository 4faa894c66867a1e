"""The authors' format: where files lie, from it to the tables and back, and files that are not as they should be."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from released_files import (
    COLUMNS,
    LAYERS,
    NUMBERS,
    ROWS,
    data_of,
    exported,
    imported,
    line,
    tables_of,
    written,
)
from test_paper_data import file_of

from layergrad.cli import main
from layergrad.contracts.config.load import load_study
from layergrad.contracts.keys import sample_id
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, read_table
from layergrad.gradients.extract import extract
from layergrad.gradients.settings import Settings
from layergrad.models.load import ModelOrigin, origin_facts
from layergrad.released.exporting import export_released
from layergrad.released.importing import import_released
from layergrad.released.layout import files
from layergrad.statistics.measured import read_measured

NULL = ["rank_bound", "effective_rank", "stable_rank"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A sound study in the authors' layout."""
    return written(tmp_path_factory.mktemp("source"))


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
