"""What was wrong in the files of an import, by file and line."""

import logging
from pathlib import PurePath
from typing import Any, NamedTuple

import pandas as pd

from layergrad.contracts.tables import write_statistics

logger = logging.getLogger("layergrad")

_LOGGED = 5  # of a file; all of them stand in the table


class Problem(NamedTuple):
    """One thing that is wrong, or odd."""

    file: str
    line: int | None
    """Counted from 1; none where it is about the whole file."""
    used: bool
    """Whether the numbers of the line are used all the same."""
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}" if self.line is None else f"{self.file}:{self.line}: {self.problem}"


class Problems:
    """All of one import."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, file: PurePath, line: int | None, problem: str, used: bool = False) -> None:
        """One more."""
        self.found.append(Problem(str(file), line, used, problem))

    def first(self) -> str:
        """The first of them in words."""
        return f"the first problem: {self.found[0]}" if self.found else "none is about a sample of the study"

    def log(self) -> None:
        """The first of every file, and how many more there are."""
        by_file: dict[str, list[Problem]] = {}
        for problem in self.found:
            by_file.setdefault(problem.file, []).append(problem)
        for file, found in by_file.items():
            for problem in found[:_LOGGED]:
                logger.warning("%s", problem)
            if len(found) > _LOGGED:
                logger.warning("%s: %d more problems", file, len(found) - _LOGGED)

    def write(self, path: str, facts: dict[str, Any]) -> None:
        """Write them as Parquet and CSV, in the order of the files and lines."""
        table = pd.DataFrame(self.found, columns=Problem._fields)
        kinds = {"file": "str", "line": "Int64", "used": "bool", "problem": "str"}
        write_statistics(table.astype(kinds), path, facts)
