"""Where the projections of a model are: which outputs of which module of which layer."""

import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from layergrad.contracts.config.modules import Modules
from layergrad.contracts.errors import UserError
from layergrad.models.refusals import cannot_be_mapped, refuse_experts, refuse_missing
from layergrad.models.registry import find_layers, known_modules

Which = Literal["attention", "attention+mlp"]
Measurable = nn.Linear | Conv1D


@dataclass(frozen=True, eq=False)
class Projection:
    """One projection W (d_out x d_in) of one layer, and which outputs of which module it computes."""

    layer: int
    name: str
    module_name: str
    module: Measurable
    rows: slice | Tensor
    d_out: int
    d_in: int


def find_projections(
    model: PreTrainedModel, which: Which = "attention", modules: Modules | None = None
) -> list[Projection]:
    """q, k, v, o and, with the MLP, gate (where there is one), up and down of every layer, in this order.

    ``modules`` says where they are in an architecture that is not known. Of a module with adapters (LoRA) it is the
    base inside, whose inputs and output gradients are the same. Raises ``UserError`` that lists what was found where
    something cannot be mapped, and for what is not measured: layers without attention, experts, shared weights.
    """
    # A PeftModel wraps the model whose module names are the usual ones.
    base = getattr(model, "get_base_model", lambda: model)()
    name, layers = find_layers(base, modules.layers if modules else None)
    config = base.config.get_text_config()
    modules = modules or known_modules(config, layers)
    if modules is None:
        raise UserError(f"{name}: the attention of {type(base).__name__} {cannot_be_mapped(name, layers)}")
    refuse_missing(name, layers, modules.attention_paths())
    if which == "attention+mlp":
        refuse_experts(name, layers)
        if not modules.mlp_paths():
            raise UserError(f"{name}: the MLP of {type(base).__name__} {cannot_be_mapped(name, layers)}")
        refuse_missing(name, layers, modules.mlp_paths())
    projections = [
        projection
        for index in range(len(layers))
        for projection in _LayerMap(index, f"{name}.{index}", layers[index], config).projections(modules, which)
    ]
    _refuse_shared(projections)
    return projections


def module_names(projections: list[Projection]) -> dict[str, str]:
    """The module's own name of each projection, with ``*`` for the layer's number."""
    return {p.name: re.sub(rf"(^|\.){p.layer}(\.|$)", r"\1*\2", p.module_name, count=1) for p in projections}


@dataclass(frozen=True)
class _LayerMap:
    """One layer, mapped."""

    index: int
    name: str
    layer: nn.Module
    config: PretrainedConfig

    def projections(self, modules: Modules, which: Which) -> list[Projection]:
        found = self._attention(modules)
        return found + self._mlp(modules) if which == "attention+mlp" else found

    def _attention(self, modules: Modules) -> list[Projection]:
        o = self._whole("o", modules.o)
        if modules.qkv is None or modules.layout is None:  # either both are given or neither
            q, k, v = (self._whole(key, getattr(modules, key)) for key in "qkv")
            if q.d_out == 2 * o.d_in:
                raise UserError(f"{q.module_name}: computes a gate besides the queries; such attention is not measured")
            return [q, k, v, o]
        name, module = self._module(modules.qkv)
        d_out, d_in = _shape(module)
        rows = fused_rows(name, modules.layout, d_out, o.d_in, getattr(self.config, "num_attention_heads", 0))
        parts = [
            Projection(self.index, key, name, module, _as_slice(indices), len(indices), d_in)
            for key, indices in zip("qkv", rows, strict=True)
        ]
        return [*parts, o]

    def _mlp(self, modules: Modules) -> list[Projection]:
        paths = {"gate": modules.gate, "up": modules.up, "down": modules.down}
        *parts, down = [self._whole(key, path) for key, path in paths.items() if path]
        if modules.gate_up:
            name, module = self._module(modules.gate_up)
            d_out, d_in = _shape(module)
            halves = {"gate": slice(0, d_out // 2), "up": slice(d_out // 2, d_out)}
            parts = [Projection(self.index, k, name, module, rows, d_out // 2, d_in) for k, rows in halves.items()]
        for part in parts:
            if part.d_out != down.d_in:
                raise UserError(
                    f"{part.module_name}: {part.name} has {part.d_out} outputs where {down.module_name} takes "
                    f"{down.d_in}; describe the MLP in the model's YAML file (modules: up or gate_up, and down)"
                )
        return [*parts, down]

    def _whole(self, key: str, path: str) -> Projection:
        name, module = self._module(path)
        return Projection(self.index, key, name, module, slice(None), *_shape(module))

    def _module(self, path: str) -> tuple[str, Measurable]:
        name, module = f"{self.name}.{path}", self.layer.get_submodule(path)
        if hasattr(module, "base_layer"):
            name, module = f"{name}.base_layer", module.get_submodule("base_layer")
        if not isinstance(module, Measurable):
            kind = type(module).__name__
            raise UserError(f"{name} is a {kind}; measured are torch's Linear and transformers' Conv1D")
        return name, module


def fused_rows(name: str, layout: str, d_out: int, d_q: int, n_heads: int) -> list[Tensor]:
    """Which outputs of a fused module are q's, k's and v's, in the order in which a head sees them.

    ``d_out`` is the number of the module's outputs, ``d_q`` of those that are queries: as many as o has inputs. Raises
    ``UserError`` about the module of that ``name`` where they do not fit the layout.
    """
    rows = torch.arange(d_out)
    d_kv = (d_out - d_q) // 2
    if layout == "blocks" and d_kv > 0 and d_q + 2 * d_kv == d_out:
        return list(rows.split([d_q, d_kv, d_kv]))
    head_dim = d_q // n_heads if n_heads else 0
    n_groups = (n_heads if layout == "heads" else d_kv // head_dim) if head_dim else 0
    if layout == "blocks" or n_groups < 1 or n_heads % n_groups or (n_heads + 2 * n_groups) * head_dim != d_out:
        raise UserError(
            f"{name}: its {d_out} outputs are not q, k and v laid out by {layout}, with {d_q} for q (as many as o has "
            f"inputs) and {n_heads} heads; layouts are blocks, heads and groups"
        )
    grouped = rows.view(n_groups, -1, head_dim)
    return [grouped[:, :-2].flatten(), grouped[:, -2].flatten(), grouped[:, -1].flatten()]


def _as_slice(rows: Tensor) -> slice | Tensor:
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _shape(module: Measurable) -> tuple[int, int]:
    """d_out and d_in. A Conv1D keeps its weight transposed."""
    return (module.nf, module.nx) if isinstance(module, Conv1D) else (module.out_features, module.in_features)


def _refuse_shared(projections: list[Projection]) -> None:
    """One weight in two places: its gradient is a sum that belongs to no layer."""
    owners: dict[int, tuple[int, str]] = {}
    for projection in projections:
        place = (projection.layer, projection.module_name)
        owner = owners.setdefault(id(projection.module.weight), place)
        if owner != place:
            raise UserError(f"{place[1]} shares its weight with {owner[1]}; shared weights are not measured")
