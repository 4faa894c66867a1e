"""Models loaded: the attention that gives the model's own numbers, devices, types of numbers."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from layergrad.contracts.errors import UserError
from layergrad.models.load import ModelOrigin, load_model, load_skeleton, resolve_attention, resolve_device

IDS = torch.arange(1, 40)[None]


@pytest.fixture
def saved(tiny_model, tmp_path):
    """Make a tiny model in a folder of its own."""

    def make(model_type, name, **changes):
        tiny_model(model_type, torch.float32, **changes).save_pretrained(tmp_path / name)
        return ModelOrigin(str(tmp_path / name))

    return make


def logits(model):
    return model(IDS).logits


def test_auto_keeps_the_capped_scores_of_gemma_2(saved):
    """Fused attention would leave the cap out: what it gives is the model without one."""
    capped, plain = (
        saved("gemma2", name, head_dim=8, attn_logit_softcapping=cap)
        for name, cap in (("capped", 1.0), ("plain", None))
    )
    model = load_model(capped)
    assert model.config._attn_implementation == resolve_attention(load_skeleton(capped), "auto") == "eager"
    uncapped = load_model(plain)
    uncapped.config._attn_implementation = "sdpa"
    torch.testing.assert_close(logits(model), logits(load_model(capped, attention="eager")), rtol=0, atol=0)
    torch.testing.assert_close(logits(uncapped), logits(load_model(plain)), rtol=1e-4, atol=1e-5)
    assert (logits(model) - logits(uncapped)).abs().max() > 0.01


def test_sdpa_on_gemma_2_is_refused(saved):
    origin = saved("gemma2", "capped", head_dim=8)
    with pytest.raises(UserError, match=r"^Gemma2ForCausalLM cannot run sdpa attention; choose auto or eager$"):
        resolve_attention(load_skeleton(origin), "sdpa")
    with pytest.raises(UserError, match="Gemma2ForCausalLM does not support"):
        load_model(origin, attention="sdpa")


@pytest.mark.parametrize(("wanted", "run"), [("auto", "sdpa"), ("sdpa", "sdpa"), ("eager", "eager")])
def test_attention_of_other_models(saved, wanted, run):
    origin = saved("llama", "llama")
    model = load_model(origin, attention=wanted)
    assert model.config._attn_implementation == resolve_attention(load_skeleton(origin), wanted) == run
    truth = AutoModelForCausalLM.from_pretrained(origin.name_or_path, attn_implementation="eager", dtype=torch.float64)
    torch.testing.assert_close(logits(model).double(), logits(truth), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_weights_are_loaded_in_the_dtype_asked_for_and_frozen(saved, dtype):
    origin = saved("llama", "llama")
    model = load_model(origin, dtype)
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, dtype)}
    assert not any(weight.requires_grad for weight in model.parameters())
    assert not model.training
    truth = AutoModelForCausalLM.from_pretrained(origin.name_or_path, dtype=torch.float32).state_dict()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, truth[name].to(weight.dtype), rtol=0, atol=0)


def test_devices_of_a_machine_with_none_but_its_processor(monkeypatch, saved):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto", "float64") == torch.device("cpu")
    for absent in ("cuda", "cuda:1", "mps"):
        with pytest.raises(UserError, match=rf"^device {absent}: not on this machine, which has cpu$"):
            resolve_device(absent, "float32")
    with pytest.raises(UserError, match="device cuda: not on this machine"):
        load_model(saved("llama", "llama"), device_map="auto")


def test_devices_of_a_machine_with_gpus(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert resolve_device("auto", "float32") == torch.device("mps")
    with pytest.raises(UserError, match=r"^device auto: MPS has no float64; choose float32, or the device cpu$"):
        resolve_device("auto", "float64")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto", "float64") == resolve_device("cuda", "float64") == torch.device("cuda:0")
    assert resolve_device("cuda:1", "float32") == torch.device("cuda:1")
    with pytest.raises(UserError, match=r"device cuda:2: not on this machine, which has cuda:0, cuda:1, mps, cpu"):
        resolve_device("cuda:2", "float32")
