"""What `diagnose` looks at: each check compares the engine with something that is known without it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from layergrad.gradients.capture import Factors, captured_factors
from layergrad.gradients.loss import response_losses
from layergrad.gradients.measure import Measurement, Measurer
from layergrad.gradients.rank_bound import Structure
from layergrad.gradients.spectrum import Spectrum, spectra
from layergrad.models.memory import available_bytes, needed_bytes
from layergrad.models.projections import Projection
from layergrad.models.tokens import EncodedResponse

Samples = dict[str, EncodedResponse]
"""The texts of a diagnosis by name."""


@dataclass(frozen=True)
class Finding:
    """A relative difference, which should be about zero, and where it was found. Not a number: not to be compared."""

    value: float
    layer: int
    projection: str
    sample: str


def worst(findings: Iterable[Finding]) -> Finding:
    """The largest, or the first that is not a number."""
    return max(findings, key=lambda finding: math.inf if math.isnan(finding.value) else finding.value)


def finite(measurer: Measurer, alone: dict[str, Measurement]) -> Iterator[Finding]:
    """0 for a gradient with a spectrum, not a number for one that has none."""
    for name, measured in alone.items():
        for p in measurer.projections:
            there = math.isfinite(measured.loss) and p in measured.spectra
            yield Finding(0.0 if there else math.nan, p.layer, p.name, name)


def roles(measurer: Measurer, samples: Samples) -> Iterator[Finding]:
    """Gradients at the outputs of q and k where causal attention leaves none, relative to the layer's largest.

    Rows of v taken for q's or k's show in a text whose only loss is at position 0: with one key there is nothing to
    choose, and the gradient is v's alone. Rows of k taken for q's show at position 0 of any text.
    """
    one_key = EncodedResponse(next(iter(samples.values())).ids[:2], 1, truncated=False)
    for name, encoded in {"one key": one_key, **samples}.items():
        caught = factors_of(measurer, encoded)
        for layer in range(measurer.structure.n_layers):
            attention = [p for p in measurer.projections if p.layer == layer and p.name in "qkv"]
            largest = max(caught[p][1].abs().max().item() for p in attention)
            for p in attention:
                forbidden = caught[p][1][: _rows_without_gradient(p, encoded, measurer.structure)].abs()
                if len(forbidden):
                    yield Finding(_relative(forbidden.max().item(), largest), layer, p.name, name)


def _rows_without_gradient(projection: Projection, encoded: EncodedResponse, structure: Structure) -> int:
    """How many of the first positions have none; a sink gives a query a choice even with one key."""
    if projection.name == "v":
        return 0
    one_key = 0 if structure.sinks else 1
    if projection.name == "k":
        return one_key if encoded.start == 1 and encoded.n_response == 1 else 0
    # In the last layer a query serves its own position alone.
    return max(one_key, encoded.start - 1) if projection.layer == structure.n_layers - 1 else one_key


def autograd(
    measurer: Measurer, encoded: EncodedResponse, name: str, alone: Measurement
) -> tuple[list[Finding], list[Finding]]:
    """Entries of Yᵀ X relative to the largest one, and norms, against weight gradients by autograd.

    Of one sample, in the first, the middle and the last layer, one after another. The norms are those of a dense SVD
    in float64 of the weight gradient.
    """
    entries, norms = [], []
    caught = factors_of(measurer, encoded)
    for layer in sorted({0, measurer.structure.n_layers // 2, measurer.structure.n_layers - 1}):
        projections = [p for p in measurer.projections if p.layer == layer]
        for p, truth in dense_gradients(measurer.model, projections, encoded):
            x, y = (_precise(factor) for factor in caught[p])
            difference = _relative((y.T @ x - truth).abs().max().item(), truth.abs().max().item())
            entries.append(Finding(difference, layer, p.name, name))
            norms.append(Finding(_difference(alone.spectra[p].values, _dense_values(truth)), layer, p.name, name))
    return entries, norms


def dense_gradients(
    model: PreTrainedModel, projections: list[Projection], encoded: EncodedResponse
) -> Iterator[tuple[Projection, Tensor]]:
    """dL/dW (d_out x d_in) of every projection as autograd forms it, from all logits and torch's own loss."""
    modules = list(dict.fromkeys(p.module for p in projections))
    weights = [module.get_parameter("weight").requires_grad_() for module in modules]
    try:
        ids = torch.tensor([encoded.ids])
        place = model.get_input_embeddings().get_parameter("weight").device
        logits = model(input_ids=ids.to(place), use_cache=False).logits[0, encoded.start - 1 : -1]
        # In float64, since torch sums the exponentials of a whole vocabulary badly in float32; so not on MPS.
        loss = functional.cross_entropy(logits.cpu().double(), ids[0, encoded.start :])
        gradients = dict(zip(modules, torch.autograd.grad(loss, weights), strict=True))
    finally:
        for weight in weights:
            weight.requires_grad_(False)
    for p in projections:
        gradient = gradients[p.module].T if isinstance(p.module, Conv1D) else gradients[p.module]
        yield p, _precise(gradient[p.rows])


def batches(measurer: Measurer, samples: Samples, alone: dict[str, Measurement]) -> Iterator[Finding]:
    """Norms of every sample in one padded batch, and in the same backwards, against those of the sample alone."""
    for names in (list(samples), list(reversed(samples))):
        for name, measured in zip(names, measurer.measure([samples[name] for name in names]), strict=True):
            yield from _differences(measurer, name, measured, alone[name])


def factor_spectra(measurer: Measurer, encoded: EncodedResponse, name: str) -> Iterator[Finding]:
    """Norms from the factors of one sample in the middle layer against NumPy's SVD of their product, in float64.

    As they are, and with as many rows as the rank graded over six powers of ten, where lost precision shows.
    """
    caught = factors_of(measurer, encoded)
    layer = measurer.structure.n_layers // 2
    for p in (p for p in measurer.projections if p.layer == layer):
        x, y = (_precise(factor) for factor in caught[p])
        rank = min(len(y), p.d_out, p.d_in)
        grades = 10 ** (-6 * torch.arange(len(y), dtype=y.dtype, device=y.device)[:, None] / rank)
        for text, graded in ((name, y), (f"{name}, graded", grades * y)):
            (found,) = spectra(x, [graded], extremes=False)
            truth = _dense_values(graded.cpu().double().T @ x.cpu().double())
            yield Finding(_difference(found.values, truth), layer, p.name, text)


def float64(measurer: Measurer, samples: Samples, alone: dict[str, Measurement]) -> Iterator[Finding]:
    """Norms of every sample against those with weights and arithmetic in float64. The model stays in float64."""
    if hasattr(measurer.model, "set_experts_implementation"):
        # The default one multiplies no float64 matrices.
        measurer.model.set_experts_implementation("eager")
    measurer.model.double()
    for name, encoded in samples.items():
        (exact,) = measurer.measure([encoded])
        yield from _differences(measurer, name, alone[name], exact)


def float64_fits(measurer: Measurer, longest: EncodedResponse) -> bool:
    """Whether the model can be turned into float64 where it is, by the estimate of what that takes."""
    model = measurer.model
    if model.device.type == "mps":
        return False
    needed = needed_bytes(
        model,
        measurer.projections,
        "float64",
        model.config._attn_implementation,
        len(longest.ids),
        longest.n_response,
    )
    weights = sum(weight.nbytes for weight in model.parameters())
    return needed is not None and needed - weights < available_bytes(model.device, hasattr(model, "hf_device_map"))


def factors_of(measurer: Measurer, encoded: EncodedResponse) -> dict[Projection, tuple[Tensor, Tensor]]:
    """X (T x d_in) and Y (T x d_out) of every projection for one sample, as the engine catches them."""
    caught = {}

    def receive(factors: Factors) -> None:
        sample = factors.sample(0, len(encoded.ids))
        for projection, y in zip(sample.projections, sample.output_gradients, strict=True):
            caught[projection] = (sample.inputs, y)

    with captured_factors(measurer.projections, receive):
        response_losses(measurer.model, [encoded]).sum().backward()
    return caught


def _differences(measurer: Measurer, name: str, found: Measurement, truth: Measurement) -> Iterator[Finding]:
    for p in measurer.projections:
        pair = [measured.spectra.get(p, _MISSING).values for measured in (found, truth)]
        yield Finding(_difference(*pair), p.layer, p.name, name)


def _relative(difference: float, scale: float) -> float:
    """Nothing is no difference on any scale; more than that is not to be compared with nothing."""
    if difference == 0:
        return 0.0
    return difference / scale if scale > 0 else math.nan


def _difference(found: np.ndarray, truth: np.ndarray) -> float:
    """Largest relative difference of nuclear, spectral and Frobenius norm, from singular values."""
    a, b = (np.array([values.sum(), values.max(), np.linalg.norm(values)]) for values in (found, truth))
    with np.errstate(invalid="ignore"):
        return float(np.where(a == b, 0.0, np.abs(a - b) / np.maximum(a, b)).max())


def _dense_values(gradient: Tensor) -> np.ndarray:
    dense = gradient.cpu().double().numpy()
    return np.linalg.svd(dense, compute_uv=False) if np.isfinite(dense).all() else _MISSING.values


def _precise(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


_MISSING = Spectrum(np.array([math.nan]), math.nan, None, None)
