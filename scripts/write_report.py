"""Statistics, figures and what was examined beside them to the pages of the report."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.report.pages import write_report

with rule(snakemake):
    write_report(
        {Path(path).stem: path for path in snakemake.input.statistics},
        snakemake.input.figures,
        Path(snakemake.output[0]).parent,
        study=snakemake.params.study,
        audits=snakemake.input.audits,
        diagnoses=snakemake.input.diagnoses,
        comparisons=snakemake.input.comparisons,
        claims={Path(path).stem: path for path in snakemake.input.claims},
    )
