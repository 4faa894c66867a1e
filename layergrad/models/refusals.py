"""What is told where a model's projections cannot be mapped or are not measured."""

from torch import Tensor, nn

from layergrad.contracts.errors import UserError


def refuse_experts(name: str, layers: nn.ModuleList) -> None:
    """Raise ``UserError`` that names the first experts of the layers, be they modules or bare parameters."""
    for index, layer in enumerate(layers):
        kinds = {path: type(module).__name__ for path, module in layer.named_modules()}
        parameters = {path: "" for path, _ in layer.named_parameters()}
        for path, kind in (kinds | parameters).items():
            if "expert" in f"{path} {kind}".lower():
                raise UserError(f"{name}.{index}.{path}: experts are not measured; choose projections: attention")


def refuse_missing(name: str, layers: nn.ModuleList, paths: list[str]) -> None:
    """Raise ``UserError`` if a module is in no layer, or in some but not in all (hybrids)."""
    for path in paths:
        has = [_has(layer, path) for layer in layers]
        if not any(has):
            raise UserError(f"{name}: {path} {cannot_be_mapped(name, layers)}")
        if not all(has):
            without = ", ".join(str(index) for index, there in enumerate(has) if not there)
            raise UserError(
                f"{name}: {path} is in layer {has.index(True)} but not in {without}; models with layers of several "
                "kinds (hybrids) are not measured"
            )


def cannot_be_mapped(name: str, layers: nn.ModuleList) -> str:
    """The end of a sentence: the distinct modules in the layers, and how to describe them in the model's YAML file."""
    found = {
        f"{name}.*.{path} {type(module).__name__}{tuple(module.weight.shape)}": None
        for layer in layers
        for path, module in layer.named_modules()
        if isinstance(getattr(module, "weight", None), Tensor) and module.weight.ndim > 1
    }
    return (
        f"cannot be mapped; the layers have: {', '.join(found) or 'no module with a weight matrix'}. Describe them in "
        f"the model's YAML file, e.g. modules: {{layers: {name}, qkv: attn.Wqkv, layout: blocks, o: attn.out_proj, "
        "up: ffn.up_proj, down: ffn.down_proj}, or q, k and v apart; layouts are blocks, heads and groups; gate, up, "
        "down (or gate_up, down) are for the MLP alone"
    )


def _has(layer: nn.Module, path: str) -> bool:
    return any(name == path for name, _ in layer.named_modules(remove_duplicate=False))
