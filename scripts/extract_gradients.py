"""Measure the gradients of one shard of one (model, task)."""

from layergrad.contracts.jobs import rule
from layergrad.contracts.locks import only_writer
from layergrad.contracts.tables import read_table
from layergrad.gradients.extract import extract
from layergrad.gradients.settings import Settings, Shard
from layergrad.models.prepare import read_card

with rule(snakemake):
    card, origin = read_card(snakemake.input.card)
    samples = read_table(snakemake.input.samples)
    if not snakemake.params.controls:
        samples = samples[samples["control"] == "none"]
    shard = Shard(int(snakemake.wildcards.shard), snakemake.params.shards)
    settings = Settings(**snakemake.params.settings, threads=snakemake.threads)
    with only_writer(snakemake.params.parts, wait=True):
        extract(
            samples,
            origin,
            card,
            settings,
            snakemake.params.prefix,
            snakemake.params.parts,
            shard,
            earlier=snakemake.params.merged,
        )
