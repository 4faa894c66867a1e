"""The engine for a researcher's own code: a model and a tokenizer as they are, no study and no files."""

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layergrad.contracts.config.modules import Modules
from layergrad.contracts.errors import UserError
from layergrad.gradients.backlog import Backlog, Workers
from layergrad.gradients.batches import batch_table, measure_batch, plan_batches
from layergrad.gradients.capture import Factors, captured_factors
from layergrad.gradients.loading import default_batch_tokens
from layergrad.gradients.loss import differentiable_embedding
from layergrad.gradients.measure import Measurer
from layergrad.gradients.spectrum import spectra, spectrum_statistics
from layergrad.models.projections import Which, find_projections
from layergrad.models.tokens import EncodedResponse, encode


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[tuple[str, str]],
    *,
    chat: bool = False,
    max_length: int = 1024,
    extremes: bool = True,
    projections: Which = "attention",
    modules: Modules | None = None,
) -> pd.DataFrame:
    """Statistics of the gradient of every projection for every (prompt, response).

    The loss is the mean cross-entropy over the response's tokens. A prompt is followed by a newline, or with ``chat``
    stands in the tokenizer's chat template. The model is put into evaluation mode and frozen for the time of the call;
    no weight is changed. ``modules`` describes an architecture that is not known.

    One row a pair, layer and projection: ``sample_index`` (the pair's place), the columns of the gradient table and
    those of its samples (docs/results.md). A pair that fails has one row with its ``reason``.
    """
    encoded = _encoded(tokenizer, pairs, chat, max_length)
    keys = pd.DataFrame({"sample_index": range(len(encoded))})
    with _frozen(model):
        measurer = Measurer(model, extremes, projections, modules)
        frames = [
            batch_table(keys.iloc[batch], [encoded[row] for row in batch], measurer)
            for batch in plan_batches(encoded, default_batch_tokens(model.device))
        ]
    return pd.concat(frames).sort_values("sample_index", kind="stable", ignore_index=True)


def singular_values(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Iterable[tuple[str, str]],
    *,
    chat: bool = False,
    max_length: int = 1024,
    projections: Which = "attention",
    modules: Modules | None = None,
) -> list[dict[tuple[int, str], np.ndarray]]:
    """For every (prompt, response), the singular values of each gradient by (layer, projection).

    They are in float64, the largest first, and only those that can differ from zero: no more than the positions that
    have a gradient. Otherwise as ``measure``. Raises ``UserError`` for a pair that cannot be measured.
    """
    encoded = _encoded(tokenizer, pairs, chat, max_length)
    found: list[dict] = [{} for _ in encoded]
    with _frozen(model):
        measurer = Measurer(model, extremes=False, which=projections, modules=modules)
        for batch in plan_batches(encoded, default_batch_tokens(model.device)):
            for row, measured in zip(batch, measure_batch(measurer, [encoded[row] for row in batch]), strict=True):
                if measured.failure:
                    raise UserError(f"pair {row}: {measured.failure}")
                found[row] = {(p.layer, p.name): measured.spectra[p].values for p in measurer.projections}
    return found


class Watch:
    """The gradients of a model's projections, backward pass by backward pass, while it is being trained."""

    def __init__(self, model: PreTrainedModel, extremes: bool, which: Which, modules: Modules | None) -> None:
        self.projections = find_projections(model, which, modules)
        self._extremes = extremes
        self._backlog = Backlog(Workers(torch.get_num_threads()), self._note)
        self._rows: list[dict] = []
        self._passes = dict.fromkeys(self.projections, 0)

    def take(self) -> pd.DataFrame:
        """What was measured since the last call: one row a backward pass (counted from 0), layer and projection."""
        self._backlog.work_off()
        if len(set(self._passes.values())) > 1:
            behind = min(self._passes, key=lambda projection: self._passes[projection])
            raise UserError(
                f"{behind.module_name}: a backward pass gave it no gradient, which others have; is it called?"
            )
        rows, self._rows = self._rows, []
        return pd.DataFrame(rows).sort_values(["backward", "layer", "projection"], ignore_index=True)

    def receive(self, factors: Factors) -> None:
        """Take the factors of one group of one backward pass: all positions of all samples are the rows of X and Y."""
        whole = Factors(
            factors.inputs.flatten(0, 1), factors.projections, [y.flatten(0, 1) for y in factors.output_gradients]
        )
        self._backlog.add((whole, self._passes[factors.projections[0]]), whole.nbytes)
        for projection in factors.projections:
            self._passes[projection] += 1

    def _note(self, job: tuple[Factors, int]) -> None:
        factors, backward = job
        found = spectra(factors.inputs, factors.output_gradients, self._extremes)
        for projection, spectrum in zip(factors.projections, found, strict=True):
            place = {"backward": backward, "layer": projection.layer, "projection": projection.name}
            self._rows.append(place | spectrum_statistics(spectrum))


@contextlib.contextmanager
def watch(
    model: PreTrainedModel,
    *,
    extremes: bool = False,
    projections: Which = "attention",
    modules: Modules | None = None,
) -> Iterator[Watch]:
    """Within the block, measure the gradient of every projection in each backward pass of your own training loop.

    It is the gradient of the loss that you send backward, over the whole batch, as an optimiser gets it for a full
    weight matrix; it is known also where that matrix is frozen, as below an adapter. ``Watch.take`` gives the numbers.
    """
    watching = Watch(model, extremes, projections, modules)
    with differentiable_embedding(model), captured_factors(watching.projections, watching.receive):
        yield watching


def _encoded(
    tokenizer: PreTrainedTokenizerBase, pairs: Iterable[tuple[str, str]], chat: bool, max_length: int
) -> list[EncodedResponse]:
    prompt = "chat" if chat else "plain"
    encoded = [encode(tokenizer, before, after, prompt=prompt, max_length=max_length) for before, after in pairs]
    if not encoded:
        raise UserError("no pair of prompt and response given")
    return encoded


@contextlib.contextmanager
def _frozen(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, the model is in evaluation mode and no weight requires grad; afterwards all is as it was."""
    training = [module for module in model.modules() if module.training]
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module in training:
            module.training = True
        for weight in trainable:
            weight.requires_grad_(True)
