"""Make a task's table of samples, and that of all they are taken from, from its sources."""

from layergrad.contracts.config.tasks import TaskContent
from layergrad.contracts.jobs import rule
from layergrad.contracts.tables import SAMPLES, write_table
from layergrad.data.build import build_task

with rule(snakemake):
    built = build_task(
        TaskContent.model_validate(snakemake.params.task),
        snakemake.params.templates,
        listing=snakemake.input.sources,
        tokenizer=snakemake.input.get("tokenizer"),
        seed=snakemake.params.seed,
        method=snakemake.params.irrelevant,
        controls=snakemake.params.controls,
        max_length=snakemake.params.max_length,
    )
    write_table(built.samples, snakemake.output.samples, SAMPLES, built.facts)
    write_table(built.pool, snakemake.output.pool, SAMPLES, built.facts)
