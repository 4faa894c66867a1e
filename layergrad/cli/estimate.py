"""layergrad estimate: how long a study will take."""

import argparse
import os
from pathlib import Path
from typing import Any

from layergrad.cli.arguments import command, positive


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "estimate",
        _run,
        "Say how long a study will take and how much memory it needs.",
        "layergrad estimate config/config.yaml",
    )
    parser.add_argument("study", help="a study file")
    parser.add_argument("--cores", type=positive, default=os.cpu_count(), help="default: all, %(default)s")


def _run(options: argparse.Namespace) -> None:
    from layergrad.contracts.config.load import load_study
    from layergrad.contracts.estimate import describe

    print(describe(load_study(Path(options.study)), options.cores))
