"""Examine one model before its gradients are measured; a red verdict stops what comes after it."""

import logging

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import write_json
from layergrad.contracts.jobs import rule
from layergrad.gradients.diagnose import diagnose
from layergrad.gradients.settings import Settings
from layergrad.models.prepare import read_card

with rule(snakemake):
    card, origin = read_card(snakemake.input.card)
    diagnosis = diagnose(origin, card, Settings(**snakemake.params.settings, threads=snakemake.threads))
    # Snakemake deletes the output of a failed job, so the log has all the numbers.
    for line in diagnosis.table():
        logging.getLogger("layergrad").info("%s", line)
    if not diagnosis.passed:
        raise UserError(diagnosis.verdict)
    write_json(snakemake.output[0], diagnosis.facts())
