"""The loss of a batch of responses: each one's mean cross-entropy, from the logits that enter it alone."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from layergrad.models.tokens import EncodedResponse

_HEAD_ROWS = 8  # rows that go through the head at least
_ROWS = 64  # rows of logits worked on at a time, so that they stay in the processor's cache


class _NegativeLogLikelihood(torch.autograd.Function):
    """-log softmax(logits)[target] of every row (N x V), its normaliser summed in float64.

    The normaliser over a whole vocabulary is what float32 does badly here: it alone moves single entries of the
    gradients by 1e-4 of their value when one or two tokens are predicted, ten times more than the rest of the model.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        """N values in float64; what the backward pass needs is made here, while the rows are at hand."""
        gradient = torch.empty_like(logits)
        losses = torch.empty(len(targets), dtype=torch.float64, device=logits.device)
        for rows in torch.arange(len(targets), device=logits.device).split(_ROWS):
            block = slice(int(rows[0]), int(rows[-1]) + 1)
            scores, target = logits[block], targets[block, None]
            top = scores.amax(1, keepdim=True)
            exponentials = torch.sub(scores, top, out=gradient[block]).exp_()
            normaliser = exponentials.double().sum(1, keepdim=True)
            losses[block] = (normaliser.log() + top - scores.gather(1, target)).squeeze(1)
            probabilities = exponentials.div_(normaliser.to(logits.dtype))
            probabilities.scatter_add_(1, target, torch.full_like(top, -1.0))
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        """d loss / d logits = softmax - one hot, row by row."""
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(upstream[:, None].to(gradient.dtype)), None


def negative_log_likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(logits)[target] of N rows: (N x V), (N) -> (N) in float64. Can be sent backward once."""
    return _NegativeLogLikelihood.apply(logits if logits.dtype == torch.float64 else logits.float(), targets)


def response_losses(model: PreTrainedModel, batch: list[EncodedResponse]) -> Tensor:
    """Mean cross-entropy over each response's tokens: one float64 value a sample, whose sum can be sent backward.

    Samples are padded at the right, where causal attention never looks, so that no mask is needed and none depends on
    another. The weights are frozen and only the embedding's output requires grad, so that the backward pass visits
    every layer but forms no weight gradient. Only positions that predict a response token go through the head.
    """
    device = next(model.get_input_embeddings().parameters()).device
    ids = torch.zeros(len(batch), max(len(sample.ids) for sample in batch), dtype=torch.long, device=device)
    predicts = torch.zeros_like(ids, dtype=torch.bool)
    for row, sample in enumerate(batch):
        ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
        predicts[row, len(sample.ids) - sample.n_response - 1 : len(sample.ids) - 1] = True
    with differentiable_embedding(model), _head_only_at(model, predicts):
        logits = model(input_ids=ids, use_cache=False).logits.flatten(0, -2)
    targets = ids.roll(-1, dims=1)[predicts].to(logits.device)
    losses = negative_log_likelihood(logits[: len(targets)], targets)
    return torch.stack([part.mean() for part in losses.split([sample.n_response for sample in batch])])


@contextlib.contextmanager
def differentiable_embedding(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, gradients flow down to the output of the token embedding, also where its weights are frozen."""
    handle = model.get_input_embeddings().register_forward_hook(
        lambda module, arguments, output: output if output.requires_grad else output.requires_grad_()
    )
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _head_only_at(model: PreTrainedModel, positions: Tensor) -> Iterator[None]:
    """Within the block, the head sees only the positions (batch x T) that are true, as one row of a batch of one.

    What a model does with logits after its head (scaling, capping) works on every entry for itself and so still holds.
    If there are few of them the first is repeated: for less than four rows the backward product over the vocabulary is
    summed so badly in float32 on the CPU that singular values are off by 2e-4 (SmolLM2), else by 5e-6.
    """

    def choose(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, *others = arguments
        chosen = hidden[positions.to(hidden.device)]
        repeated = chosen[:1].expand(max(0, _HEAD_ROWS - len(chosen)), -1)
        return torch.cat([chosen, repeated]).unsqueeze(0), *others

    handle = model.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()
