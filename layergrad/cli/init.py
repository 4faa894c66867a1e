"""layergrad init: a study of a user's own rows and model, ready to be run."""

import argparse
import math
import os
import re
from pathlib import Path
from typing import Any

from layergrad.cli.arguments import ROWS, command
from layergrad.contracts.errors import UserError

MAX_LENGTH = 1024
SAMPLES = 100
"""Rows that a new study takes at most; its file says how to take more."""

SHOWN = 500
"""Characters of the first row's prompt and of its response that are shown."""

_ROWS_A_JOB = 8  # below this, loading the model costs more than a further job saves
_MOST_JOBS = 4


def add(commands: Any) -> None:
    """Add the command."""
    parser = command(
        commands,
        "init",
        _run,
        "Look at your rows and your model and write the files of a study of them: config/<name>.yaml, "
        "config/tasks/<name>.yaml and config/models/<model>.yaml. No weights are loaded.",
        "layergrad init train.jsonl --model ./my-model",
    )
    parser.add_argument("data", help=f"{ROWS}; or the id of a data set on the hub with these fields")
    parser.add_argument("--model", required=True, help="hub id, directory or .gguf file")
    parser.add_argument("--name", type=_name, help="of the study and its task; default: the name of the data")
    parser.add_argument("--subset", help="of a data set on the hub, where it has several")
    parser.add_argument("--split", help="of a data set on the hub; default: train")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")


def _run(options: argparse.Namespace) -> None:
    from layergrad.cli.new_study import StudyFiles
    from layergrad.contracts.estimate import describe

    name = options.name or _safe(Path(options.data).stem, "data", r"[^A-Za-z0-9_-]+")
    model_title = _last_part(options.model)
    model_name = _safe(model_title, "model", r"[^A-Za-z0-9_.-]+").lower()
    files = StudyFiles(name, model_name, options.overwrite)
    files.refuse_existing()

    from layergrad.data.sketch import sketch as sketch_rows
    from layergrad.models.sketch import sketch as sketch_model

    rows = sketch_rows(options.data, options.subset, options.split)
    print(f"{options.data}: {len(rows.pairs)} rows; fields: {', '.join(rows.fields)}")
    model = sketch_model(options.model, MAX_LENGTH)
    print(f"{options.model}: {model.n_layers} layers, {model.parameters / 1e6:.0f} million parameters")
    keep_model = files.keeps_model(model.source)
    names = {"name": name, "model_name": model_name, "model_title": model_title}
    values = names | {"model": model} | _values(rows, model)
    study, written = files.write(values, keep_model)
    print("", describe(study, os.cpu_count() or 1), sep="\n")
    print("", f"Written: {', '.join(map(str, written))}", sep="\n")
    if keep_model:
        print(f"As it was: {files.model}")
    print(
        "Look them over (licences are to be filled in), then:",
        f"  snakemake --cores all --configfile {files.study}",
        sep="\n",
    )


def _values(rows: Any, model: Any) -> dict[str, Any]:
    """What the templates of the task and the study need, after showing the first row and the lengths of all."""
    from layergrad.data.sketch import irrelevant_count
    from layergrad.models.sketch import token_counts

    _show_first(rows, model)
    pairs = rows.pairs
    tokens = token_counts(model.tokenizer, zip(pairs["instruction"], pairs["output"], strict=True), model.prompt)
    print(
        f"tokens of prompt and response: {tokens.min()} to {tokens.max()}, {tokens.mean():.0f} in the mean; "
        f"{(tokens > MAX_LENGTH).sum()} of {len(tokens)} rows are longer than {MAX_LENGTH} and will be cut off there"
    )
    encoder = model.tokenizer.backend_tokenizer
    possible = irrelevant_count(pairs, lambda text: len(encoder.encode(text, add_special_tokens=False).ids))
    if not possible:
        raise UserError(
            "no irrelevant response can be made, which takes sentences of a row with another prompt; a study has some "
            "for a control; layergrad score takes any rows"
        )
    correct = min(len(pairs), SAMPLES)
    return {
        "title": rows.title,
        "attribution": rows.source.get("hub", rows.source.get("file")),
        "source": rows.source,
        "rows": len(pairs),
        "tokens": math.ceil(tokens.clip(max=MAX_LENGTH).mean()),
        "correct": correct,
        "irrelevant": min(possible, correct),
        "possible": possible,
        "max_length": MAX_LENGTH,
        "shards": min(_MOST_JOBS, math.ceil(correct / _ROWS_A_JOB)),
    }


def _show_first(rows: Any, model: Any) -> None:
    from rich.console import Console

    from layergrad.models.preview import preview

    first = rows.pairs.iloc[0]
    shown = preview(model.tokenizer, first["instruction"], first["output"], prompt=model.prompt, max_length=MAX_LENGTH)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\nThe first row as the model sees it, in the {model.prompt} prompt:", *shown[:1], markup=False)
    console.print(*(part[:SHOWN] + (" ..." if len(part) > SHOWN else "") for part in shown[1:]), "", sep="\n")


def _last_part(model: str) -> str:
    """The name of a directory, of a hub repository, or of a GGUF file without its end."""
    path = Path(os.path.abspath(model)) if Path(model).exists() else Path(model)
    return path.stem if path.is_file() else path.name


def _safe(text: str, what: str, others: str) -> str:
    """A name that files can have. Raises ``UserError`` where nothing is left of it."""
    safe = re.sub(others, "-", text).strip("-_.")
    if not safe:
        raise UserError(f"{what} {text}: no name can be made of it; give --name, or rename it")
    return safe


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed are letters, digits, - and _")
    return text
