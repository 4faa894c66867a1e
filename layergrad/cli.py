"""The ``layergrad`` command: the same functions that the workflow's rules call."""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from layergrad.contracts.errors import UserError

# Floors are imported where a command needs them, so that --help and a mistake are answered at once.


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if it went well, 1 for a red verdict, 2 with one line on stderr if the input was bad."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("layergrad").setLevel(logging.INFO)
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except UserError as error:
        print(f"layergrad {options.command}: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="layergrad", description=sys.modules["layergrad"].__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_extract(commands)
    _add_merge(commands)
    _add_diagnose(commands)
    _add_estimate(commands)
    return parser


def _command(commands, name: str, run, about: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_extract(commands) -> None:
    parser = _command(
        commands,
        "extract",
        _extract,
        "Measure the gradient of every attention projection for each row of your data.",
        "layergrad extract --model ./my-model --data train.jsonl --out gradients/train",
    )
    _add_model(parser)
    parser.add_argument(
        "--data", required=True, help="rows of instruction, input (optional), output: .json, .jsonl, .csv, .parquet"
    )
    parser.add_argument("--out", required=True, help="prefix of the tables <out>.parquet and <out>.samples.parquet")
    parser.add_argument("--chat", action="store_true", help="put the instruction into the model's chat template")
    parser.add_argument("--paper-compat", action="store_true", help="token ids and mask of the paper's released code")
    parser.add_argument("--max-length", type=_positive, default=1024, metavar="TOKENS", help="default %(default)s")
    parser.add_argument("--limit", type=_positive, metavar="N", help="only the first N rows")
    parser.add_argument("--no-extremes", action="store_true", help="leave out the largest and smallest entries")
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="only part I (from 1) of N")


def _add_diagnose(commands) -> None:
    parser = _command(
        commands,
        "diagnose",
        _diagnose,
        "Show that the measurement of a model can be trusted. Ends in a verdict; exit code 1 if it is FAILED.",
        "layergrad diagnose --model ./my-model",
    )
    _add_model(parser)
    parser.add_argument("--out", metavar="FILE", help="write the verdict and its numbers there, as JSON")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="hub id, directory or .gguf file")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64", "bfloat16", "float16"])
    parser.add_argument("--device", default="auto", help="auto (a CUDA GPU, else MPS, else the CPU), cpu, cuda:1, mps")
    parser.add_argument("--projections", default="attention", choices=["attention", "attention+mlp"])
    parser.add_argument("--modules", metavar="FILE", help="YAML whose key modules says where the projections are")


def _add_merge(commands) -> None:
    parser = _command(
        commands,
        "merge",
        _merge,
        "Join the shards of one extract into <out>.parquet and <out>.samples.parquet.",
        "layergrad merge gradients/train",
    )
    parser.add_argument("out", help="the --out that the shards were made with")


def _add_estimate(commands) -> None:
    parser = _command(
        commands,
        "estimate",
        _estimate,
        "Say how long a study will take and how much memory it needs.",
        "layergrad estimate config/config.yaml",
    )
    parser.add_argument("study", help="a study file")
    parser.add_argument("--cores", type=_positive, default=os.cpu_count(), help="default: all, %(default)s")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed is a whole number from 1")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed is I/N with I from 1 to N, such as 2/4")
    return int(index), int(count)


def _extract(options: argparse.Namespace) -> None:
    from layergrad.data.user_data import read_user_data

    if options.out.endswith("/") or Path(options.out).is_dir():
        raise UserError(
            f"--out {options.out}: a folder given; allowed is the beginning of file names, such as gradients/run1"
        )

    samples = read_user_data(options.data, options.limit)

    from layergrad.contracts.tables import read_table
    from layergrad.gradients.extract import extract
    from layergrad.gradients.merge import refuse_failures
    from layergrad.gradients.settings import Settings, Shard
    from layergrad.models.load import ModelOrigin, origin_facts

    origin = ModelOrigin.of(options.model)
    settings = Settings(
        prompt="chat" if options.chat else "plain",
        paper_compat=options.paper_compat,
        max_length=options.max_length,
        extremes=not options.no_extremes,
        **_model_settings(options),
    )
    shard = Shard(*options.shard)
    prefix = f"{options.out}{shard.suffix}"
    extract(samples, origin, origin_facts(origin), settings, prefix, f"{prefix}.parts", shard)
    refuse_failures(read_table(f"{prefix}.samples.parquet"), prefix)


def _diagnose(options: argparse.Namespace) -> int:
    if options.out and Path(options.out).is_dir():
        raise UserError(f"--out {options.out}: a folder given; allowed is the name of a file, such as diagnosis.json")

    from layergrad.contracts.files import write_json
    from layergrad.gradients.diagnose import diagnose
    from layergrad.gradients.settings import Settings
    from layergrad.models.load import ModelOrigin, origin_facts

    origin = ModelOrigin.of(options.model)
    diagnosis = diagnose(origin, origin_facts(origin), Settings(**_model_settings(options)))
    print(*diagnosis.table(), diagnosis.verdict, sep="\n")
    if options.out:
        write_json(options.out, diagnosis.facts())
    return 0 if diagnosis.passed else 1


def _model_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the options of ``_add_model`` ask for, with all cores."""
    from layergrad.contracts.study_files import load_modules

    return {
        "dtype": options.dtype,
        "device": options.device,
        "projections": options.projections,
        "modules": load_modules(options.modules) if options.modules else None,
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def _merge(options: argparse.Namespace) -> None:
    from layergrad.gradients.merge import find_shards, merge

    merge(find_shards(options.out), options.out)


def _estimate(options: argparse.Namespace) -> None:
    from layergrad.contracts.estimate import describe
    from layergrad.contracts.study_files import load_study

    print(describe(load_study(Path(options.study)), options.cores))


if __name__ == "__main__":
    sys.exit(main())
