"""Join the shards of one (model, task)."""

from layergrad.contracts.jobs import rule
from layergrad.gradients.merge import merge

with rule(snakemake):
    merge(snakemake.params.shards, snakemake.params.prefix, snakemake.params.max_failure_rate)
