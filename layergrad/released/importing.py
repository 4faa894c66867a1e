"""The authors' files of one model and task to the tables that measuring them here would give."""

import logging
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256
from layergrad.contracts.keys import ATTENTION_PROJECTIONS
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, write_table
from layergrad.contracts.versions import code_version, package_versions
from layergrad.released.layout import NUMBERS, Cell
from layergrad.released.lines import Line
from layergrad.released.matching import match
from layergrad.released.problems import Problems
from layergrad.released.reading import read_files

logger = logging.getLogger("layergrad")

CODE = ("released", "contracts/keys.py", "contracts/tables.py")
"""The code that imported tables depend on."""

_PLAIN = {"replicate": 0, "control": "none"}
_LACKING = dict.fromkeys(("rank_bound", "effective_rank", "stable_rank"))
_UNKNOWN = dict.fromkeys(("n_prompt_tokens", "n_response_tokens", "truncated"))


def import_released(
    folder: str | Path,
    files: Mapping[Cell, PurePath],
    task: str,
    prefix: str | Path,
    samples: pd.DataFrame | None = None,
    pool: pd.DataFrame | None = None,
) -> None:
    """Write ``<prefix>.parquet``, ``<prefix>.samples.parquet`` and ``<prefix>.import.parquet`` (and .csv).

    ``files`` are paths in ``folder`` by cell; a cell without its file is not in the tables. ``samples`` is the task's
    table of responses: each of a cell that is there gets a row, failed if no line of it can be used, and no other
    response does. ``pool`` is the table of all responses that lines may be about, if there are more. Without them every
    line is a response, with the key that file and instruction give. What the format lacks is null, and so is a number
    that is NaN. The table ``import`` has a row a problem: ``file``, ``line``, ``used``, ``problem``.

    Raises ``UserError`` if no file is there, or not one line can be used.
    """
    problems = Problems()
    frames = []
    for cell, lines in read_files(Path(folder), files, problems).items():
        asked = _of_cell(samples, cell)
        known = _of_cell(pool, cell) if pool is not None else asked
        found = match(lines, task, known, files[cell], problems)
        taken = found if asked is None else _asked_for(found, asked["sample_id"], files[cell], problems)
        frames.append(_frames(taken, {"task": task, "variant": cell[0], "response": cell[1]} | _PLAIN, files[cell]))
    problems.log()
    spectra, responses = (pd.concat(tables, ignore_index=True) for tables in zip(*frames, strict=True))
    if spectra.empty:
        raise UserError(f"{folder}: not one line of {len(frames)} files of {task} can be used; {problems.first()}")
    facts = _facts(Path(folder), files)
    write_table(spectra, f"{prefix}.parquet", GRADIENTS, facts)
    write_table(responses, f"{prefix}.samples.parquet", MEASURED_SAMPLES, facts)
    problems.write(f"{prefix}.import.parquet", facts)


def _of_cell(table: pd.DataFrame | None, cell: Cell) -> pd.DataFrame | None:
    """The rows of a cell, those of controls aside."""
    if table is None:
        return None
    variant, response = cell
    return table[(table["variant"] == variant) & (table["response"] == response) & (table["control"] == "none")]


def _asked_for(
    found: Mapping[str, Line], asked: pd.Series, path: PurePath, problems: Problems
) -> Mapping[str, Line | None]:
    """The samples that the study takes, with their lines, none where there is none."""
    missing = len(set(asked) - set(found))
    if missing:
        problems.add(path, None, f"{missing} of {len(asked)} samples have no line in it that is about them")
    more = len(set(found) - set(asked))
    if more:
        logger.info("%s: %d lines are about samples that the study does not take", path, more)
    return {identity: found.get(identity) for identity in asked}


def _frames(found: Mapping[str, Line | None], key: dict[str, Any], path: PurePath) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Gradients and samples of one cell."""
    usable = {identity: line for identity, line in found.items() if line and not line.fault}
    samples = pd.DataFrame(
        {
            "sample_id": list(found),
            "loss": [line.loss if line else np.nan for line in found.values()],
            "status": ["ok" if identity in usable else "failed" for identity in found],
            "reason": [_reason(line, path) for line in found.values()],
        }
    )
    return _spectra(usable).assign(**key, **_LACKING), samples.assign(**key, **_UNKNOWN)


def _reason(line: Line | None, path: PurePath) -> str | None:
    if line is None:
        return f"{path} has no line about it"
    return f"{path}:{line.number}: {line.fault}" if line.fault else None


def _spectra(lines: dict[str, Line]) -> pd.DataFrame:
    """One row a sample, layer and projection."""
    width = len(ATTENTION_PROJECTIONS)
    depth = max((len(line.numbers) for line in lines.values()), default=0)  # the same in all
    rows = depth * width
    numbers = np.array([line.numbers for line in lines.values()]).reshape(len(lines) * rows, len(NUMBERS))
    table = pd.DataFrame(numbers, columns=list(NUMBERS.values()))
    table["sample_id"] = np.repeat(np.array(list(lines), dtype=object), rows)
    table["layer"] = np.tile(np.arange(rows) // width, len(lines))
    table["projection"] = np.tile(np.array(ATTENTION_PROJECTIONS, dtype=object), len(table) // width)
    return table


def _facts(folder: Path, files: Mapping[Cell, PurePath]) -> dict[str, Any]:
    there = sorted(path for path in files.values() if (folder / path).is_file())
    return {
        "released": {str(path): file_sha256(folder / path) for path in there},
        "versions": package_versions(("numpy", "pandas", "pyarrow")),
        "code": code_version(*CODE),
    }
