"""Readers: from the fetched files of a task to its rows, one module for each layout of files.

A reader is a module with ``read(files, options, seed, count_tokens)``, which gives all rows of the task as a
``datasets.Dataset``. ``files`` holds paths by name of the source; ``options`` is the reader's model in
``contracts.options``.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import datasets

from layergrad.contracts.config.tasks import TaskContent
from layergrad.contracts.errors import UserError
from layergrad.data.readers import champ, gsm_symbolic, pairs, rows, wikipedia

READERS: dict[str, ModuleType] = {
    "rows": rows,
    "pairs": pairs,
    "champ": champ,
    "gsm_symbolic": gsm_symbolic,
    "wikipedia": wikipedia,
}

datasets.disable_progress_bars()


def read_rows(
    task: TaskContent, files: dict[str, list[Path]], seed: int, count_tokens: Callable[[str], int]
) -> datasets.Dataset:
    """All rows of a task. Raises ``UserError`` for options, files or fields that are wrong, and if there is no row."""
    given = set(task.given().values())
    read = {name: paths for name, paths in files.items() if name in (task.rows or files.keys() - given)}
    found = READERS[task.reader].read(read, task.reader_options(), seed, count_tokens)
    if not len(found):
        raise UserError(f"task {task.name}: its sources hold no row: {', '.join(read)}")
    return found
