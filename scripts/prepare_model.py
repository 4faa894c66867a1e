"""Download, convert or make one model; write it with its tokenizer and its card."""

from layergrad.contracts.config.models import ModelWeights
from layergrad.contracts.jobs import rule
from layergrad.models.prepare import prepare_model

with rule(snakemake):
    prepare_model(ModelWeights.model_validate(snakemake.params.model), snakemake.params.folder)
