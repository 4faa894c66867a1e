"""Mean curves of one task on a model and on its base to their figure."""

from pathlib import Path

from layergrad.contracts.jobs import rule
from layergrad.report.figures import draw_base_instruct

with rule(snakemake):
    folder = Path(snakemake.output.svg).parent
    draw_base_instruct(snakemake.input.base, snakemake.input.tuned, folder, titles=snakemake.params.titles)
