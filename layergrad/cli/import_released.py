"""layergrad import-released: the authors' released statistics as tables of gradients."""

import argparse
from typing import Any

from layergrad.cli.arguments import check_prefix, command, named


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "import-released",
        _run,
        "Turn the authors' files of one model and task into <out>.parquet and <out>.samples.parquet. What is wrong in "
        "them stands in <out>.import.csv, by file and line.",
        "layergrad import-released --study config/released.yaml --model qwen2-1.5b --task aqua --out imported/aqua",
    )
    parser.add_argument("--study", required=True, help="a study file that names a folder of released statistics")
    parser.add_argument("--model", required=True, help="a model of the study")
    parser.add_argument("--task", required=True, help="a task of the study")
    parser.add_argument("--data", metavar="FILE", help="the task's table of samples, which the lines are to be about")
    parser.add_argument("--out", required=True, help="prefix of the tables")


def _run(options: argparse.Namespace) -> None:
    check_prefix(options.out)

    from layergrad.contracts.config.load import load_study
    from layergrad.contracts.tables import read_table
    from layergrad.released.importing import import_released
    from layergrad.released.layout import files, folder_of

    study = load_study(options.study)
    model, task = named(study.models, options.model, "--model"), named(study.tasks, options.task, "--task")
    samples = read_table(options.data) if options.data else None
    import_released(folder_of(study), files(task, model), task.name, options.out, samples)
