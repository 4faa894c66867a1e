"""Every projection of every architecture, entry by entry, against dense autograd and against what attention does."""

import contextlib
import re

import numpy as np
import pytest
import torch
import yaml
from architectures import DECODERS, DENSE, EXPERTS, make
from conftest import TINY
from oracle import dense_gradients, loss_with_gradients
from peft import LoraConfig, get_peft_model
from pydantic import ValidationError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from layergrad.contracts.config.modules import Modules
from layergrad.contracts.errors import UserError
from layergrad.models.projections import find_projections, fused_rows, module_names
from layergrad.models.registry import ARCHITECTURES

IDS = [5, 17, 5, 200, 31, 8, 8, 99, 310, 42]


@contextlib.contextmanager
def factors(projections):
    """Inputs X and output gradients Y of each projection's module, by hooks of this test's own."""
    x, y, hooks = {}, {}, []
    for p in projections:

        def forward(module, args, output, key=(p.layer, p.name)):
            # OPT's MLP sees the positions of all texts in one row of rows.
            x[key] = args[0].detach().flatten(0, -2)
            output.register_hook(lambda gradient: y.update({key: gradient.flatten(0, -2)}))

        hooks.append(p.module.register_forward_hook(forward))
    yield x, y
    for hook in hooks:
        hook.remove()


def factor_gradients(model, projections, ids, start):
    """What the rows and the factors of each projection give."""
    with factors(projections) as (x, y):
        loss_with_gradients(model, ids, start)
    keys = {(p.layer, p.name): p for p in projections}
    return {key: (y[key][:, p.rows].T @ x[key]).numpy() for key, p in keys.items()}


def assert_same(found, truth):
    assert list(found) == list(truth)
    for key, gradient in truth.items():
        assert found[key].shape == gradient.shape, key
        atol = 1e-9 * np.abs(gradient).max()
        np.testing.assert_allclose(found[key], gradient, rtol=0, atol=atol, err_msg=str(key))


def output_gradients(model, projections, ids, start):
    """Loss at the positions from ``start - 1`` on; the gradients at each projection's own outputs."""
    with factors(projections) as (_, y):
        loss_with_gradients(model, ids, start)
    return [(p.name, y[p.layer, p.name][:, p.rows]) for p in projections if p.name in "qkv"]


def assert_roles(model, projections):
    """With one key a query has no choice: the gradient is v's alone. With two, k has one at position 0, q has none."""
    for name, y in output_gradients(model, projections, IDS[:2], start=1):
        assert (y[0] != 0).all() if name == "v" else (y[0] == 0).all(), f"one key: {name}"
    for name, y in output_gradients(model, projections, IDS[:3], start=2):
        assert (y[0] == 0).all() if name == "q" else (y[0] != 0).all(), f"two keys, position 0: {name}"
        assert (y[1] != 0).all(), f"two keys, position 1: {name}"


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_projection_entry_by_entry(tiny_model, decoder):
    model = make(tiny_model, decoder)
    projections = find_projections(model, "attention+mlp" if decoder in DENSE else "attention")
    _, truth = dense_gradients(model, IDS, 4, mlp=decoder in DENSE)
    assert_same(factor_gradients(model, projections, IDS, 4), truth)
    assert [truth[p.layer, p.name].shape for p in projections] == [(p.d_out, p.d_in) for p in projections]
    assert all(np.abs(gradient).max() > 1e-6 for gradient in truth.values())


@pytest.mark.parametrize("decoder", [decoder for decoder in DECODERS if decoder != "gpt_oss"])
def test_each_part_plays_its_role_in_the_attention(tiny_model, decoder):
    """gpt_oss is left out: its sinks give a query a choice even with one key."""
    model = make(tiny_model, decoder)
    assert_roles(model, find_projections(model))


@pytest.mark.parametrize(
    ("decoder", "layout"),
    [("mpt", "heads"), ("gpt2", "heads"), ("gpt_neox", "blocks"), ("bloom", "blocks"), ("falcon groups", "blocks")],
)
def test_a_wrong_layout_shows_in_the_roles(tiny_model, decoder, layout):
    model = make(tiny_model, decoder)
    wrong = ARCHITECTURES[model.config.model_type].model_copy(update={"layout": layout})
    with pytest.raises(AssertionError, match="one key"):
        assert_roles(model, find_projections(model, modules=wrong))


def test_queries_and_keys_exchanged_show_in_the_roles(tiny_model):
    wrong = Modules(q="self_attn.k_proj", k="self_attn.q_proj", v="self_attn.v_proj", o="self_attn.o_proj")
    model = make(tiny_model, "llama")
    with pytest.raises(AssertionError, match="two keys, position 0"):
        assert_roles(model, find_projections(model, modules=wrong))


def test_rows_are_a_slice_where_they_can_be(tiny_model):
    def rows(decoder, which="attention"):
        return [p.rows for p in find_projections(make(tiny_model, decoder), which) if p.layer == 0]

    assert rows("llama") == [slice(None)] * 4
    assert rows("falcon multi-query") == [slice(0, 32), slice(32, 40), slice(40, 48), slice(None)]
    assert rows("phi3", "attention+mlp")[4:] == [slice(0, 64), slice(64, 128), slice(None)]
    assert [row.tolist() for row in rows("falcon groups")[1:3]] == [
        [*range(16, 24), *range(48, 56)],
        [*range(24, 32), *range(56, 64)],
    ]


DESCRIBED = {
    "mpt": """
        layers: transformer.blocks
        qkv: attn.Wqkv
        layout: blocks
        o: attn.out_proj
        up: ffn.up_proj
        down: ffn.down_proj
        """,
    "ctrl": """
        q: multi_head_attention.Wq
        k: multi_head_attention.Wk
        v: multi_head_attention.Wv
        o: multi_head_attention.dense
        up: ffn.0
        down: ffn.2
        """,
}


@pytest.mark.parametrize("model_type", DESCRIBED)
def test_modules_described_in_yaml(tiny_model, model_type):
    model = tiny_model(model_type, num_hidden_layers=2, dff=48)
    modules = Modules.model_validate(yaml.safe_load(DESCRIBED[model_type]))
    projections = find_projections(model, "attention+mlp", modules)
    assert_same(factor_gradients(model, projections, IDS, 4), dense_gradients(model, IDS, 4, mlp=True)[1])
    assert_roles(model, projections)


@pytest.mark.parametrize("decoder", ["llama", "gpt2"])
def test_adapters_are_looked_through(tiny_model, decoder):
    """The gradient of a base weight is that of the sum of base and adapter, which is one matrix in the merged model."""
    targets = {"llama": ["q_proj", "v_proj", "down_proj"], "gpt2": ["c_attn", "c_fc"]}[decoder]
    lora = LoraConfig(r=2, target_modules=targets, init_lora_weights=False, fan_in_fan_out=decoder == "gpt2")
    model = get_peft_model(make(tiny_model, decoder), lora, autocast_adapter_dtype=False).double().eval()
    projections = find_projections(model, "attention+mlp")
    assert any(p.module_name.endswith(".base_layer") for p in projections)
    found = factor_gradients(model, projections, IDS, 4)
    _, truth = dense_gradients(model.merge_and_unload(), IDS, 4, mlp=True)
    assert_same(found, truth)
    _, without = dense_gradients(make(tiny_model, decoder), IDS, 4, mlp=True)
    assert not np.allclose(truth[0, "q"], without[0, "q"])


def test_only_the_language_model_of_a_multimodal_model(tiny_model):
    """The vision tower has as many layers, with modules of the same names."""
    text = {"head_dim": 12, "num_hidden_layers": 2, **{key: TINY[key] for key in TINY if key != "num_hidden_layers"}}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    model = tiny_model("gemma3", text_config=text, vision_config=vision | {"image_size": 28, "patch_size": 14})
    assert any("vision_tower" in name and name.endswith("q_proj") for name, _ in model.named_modules())
    projections = find_projections(model, "attention+mlp")
    assert {p.module_name.partition(".layers.")[0] for p in projections} == {"model.language_model"}
    assert_same(factor_gradients(model, projections, IDS, 4), dense_gradients(model, IDS, 4, mlp=True)[1])


def test_names_of_modules(tiny_model):
    names = module_names(find_projections(make(tiny_model, "gpt2"), "attention+mlp"))
    fused = dict.fromkeys("qkv", "transformer.h.*.attn.c_attn")
    assert names == fused | {
        "o": "transformer.h.*.attn.c_proj",
        "up": "transformer.h.*.mlp.c_fc",
        "down": "transformer.h.*.mlp.c_proj",
    }


def skeleton(model_type, **changes):
    """A model of real size without weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **changes))


def test_attention_that_cannot_be_mapped_is_listed_with_what_to_do():
    with pytest.raises(UserError) as error:
        find_projections(skeleton("codegen", n_layer=2))
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "transformer.h: the attention of CodeGenForCausalLM cannot be mapped",
        "transformer.h.*.attn.qkv_proj Linear(12288, 4096)",
        "model's YAML file, e.g. modules: {layers: transformer.h, qkv: attn.Wqkv, layout: blocks",
    ):
        assert part in message
    assert message.count("attn.qkv_proj") == 1
    example = yaml.safe_load(re.search(r"modules: {.*?}", message)[0])["modules"]
    assert Modules.model_validate(example).layout == "blocks"


HYBRIDS = {
    "qwen3_next": (4, r"self_attn.q_proj is in layer 3 but not in 0, 1, 2; .*\(hybrids\) are not measured"),
    "olmo_hybrid": (4, r"attention of several kinds \(linear_attn, self_attn\)"),
    "falcon_mamba": (2, r"attention of FalconMambaForCausalLM cannot be mapped"),
    "deepseek_v3": (2, r"attention of DeepseekV3ForCausalLM cannot be mapped; .*kv_a_proj_with_mqa"),
    "hrm_text": (2, r"no single list of layers; .*its lists are: .*model\.L_module\.layers, .*model\.H_module\.layers"),
}


@pytest.mark.parametrize("model_type", HYBRIDS)
def test_attention_of_other_kinds_is_refused(model_type):
    n_layers, message = HYBRIDS[model_type]
    with pytest.raises(UserError, match=message):
        find_projections(skeleton(model_type, num_hidden_layers=n_layers))


def test_queries_with_a_gate_in_them_are_refused():
    model = skeleton("qwen3_next", num_hidden_layers=2, layer_types=["full_attention"] * 2)
    with pytest.raises(UserError, match=r"model.layers.0.self_attn.q_proj: computes a gate"):
        find_projections(model)


@pytest.mark.parametrize("decoder", EXPERTS)
def test_experts_are_refused_by_name(tiny_model, decoder):
    with pytest.raises(UserError, match=r"model.layers.0.mlp.experts: experts are not measured; choose projections"):
        find_projections(make(tiny_model, decoder), "attention+mlp")


def test_experts_of_a_later_layer_or_as_bare_parameters_are_refused(tiny_model):
    with pytest.raises(UserError, match=r"model.layers.1.mlp.experts: experts"):
        find_projections(make(tiny_model, "qwen3_moe", mlp_only_layers=[0]), "attention+mlp")
    model = make(tiny_model, "llama")
    model.model.layers[1].mlp.w_experts = torch.nn.Parameter(torch.zeros(4, 2, 2))
    with pytest.raises(UserError, match=r"model.layers.1.mlp.w_experts: experts"):
        find_projections(model, "attention+mlp")
    assert len(find_projections(model)) == 8


def test_shared_weights_are_refused_by_name(tiny_model):
    model = make(tiny_model, "llama")
    model.model.layers[1] = model.model.layers[0]
    with pytest.raises(
        UserError, match=r"layers.1.self_attn.q_proj shares its weight with .*layers.0.self_attn.q_proj"
    ):
        find_projections(model)
    model = make(tiny_model, "llama")
    model.model.layers[1].self_attn.k_proj.weight = model.model.layers[0].self_attn.k_proj.weight
    with pytest.raises(
        UserError, match=r"layers.1.self_attn.k_proj shares its weight with .*layers.0.self_attn.k_proj"
    ):
        find_projections(model)
    model = make(tiny_model, "llama")
    model.model.layers[1].self_attn.v_proj = model.model.layers[1].self_attn.k_proj
    with pytest.raises(
        UserError, match=r"layers.1.self_attn.v_proj shares its weight with .*layers.1.self_attn.k_proj"
    ):
        find_projections(model)


def test_modules_of_another_class_are_refused_by_name(tiny_model):
    model = make(tiny_model, "llama")
    model.model.layers[1].self_attn.o_proj = torch.nn.Conv1d(1, 1, 1)
    with pytest.raises(UserError, match=r"model.layers.1.self_attn.o_proj is a Conv1d; measured are torch's Linear"):
        find_projections(model)


def test_lists_of_layers(tiny_model):
    model = make(tiny_model, "llama")
    model.config.num_hidden_layers = 3
    with pytest.raises(UserError, match=r"model.layers has 2 layers, its configuration says 3"):
        find_projections(model)
    modules = ARCHITECTURES["mpt"].model_copy(update={"layers": "transformer.layers"})
    with pytest.raises(
        UserError, match=r"transformer.layers is no list of layers; .*its lists are: transformer.blocks"
    ):
        find_projections(make(tiny_model, "mpt"), modules=modules)


class Nameless(PreTrainedModel):
    """A model of which transformers cannot tell the token embedding."""

    def __init__(self, config):
        super().__init__(config)
        self.tables = nn.ModuleList([nn.Embedding(4, 2)])
        self.blocks = nn.ModuleList([nn.Linear(2, 2)])


def test_a_model_that_names_no_token_embedding_has_its_lists_told():
    model = Nameless(LlamaConfig(num_hidden_layers=1))
    with pytest.raises(NotImplementedError):  # else this model is not one of those, and proves nothing
        model.get_input_embeddings()
    with pytest.raises(UserError, match=r"is no single list of layers; name one .*its lists are: tables, blocks"):
        find_projections(model)


def test_descriptions_that_do_not_fit_the_model(tiny_model):
    absent = ARCHITECTURES["mpt"].model_copy(update={"o": "attn.o_proj"})
    with pytest.raises(
        UserError, match=r"transformer.blocks: attn.o_proj cannot be mapped; the layers have: .*out_proj"
    ):
        find_projections(make(tiny_model, "mpt"), modules=absent)
    doubled = ARCHITECTURES["mpt"].model_copy(update={"down": "attn.out_proj"})
    with pytest.raises(UserError, match=r"ffn.up_proj: up has 128 outputs where .*attn.out_proj takes 32"):
        find_projections(make(tiny_model, "mpt"), "attention+mlp", doubled)
    without_mlp = Modules(qkv="attn.Wqkv", layout="blocks", o="attn.out_proj")
    with pytest.raises(UserError, match=r"transformer.blocks: the MLP of MptForCausalLM cannot be mapped"):
        find_projections(make(tiny_model, "mpt"), "attention+mlp", without_mlp)


@pytest.mark.parametrize(
    ("layout", "d_out", "d_q", "n_heads"),
    [
        ("blocks", 33, 32, 4),
        ("blocks", 32, 32, 4),
        ("heads", 64, 32, 4),
        ("groups", 80, 32, 4),
        ("heads", 96, 32, None),
    ],
    ids=["odd", "no keys", "fewer keys than queries", "three groups of four heads", "heads not known"],
)
def test_outputs_that_do_not_fit_the_layout(layout, d_out, d_q, n_heads):
    with pytest.raises(UserError, match=rf"h.0.qkv: its {d_out} outputs are not q, k and v laid out by {layout}"):
        fused_rows("h.0.qkv", layout, d_out, d_q, n_heads)


WHOLE = {"qkv": "a.qkv", "layout": "blocks", "o": "a.o"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"o": "a.o"}, "either q, k and v, or qkv"),
        ({"q": "a.q", "k": "a.k", "o": "a.o"}, "either q, k and v, or qkv"),
        (WHOLE | {"q": "a.q", "k": "a.k", "v": "a.v"}, "either q, k and v, or qkv"),
        ({"qkv": "a.qkv", "o": "a.o"}, "qkv and its layout"),
        ({"q": "a.q", "k": "a.k", "v": "a.v", "layout": "heads", "o": "a.o"}, "qkv and its layout"),
        (WHOLE | {"layout": "columns"}, "'blocks', 'heads' or 'groups'"),
        (WHOLE | {"up": "m.up"}, "an MLP needs down"),
        (WHOLE | {"down": "m.down"}, "an MLP needs down"),
        (WHOLE | {"gate": "m.gate"}, "an MLP needs down"),
        (WHOLE | {"gate_up": "m.gu", "up": "m.up", "down": "m.down"}, "either gate_up, or up"),
        (WHOLE | {"o": "a..o"}, "match pattern"),
        (WHOLE | {"out": "a.o"}, "Extra inputs"),
    ],
)
def test_descriptions_that_are_not_whole(given, message):
    with pytest.raises(ValidationError, match=message):
        Modules.model_validate(given)
