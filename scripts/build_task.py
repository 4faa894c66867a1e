"""Rule build_task: make a task's table of samples from its sources."""

from layergrad.contracts.config.tasks import TaskContent
from layergrad.contracts.jobs import rule
from layergrad.contracts.tables import SAMPLES, write_table
from layergrad.data.build import build_task

with rule(snakemake):
    frame, facts = build_task(
        TaskContent.model_validate(snakemake.params.task),
        snakemake.params.templates,
        listing=snakemake.input.sources,
        tokenizer=snakemake.input.tokenizer,
        seed=snakemake.params.seed,
        method=snakemake.params.irrelevant,
        controls=snakemake.params.controls,
        max_length=snakemake.params.max_length,
    )
    write_table(frame, snakemake.output[0], SAMPLES, facts)
