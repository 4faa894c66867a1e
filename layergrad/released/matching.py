"""Which sample a line of the authors' files is about."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import PurePath

import pandas as pd

from layergrad.contracts.keys import sample_id
from layergrad.released.lines import Line, LineError
from layergrad.released.problems import Problems

Identify = Callable[[Line, dict[str, Line]], str]
"""From a line and the lines of samples so far, the ``sample_id`` it is about."""


def match(
    lines: list[Line], task: str, known: pd.DataFrame | None, path: PurePath, problems: Problems
) -> dict[str, Line]:
    """By ``sample_id``, the lines of one cell; what is wrong or odd in them is added to ``problems``.

    ``known`` are the responses that lines may be about. Without them each line is a sample, and identical instructions
    are counted in the order of the file. Of two lines about one sample the first that has no fault is taken.
    """
    identify = _by_occurrence(task) if known is None else _by_text(known)
    found: dict[str, Line] = {}
    for line in lines:
        if problem := line.fault or line.remark:
            problems.add(path, line.number, problem, used=not line.fault)
        try:
            identity = identify(line, found)
        except LineError as error:
            problems.add(path, line.number, str(error))
            continue
        if identity not in found or not line.fault:
            found[identity] = line
    return found


def _by_occurrence(task: str) -> Identify:
    seen: Counter = Counter()

    def identify(line: Line, found: dict[str, Line]) -> str:
        occurrence = seen[line.instruction]
        seen[line.instruction] += 1
        return sample_id(task, line.instruction, occurrence)

    return identify


def _by_text(known: pd.DataFrame) -> Identify:
    identities = defaultdict(list)
    for row in known[["sample_id", "instruction", "output"]].itertuples(index=False):
        identities[row.instruction, row.output].append(row.sample_id)
    instructions = set(known["instruction"])

    def identify(line: Line, found: dict[str, Line]) -> str:
        same = identities.get((line.instruction, line.output))
        if not same:
            what = "output" if line.instruction in instructions else "instruction"
            raise LineError(f"its {what} is not in the data of the task: {getattr(line, what)!r:.120}")
        free = [identity for identity in same if identity not in found or found[identity].fault]
        if not free:
            raise LineError(f"it repeats line {found[same[-1]].number}, which is used")
        return free[0]

    return identify
