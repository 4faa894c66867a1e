"""The rank that a gradient can have at most, by the structure of the model and the sample."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from layergrad.models.projections import Projection
from layergrad.models.tokens import EncodedResponse

_PROBE = 8


@dataclass(frozen=True)
class Structure:
    """What of a model bounds the rank of its gradients.

    ``token_alone``: the projections of layer 0 whose input depends on the token at its position and on nothing else.
    ``sinks``: whether a query can attend to something besides keys, so that its attention is never certain.
    """

    n_layers: int
    token_alone: frozenset[str]
    sinks: bool

    @classmethod
    def of(cls, model: PreTrainedModel, projections: list[Projection]) -> "Structure":
        """Find out, by one forward of 16 tokens through the model and by the names of its parameters."""
        return cls(
            n_layers=1 + max(projection.layer for projection in projections),
            token_alone=_token_alone(model, projections),
            sinks=any("sink" in name.lower() for name, _ in model.named_parameters()),
        )


def rank_bound(projection: Projection, encoded: EncodedResponse, structure: Structure) -> int:
    """Upper bound on the rank of a projection's gradient for one sample (docs/method.md, Numerics).

    The positions that can reach the loss: all but the last one, which predicts nothing; in the last layer, except for k
    and v, only those that predict a response token; for q never position 0, whose attention has one key and so no
    gradient, unless there are sinks. Where an input of layer 0 is the token alone, equal tokens give equal rows, and
    the rank is no more than the number of distinct tokens at those positions.
    """
    last = len(encoded.ids) - 1
    first = 0
    if projection.layer == structure.n_layers - 1 and projection.name not in ("k", "v"):
        first = max(0, encoded.start - 1)
    if projection.name == "q" and not structure.sinks:
        first = max(1, first)
    tokens = encoded.ids[first:last]
    alike = projection.layer == 0 and projection.name in structure.token_alone
    return min(len(set(tokens)) if alike else len(tokens), projection.d_out, projection.d_in)


def _token_alone(model: PreTrainedModel, projections: list[Projection]) -> frozenset[str]:
    """Projections of layer 0 whose inputs are the same bits when a text of distinct tokens is repeated.

    With positions of any kind in the input they differ; so do those of an MLP that follows the attention, but not of
    one beside it. The MLP's down is alone if its up is, whatever the rounding in between.
    """
    inputs: dict[str, Tensor] = {}
    hooks = [
        projection.module.register_forward_pre_hook(
            lambda _, args, name=projection.name: inputs.update({name: args[0]})
        )
        for projection in projections
        if projection.layer == 0 and projection.name != "down"
    ]
    embedding = next(model.get_input_embeddings().parameters())
    ids = torch.arange(1, _PROBE + 1, device=embedding.device) * max(1, embedding.shape[0] // (2 * _PROBE))
    try:
        with torch.no_grad():
            model(input_ids=torch.cat([ids, ids])[None])
    finally:
        for hook in hooks:
            hook.remove()
    alone = {name for name, rows in inputs.items() if torch.equal(*rows.reshape(2, _PROBE, -1))}
    return frozenset(alone | ({"down"} if "up" in alone else set()))
