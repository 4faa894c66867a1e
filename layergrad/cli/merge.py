"""layergrad merge: join the shards of one extract."""

import argparse
from typing import Any

from layergrad.cli.arguments import command


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "merge",
        _run,
        "Join the shards of one extract into <out>.parquet and <out>.samples.parquet.",
        "layergrad merge gradients/train",
    )
    parser.add_argument("out", help="the --out that the shards were made with")


def _run(options: argparse.Namespace) -> None:
    from layergrad.contracts.files import remove_leftovers
    from layergrad.contracts.locks import only_writer
    from layergrad.gradients.merge import find_shards, merge, table_schemas

    with only_writer(options.out):
        remove_leftovers(f"{options.out}{end}" for end in table_schemas(similarity=True))
        merge(find_shards(options.out), options.out)
