"""Gradients of the whole study to the verdicts on the paper's claims."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.statistics.claims.write import write_claims

with rule(snakemake):
    write_claims(
        snakemake.input.gradients,
        snakemake.input.data,
        Path(snakemake.output[0]).parent,
        models=snakemake.params.models,
        title=snakemake.params.title,
        seed=snakemake.params.seed,
        similarity=snakemake.params.similarity,
    )
