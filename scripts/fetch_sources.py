"""Rule fetch_sources: download what a task is made of and check it."""

from layergrad.contracts.jobs import rule
from layergrad.data.sources import fetch_sources

with rule(snakemake):
    fetch_sources(snakemake.params.sources, snakemake.output[0])
