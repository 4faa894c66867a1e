"""Gradients of two models or two tasks to their curves side by side and their ratio by layer."""

from layergrad.contracts.jobs import rule
from layergrad.statistics.comparisons import write_comparison

with rule(snakemake):
    write_comparison(
        snakemake.input.gradients,
        snakemake.input.samples,
        snakemake.input.data,
        snakemake.output[0],
        labels=snakemake.params.labels,
    )
