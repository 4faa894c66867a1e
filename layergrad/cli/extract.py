"""layergrad extract: measure rows of a user's own data."""

import argparse
from typing import Any

from layergrad.cli.arguments import (
    add_model,
    add_reading,
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
    parser.add_argument(
        "--data", required=True, help="rows of instruction, input (optional), output: .json, .jsonl, .csv, .parquet"
    )
    parser.add_argument("--out", required=True, help="prefix of the tables <out>.parquet and <out>.samples.parquet")
    add_reading(parser)
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N rows")
    parser.add_argument("--no-extremes", action="store_true", help="leave out the largest and smallest entries")
    parser.add_argument("--similarity", action="store_true", help="also <out>.similarity.parquet: cosines of gradients")
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="only part I (from 1) of N")


def _run(options: argparse.Namespace) -> None:
    from layergrad.data.user_data import read_user_data

    check_prefix(options.out)
    samples = read_user_data(options.data, options.limit)

    from layergrad.contracts.tables import read_table
    from layergrad.gradients.extract import extract
    from layergrad.gradients.merge import refuse_failures
    from layergrad.gradients.settings import Settings, Shard
    from layergrad.models.load import ModelOrigin, origin_facts

    origin = ModelOrigin.of(options.model)
    settings = Settings(
        extremes=not options.no_extremes,
        similarity=options.similarity,
        **reading(options),
        **model_settings(options),
    )
    shard = Shard(*options.shard)
    prefix = f"{options.out}{shard.suffix}"
    extract(samples, origin, origin_facts(origin), settings, prefix, f"{prefix}.parts", shard)
    refuse_failures(read_table(f"{prefix}.samples.parquet"), prefix)


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed is I/N with I from 1 to N, such as 2/4")
    return int(index), int(count)
