"""Audit all rows of one task, before any is chosen, in the tokens of one model."""

from pathlib import Path

from layergrad.audit.responses import Reading
from layergrad.audit.table import audit_task
from layergrad.contracts.jobs import rule
from layergrad.models.load import ModelOrigin

with rule(snakemake):
    audit_task(
        snakemake.input.pool,
        ModelOrigin(str(Path(snakemake.input.tokenizer).parent), trust_remote_code=snakemake.params.trust_remote_code),
        snakemake.output.table,
        model=snakemake.wildcards.model,
        reading=Reading(**snakemake.params.reading),
    )
