"""Gradients of one model and task to their statistics."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.statistics.compute import compute_statistics

with rule(snakemake):  # noqa: F821
    job = snakemake  # noqa: F821
    compute_statistics(
        job.input.gradients,
        job.input.samples,
        job.input.data,
        Path(job.output[0]).parent,
        model=job.params.model,
        task=job.params.task,
        seed=job.params.seed,
        noisy_above=job.params.noisy_above,
    )
