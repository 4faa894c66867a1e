"""What an earlier run measured of the very same: where only the wish to measure is new, its numbers are taken."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import KEYS
from layergrad.contracts.tables import read_facts, read_table, write_table
from layergrad.gradients.batches import worth_another_try
from layergrad.gradients.merge import table_schemas

logger = logging.getLogger("layergrad")


def take_over(earlier: str | Path, prefix: str | Path, keys: pd.DataFrame, facts: dict[str, Any]) -> bool:
    """Write a shard's tables, its rows those of ``keys``, from the merged tables under ``earlier``; False if it cannot.

    They must be there, whole, without a sample that another try may measure, and made from the same ``facts``: model,
    samples, settings, versions and code. Snakemake asks for a job again whenever a file before it is newer, though its
    content may not be.
    """
    schemas = table_schemas(facts["settings"]["similarity"])
    try:
        if any(read_facts(f"{earlier}{end}") != facts for end in schemas):
            return False
        tables = {end: read_table(f"{earlier}{end}") for end in schemas}
    except UserError:  # missing or damaged: it is measured anew
        return False
    if worth_another_try(tables[".samples.parquet"]):
        return False
    for end, schema in schemas.items():
        write_table(tables[end].merge(keys[list(KEYS)]), f"{prefix}{end}", schema, facts)
    logger.info("%s: taken from %s, which was made from the same", prefix, earlier)
    return True
