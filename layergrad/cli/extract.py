"""layergrad extract: measure rows of a user's own data."""

import argparse
from typing import Any

from layergrad.cli.arguments import (
    ROWS,
    add_model,
    add_reading,
    add_shard,
    check_prefix,
    command,
    model_settings,
    positive,
    reading,
)


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "extract",
        _run,
        "Measure the gradient of every attention projection for each row of your data.",
        "layergrad extract --model ./my-model --data train.jsonl --out gradients/train",
    )
    add_model(parser)
    parser.add_argument("--data", required=True, help=ROWS)
    parser.add_argument("--out", required=True, help="prefix of the tables <out>.parquet and <out>.samples.parquet")
    add_reading(parser)
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N rows")
    parser.add_argument("--no-extremes", action="store_true", help="leave out the largest and smallest entries")
    parser.add_argument("--similarity", action="store_true", help="also <out>.similarity.parquet: cosines of gradients")
    add_shard(parser)


def _run(options: argparse.Namespace) -> None:
    from layergrad.data.user_data import read_user_data

    check_prefix(options.out)
    samples = read_user_data(options.data, options.limit)

    from layergrad.contracts.files import remove_leftovers
    from layergrad.contracts.locks import only_writer
    from layergrad.contracts.tables import read_table
    from layergrad.gradients.extract import extract
    from layergrad.gradients.merge import refuse_failures, table_schemas
    from layergrad.gradients.settings import Settings, Shard
    from layergrad.models.load import ModelOrigin, origin_facts
    from layergrad.models.safety import refuse_unsafe_files

    origin = ModelOrigin.of(options.model)
    refuse_unsafe_files(origin)
    settings = Settings(
        extremes=not options.no_extremes,
        similarity=options.similarity,
        **reading(options),
        **model_settings(options),
    )
    shard = Shard(*options.shard)
    prefix = f"{options.out}{shard.suffix}"
    with only_writer(prefix):
        remove_leftovers(f"{prefix}{end}" for end in table_schemas(similarity=True))
        extract(samples, origin, origin_facts(origin), settings, prefix, f"{prefix}.parts", shard)
        measured = read_table(f"{prefix}.samples.parquet")
    refuse_failures(measured, prefix)
