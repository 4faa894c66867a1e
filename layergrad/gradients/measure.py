"""Measure one sample: the loss, and the statistics of every projection's gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from layergrad.gradients.capture import FactorGroup, captured_factors
from layergrad.gradients.loss import response_loss
from layergrad.gradients.rank_bound import rank_bound
from layergrad.gradients.spectrum import (
    entry_statistics,
    singular_values,
    small_factor,
    spectrum_statistics,
    triangular_factor,
)
from layergrad.models.projections import Projection, attention_projections, has_learned_positions
from layergrad.models.tokens import EncodedResponse


@dataclass(frozen=True)
class Measurement:
    """Loss of one sample (float64) and one row of statistics for each layer and projection."""

    loss: float
    rows: list[dict]


class NotFiniteError(Exception):
    """A sample whose loss or gradient is infinite or not a number."""


class Measurer:
    """Measures samples on one model, which must be frozen and in evaluation mode."""

    def __init__(self, model: PreTrainedModel, extremes: bool = True) -> None:
        self.model = model
        self.extremes = extremes
        self.projections = attention_projections(model)
        self.n_layers = 1 + max(projection.layer for projection in self.projections)
        self.learned_positions = has_learned_positions(model)

    def measure(self, encoded: EncodedResponse) -> Measurement:
        """Statistics of all gradients of the mean loss over the response; needs at least one response token.

        Raises ``NotFiniteError`` where there are none.
        """
        rows: list[dict] = []

        def receive(group: FactorGroup) -> None:
            rows.extend(self._group_rows(group, encoded))

        with captured_factors(self.projections, receive):
            loss = response_loss(self.model, encoded)
            if not loss.isfinite():
                raise NotFiniteError(f"the loss is not finite ({loss.item()})")
            loss.backward()
        rows.sort(key=lambda row: (row["layer"], "qkvo".index(row["projection"])))
        return Measurement(loss.item(), rows)

    def _group_rows(self, group: FactorGroup, encoded: EncodedResponse) -> list[dict]:
        """Rows of projections that share X: its triangular factor is made once, for the positions that any one uses."""
        gradients = group.output_gradients
        for factor in (group.inputs, *gradients.values()):
            if not factor.isfinite().all():
                raise NotFiniteError(f"the gradient is not finite in layer {group.projections[0].layer}")
        used = torch.stack([(y != 0).any(dim=1) for y in gradients.values()]).any(dim=0)
        x = _at_least_float32(group.inputs[used])
        sharers = [p for p in group.projections if len(x) < min(p.d_out, p.d_in)]
        r = triangular_factor(x) if sharers else None
        return [
            self._row(projection, x, _at_least_float32(gradients[projection.name][used]), r, encoded)
            for projection in group.projections
        ]

    def _row(self, projection: Projection, x: Tensor, y: Tensor, r: Tensor | None, encoded: EncodedResponse) -> dict:
        values = singular_values(small_factor(x, y, r)) if len(x) else x.new_zeros(1, dtype=torch.float64)
        bound = rank_bound(projection, encoded, self.n_layers, self.learned_positions)
        return {
            "layer": projection.layer,
            "projection": projection.name,
            **spectrum_statistics(values, bound, min(projection.d_out, projection.d_in)),
            **entry_statistics(x, y, self.extremes),
        }


def _at_least_float32(factor: Tensor) -> Tensor:
    """Spectra are never made in half precision; the factors of half-precision models are exact in float32."""
    return factor if factor.dtype == torch.float64 else factor.float()
