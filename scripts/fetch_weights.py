"""Download the weights of one model that is used from the hub, where it is not on this machine already."""

from layergrad.contracts.jobs import rule
from layergrad.models.weights import fetch_weights

with rule(snakemake):
    fetch_weights(snakemake.input.card, snakemake.output[0])
