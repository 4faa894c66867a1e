"""Statistics and figures of the study to one page."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.report.page import write_report

with rule(snakemake):
    statistics = {Path(path).stem: path for path in snakemake.input.statistics}
    write_report(statistics, snakemake.input.figures, snakemake.output[0], study=snakemake.params.study)
