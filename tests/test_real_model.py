"""The real models against dense float64 autograd and SVD. Slow."""

import json

import numpy as np
import pytest
import torch
from oracle import dense_gradients, dense_statistics
from transformers import AutoModelForCausalLM, AutoTokenizer

from layergrad.cli import main
from layergrad.contracts.config.load import load_study
from layergrad.contracts.tables import read_table
from layergrad.gradients.measure import Measurer
from layergrad.models.load import ModelOrigin, load_model, load_tokenizer
from layergrad.models.prepare import prepare_model, read_card
from layergrad.models.tokens import encode

pytestmark = pytest.mark.slow

RELATIVE = ("nuclear_norm", "spectral_norm", "frobenius_norm", "grad_max", "grad_min")
OWN_ROWS = [
    {"instruction": "A farmer has 17 hens and buys 25 more. How many hens are there?", "output": "42"},
    {"instruction": "What is 12 * 12?", "output": "12 * 12 is 12 * 10 + 12 * 2 = 120 + 24 = 144."},
]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory, root):
    """SmolLM2-135M-Instruct from its package, converted once."""
    folder = tmp_path_factory.mktemp("models") / "smollm2"
    prepare_model(load_study(root / "config/config.yaml").models[0], folder)
    return folder


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory, root):
    """Gemma 3 270M from its four packages, joined and converted once."""
    folder = tmp_path_factory.mktemp("models") / "gemma3"
    name = "gemma-3-270m"
    prepare_model(
        load_study(root / "config/config.yaml", {"models": [name], "length_tokenizer": name}).model(name), folder
    )
    return folder


@pytest.fixture(scope="module")
def own_rows():
    """Two rows that are always there."""
    return OWN_ROWS


@pytest.fixture(scope="module")
def paper_rows(released_data):
    """First two rows of the paper's GSM8K without chain of thought."""
    return json.loads((released_data / "cot_500/gsm8k_train_no_cot.json").read_text())[:2]


@pytest.mark.parametrize(
    ("model", "rows"),
    [("smollm2", "own_rows"), ("smollm2", "paper_rows"), ("gemma3", "own_rows")],
    ids=["smollm2", "smollm2, the paper's rows", "gemma3"],
)
def test_extract_agrees_with_dense_float64(model, rows, request, tmp_path):
    folder, rows = request.getfixturevalue(model), request.getfixturevalue(rows)
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(rows))
    assert (
        main(["extract", "--model", str(folder), "--data", str(data), "--paper-compat", "--out", str(tmp_path / "g")])
        == 0
    )
    table = read_table(tmp_path / "g.parquet").set_index(["sample_index", "layer", "projection"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    exact = in_float64(folder)
    worst = dict.fromkeys((*RELATIVE, "grad_mean"), 0.0)
    for index, row in enumerate(rows):
        before = row["instruction"] + "\n"
        ids, start = tokenizer(before + row["output"]).input_ids, len(tokenizer(before).input_ids)
        _, gradients = dense_gradients(exact, ids, start)
        note_worst(worst, {key: table.loc[(index, *key)] for key in gradients}, gradients)
    print({name: f"{value:.1e}" for name, value in worst.items()})
    assert max(worst[name] for name in RELATIVE) < 1e-4
    assert worst["grad_mean"] < 1e-5


def in_float64(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()


def note_worst(worst, rows, gradients):
    """Raise the largest relative deviations to those of one sample; the mean's is relative to the mean entry."""
    for key, gradient in gradients.items():
        truth = dense_statistics(gradient)
        for name in RELATIVE:
            worst[name] = max(worst[name], abs(rows[key][name] / truth[name] - 1))
        error = abs(rows[key]["grad_mean"] - truth["grad_mean"]) / np.abs(gradient).mean()
        worst["grad_mean"] = max(worst["grad_mean"], error)


@pytest.mark.parametrize("threads", [1, 2])
def test_few_response_tokens_are_as_exact_as_many(smollm2, threads):
    """One and three of them, alone and together.

    Where fewer than four rows go through the head, torch's float32 product over the vocabulary puts the extreme entries
    off by 9e-4; a float32 log-softmax puts them off by 1.3e-4.
    """
    tokenizer, exact = AutoTokenizer.from_pretrained(smollm2), in_float64(smollm2)
    texts = [("What is the capital of France?", "Paris"), (OWN_ROWS[0]["instruction"], " 42")]
    batch = [encode(tokenizer, *text) for text in texts]
    assert [encoded.n_response for encoded in batch] == [1, 3]
    torch.set_num_threads(threads)
    measurer = Measurer(load_model(ModelOrigin(str(smollm2))))
    worst = dict.fromkeys((*RELATIVE, "grad_mean"), 0.0)
    for encoded, together in zip(batch, measurer.measure(batch), strict=True):
        _, gradients = dense_gradients(exact, list(encoded.ids), encoded.start)
        for measured in (together, *measurer.measure([encoded])):
            rows = {(row["layer"], row["projection"]): row for row in measurer.rows(measured, encoded)}
            note_worst(worst, rows, gradients)
    print({name: f"{value:.1e}" for name, value in worst.items()})
    assert max(worst.values()) < 5e-5


def test_gemma_3_is_converted_as_it_was_trained(gemma3, root):
    """Its settings are those of the Gemma 3 report and it predicts English; a wrong one of them costs it that.

    On the licence, 1,234 tokens, it measured 2.23 nats a token; local layers with the theta of the global ones 4.04, a
    window of 1,024 tokens 4.20, all layers global 4.27. Norms without their offset or unscaled embeddings give over 12.
    """
    _, origin = read_card(gemma3 / "card.json")
    tokenizer, model = load_tokenizer(origin), load_model(origin)
    config = model.config
    assert config.layer_types == 3 * [*5 * ["sliding_attention"], "full_attention"]
    assert [config.rope_parameters[kind]["rope_theta"] for kind in ("sliding_attention", "full_attention")] == [
        1e4,
        1e6,
    ]
    assert (config.sliding_window, config.head_dim, config.query_pre_attn_scalar) == (512, 256, 256)
    assert config._attn_implementation == "sdpa"
    assert not any(weight.requires_grad for weight in model.parameters())

    assert tokenizer("").input_ids == [tokenizer.bos_token_id] == [2]
    assert tokenizer.decode(tokenizer("a\n\nb  c 12 é").input_ids[1:]) == "a\n\nb  c 12 é"
    short = (
        "Albert Einstein was a German-born theoretical physicist who is best known for developing the theory of "
        "relativity. He received the Nobel Prize in Physics in 1921. The quick brown fox ran through the quiet village "
        "until it reached the edge of the forest, where it stopped to rest."
    )
    licence = (root / "LICENSE").read_text()[:6000]
    for text in (short, licence):
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.no_grad():
            loss = model(ids, labels=ids).loss.item()
        print(f"{ids.shape[1]} tokens: {loss:.2f} nats")
        assert loss < 3
    asked = tokenizer("The opposite of hot is", return_tensors="pt")
    answer = model.generate(**asked, max_new_tokens=1, do_sample=False)[0, -1]
    assert tokenizer.decode(answer).strip() == "cold"
