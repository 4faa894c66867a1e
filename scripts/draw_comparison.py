"""Two models or two tasks side by side: their table to its figures."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.report.figures import draw_comparison

with rule(snakemake):
    folder = Path(snakemake.output.svg[0]).parent
    draw_comparison(snakemake.input[0], folder, titles=snakemake.params.titles)
