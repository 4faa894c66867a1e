"""The loss of one response: mean cross-entropy over its tokens, from the logits that enter it alone."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from layergrad.models.tokens import EncodedResponse

_ROWS = 64  # rows of logits in float64 at a time: 25 MB for a vocabulary of 49,152


class _MeanCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of logits (N x V) against targets (N), inside in float64, a block of rows at a time.

    The log-sum-exp over a whole vocabulary is what float32 does badly here: it alone moves single entries of the
    gradients by 1e-4 of their value when one or two tokens are predicted, ten times more than the rest of the model.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the N rows, a float64 scalar; the gradient is made here, while the block is at hand."""
        gradient = torch.empty_like(logits)
        total = torch.zeros((), dtype=torch.float64, device=logits.device)
        for rows in torch.arange(len(targets), device=logits.device).split(_ROWS):
            log_p = logits[rows].double().log_softmax(-1)
            total -= log_p.gather(1, targets[rows, None]).sum()
            p = log_p.exp_()
            p.scatter_add_(1, targets[rows, None], torch.full_like(p[:, :1], -1.0))
            gradient[rows] = (p / len(targets)).to(logits.dtype)
        ctx.save_for_backward(gradient)
        return total / len(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        """d loss / d logits = (softmax - one hot) / N."""
        (gradient,) = ctx.saved_tensors
        return gradient * upstream.to(gradient.dtype), None


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(logits)[target] over N rows: (N x V), (N) -> float64 scalar."""
    return _MeanCrossEntropy.apply(logits, targets)


def response_loss(model: PreTrainedModel, encoded: EncodedResponse) -> Tensor:
    """Mean cross-entropy over the response's tokens, a float64 scalar that can be sent backward.

    The weights are frozen and only the embedding's output requires grad, so the backward pass visits every layer but
    forms no weight gradient. Only the rows that predict a response token are projected to the vocabulary.
    """
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([encoded.ids], device=device)
    start = max(1, encoded.start)
    positions = torch.arange(start - 1, len(encoded.ids) - 1, device=device)
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, logits_to_keep=positions, use_cache=False).logits[0]
    return mean_cross_entropy(logits, ids[0, start:].to(logits.device))
