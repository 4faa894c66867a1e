"""layergrad preview: what a model sees of a row, token by token."""

import argparse
from typing import Any

from layergrad.cli.arguments import ROWS, add_reading, command, positive, reading


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "preview",
        _run,
        "Show what the model sees of a row: the rendered prompt and the response, where one token ends and the next "
        "begins, which tokens bear the loss, and what is cut off. No weights are loaded.",
        "layergrad preview --model ./my-model --data train.jsonl --row 3 --chat",
    )
    parser.add_argument("--model", required=True, help="hub id, directory or .gguf file; only its tokenizer is used")
    parser.add_argument("--data", required=True, help=ROWS)
    parser.add_argument("--row", type=positive, default=1, metavar="N", help="the row, from 1; default %(default)s")
    add_reading(parser)


def _run(options: argparse.Namespace) -> None:
    from layergrad.contracts.errors import UserError
    from layergrad.data.user_data import read_user_data

    samples = read_user_data(options.data, options.row)
    if options.row > len(samples):
        raise UserError(f"--row {options.row}: {options.data} has {len(samples)} rows")
    sample = samples.iloc[options.row - 1]

    from rich.console import Console

    from layergrad.models.load import ModelOrigin, load_tokenizer
    from layergrad.models.preview import preview

    tokenizer = load_tokenizer(ModelOrigin.of(options.model))
    shown = preview(tokenizer, sample["instruction"], sample["output"], **reading(options))
    Console(highlight=False, soft_wrap=True).print(*shown, sep="\n")
