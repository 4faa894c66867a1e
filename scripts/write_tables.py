"""Statistics of the study to its tables and its headline numbers."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.report.metrics import write_metrics
from layergrad.report.tables import write_tables

with rule(snakemake):
    statistics = {Path(path).stem: path for path in snakemake.input.statistics}
    write_tables(statistics, Path(snakemake.output.tables[0]).parent, snakemake.params.bases)
    write_metrics(statistics, snakemake.output.metrics)
