"""Statistics of every model and task to those of the study."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.statistics.compute import collect_statistics

with rule(snakemake):
    collect_statistics(list(snakemake.input), Path(snakemake.output[0]).parent)
