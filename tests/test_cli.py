"""The command line: tables of a user's own data, and bad input told in one line with exit code 2."""

import json
import re
import shutil

import pandas as pd
import pytest

from layergrad.cli import main
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, read_facts, read_table
from layergrad.gradients import loading

ROWS = [
    {"instruction": "How many pens?", "input": "", "output": "7"},
    {"instruction": "Add.", "input": "2 and 3", "output": "2 + 3 = 5"},
    {"instruction": "How many pens?", "input": "", "output": "7 pens, since 3 + 4 = 7."},
]


@pytest.fixture
def model(tiny_model_folder):
    """What --model is given here."""
    return tiny_model_folder


@pytest.fixture
def data(tmp_path):
    """A file with three rows."""
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_extract_writes_the_tables_of_the_contract(model, data, tmp_path):
    assert main(["extract", "--model", str(model), "--data", str(data), "--out", str(tmp_path / "out/g")]) == 0
    gradients, samples = read_table(tmp_path / "out/g.parquet"), read_table(tmp_path / "out/g.samples.parquet")
    assert list(gradients.columns) == [*GRADIENTS.names, "sample_index"]
    assert list(samples.columns) == [*MEASURED_SAMPLES.names, "sample_index"]
    assert len(gradients) == 3 * 3 * 4
    assert sorted(samples["sample_index"]) == [0, 1, 2]
    assert samples["sample_id"].nunique() == 3
    assert set(samples["task"]) == {"mine"}
    assert samples["variant"].isna().all()
    assert (samples["status"] == "ok").all()
    assert set(read_facts(tmp_path / "out/g.parquet")) == {
        "code",
        "model",
        "modules",
        "samples",
        "tokens",
        "settings",
        "versions",
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"g.parquet", "g.samples.parquet"}


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet"])
def test_every_format_gives_the_same_numbers(model, data, tmp_path, suffix):
    other = tmp_path / f"mine.{suffix}"
    frame = pd.DataFrame(ROWS)
    {"json": lambda: other.write_text(json.dumps(ROWS)), "csv": lambda: frame.to_csv(other, index=False)}.get(
        suffix, lambda: frame.to_parquet(other)
    )()
    for path, out in ((data, "a"), (other, "b")):
        assert main(["extract", "--model", str(model), "--data", str(path), "--out", str(tmp_path / out)]) == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_options_reach_the_measurement(model, data, tmp_path):
    options = ["--paper-compat", "--limit", "2", "--no-extremes", "--max-length", "64", "--dtype", "float64"]
    assert main(["extract", "--model", str(model), "--data", str(data), "--out", str(tmp_path / "g"), *options]) == 0
    settings = read_facts(tmp_path / "g.parquet")["settings"]
    assert (settings["paper_compat"], settings["max_length"], settings["dtype"]) == (True, 64, "float64")
    gradients = read_table(tmp_path / "g.parquet")
    assert len(gradients) == 2 * 3 * 4
    assert gradients["grad_max"].isna().all()
    assert gradients["grad_mean"].notna().all()


def test_shards_and_merge(model, data, tmp_path):
    extract = ["extract", "--model", str(model), "--data", str(data)]
    assert main([*extract, "--out", str(tmp_path / "whole")]) == 0
    for shard in ("1/2", "2/2"):
        assert main([*extract, "--out", str(tmp_path / "g"), "--shard", shard]) == 0
    assert main(["merge", str(tmp_path / "g")]) == 0
    assert (tmp_path / "g.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def torn(model, folder):
    """A copy of a model whose weights are cut short."""
    copy = shutil.copytree(model, folder / "torn")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    return str(copy)


def write(folder, name, content):
    path = folder / name
    path.write_text(content)
    return str(path)


BAD = {
    "no such data": (lambda f, m: [m, "nothing.jsonl"], "nothing.jsonl: there is no such file"),
    "empty file": (lambda f, m: [m, write(f, "a.jsonl", "")], "a.jsonl: the file is empty"),
    "no rows": (lambda f, m: [m, write(f, "a.json", "[]")], "a.json: "),
    "broken line": (
        lambda f, m: [m, write(f, "a.jsonl", '{"instruction": "a", "output": "b"}\n{"instr')],
        "a.jsonl:2: not valid JSON",
    ),
    "missing field": (
        lambda f, m: [m, write(f, "a.jsonl", '{"instruction": "a", "answer": "b"}')],
        "a.jsonl: field output is missing; found are instruction, answer",
    ),
    "empty output": (
        lambda f, m: [m, write(f, "a.json", json.dumps([ROWS[0], {"instruction": "a", "output": ""}]))],
        "a.json: row 2: output is ''; it must be text that is not empty",
    ),
    "output is a number": (
        lambda f, m: [m, write(f, "a.json", '[{"instruction": "a", "output": 3}]')],
        "a.json: row 1: output is 3",
    ),
    "unknown format": (lambda f, m: [m, write(f, "a.txt", "x")], r"a.txt: .*allowed are \.json"),
    "no such model": (lambda f, m: ["./no-model", write(f, "a.json", json.dumps(ROWS))], "./no-model: no such model"),
    "a model that is no model": (
        lambda f, m: [write(f, "m.bin", "x"), write(f, "a.json", json.dumps(ROWS))],
        "m.bin: not a GGUF file",
    ),
    "no tokenizer": (
        lambda f, m: [str((f / "bare").mkdir() or f / "bare"), write(f, "a.json", json.dumps(ROWS))],
        "bare: no tokenizer can be loaded from it",
    ),
    "no chat template": (
        lambda f, m: [m, write(f, "a.json", json.dumps(ROWS)), "--chat"],
        "its tokenizer has no chat template; use the plain prompt",
    ),
    "a torn model": (lambda f, m: [torn(m, f), write(f, "a.json", json.dumps(ROWS))], "torn: no model can be loaded"),
    "a hub that cannot be reached": (
        lambda f, m: ["nobody/nothing", write(f, "a.json", json.dumps(ROWS))],
        "nobody/nothing: no (tokenizer|model configuration) can be loaded from it",
    ),
}


SLOW = {"a hub that cannot be reached"}  # the hub's library tries again for a minute and more


@pytest.mark.parametrize(
    ("arguments", "line"),
    [pytest.param(*case, id=name, marks=[pytest.mark.slow] if name in SLOW else []) for name, case in BAD.items()],
)
def test_bad_input_is_one_line_before_the_model_loads(arguments, line, model, tmp_path, monkeypatch, capsys):
    load = loading.load_model
    loaded = []
    monkeypatch.setattr(loading, "load_model", lambda *given: loaded.append(load(*given)) or loaded[0])
    model, data, *options = arguments(tmp_path, str(model))
    assert main(["extract", "--model", model, "--data", data, "--out", str(tmp_path / "out/g"), *options]) == 2
    assert not loaded
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1, error
    assert re.search(line, error[0]), error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [["--shard", "3/2"], ["--shard", "x"], ["--limit", "0"], ["--dtype", "int8"], ["--speed"]]
)
def test_bad_options_are_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["extract", "--model", "m", "--data", "d", "--out", "o", *arguments])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_folder_for_out_is_refused(model, data, tmp_path, capsys):
    for out in (str(tmp_path), f"{tmp_path}/new/"):
        assert main(["extract", "--model", str(model), "--data", str(data), "--out", out]) == 2
        assert "a folder given" in capsys.readouterr().err


def test_estimate_tells_time_and_memory(root, capsys):
    assert main(["estimate", str(root / "config/config.yaml"), "--cores", "2"]) == 0
    assert "1128 responses" in capsys.readouterr().out
    assert main(["estimate", str(root / "config/released.yaml")]) == 0
    assert "read from released. No model is loaded" in capsys.readouterr().out
    assert main(["estimate", "nothing.yaml"]) == 2


@pytest.mark.parametrize(
    "command", ["init", "preview", "score", "extract", "merge", "estimate", "import-released", "export-released"]
)
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"layergrad {command}" in capsys.readouterr().out.partition("example:")[2]
