"""layergrad diagnose: can the measurement of a model be trusted?"""

import argparse
from pathlib import Path
from typing import Any

from layergrad.cli.arguments import add_model, command, model_settings
from layergrad.contracts.errors import UserError


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "diagnose",
        _run,
        "Show that the measurement of a model can be trusted. Ends in a verdict; exit code 1 if it is FAILED.",
        "layergrad diagnose --model ./my-model",
    )
    add_model(parser)
    parser.add_argument("--out", metavar="FILE", help="write the verdict and its numbers there, as JSON")


def _run(options: argparse.Namespace) -> int:
    if options.out and Path(options.out).is_dir():
        raise UserError(f"--out {options.out}: a folder given; allowed is the name of a file, such as diagnosis.json")

    from layergrad.contracts.files import write_json
    from layergrad.gradients.diagnose import diagnose
    from layergrad.gradients.settings import Settings
    from layergrad.models.load import ModelOrigin, origin_facts
    from layergrad.models.safety import refuse_unsafe_files

    origin = ModelOrigin.of(options.model)
    refuse_unsafe_files(origin)
    diagnosis = diagnose(origin, origin_facts(origin), Settings(**model_settings(options)))
    print(*diagnosis.table(), diagnosis.verdict, sep="\n")
    if options.out:
        write_json(options.out, diagnosis.facts())
    return 0 if diagnosis.passed else 1
