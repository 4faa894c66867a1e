"""The library on models as a researcher has them: trainable, in training mode, in a loop of their own."""

import runpy
import sys

import numpy as np
import pandas as pd
import peft
import pytest
import torch
from oracle import dense_gradients, dense_statistics, split_gradients
from transformers import AutoModelForCausalLM

import layergrad
from layergrad.contracts.errors import UserError
from layergrad.models.tokens import encode

PAIRS = [
    ("What is 2 + 2?", "4"),
    ("How many legs has a spider?", "A spider has eight legs, as all arachnids do."),
    ("Name a colour.", "Red"),
]


@pytest.fixture
def model(tiny_model):
    model = tiny_model().train().requires_grad_(True)
    model.set_attn_implementation("sdpa")  # eager attention gives NaN where float64 meets positions that see nothing
    return model


def test_measure_agrees_with_dense_autograd_and_leaves_the_model_as_it_was(model, tokenizer):
    table = layergrad.measure(model, tokenizer, PAIRS)
    assert model.training
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert (table["status"] == "ok").all()
    model.eval()
    for index, (prompt, response) in enumerate(PAIRS):
        encoded = encode(tokenizer, prompt, response)
        loss, gradients = dense_gradients(model, list(encoded.ids), encoded.start)
        rows = table[table["sample_index"] == index].set_index(["layer", "projection"])
        assert rows["loss"].unique() == pytest.approx([loss], rel=1e-6)
        assert len(rows) == len(gradients)
        for key, gradient in gradients.items():
            for name, truth in dense_statistics(gradient).items():
                error = abs(rows.loc[key, name] - truth)
                assert error < 1e-6 * (np.abs(gradient).max() if name.startswith("grad_") else truth), (key, name)


def test_singular_values_are_those_of_the_dense_gradient(model, tokenizer):
    found = layergrad.singular_values(model, tokenizer, PAIRS)
    model.eval()
    for (prompt, response), values in zip(PAIRS, found, strict=True):
        encoded = encode(tokenizer, prompt, response)
        _, gradients = dense_gradients(model, list(encoded.ids), encoded.start)
        assert set(values) == set(gradients)
        for key, gradient in gradients.items():
            truth = np.linalg.svd(gradient, compute_uv=False)
            np.testing.assert_allclose(values[key], truth[: len(values[key])], atol=1e-6 * truth[0])
            assert truth[len(values[key]) :].sum() < 1e-6 * truth[0]


def test_a_pair_that_cannot_be_measured_is_told(model, tokenizer):
    pairs = [PAIRS[0], ("long " * 100, "x")]
    table = layergrad.measure(model, tokenizer, pairs, max_length=50)
    assert table.groupby("sample_index").size().to_dict() == {0: 12, 1: 1}
    assert table["reason"].iloc[-1].startswith("no response token left")
    with pytest.raises(UserError, match="pair 1: no response token left"):
        layergrad.singular_values(model, tokenizer, pairs, max_length=50)
    with pytest.raises(UserError, match="no pair"):
        layergrad.measure(model, tokenizer, [])


def padded_batch(tokenizer, side):
    texts = [f"{prompt}\n{response}" for prompt, response in PAIRS]
    tokenizer.padding_side, tokenizer.pad_token = side, tokenizer.convert_ids_to_tokens(0)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    batch.pop("token_type_ids", None)
    batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return batch


@pytest.mark.parametrize("side", ["left", "right"])
def test_watch_measures_the_gradient_that_the_optimiser_gets(model, tokenizer, side):
    batch = padded_batch(tokenizer, side)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    with layergrad.watch(model, extremes=True) as gradients:
        for step in range(3):
            model(**batch).loss.backward()
            truth = split_gradients(model)
            table = gradients.take()
            assert table["backward"].unique().tolist() == [step]
            for row in table.to_dict("records"):
                gradient = truth[row["layer"], row["projection"]]
                for name, value in dense_statistics(gradient).items():
                    allowed = 1e-6 * (np.abs(gradient).max() if name.startswith("grad_") else value)
                    assert row[name] == pytest.approx(value, abs=allowed), (name, row)
            optimiser.step()
            optimiser.zero_grad()
    model(**batch).loss.backward()
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("reentrant", [True, False])
def test_watch_and_gradient_checkpointing(model, tokenizer, reentrant):
    batch = padded_batch(tokenizer, "right")
    with layergrad.watch(model) as gradients:
        model(**batch).loss.backward()
        plain = gradients.take()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        model.enable_input_require_grads()
        model(**batch).loss.backward()
        checkpointed = gradients.take()
    pd.testing.assert_frame_equal(plain.drop(columns="backward"), checkpointed.drop(columns="backward"), rtol=1e-6)


def test_a_model_with_adapters_is_measured_at_its_base_weights(model, tokenizer):
    """The gradient of the base weight, which LoRA never forms; the adapters, with weights of their own, take part."""
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.2)
    batch = padded_batch(tokenizer, "right")
    with layergrad.watch(adapted) as gradients:
        adapted(**batch).loss.backward()
        watched = gradients.take().set_index(["layer", "projection"])["nuclear_norm"]
    table = layergrad.measure(adapted, tokenizer, PAIRS[:1])
    assert {name for name, w in adapted.named_parameters() if w.requires_grad} == {
        name for name, _ in adapted.named_parameters() if "lora_" in name
    }
    norms = table.set_index(["layer", "projection"])["nuclear_norm"]
    adapted.eval().requires_grad_(True)
    encoded = encode(tokenizer, *PAIRS[0])
    for measured, text in ((watched, batch), (norms, {"input_ids": torch.tensor([encoded.ids])})):
        labels = text["input_ids"].clone()
        labels[:, : encoded.start] = -100
        adapted.zero_grad()
        adapted(**({"labels": labels} | dict(text))).loss.backward()
        for layer, projection in (0, "q"), (2, "v"):
            module = getattr(model.model.layers[layer].self_attn, f"{projection}_proj").base_layer
            truth = np.linalg.svd(module.weight.grad.numpy(), compute_uv=False).sum()
            assert measured[layer, projection] == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("example", ["measure_pairs", "watch_fine_tuning"])
def test_examples_run(example, root, tiny_model_folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [example, str(tiny_model_folder)])
    before = AutoModelForCausalLM.from_pretrained(tiny_model_folder).state_dict()
    runpy.run_path(str(root / "examples" / f"{example}.py"))
    printed = capsys.readouterr().out
    assert {"measure_pairs": "irrelevant", "watch_fine_tuning": "step 3: loss"}[example] in printed
    after = AutoModelForCausalLM.from_pretrained(tiny_model_folder).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
