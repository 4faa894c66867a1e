"""The authors' released statistics of one model and task to its tables of gradients."""

from layergrad.contracts.jobs import rule
from layergrad.contracts.tables import read_table
from layergrad.released.importing import import_released

with rule(snakemake):
    import_released(
        snakemake.params.folder,
        snakemake.params.files,
        snakemake.wildcards.task,
        snakemake.params.prefix,
        samples=read_table(snakemake.input.samples),
        pool=read_table(snakemake.input.pool),
    )
