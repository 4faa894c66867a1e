"""layergrad score: a user's own rows, each with the size and the rank of its gradients."""

import argparse
import math
import re
from pathlib import Path
from typing import Any

from layergrad.cli.arguments import (
    ROWS,
    add_model,
    add_reading,
    add_shard,
    command,
    model_settings,
    positive,
    reading,
)
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256, remove_leftovers

PLACE = "sample_index"
"""The field that says a row's place in the input, from 0."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "score",
        _run,
        "Add to each row of your data how large its gradients are (nuclear norm) and how many directions they have "
        "(effective rank), and say how much of that is only the length of the response. It goes on where it stopped.",
        "layergrad score train.jsonl --model ./my-model --out scored.jsonl",
    )
    parser.add_argument("data", help=ROWS)
    add_model(parser)
    parser.add_argument(
        "--out",
        help="the file of scored rows, of the same kind as the data; default: <data>.scored beside it. The tables that "
        "it is made from are kept as <out>.gradients.parquet and <out>.gradients.samples.parquet",
    )
    parser.add_argument("--layers", type=_layers, metavar="A-B", help="mean over layers A to B, from 0; default: all")
    add_reading(parser)
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N rows")
    add_shard(parser)


def _run(options: argparse.Namespace) -> None:
    from layergrad.contracts.keys import ATTENTION_PROJECTIONS, PROJECTIONS
    from layergrad.data.user_data import add_fields, read_user_data, refuse_fields
    from layergrad.statistics.scores import length_share, score_fields, scores

    samples = read_user_data(options.data, options.limit)
    possible = ATTENTION_PROJECTIONS if options.projections == "attention" else PROJECTIONS
    refuse_fields(options.data, [PLACE, *score_fields(possible)])
    as_read = file_sha256(options.data)

    from layergrad.contracts.locks import only_writer
    from layergrad.contracts.tables import read_facts, read_table
    from layergrad.gradients.extract import extract
    from layergrad.gradients.merge import refuse_failures, table_schemas
    from layergrad.gradients.settings import Settings, Shard
    from layergrad.models.load import ModelOrigin, origin_facts
    from layergrad.models.safety import refuse_unsafe_files

    origin, shard = ModelOrigin.of(options.model), Shard(*options.shard)
    out = _out(options, shard.suffix)
    refuse_unsafe_files(origin)
    _check_layers(options.layers, origin)
    settings = Settings(extremes=False, **reading(options), **model_settings(options))
    prefix = str(out.with_suffix(".gradients"))
    with only_writer(prefix):
        remove_leftovers([out, *(f"{prefix}{end}" for end in table_schemas(similarity=False))])
        # Tables of the very same, which an earlier call with other layers left, are taken as they are.
        extract(samples, origin, origin_facts(origin), settings, prefix, f"{prefix}.parts", shard, earlier=prefix)

        measured = read_table(f"{prefix}.samples.parquet")
        found = read_facts(f"{prefix}.parquet")["modules"]
        projections = [name for name in PROJECTIONS if name in found]
        table = scores(read_table(f"{prefix}.parquet"), measured, projections, options.layers)
        _check_unchanged(options.data, as_read)
        add_fields(options.data, table.reset_index(names=PLACE).set_index(PLACE, drop=False), out)
    print(f"{out}: {len(table)} rows of {len(samples)}", _length_line(length_share(table)), sep="\n")
    refuse_failures(measured, out)


def _out(options: argparse.Namespace, shard: str) -> Path:
    """The file that is written, with the shard in its name. Raises ``UserError`` for one that it cannot be."""
    data = Path(options.data)
    out = Path(options.out) if options.out else data.with_name(f"{data.stem}.scored{data.suffix}")
    if out.suffix != data.suffix or out.is_dir():
        raise UserError(f"--out {out}: allowed is a file of the same kind as the data, such as scored{data.suffix}")
    if out.resolve() == data.resolve():
        raise UserError(f"--out {out}: this is the data itself, which is not written to")
    return out.with_name(f"{out.stem}{shard}{out.suffix}")


def _check_layers(layers: range | None, origin: Any) -> None:
    """Raise ``UserError`` for layers that the model does not have, before anything is measured."""
    from layergrad.models.load import load_config

    there = load_config(origin).get_text_config().num_hidden_layers
    if layers is not None and layers.stop > there:
        raise UserError(f"--layers {layers.start}-{layers.stop - 1}: allowed are layers from 0 to {there - 1}")


def _check_unchanged(data: str, as_read: str) -> None:
    """Raise ``UserError`` if the rows are not those that were measured: the scores would be those of other rows."""
    if not Path(data).is_file() or file_sha256(data) != as_read:
        raise UserError(f"{data}: gone or changed while it was measured; what is measured is kept: run again")


def _length_line(shares: dict[str, float]) -> str:
    """How much of each score is only length, in one sentence."""
    if any(math.isnan(share) for share in shares.values()):
        return "How much of a score is only response length cannot be told: it takes three different lengths."
    told = " and ".join(f"{share:.0%} of the variance of log {score}" for score, share in shares.items())
    return f"Response length alone explains {told} (R² on log response tokens, over these rows)."


def _layers(text: str) -> range:
    found = re.fullmatch(r"(\d+)-(\d+)", text)
    if not found or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed is A-B with A up to B, such as 8-15")
    return range(int(found[1]), int(found[2]) + 1)
