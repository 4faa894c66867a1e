"""Rule build_task: make a task's table of samples from its sources."""

from layergrad.contracts.config import TaskContent
from layergrad.contracts.jobs import rule
from layergrad.data.build import write_task

with rule(snakemake):
    write_task(
        snakemake.output[0],
        TaskContent.model_validate(snakemake.params.task),
        snakemake.params.templates,
        listing=snakemake.input.sources,
        tokenizer=snakemake.input.tokenizer,
        seed=snakemake.params.seed,
        method=snakemake.params.irrelevant,
    )
