"""layergrad export-released: tables of gradients in the authors' format."""

import argparse
from pathlib import Path
from typing import Any

from layergrad.cli.arguments import command, named


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "export-released",
        _run,
        "Write a study's gradients of one model and task as the authors' files, "
        "<out>/<data folder>/<model key>/grads_<data file>.jsonl.",
        "layergrad export-released --study config/test.yaml --gradients results/test/gradients/tiny-llama/mini_math "
        "--data results/test/data/mini_math.parquet --out exported",
    )
    parser.add_argument("--study", required=True, help="the study file")
    parser.add_argument("--gradients", required=True, metavar="PREFIX", help="its tables: .../<model>/<task>")
    parser.add_argument("--data", required=True, metavar="FILE", help="the task's table of samples, for the texts")
    parser.add_argument("--out", required=True, metavar="FOLDER")


def _run(options: argparse.Namespace) -> None:
    from layergrad.contracts.config.load import load_study
    from layergrad.released.exporting import export_released
    from layergrad.released.layout import files

    study, prefix = load_study(options.study), Path(options.gradients)
    model = named(study.models, prefix.parent.name, f"--gradients {prefix}: folder of the model")
    task = named(study.tasks, prefix.name, f"--gradients {prefix}: name of the task")
    export_released(prefix, options.data, files(task, model), options.out)
