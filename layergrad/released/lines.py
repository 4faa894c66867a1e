"""One line of the authors' format: what it says, or what is wrong with it."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layergrad.contracts.keys import ATTENTION_PROJECTIONS
from layergrad.released.layout import LOSS, NUMBERS, TEXTS, layer_of, parameter, parameters


class LineError(Exception):
    """A line, or a part of it, of which no use can be made; the message says why."""


def no_numbers() -> np.ndarray:
    """Those of no layer."""
    return np.empty((0, len(ATTENTION_PROJECTIONS), len(NUMBERS)))


@dataclass(frozen=True)
class Line:
    """What a line says of one response."""

    number: int
    """Counted from 1."""
    instruction: str
    output: str
    loss: float = np.nan
    numbers: np.ndarray = field(default_factory=no_numbers)
    """float64, layers x 4 projections (q, k, v, o) x the 7 of ``NUMBERS``; no layer where the line has a ``fault``."""
    fault: str | None = None
    """Why its numbers cannot be used."""
    remark: str | None = None
    """What is odd in a line that can."""


def parse(number: int, text: bytes) -> Line:
    """Read the line of that number. Raises ``LineError`` where it does not even say which response it is about."""
    record = _record(text)
    for name in TEXTS:
        if not isinstance(record.get(name), str):
            raise LineError(f"{name} is {_told(record, name)}; it must be text")
    texts = {name: record.pop(name) for name in TEXTS}
    try:
        loss, numbers = _loss(record), _numbers(record)
    except LineError as error:
        return Line(number, **texts, fault=str(error))
    return Line(number, **texts, loss=loss, numbers=numbers, remark=_remark(record, loss, numbers))


def _record(text: bytes) -> dict[str, Any]:
    if not text.strip():
        raise LineError("the line is empty")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        cut = "" if text.endswith(b"\n") else "; the file ends within the line"
        raise LineError(f"not valid JSON: {error}{cut}") from error
    if not isinstance(record, dict):
        raise LineError(f"an object is expected, {type(record).__name__} given")
    return record


def _loss(record: dict[str, Any]) -> float:
    if type(record.get(LOSS)) not in (float, int):
        raise LineError(f"{LOSS} is {_told(record, LOSS)}; it must be a number")
    return _floats([record[LOSS]])[0]


def _numbers(record: dict[str, Any]) -> np.ndarray:
    """Of every layer and projection, as in ``Line``."""
    layers = {layer for layer in map(layer_of, record) if layer is not None}
    if not layers:
        raise LineError(f"{parameter(0, 'q')} is missing")
    gap = next((layer for layer in range(len(layers)) if layer not in layers), None)
    if gap is not None:
        raise LineError(f"layer {gap} is missing, but there is a layer {max(layers)}")
    values = []
    for name in parameters(len(layers)):
        numbers = record.get(name)
        if not isinstance(numbers, dict):
            raise LineError(f"{name} is {_told(record, name)}; it must be an object of numbers")
        for number in NUMBERS:
            if type(numbers.get(number)) not in (float, int):
                raise LineError(f"{number} of {name} is {_told(numbers, number)}; it must be a number")
            values.append(numbers[number])
    return _floats(values).reshape(len(layers), -1, len(NUMBERS))


def _floats(values: list[float | int]) -> np.ndarray:
    try:
        return np.array(values, dtype=float)
    except OverflowError as error:
        raise LineError("an integer in it is too large for a number") from error


def _told(record: dict[str, Any], name: str) -> str:
    return repr(record[name])[:40] if name in record else "missing"


def _remark(record: dict[str, Any], loss: float, numbers: np.ndarray) -> str | None:
    """Numbers that are not finite, and fields that there is no place for."""
    names = parameters(len(numbers))
    found = [] if np.isfinite(loss) else [f"{LOSS} is {loss}"]
    for place in np.argwhere(~np.isfinite(numbers.reshape(len(names), -1))):
        name, number = names[place[0]], list(NUMBERS)[place[1]]
        found.append(f"{number} of {name} is {record[name][number]}")
    unknown = [name for name in record if name != LOSS and layer_of(name) is None]
    unknown += [f"{number} of {name}" for name in names for number in record[name] if number not in NUMBERS]
    found += [f"{name!r:.120} is not read" for name in unknown]
    return f"{found[0]}{f' (and {len(found) - 1} more)' if len(found) > 1 else ''}" if found else None
