"""layergrad score: against autograd and a full decomposition, in every format, in shards, stopped, and refused."""

import json

import numpy as np
import pandas as pd
import pytest
from oracle import dense_gradients
from row_files import write_rows
from transformers import AutoModelForCausalLM

from layergrad.cli import main
from layergrad.gradients import loading
from layergrad.gradients.measure import Measurer
from layergrad.models.tokens import encode
from layergrad.statistics.scores import length_share

WORDS = "one two three four five six seven eight nine ten"
ROWS = [
    {"instruction": "Count.", "output": " ".join(WORDS.split()[:count]), "note": "é", "nested": {"id": [count]}}
    for count in (1, 3, 5, 8)
] + [{"instruction": f"{WORDS} {WORDS}", "output": "yes", "note": "", "nested": None}]


@pytest.fixture
def data(tmp_path):
    """Five rows, the prompt of the last longer than 60 tokens."""
    return write_rows(tmp_path / "mine.jsonl", ROWS)


def read(path):
    match path.suffix:
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case ".json":
            return json.loads(path.read_text())
        case ".csv":
            return pd.read_csv(path).to_dict("records")
    return pd.read_parquet(path).to_dict("records")


def score(data, model, *options):
    return main(["score", str(data), "--model", str(model), *map(str, options)])


def slow_scores(folder, tokenizer, row, layers):
    """Mean over layers and projections of the sum of singular values, and of the exponential of their entropy."""
    # The softmax of transformers' eager attention is in float32 whatever the dtype.
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa").double()
    encoded = encode(tokenizer, row["instruction"], row["output"])
    _, gradients = dense_gradients(model, list(encoded.ids), encoded.start)
    norms, ranks = [], []
    for (layer, _), gradient in gradients.items():
        if layer in layers:
            values = np.linalg.svd(gradient, compute_uv=False)
            shares = values[values > 0] / values.sum()
            norms.append(values.sum())
            ranks.append(np.exp(-(shares * np.log(shares)).sum()))
    return np.mean(norms), np.mean(ranks)


@pytest.mark.parametrize("layers", [range(3), range(1, 3)], ids=str)
def test_scores_are_those_of_autograd_and_a_full_decomposition(data, tiny_model_folder, tokenizer, layers):
    assert score(data, tiny_model_folder, "--dtype", "float64", "--layers", f"{layers[0]}-{layers[-1]}") == 0
    for row, scored in zip(ROWS, read(data.with_name("mine.scored.jsonl")), strict=True):
        norm, rank = slow_scores(tiny_model_folder, tokenizer, row, layers)
        assert scored["nuclear_norm"] == pytest.approx(norm, rel=1e-9)
        assert scored["effective_rank"] == pytest.approx(rank, rel=1e-9)
        assert np.mean([scored[f"nuclear_norm_{name}"] for name in "qkvo"]) == pytest.approx(norm, rel=1e-9)
        assert {name: scored[name] for name in row} == row


def test_how_much_is_only_length_is_said_of_these_rows(data, tiny_model_folder, capsys):
    assert score(data, tiny_model_folder) == 0
    scored = pd.DataFrame(read(data.with_name("mine.scored.jsonl")))
    expected = {
        name: np.corrcoef(np.log(scored[name]), np.log(scored["n_response_tokens"]))[0, 1] ** 2
        for name in ("nuclear_norm", "effective_rank")
    }
    assert length_share(scored) == pytest.approx(expected)
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"{expected['nuclear_norm']:.0%} of the variance of log nuclear_norm" in line
    assert f"{expected['effective_rank']:.0%} of the variance of log effective_rank" in line


def test_two_lengths_tell_nothing_of_length(data, tiny_model_folder, capsys):
    assert score(data, tiny_model_folder, "--limit", "2") == 0
    assert "cannot be told" in capsys.readouterr().out
    assert len(read(data.with_name("mine.scored.jsonl"))) == 2


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_every_format_keeps_its_rows_and_gets_the_same_scores(data, tiny_model_folder, tmp_path, suffix):
    other = write_rows(tmp_path / f"mine{suffix}", ROWS)
    for path in (data, other):
        assert score(path, tiny_model_folder, "--out", tmp_path / f"out{path.suffix}") == 0
    expected, found = read(tmp_path / "out.jsonl"), read(tmp_path / f"out{suffix}")
    for one, row, before in zip(expected, found, read(other), strict=True):
        assert {name: repr(row[name]) for name in before} == {name: repr(value) for name, value in before.items()}
        assert list(row) == list(one)
        assert row["nuclear_norm"] == pytest.approx(one["nuclear_norm"], rel=1e-12)
        assert (row["status"], row["n_response_tokens"]) == (one["status"], one["n_response_tokens"])


def test_a_row_that_fails_has_a_reason_and_no_score(data, tiny_model_folder):
    assert score(data, tiny_model_folder, "--max-length", "60") == 0
    *others, failed = read(data.with_name("mine.scored.jsonl"))
    assert failed["nuclear_norm"] is failed["effective_rank"] is failed["loss"] is None
    assert failed["status"] == "failed"
    assert failed["reason"].startswith("no response token left")
    assert all(row["nuclear_norm"] > 0 and row["reason"] is None for row in others)


def test_shards_are_the_whole_and_say_each_rows_place(data, tiny_model_folder, tmp_path):
    assert score(data, tiny_model_folder, "--out", tmp_path / "whole.jsonl") == 0
    long = write_rows(tmp_path / "long.jsonl", [row | {"output": f"{WORDS} " * 8 + row["output"]} for row in ROWS])
    for shard in ("1/1", "1/2", "2/2"):
        assert score(long, tiny_model_folder, "--out", tmp_path / "s.jsonl", "--shard", shard) == 0
    parts = [read(tmp_path / f"s.shard-{shard}-of-2.jsonl") for shard in (1, 2)]
    assert all(parts)
    joined = sorted([row for part in parts for row in part], key=lambda row: row["sample_index"])
    assert joined == read(tmp_path / "s.jsonl")
    assert [row["sample_index"] for row in joined] == list(range(len(ROWS)))


def test_it_goes_on_where_it_stopped_and_other_layers_cost_nothing(data, tiny_model_folder, tmp_path, monkeypatch):
    long = write_rows(tmp_path / "long.jsonl", [row | {"output": f"{WORDS} " * 8 + row["output"]} for row in ROWS])
    assert score(long, tiny_model_folder, "--out", tmp_path / "undisturbed.jsonl") == 0
    measure, measured = Measurer.measure, []

    def stopping(self, batch):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.extend([None])
        return measure(self, batch)

    monkeypatch.setattr(Measurer, "measure", stopping)
    with pytest.raises(KeyboardInterrupt):
        score(long, tiny_model_folder, "--out", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    again = []
    monkeypatch.setattr(Measurer, "measure", lambda self, batch: again.extend(batch) or measure(self, batch))
    assert score(long, tiny_model_folder, "--out", tmp_path / "out.jsonl") == 0
    assert 0 < len(again) < len(ROWS)
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()
    monkeypatch.setattr(loading, "load_model", None)
    assert score(long, tiny_model_folder, "--out", tmp_path / "out.jsonl", "--layers", "0-0") == 0
    gradients = pd.read_parquet(tmp_path / "out.gradients.parquet")
    first = gradients[(gradients["layer"] == 0) & (gradients["sample_index"] == 0)]
    assert read(tmp_path / "out.jsonl")[0]["nuclear_norm"] == pytest.approx(first["nuclear_norm"].mean())


BAD = {
    "a field that is there": (
        [ROWS[0] | {"nuclear_norm": 1}],
        [],
        "has a field nuclear_norm already, which would be added; rename it or leave it out",
    ),
    "the data itself": (ROWS, ["--out", "{folder}/bad.jsonl"], "this is the data itself"),
    "another kind of file": (ROWS, ["--out", "{folder}/out.csv"], "a file of the same kind as the data"),
    "layers that are not there": (ROWS, ["--layers", "1-3"], "--layers 1-3: allowed are layers from 0 to 2"),
}


@pytest.mark.parametrize(("rows", "options", "line"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_is_one_line_before_anything_is_measured(
    rows, options, line, tiny_model_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(loading, "load_model", None)
    path = write_rows(tmp_path / "bad.jsonl", rows)
    assert score(path, tiny_model_folder, *(option.format(folder=tmp_path) for option in options)) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1, error
    assert line in error[0]
    assert [file.name for file in tmp_path.iterdir()] == ["bad.jsonl"]


@pytest.mark.parametrize("layers", ["3", "5-2", "a-b"])
def test_layers_that_are_no_range(layers, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["score", "d.jsonl", "--model", "m", "--layers", layers])
    assert stop.value.code == 2
    assert "allowed is A-B" in capsys.readouterr().err
