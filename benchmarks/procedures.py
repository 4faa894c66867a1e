"""The five procedures that are compared, each on one sample of one model."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from layergrad.gradients.backlog import Workers
from layergrad.gradients.measure import Measurement, Measurer
from layergrad.models.tokens import EncodedResponse

NAMES = {
    "a": "the paper's procedure: weight gradients, full dense SVD",
    "b": "one plain fine-tuning step (no optimizer)",
    "c": "the floor: forward, and backward to the embedding",
    "d": "layergrad",
    "e": "layergrad with extreme entries",
}


@dataclass(frozen=True, eq=False)
class Procedure:
    """What is run on a sample, and the weights that require grad meanwhile."""

    run: Callable[[EncodedResponse], Any]
    trained: list[nn.Parameter]

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Within the block its weights require grad; after it they are frozen, and their gradients are gone."""
        for weight in self.trained:
            weight.requires_grad_(True)
        try:
            yield
        finally:
            for weight in self.trained:
                weight.grad = None
                weight.requires_grad_(False)


@dataclass(frozen=True)
class PaperResult:
    """The statistics that the paper keeps of each weight's gradient, by the weight's name, and the SVDs' own time."""

    statistics: dict[str, dict[str, float]]
    svd_seconds: float


@dataclass(frozen=True)
class LayergradResult:
    """What layergrad measures of the sample, and the time that its threads were at the factors for it."""

    measurement: Measurement
    svd_seconds: float


class TimedWorkers(Workers):
    """Workers that count the seconds (wall clock) in which they work."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.seconds = 0.0

    def run(self, work: Callable, jobs: list) -> None:
        """Do all jobs, on the clock."""
        began = time.perf_counter()
        super().run(work, jobs)
        self.seconds += time.perf_counter() - began


def procedures(model: PreTrainedModel) -> dict[str, Procedure]:
    """Each of ``NAMES`` on a model that is frozen and in evaluation mode."""
    attention = {name: w for name, w in model.named_parameters() if w.ndim == 2 and ".self_attn." in name}
    return {
        "a": Procedure(partial(paper_procedure, model, attention), list(attention.values())),
        "b": Procedure(partial(fine_tuning_step, model), list(model.parameters())),
        "c": Procedure(partial(floor, model), []),
        "d": Procedure(partial(layergrad, *_on_the_clock(model, extremes=False)), []),
        "e": Procedure(partial(layergrad, *_on_the_clock(model, extremes=True)), []),
    }


def paper_procedure(model: PreTrainedModel, weights: dict[str, nn.Parameter], encoded: EncodedResponse) -> PaperResult:
    """Gradients of the four projections by autograd, and of each one a full dense SVD (as in the paper's code)."""
    _loss(model, encoded).backward()
    statistics, svd_seconds = {}, 0.0
    for name, weight in weights.items():
        gradient = weight.grad
        began = time.perf_counter()
        s = _singular_values(gradient)
        svd_seconds += time.perf_counter() - began
        statistics[name] = {
            "nuclear_norm": s.sum().item(),
            "spectral_norm": s.max().item(),
            "s_min": s.min().item(),
            "frobenius_norm": gradient.norm().item(),
            "grad_max": gradient.max().item(),
            "grad_min": gradient.min().item(),
            "grad_mean": gradient.mean().item(),
        }
    return PaperResult(statistics, svd_seconds)


def fine_tuning_step(model: PreTrainedModel, encoded: EncodedResponse) -> float:
    """The loss, and the gradients of all weights."""
    loss = _loss(model, encoded)
    loss.backward()
    return loss.item()


def floor(model: PreTrainedModel, encoded: EncodedResponse) -> float:
    """The loss, and the gradient at the embedding's output: the least that any exact measurement must do."""
    ids = torch.tensor([encoded.ids])
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    predict = torch.arange(ids.shape[1] - encoded.n_response - 1, ids.shape[1] - 1)
    logits = model(inputs_embeds=embedded, use_cache=False, logits_to_keep=predict).logits[0]
    loss = functional.cross_entropy(logits, ids[0, predict + 1])
    loss.backward()
    return loss.item()


def layergrad(measurer: Measurer, workers: TimedWorkers, encoded: EncodedResponse) -> LayergradResult:
    """The loss and the spectra of all projections, as a gradient job measures them."""
    workers.seconds = 0.0
    [measurement] = measurer.measure([encoded])
    return LayergradResult(measurement, workers.seconds)


def _on_the_clock(model: PreTrainedModel, extremes: bool) -> tuple[Measurer, TimedWorkers]:
    measurer = Measurer(model, extremes)
    measurer.workers = workers = TimedWorkers(measurer.workers.threads)
    return measurer, workers


def _loss(model: PreTrainedModel, encoded: EncodedResponse) -> Tensor:
    """Mean cross-entropy over the response, as transformers computes it from masked labels."""
    ids = torch.tensor([encoded.ids])
    labels = ids.clone()
    labels[:, : encoded.start] = -100
    return model(input_ids=ids, labels=labels, use_cache=False).loss


def _singular_values(gradient: Tensor) -> Tensor:
    """As the paper's code has it: U and V are computed in full, and thrown away."""
    return torch.linalg.svd(gradient).S
