"""layergrad audit: what responses are like before they are measured."""

import argparse
from typing import Any

from layergrad.cli.arguments import add_reading, check_prefix, command, reading


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "audit",
        _run,
        "Count what can spoil a comparison of responses: truncation, lost line breaks, identical rows and the like. Of "
        "a study's data only rows without a control are audited. No weights are loaded.",
        "layergrad audit --model ./my-model --data train.jsonl",
    )
    parser.add_argument("--model", required=True, help="hub id, directory or .gguf file; only its tokenizer is used")
    parser.add_argument(
        "--data",
        required=True,
        help="data/<task>.parquet of a study, or rows of instruction, input (optional), output: .json, .jsonl, .csv, "
        ".parquet",
    )
    parser.add_argument("--out", help="prefix of the tables <out>.parquet and <out>.csv")
    add_reading(parser)


def _run(options: argparse.Namespace) -> None:
    if options.out:
        check_prefix(options.out)
    samples = _read(options.data)

    from layergrad.audit.lines import lines
    from layergrad.audit.responses import Reading
    from layergrad.audit.table import audit, audit_facts
    from layergrad.contracts.tables import write_statistics
    from layergrad.models.load import ModelOrigin, load_tokenizer

    tokenizer = load_tokenizer(ModelOrigin.of(options.model))
    how = Reading(**reading(options))
    table = audit(samples, tokenizer, options.model, how)
    print(*lines(table), sep="\n")
    if options.out:
        write_statistics(table, f"{options.out}.parquet", audit_facts(options.data, tokenizer, how))


def _read(path: str) -> Any:
    """A study's table of samples as it is, whose rows pass for a user's own too; or a user's own data."""
    from layergrad.contracts.tables import SAMPLES, read_table
    from layergrad.data.user_data import read_user_data

    own = read_user_data(path)
    samples = read_table(path) if path.endswith(".parquet") else own
    return samples if set(SAMPLES.names) <= set(samples.columns) else own
