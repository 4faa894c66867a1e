"""Gradients of one model and task to their statistics."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.statistics.compute import compute_statistics

with rule(snakemake):
    compute_statistics(
        snakemake.input.gradients,
        snakemake.input.samples,
        snakemake.input.data,
        Path(snakemake.output[0]).parent,
        model=snakemake.params.model,
        task=snakemake.wildcards.task,
        seed=snakemake.params.seed,
        noisy_above=snakemake.params.noisy_above,
    )
