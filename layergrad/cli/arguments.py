"""What commands share: how they are added, options that several have, and the values these allow."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from layergrad.contracts.errors import UserError

ROWS = "rows of instruction, input (optional), output, or of chat messages: .json, .jsonl, .csv, .parquet"


def command(commands: Any, name: str, run: Callable, about: str, example: str) -> argparse.ArgumentParser:
    """A subcommand with an example below its --help; ``run`` takes the parsed options and gives the exit code."""
    parser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """Options that say which model is run, and how."""
    parser.add_argument("--model", required=True, help="hub id, directory or .gguf file")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64", "bfloat16", "float16"])
    parser.add_argument("--device", default="auto", help="auto (a CUDA GPU, else MPS, else the CPU), cpu, cuda:1, mps")
    parser.add_argument("--projections", default="attention", choices=["attention", "attention+mlp"])
    parser.add_argument("--modules", metavar="FILE", help="YAML whose key modules says where the projections are")


def model_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the options of ``add_model`` ask for, with all cores."""
    from layergrad.contracts.config.load import load_modules

    return {
        "dtype": options.dtype,
        "device": options.device,
        "projections": options.projections,
        "modules": load_modules(options.modules) if options.modules else None,
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Options that say how prompts and responses become token ids."""
    parser.add_argument("--chat", action="store_true", help="put the instruction into the model's chat template")
    parser.add_argument("--paper-compat", action="store_true", help="token ids and mask of the paper's released code")
    parser.add_argument("--max-length", type=positive, default=1024, metavar="TOKENS", help="default %(default)s")


def reading(options: argparse.Namespace) -> dict[str, Any]:
    """What the options of ``add_reading`` ask for."""
    return {
        "prompt": "chat" if options.chat else "plain",
        "paper_compat": options.paper_compat,
        "max_length": options.max_length,
    }


def add_shard(parser: argparse.ArgumentParser) -> None:
    """The option that says which part of the work is done."""
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="only part I (from 1) of N")


def check_prefix(out: str) -> None:
    """Raise ``UserError`` for a folder where the beginning of file names is asked for."""
    if out.endswith("/") or Path(out).is_dir():
        raise UserError(f"--out {out}: a folder given; allowed is the beginning of file names, such as gradients/run1")


def named(specs: Sequence[Any], name: str, what: str) -> Any:
    """The model or task of that name. Raises ``UserError`` with the names there are, where ``what`` is at fault."""
    found = next((spec for spec in specs if spec.name == name), None)
    if found is None:
        raise UserError(f"{what}: {name!r} given; the study has {', '.join(spec.name for spec in specs)}")
    return found


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed is a whole number from 1")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed is I/N with I from 1 to N, such as 2/4")
    return int(index), int(count)
