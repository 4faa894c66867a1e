"""Measure a batch of samples: their losses, and the statistics of every projection's gradient of each of them."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedModel

from layergrad.contracts.config.modules import Modules
from layergrad.contracts.errors import UserError
from layergrad.gradients.backlog import Backlog, Workers
from layergrad.gradients.capture import Factors, captured_factors
from layergrad.gradients.loss import response_losses
from layergrad.gradients.rank_bound import Structure, rank_bound
from layergrad.gradients.similarity import Similarity
from layergrad.gradients.spectrum import NotFiniteError, Spectrum, rank_statistics, spectra, spectrum_statistics
from layergrad.models.projections import Projection, Which, find_projections
from layergrad.models.tokens import EncodedResponse


@dataclass(eq=False)
class Measurement:
    """Loss of one sample (float64) and the spectrum of each projection, or why there are none; similarity on demand."""

    loss: float
    spectra: dict[Projection, Spectrum] = field(default_factory=dict)
    failure: str | None = None
    similarity: Similarity | None = None


class Measurer:
    """Measures samples on one model, which must be frozen and in evaluation mode.

    ``which`` projections are measured; ``modules`` says where they are in an architecture that is not known.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        extremes: bool = True,
        which: Which = "attention",
        modules: Modules | None = None,
        similarity: bool = False,
    ) -> None:
        self.model = model
        self.extremes = extremes
        self.similarity = similarity
        self.projections = find_projections(model, which, modules)
        self.structure = Structure.of(model, self.projections)
        self.workers = Workers(torch.get_num_threads())

    def measure(self, batch: list[EncodedResponse]) -> list[Measurement]:
        """Loss and spectra of every sample; each needs at least one response token.

        Raises ``UserError`` for a model that computes a projection without calling its module.
        """
        measured = [Measurement(math.nan, similarity=Similarity() if self.similarity else None) for _ in batch]
        backlog = Backlog(self.workers, self._note_spectra)

        def receive(factors: Factors) -> None:
            for index, encoded in enumerate(batch):
                sample = factors.sample(index, len(encoded.ids))
                backlog.add((sample, measured[index]), factors.nbytes // len(batch))
                if (similarity := measured[index].similarity) is not None:
                    similarity.receive(sample)

        with captured_factors(self.projections, receive):
            losses = response_losses(self.model, batch)
            losses.sum().backward()
        backlog.work_off()
        for measurement, loss in zip(measured, losses.tolist(), strict=True):
            measurement.loss = loss
            if not math.isfinite(loss):
                measurement.failure = f"the loss is not finite ({loss})"
            elif not measurement.failure:
                self._refuse_missing(measurement)
        return measured

    def rows(self, measurement: Measurement, encoded: EncodedResponse) -> list[dict]:
        """One row of the gradient table a projection, without its key; if asked for, those of the similarity table."""
        statistics = [
            {
                "layer": p.layer,
                "projection": p.name,
                **spectrum_statistics(measurement.spectra[p]),
                **rank_statistics(measurement.spectra[p], rank_bound(p, encoded, self.structure), min(p.d_out, p.d_in)),
            }
            for p in self.projections
        ]
        if measurement.similarity is None:
            return statistics
        norms = {p: float(np.linalg.norm(measurement.spectra[p].values)) for p in self.projections}
        return statistics + measurement.similarity.rows(norms)

    def _refuse_missing(self, measurement: Measurement) -> None:
        """A module that the forward pass went around would otherwise be missing from the tables in silence."""
        missing = [p.module_name for p in self.projections if p not in measurement.spectra]
        if missing:
            raise UserError(
                f"{type(self.model).__name__}: its forward pass computes {len(missing)} projections without calling "
                f"their modules, the first {missing[0]}; such a model cannot be measured"
            )

    def _note_spectra(self, job: tuple[Factors, Measurement]) -> None:
        factors, measurement = job
        try:
            found = spectra(factors.inputs, factors.output_gradients, self.extremes)
        except NotFiniteError as error:
            measurement.failure = str(error)
        else:
            measurement.spectra.update(zip(factors.projections, found, strict=True))
