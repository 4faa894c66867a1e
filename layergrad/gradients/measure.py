"""Measure a batch of samples: their losses, and the statistics of every projection's gradient of each of them."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from threadpoolctl import ThreadpoolController
from transformers import PreTrainedModel

from layergrad.contracts.modules import Modules
from layergrad.gradients.capture import Factors, captured_factors
from layergrad.gradients.loss import response_losses
from layergrad.gradients.rank_bound import Structure, rank_bound
from layergrad.gradients.spectrum import NotFiniteError, Spectrum, spectra, spectrum_statistics
from layergrad.models.projections import Projection, Which, find_projections
from layergrad.models.tokens import EncodedResponse

_BACKLOG = 64 * 2**20  # bytes of factors that may wait for their spectra


@dataclass(eq=False)
class Measurement:
    """Loss of one sample (float64) and the spectrum of each projection, or why there are none."""

    loss: float
    spectra: dict[Projection, Spectrum] = field(default_factory=dict)
    failure: str | None = None


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
    ) -> None:
        self.model = model
        self.extremes = extremes
        self.projections = find_projections(model, which, modules)
        self.structure = Structure.of(model, self.projections)
        self.workers = Workers(torch.get_num_threads())

    def measure(self, batch: list[EncodedResponse]) -> list[Measurement]:
        """Loss and spectra of every sample; each needs at least one response token."""
        measured = [Measurement(math.nan) for _ in batch]
        backlog = Backlog(self.workers, self._note_spectra)

        def receive(factors: Factors) -> None:
            for index, encoded in enumerate(batch):
                backlog.add((factors.sample(index, len(encoded.ids)), measured[index]), factors.nbytes // len(batch))

        with captured_factors(self.projections, receive):
            losses = response_losses(self.model, batch)
            losses.sum().backward()
        backlog.work_off()
        for measurement, loss in zip(measured, losses.tolist(), strict=True):
            measurement.loss = loss
            if not math.isfinite(loss):
                measurement.failure = f"the loss is not finite ({loss})"
        return measured

    def rows(self, measurement: Measurement, encoded: EncodedResponse) -> list[dict]:
        """One row of the gradient table a projection, without its key."""
        return [
            {
                "layer": p.layer,
                "projection": p.name,
                **spectrum_statistics(
                    measurement.spectra[p], rank_bound(p, encoded, self.structure), min(p.d_out, p.d_in)
                ),
            }
            for p in self.projections
        ]

    def _note_spectra(self, job: tuple[Factors, Measurement]) -> None:
        factors, measurement = job
        try:
            found = spectra(factors.inputs, factors.output_gradients, self.extremes)
        except NotFiniteError as error:
            measurement.failure = str(error)
        else:
            measurement.spectra.update(zip(factors.projections, found, strict=True))


class Workers:
    """Threads of one LAPACK thread each: small decompositions side by side beat one of them on all cores."""

    def __init__(self, threads: int) -> None:
        self.libraries = ThreadpoolController()
        self.pool = (
            ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) if threads > 1 else None
        )

    def run(self, work: Callable, jobs: list) -> None:
        """Do all jobs; an error is raised when it is met."""
        with self.libraries.limit(limits=1, user_api="blas"):
            list((self.pool.map if self.pool else map)(work, jobs))


class Backlog:
    """Jobs that wait until there are enough of them to keep every thread busy, but never of more than 64 MB."""

    def __init__(self, workers: Workers, work: Callable) -> None:
        self.workers = workers
        self.work = work
        self.jobs: list = []
        self.nbytes = 0

    def add(self, job: Any, nbytes: int) -> None:
        self.jobs.append(job)
        self.nbytes += nbytes
        if self.nbytes > _BACKLOG:
            self.work_off()

    def work_off(self) -> None:
        self.workers.run(self.work, self.jobs)
        self.jobs, self.nbytes = [], 0
