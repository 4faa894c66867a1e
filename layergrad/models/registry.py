"""Which modules of a layer compute the projections: by architecture, or by the usual names."""

from collections.abc import Callable

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from layergrad.contracts.config.modules import Modules
from layergrad.contracts.errors import UserError

_DENSE = {"up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h"}
_GPT2 = Modules(qkv="attn.c_attn", layout="blocks", o="attn.c_proj", up="mlp.c_fc", down="mlp.c_proj")
_NEOX = Modules(qkv="attention.query_key_value", layout="heads", o="attention.dense", **_DENSE)
_BLOOM = Modules(qkv="self_attention.query_key_value", layout="heads", o="self_attention.dense", **_DENSE)

ARCHITECTURES = {
    "bloom": _BLOOM,
    "falcon": _BLOOM,
    "gpt2": _GPT2,
    "gpt_bigcode": _GPT2,
    "gpt_neox": _NEOX,
    "gpt_neox_japanese": _NEOX,
    "mpt": Modules(qkv="attn.Wqkv", layout="blocks", o="attn.out_proj", up="ffn.up_proj", down="ffn.down_proj"),
    "openai-gpt": _GPT2,
    "persimmon": Modules(qkv="self_attn.query_key_value", layout="heads", o="self_attn.dense", **_DENSE),
    "phi3": Modules(
        qkv="self_attn.qkv_proj",
        layout="blocks",
        o="self_attn.o_proj",
        gate_up="mlp.gate_up_proj",
        down="mlp.down_proj",
    ),
}
"""Architectures with a fused module, by the ``model_type`` of their configuration."""

_LAYOUTS: dict[str, Callable[[PretrainedConfig], str]] = {
    "falcon": lambda c: "groups" if c.new_decoder_architecture else "blocks" if c.multi_query else "heads",
    "gpt_bigcode": lambda c: "blocks" if c.multi_query else "heads",
}
"""Layouts that the configuration decides."""

_QKV = ("q_proj", "k_proj", "v_proj")
_O = ("o_proj", "out_proj", "dense")
_MLPS = (
    {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"},
    {"gate_up": "gate_up_proj", "down": "down_proj"},
    {"up": "up_proj", "down": "down_proj"},
    {"up": "fc1", "down": "fc2"},
    {"up": "fc_in", "down": "fc_out"},
    {"up": "c_fc", "down": "c_proj"},
    {"up": "dense_h_to_4h", "down": "dense_4h_to_h"},
)


def known_modules(config: PretrainedConfig, layers: nn.ModuleList) -> Modules | None:
    """Where an architecture's projections are, by its table entry or the usual names; none if neither tells.

    ``config`` is that of the language model. Raises ``UserError`` if the layers have attention of several kinds.
    """
    known = ARCHITECTURES.get(config.model_type)
    if known is None:
        return _usual_modules(layers)
    if config.model_type in _LAYOUTS:
        return known.model_copy(update={"layout": _LAYOUTS[config.model_type](config)})
    return known


def find_layers(model: PreTrainedModel, path: str | None = None) -> tuple[str, nn.ModuleList]:
    """Name and list of the language model's layers: the one at ``path``, else the one beside the token embedding.

    Raises ``UserError`` where there is no such list, or where it has not as many layers as the configuration says.
    """
    lists = {name: module for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    name = path or _beside_the_embedding(model, lists)
    if name is None or name not in lists:
        problem = f"{path} is no list of layers" if path else "beside its token embedding is no single list of layers"
        raise UserError(
            f"{type(model).__name__}: {problem}; name one in the model's YAML file (modules: {{layers: ...}}); its "
            f"lists are: {', '.join(lists) or 'none'}"
        )
    expected = model.config.get_text_config().num_hidden_layers
    if len(lists[name]) != expected:
        raise UserError(
            f"{type(model).__name__}: {name} has {len(lists[name])} layers, its configuration says {expected}"
        )
    return name, lists[name]


def _beside_the_embedding(model: PreTrainedModel, lists: dict[str, nn.ModuleList]) -> str | None:
    """The only list with weights in the innermost module that has the token embedding and any; so no vision tower's."""
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError:  # what transformers raises where a model does not say which module embeds its tokens
        return None
    weighty = [name for name, module in lists.items() if any(True for _ in module.parameters())]
    owner = next((name for name, module in model.named_modules() if module is embedding), "")
    while owner:
        owner = owner.rpartition(".")[0]
        inside = [name for name in weighty if name.rpartition(".")[0] == owner]
        if inside:
            return inside[0] if len(inside) == 1 else None
    return None


def _usual_modules(layers: nn.ModuleList) -> Modules | None:
    names = {name for layer in layers for name, _ in layer.named_modules(remove_duplicate=False)}
    attentions = _having(names, _QKV)
    if len(attentions) > 1:
        raise UserError(
            f"the layers have attention of several kinds ({', '.join(attentions)}): such models are not measured, "
            "unless their YAML file names one that every layer has (modules: {q: ..., k: ..., v: ..., o: ...})"
        )
    if not attentions:
        return None
    attention = attentions[0]
    o = next((name for name in _O if _join(attention, name) in names), None)
    if o is None:
        return None
    usual = dict(zip("qkvo", (*_QKV, o), strict=True))
    paths = {key: _join(attention, name) for key, name in usual.items()}
    return Modules.model_validate(paths | _usual_mlp(names))


def _usual_mlp(names: set[str]) -> dict[str, str]:
    for usual in _MLPS:
        places = _having(names, tuple(usual.values()))
        if len(places) == 1:
            return {key: _join(places[0], name) for key, name in usual.items()}
    return {}


def _having(names: set[str], children: tuple[str, ...]) -> list[str]:
    """Modules that have all the children, sorted; the layer itself is an empty name."""
    parents = {name.rpartition(".")[0] for name in names}
    return sorted(p for p in parents if all(_join(p, child) in names for child in children))


def _join(parent: str, name: str) -> str:
    return f"{parent}.{name}" if parent else name
