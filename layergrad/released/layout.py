"""Where the authors' format keeps things: the file of a cell, and the names of what a line holds."""

import functools
import re
import urllib.parse
from pathlib import Path, PurePosixPath

from layergrad.contracts.config.models import ModelSpec
from layergrad.contracts.config.sources import FileSource, UrlSource
from layergrad.contracts.config.study import Study
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import ATTENTION_PROJECTIONS, RESPONSES, Variant

Cell = tuple[Variant, str]
"""Variant and response."""

TEXTS = ("instruction", "output")
LOSS = "loss"
NUMBERS = {
    "M_mean": "grad_mean",
    "M_max": "grad_max",
    "M_min": "grad_min",
    "frobenius_norm": "frobenius_norm",
    "S_sum": "nuclear_norm",
    "S_max": "spectral_norm",
    "S_min": "s_min",
}
"""By their name of a number, in their order, the column of the gradient table."""

_PARAMETER = re.compile(r"model\.layers\.(0|[1-9]\d{0,3})\.self_attn\.([qkvo])_proj\.weight")


def parameter(layer: int, projection: str) -> str:
    """Their name of a projection's weight."""
    return f"model.layers.{layer}.self_attn.{projection}_proj.weight"


@functools.cache
def parameters(n_layers: int) -> tuple[str, ...]:
    """All of them, in their order: layer by layer q, k, v, o."""
    return tuple(parameter(layer, name) for layer in range(n_layers) for name in ATTENTION_PROJECTIONS)


@functools.lru_cache(maxsize=4096)
def layer_of(name: str) -> int | None:
    """The layer of a parameter; none for every other name."""
    found = _PARAMETER.fullmatch(name)
    return int(found[1]) if found else None


def files(task: TaskSpec, model: ModelSpec) -> dict[Cell, PurePosixPath]:
    """By cell, the path of its file in a folder of released statistics.

    It follows from the source that gives a cell's responses: ``<data folder>/<file>.json`` has its statistics in
    ``<data folder>/<model key>/grads_<file>.jsonl``. Cells of whose responses no file is given, which the authors do
    not have, are kept as if it were ``<task>/<variant>_<response>.json``. Raises ``UserError`` if two cells have one
    file.
    """
    found: dict[Cell, PurePosixPath] = {}
    for variant in task.variants:
        for response in RESPONSES:
            if getattr(task.samples_of(variant), response):
                folder, stem = _data_file(task, (variant, response))
                path = PurePosixPath(folder, model.released_as or model.name, f"grads_{stem}.jsonl")
                if path in found.values():
                    raise UserError(f"task {task.name}: {variant}, {response} has the file of another cell, {path}")
                found[variant, response] = path
    return found


def _data_file(task: TaskSpec, cell: Cell) -> tuple[str, str]:
    """Folder and stem of the file that holds a cell's responses."""
    source = task.sources.get(task.given().get(cell, ""))
    path = PurePosixPath()
    if isinstance(source, UrlSource):
        path = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(source.url).path))
    elif isinstance(source, FileSource):
        path = PurePosixPath(source.file)
    folder = path.parent.name
    return (task.name, "_".join(cell)) if folder in ("", "..") else (folder, path.stem)


def present(study: Study) -> dict[tuple[str, str], list[Path]]:
    """By model and task, the files that are in the study's folder of released statistics; nothing if it takes none.

    Raises ``UserError`` if the folder, or every file of a model and task, is not there.
    """
    if not study.released:
        return {}
    folder = folder_of(study)
    return {(model.name, task.name): _present(folder, model, task) for model in study.models for task in study.tasks}


def folder_of(study: Study) -> Path:
    """The study's folder of released statistics. Raises ``UserError`` if there is none."""
    if not study.released or not Path(study.released).is_dir():
        raise UserError(
            f"study {study.name}: released: {study.released} given, which is no folder; allowed is one that holds "
            "<data folder>/<model key>/grads_<data file>.jsonl"
        )
    return Path(study.released)


def _present(folder: Path, model: ModelSpec, task: TaskSpec) -> list[Path]:
    wanted = [folder / path for path in files(task, model).values()]
    there = [path for path in wanted if path.is_file()]
    if not there:
        raise UserError(
            f"released: {folder} has none of the {len(wanted)} files of {task.name} on {model.name}, the first of "
            f"which is {wanted[0]}; name another folder, or leave out the model or the task"
        )
    return there
