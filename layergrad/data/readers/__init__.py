"""Readers: from the fetched files of a task to its rows, one module for each layout of files.

A reader is a module with ``Options``, the pydantic model of the task file's ``options``, and
``read(files, options, seed, count_tokens)``, which gives all rows of the task as a ``datasets.Dataset``. ``files``
holds paths by name of the source.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
from pydantic import ValidationError

from layergrad.contracts.config import TaskSpec
from layergrad.contracts.errors import UserError
from layergrad.data.readers import champ, gsm_symbolic, rows, wikipedia

READERS: dict[str, ModuleType] = {
    "rows": rows,
    "champ": champ,
    "gsm_symbolic": gsm_symbolic,
    "wikipedia": wikipedia,
}

datasets.disable_progress_bars()


def check_options(task: TaskSpec) -> Any:
    """The task's options as its reader's model. Raises ``UserError`` naming the first that is wrong."""
    model = READERS[task.reader].Options
    try:
        return model.model_validate(task.options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        allowed = ", ".join(model.model_fields) or "none"
        raise UserError(
            f"task {task.name}: options.{key}: {first['msg']} ({first['input']!r:.80} given); options are: {allowed}"
        ) from error


def read_rows(
    task: TaskSpec, files: dict[str, list[Path]], seed: int, count_tokens: Callable[[str], int]
) -> datasets.Dataset:
    """All rows of a task. Raises ``UserError`` for options, files or fields that are wrong, and if there is no row."""
    found = READERS[task.reader].read(files, check_options(task), seed, count_tokens)
    if not len(found):
        raise UserError(f"task {task.name}: its sources hold no row: {', '.join(files)}")
    return found
