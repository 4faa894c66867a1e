"""The authors' files of one model and task, line by line."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath

from layergrad.contracts.errors import UserError
from layergrad.released.layout import Cell
from layergrad.released.lines import Line, LineError, no_numbers, parse
from layergrad.released.problems import Problems

logger = logging.getLogger("layergrad")


def read_files(folder: Path, files: Mapping[Cell, PurePath], problems: Problems) -> dict[Cell, list[Line]]:
    """By cell, the lines of its file in ``folder``; a cell whose file is not there is left out.

    A model has one number of layers, that of most lines: one with another number is at fault. Raises ``UserError`` if
    no file is there.
    """
    there = {cell: path for cell, path in files.items() if (folder / path).is_file()}
    if not there:
        raise UserError(f"{folder}: has none of the files {', '.join(map(str, files.values()))}")
    for path in [path for cell, path in files.items() if cell not in there]:
        problems.add(path, None, "there is no such file; its responses are left out")
    read = {cell: _read(folder, path, problems) for cell, path in there.items()}
    depths = Counter(len(line.numbers) for lines in read.values() for line in lines if not line.fault)
    depth = max(depths, key=lambda layers: (depths[layers], layers), default=0)
    return {cell: [_of_depth(line, depth) for line in lines] for cell, lines in read.items()}


def _read(folder: Path, path: PurePath, problems: Problems) -> list[Line]:
    lines = []
    texts = _texts(folder / path)
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(parse(number, text))
        except LineError as error:
            problems.add(path, number, str(error))
    if not texts:
        problems.add(path, None, "the file is empty")
    logger.info("%s: %d lines", path, len(texts))
    return lines


def _texts(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            return file.readlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _of_depth(line: Line, depth: int) -> Line:
    if line.fault or len(line.numbers) == depth:
        return line
    fault = f"it has {len(line.numbers)} layers, most lines have {depth}"
    return replace(line, numbers=no_numbers(), fault=fault, remark=None)
