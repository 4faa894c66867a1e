"""Put the shards of a gradient job together again."""

import glob
import itertools
import logging
from pathlib import Path

import pandas as pd
import pyarrow as pa

from layergrad.contracts.errors import UserError
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, SIMILARITY, read_facts, read_table, write_table

logger = logging.getLogger("layergrad")


def find_shards(prefix: str) -> list[str]:
    """Prefixes of all shards made under one ``--out``. Raises ``UserError`` if one is missing."""
    path = Path(prefix)
    found = sorted(path.parent.glob(f"{glob.escape(path.name)}.shard-*-of-*.samples.parquet"))
    shards = [str(file).removesuffix(".samples.parquet") for file in found]
    if not shards:
        raise UserError(f"{prefix}: there are no files {prefix}.shard-<i>-of-<n>.samples.parquet")
    count = int(shards[0].rpartition("-")[2])
    wanted = [f"{prefix}.shard-{i}-of-{count}" for i in range(1, count + 1)]
    if set(wanted) != set(shards):
        odd = ", ".join(Path(name).name for name in sorted(set(wanted) ^ set(shards)))
        raise UserError(f"{prefix}: the shards are not {count} of {count}; missing or of another number: {odd}")
    return wanted


def table_schemas(similarity: bool) -> dict[str, pa.Schema]:
    """By the end of its name, every table of gradients."""
    tables = {".parquet": GRADIENTS, ".samples.parquet": MEASURED_SAMPLES}
    return tables | ({".similarity.parquet": SIMILARITY} if similarity else {})


def merge(prefixes: list[str], prefix: str | Path, max_failure_rate: float = 1.0) -> None:
    """Join the tables of every shard and write them under ``prefix``, sorted by key.

    Raises ``UserError`` if the shards come from different models, samples or settings, or if more than
    ``max_failure_rate`` of the samples failed; nothing is written then.
    """
    facts = read_facts(f"{prefixes[0]}.samples.parquet")
    tables = table_schemas(facts["settings"]["similarity"])
    for shard, end in itertools.product(prefixes, tables):  # a killed run may leave some tables new and some old
        if read_facts(f"{shard}{end}") != facts:
            raise UserError(f"{shard}{end}: made from another model, samples, settings or code than {prefixes[0]}")
    joined = {end: pd.concat([read_table(f"{shard}{end}") for shard in prefixes], ignore_index=True) for end in tables}
    refuse_failures(joined[".samples.parquet"], prefix, max_failure_rate)
    for end, schema in tables.items():
        write_table(joined[end], f"{prefix}{end}", schema, facts)


def refuse_failures(samples: pd.DataFrame, what: str | Path, max_failure_rate: float = 1.0) -> None:
    """Log how many samples failed and why; raise ``UserError`` if they are too many, or all of them."""
    failed = samples[samples["status"] == "failed"]
    for reason, count in failed["reason"].value_counts().items():
        logger.warning("%s: %d of %d samples failed: %s", what, count, len(samples), reason)
    if len(failed) > max_failure_rate * len(samples) or 0 < len(failed) == len(samples):
        raise UserError(
            f"{what}: {len(failed)} of {len(samples)} samples failed, at most {max_failure_rate:.0%} may; "
            f"the first reason: {failed['reason'].iloc[0]}"
        )
