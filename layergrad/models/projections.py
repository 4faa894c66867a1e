"""Where the attention projections of a model are."""

import re
from dataclasses import dataclass

from torch import Tensor, nn
from transformers import PreTrainedModel

from layergrad.contracts.errors import UserError

_SEPARATE = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.(?:\w+\.)*?([qkvo])_proj$")


@dataclass(frozen=True, eq=False)
class Projection:
    """One projection W (d_out x d_in) of one layer, and which outputs of which module it computes."""

    layer: int
    name: str
    module_name: str
    module: nn.Module
    rows: slice | Tensor
    d_out: int
    d_in: int


def attention_projections(model: PreTrainedModel) -> list[Projection]:
    """q, k, v and o of every layer, in order. Raises ``UserError`` that lists what was found where one is missing."""
    found = {}
    for name, module in model.named_modules():
        match = _SEPARATE.search(name)
        if match and isinstance(module, nn.Linear):
            found[int(match[1]), match[2]] = Projection(
                int(match[1]), match[2], name, module, slice(None), module.out_features, module.in_features
            )
    wanted = [(layer, name) for layer in range(model.config.get_text_config().num_hidden_layers) for name in "qkvo"]
    if set(found) != set(wanted):
        linear = sorted({re.sub(r"\d+", "*", n) for n, m in model.named_modules() if not list(m.children()) and n})
        raise UserError(
            f"{type(model).__name__}: expected the linear modules q_proj, k_proj, v_proj and o_proj in each of "
            f"{len(wanted) // 4} layers, found {len(found)} of {len(wanted)}; modules there: {', '.join(linear)}"
        )
    return [found[key] for key in wanted]


def module_names(projections: list[Projection]) -> dict[str, str]:
    """The module's own name of each projection, with ``*`` for the layer's number."""
    return {p.name: re.sub(rf"(^|\.){p.layer}(\.|$)", r"\1*\2", p.module_name, count=1) for p in projections}


def has_learned_positions(model: PreTrainedModel) -> bool:
    """Whether the first layer's input may depend on the position: there is an embedding besides the tokens' own."""
    tokens = model.get_input_embeddings()
    return any(isinstance(module, nn.Embedding) and module is not tokens for module in model.modules())
