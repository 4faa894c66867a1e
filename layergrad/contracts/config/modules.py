"""How a person tells where the projections of a model are, in the ``modules`` of its YAML file."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from layergrad.contracts.config.strict import Strict

ModulePath = Annotated[str, Field(pattern=r"^\w+(\.\w+)*$", description="names joined by dots")]


class Modules(Strict):
    """Names of the modules that compute the projections, within a layer but for ``layers``.

    Queries, keys and values come from a module each (``q``, ``k``, ``v``) or from one (``qkv``), whose outputs are laid
    out as ``blocks`` (all of q, all of k, all of v), by ``heads`` (q, k and v of the first head, of the second, ...) or
    by ``groups`` (the queries that share a key, that key, its value; then the next). A fused ``gate_up`` has the gate's
    outputs first.
    """

    layers: ModulePath | None = Field(
        default=None, description="the list of the layers; if not given, the one beside the token embedding"
    )
    q: ModulePath | None = None
    k: ModulePath | None = None
    v: ModulePath | None = None
    qkv: ModulePath | None = None
    layout: Literal["blocks", "heads", "groups"] | None = None
    o: ModulePath
    gate: ModulePath | None = None
    up: ModulePath | None = None
    gate_up: ModulePath | None = None
    down: ModulePath | None = None

    @model_validator(mode="after")
    def _attention_is_whole(self) -> "Modules":
        apart = [self.q, self.k, self.v]
        if not (all(apart) and not self.qkv) and not (self.qkv and not any(apart)):
            raise ValueError("the attention is either q, k and v, or qkv")
        if bool(self.qkv) != bool(self.layout):
            raise ValueError("qkv and its layout (blocks, heads or groups) go together")
        return self

    @model_validator(mode="after")
    def _mlp_is_whole(self) -> "Modules":
        if self.gate_up and (self.gate or self.up):
            raise ValueError("the MLP has either gate_up, or up with or without gate")
        if bool(self.down) != bool(self.up or self.gate_up) or (self.gate and not self.up):
            raise ValueError("an MLP needs down, and up or gate_up")
        return self

    def attention_paths(self) -> list[str]:
        """Names of the modules of the attention."""
        return [path for path in (self.q, self.k, self.v, self.qkv, self.o) if path]

    def mlp_paths(self) -> list[str]:
        """Names of the modules of the MLP; none if it is not described."""
        return [path for path in (self.gate, self.up, self.gate_up, self.down) if path]
