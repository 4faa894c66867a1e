"""Cosines between gradients of one response, against dense float64 autograd and plain flattening."""

import architectures
import numpy as np
import pandas as pd
import pytest
import torch
from architectures import DECODERS, DENSE
from oracle import dense_gradients
from transformers import AutoModelForCausalLM, AutoTokenizer

from layergrad.cli import main
from layergrad.contracts.config.load import load_study
from layergrad.contracts.tables import read_table
from layergrad.gradients.capture import Factors
from layergrad.gradients.measure import Measurer
from layergrad.gradients.similarity import Similarity, comparable, inner_product
from layergrad.models.load import ModelOrigin, load_model
from layergrad.models.prepare import prepare_model
from layergrad.models.projections import Projection
from layergrad.models.tokens import EncodedResponse, encode


def sample(length, start, seed):
    ids = np.random.default_rng(seed).integers(0, 400, length)
    return EncodedResponse(tuple(int(i) for i in ids), start, truncated=False)


def cosine(a, b):
    return (a.ravel() @ b.ravel()) / np.sqrt((a.ravel() @ a.ravel()) * (b.ravel() @ b.ravel()))


def expected(gradients):
    """By (kind, layer, projection): the cosine of two dense gradients, or None where there is none."""
    pairs = {}
    for layer, name in gradients:
        if (layer + 1, name) in gradients:
            pairs["adjacent", layer, name] = gradients[layer, name], gradients[layer + 1, name]
        if name == "q":
            pairs["qo", layer, name] = gradients[layer, "q"], gradients[layer, "o"]
        if name == "k":
            pairs["kv", layer, name] = gradients[layer, "k"], gradients[layer, "v"]
    return {
        key: cosine(a, b) if a.shape == b.shape and (a != 0).any() and (b != 0).any() else None
        for key, (a, b) in pairs.items()
    }


def found(measurer, measured, encoded):
    rows = [row for row in measurer.rows(measured, encoded) if "kind" in row]
    by_key = {(row["kind"], row["layer"], row["projection"]): row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


@pytest.mark.parametrize("decoder", DECODERS)
def test_cosines_of_a_padded_batch_agree_with_dense_autograd(tiny_model, decoder):
    """Short responses are compared by their Gram matrices, long ones by the gradients themselves.

    To 1e-5: the softmax of eager attention is in float32 also in a float64 model.
    """
    model = architectures.make(tiny_model, decoder, num_hidden_layers=2)
    which = "attention+mlp" if decoder in DENSE else "attention"
    batch = [sample(60, 20, 0), sample(12, 5, 1), sample(2, 1, 2)]
    measurer = Measurer(model, which=which, similarity=True)
    for encoded, measured in zip(batch, measurer.measure(batch), strict=True):
        _, gradients = dense_gradients(model, list(encoded.ids), encoded.start, which == "attention+mlp")
        rows, truth = found(measurer, measured, encoded), expected(gradients)
        assert set(rows) == set(truth)
        for key, value in truth.items():
            if value is not None and np.isfinite(value):
                assert rows[key]["cosine"] == pytest.approx(value, abs=1e-5), key
                assert rows[key]["cosine_reason"] is None
            else:
                assert rows[key]["cosine"] is None
                assert rows[key]["cosine_reason"]


def test_shapes_that_differ_and_zero_gradients_have_no_cosine_but_a_reason(tiny_model):
    model = tiny_model("llama", head_dim=12)  # q is 48 x 32, o is 32 x 48: the same size, other entries
    measurer = Measurer(model, similarity=True)
    [measured] = measurer.measure([sample(10, 4, 0)])
    reasons = {
        row["cosine_reason"] for key, row in found(measurer, measured, sample(10, 4, 0)).items() if key[0] == "qo"
    }
    assert reasons == {"shapes differ: 48 x 32 and 32 x 48"}
    one_key = EncodedResponse((3, 7), 1, truncated=False)
    [measured] = measurer.measure([one_key])
    rows = found(measurer, measured, one_key)
    assert rows["adjacent", 0, "q"]["cosine_reason"] == "a gradient is zero"
    assert rows["adjacent", 0, "v"]["cosine"] is not None


def test_neighbours_of_other_widths_have_no_cosine():
    widths = (4, 4, 6)
    rng = np.random.default_rng(0)
    similarity, norms, dense = Similarity(), {}, {}
    for layer in (2, 1, 0):
        projection = Projection(layer, "k", f"{layer}.k", torch.nn.Identity(), slice(None), widths[layer], 5)
        x, y = torch.from_numpy(rng.normal(size=(3, 5))), torch.from_numpy(rng.normal(size=(3, widths[layer])))
        similarity.receive(Factors(x, [projection], [y]))
        dense[layer] = (y.T @ x).numpy()
        norms[projection] = float(np.linalg.norm(dense[layer]))
    first, second = similarity.rows(norms)
    assert first["cosine"] == pytest.approx(cosine(dense[0], dense[1]), abs=1e-12)
    assert second["cosine"] is None
    assert second["cosine_reason"] == "shapes differ: 4 x 5 and 6 x 5"


@pytest.mark.parametrize("rows", [1, 5, 40, 2000])
@pytest.mark.parametrize(("outputs", "inputs"), [(30, 20), (3, 90), (1200, 1000)])
def test_both_ways_give_the_sum_of_the_products_of_all_entries(rows, outputs, inputs):
    rng = np.random.default_rng(rows)
    x1, x2 = (rng.normal(size=(rows, inputs)) for _ in range(2))
    y1, y2 = (rng.normal(size=(rows, outputs)) for _ in range(2))
    one, other = y1.T @ x1, y2.T @ x2
    x1, y1, x2, y2 = (torch.from_numpy(factor) for factor in (x1, y1, x2, y2))
    value = inner_product(comparable(x1, y1), comparable(x2, y2))
    assert value == pytest.approx((one * other).sum(), abs=1e-12 * np.linalg.norm(one) * np.linalg.norm(other))


def test_extract_writes_them_and_shards_merge_to_the_same_bytes(tiny_model_folder, tmp_path):
    rows = [{"instruction": f"Count {n} pens.", "output": "one two three " * n} for n in range(1, 8)]
    pd.DataFrame(rows).to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    given = ["extract", "--model", str(tiny_model_folder), "--data", str(tmp_path / "rows.jsonl"), "--similarity"]
    assert main([*given, "--out", str(tmp_path / "whole")]) == 0
    for shard in ("1/3", "2/3", "3/3"):
        assert main([*given, "--out", str(tmp_path / "cut"), "--shard", shard]) == 0
    assert main(["merge", str(tmp_path / "cut")]) == 0
    for end in (".parquet", ".samples.parquet", ".similarity.parquet"):
        assert (tmp_path / f"whole{end}").read_bytes() == (tmp_path / f"cut{end}").read_bytes()
    table = read_table(tmp_path / "whole.similarity.parquet")
    assert table.groupby("kind").size().to_dict() == {"adjacent": 7 * 2 * 4, "kv": 7 * 3, "qo": 7 * 3}
    assert table["cosine"].abs().le(1 + 1e-9).all()
    assert main([*given[:-1], "--out", str(tmp_path / "without")]) == 0
    assert not (tmp_path / "without.similarity.parquet").exists()
    with_it, without = (read_table(tmp_path / f"{name}.parquet") for name in ("whole", "without"))
    pd.testing.assert_frame_equal(with_it, without)


@pytest.mark.slow
def test_a_real_model_agrees_with_dense_float64(tmp_path, root):
    prepare_model(load_study(root / "config/config.yaml").model("smollm2-135m-instruct"), tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    reasoning = "First add 17 and 25. That is 42 hens, of which none is sold or given away. " * 40
    question = "A farmer has 17 hens and buys 25 more. How many hens are there?"
    batch = [encode(tokenizer, question, text) for text in (" 42", "17 + 25 = 42, so there are 42 hens.", reasoning)]
    measurer = Measurer(load_model(ModelOrigin(str(tmp_path / "model"))), similarity=True)
    exact = AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", dtype=torch.float64, attn_implementation="eager"
    ).eval()
    worst = 0.0
    for encoded in batch:
        [measured] = measurer.measure([encoded])
        _, gradients = dense_gradients(exact, list(encoded.ids), encoded.start)
        rows = found(measurer, measured, encoded)
        for key, value in expected(gradients).items():
            worst = max(worst, abs(rows[key]["cosine"] - value))
    print(f"{[len(encoded.ids) for encoded in batch]} tokens: {worst:.1e}")
    assert worst < 1e-5
