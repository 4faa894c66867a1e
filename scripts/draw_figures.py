"""Mean curves of one model and task to its figures."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.report.figures import draw_figures

with rule(snakemake):
    folder = Path(snakemake.output[0]).parent
    titles = {"model_title": snakemake.params.model_title, "task_title": snakemake.params.task_title}
    draw_figures(snakemake.input.curves, snakemake.input.differences, folder, **titles)
