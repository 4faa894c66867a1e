"""layergrad preview: every token of a row, in its part, as it is measured."""

import json

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from layergrad.cli import main
from layergrad.contracts.tables import read_table
from layergrad.models.preview import BETWEEN, token_texts

ROWS = [
    {"instruction": "How many pens?", "output": "7 pens"},
    {"instruction": "Add.", "input": "2 and 3", "output": "2 + 3 = 5"},
    {"messages": "not looked at", "instruction": "Stop\x1b[31m\tthere.", "output": "One\ntwo"},
]


@pytest.fixture
def data(tmp_path):
    """A file with three rows."""
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def shown(capsys, *arguments):
    """The parts that a call prints: the line of counts, then by title."""
    assert main(["preview", *map(str, arguments)]) == 0
    counts, *parts = capsys.readouterr().out.split("--- ")
    titled = [part.rstrip("\n").partition("\n") for part in parts]
    return counts.strip(), {title.partition(",")[0]: text for title, _, text in titled}


def test_parts_are_the_text_and_the_loss_is_where_it_is_measured(tiny_model_folder, data, tmp_path, capsys):
    assert main(["extract", "--model", str(tiny_model_folder), "--data", data, "--out", str(tmp_path / "g")]) == 0
    measured = read_table(tmp_path / "g.samples.parquet").set_index("sample_index").sort_index()
    for row, (prompt, response) in enumerate([("How many pens?", "7 pens"), ("Add.\n2 and 3", "2 + 3 = 5")]):
        counts, parts = shown(capsys, "--model", tiny_model_folder, "--data", data, "--row", row + 1)
        assert parts["the prompt"].replace(BETWEEN, "").replace("↵", "") == prompt
        assert parts["the prompt"].endswith("↵")
        assert parts["the response"].replace(BETWEEN, "") == response
        assert len(parts["the response"].split(BETWEEN)) == measured.loc[row, "n_response_tokens"]
        assert len(parts["the prompt"].split(BETWEEN)) == measured.loc[row, "n_prompt_tokens"]
        assert counts.endswith("nothing is cut off")


def test_what_is_cut_off(tiny_model_folder, data, capsys):
    options = ["--model", tiny_model_folder, "--data", data]
    _, whole = shown(capsys, *options)
    tokens = len(whole["the prompt"].split(BETWEEN)) + 2
    counts, parts = shown(capsys, *options, "--max-length", tokens)
    assert len(parts["the response"].split(BETWEEN)) == 2
    assert f"{parts['the response']}{BETWEEN}{parts['cut off']}" == whole["the response"]
    assert f"2 of response; {len(parts['cut off'].split(BETWEEN))} more are cut off" in counts


def test_control_characters_of_the_data_command_no_terminal(tiny_model_folder, data, capsys):
    _, parts = shown(capsys, "--model", tiny_model_folder, "--data", data, "--row", 3)
    assert "\x1b" not in parts["the prompt"]
    assert parts["the prompt"].replace(BETWEEN, "") == "Stop␛[31m⇥there.↵"
    assert parts["the response"].replace(BETWEEN, "") == "One↵\ntwo"


def test_blanks_show_where_a_decoder_drops_the_first_one():
    """As Llama 2's does, whose tokens begin with the blank before a word."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.train_from_iterator(["a cat sat on a mat"] * 9, trainers.BpeTrainer(special_tokens=["<unk>"]))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    ids = fast("a cat sat", add_special_tokens=False).input_ids
    assert fast.decode(ids[1:]).startswith("cat")
    assert token_texts(fast, tuple(ids)) == [" a", " cat", " sat"]


def test_a_character_over_several_tokens(tokenizer):
    ids = tokenizer("語", add_special_tokens=False).input_ids
    assert len(ids) == 3
    assert token_texts(tokenizer, tuple(ids)) == ["\ufffd"] * 3


def test_a_row_that_is_not_there(tiny_model_folder, data, capsys):
    assert main(["preview", "--model", str(tiny_model_folder), "--data", data, "--row", "4"]) == 2
    assert capsys.readouterr().err == f"layergrad preview: --row 4: {data} has 3 rows\n"
