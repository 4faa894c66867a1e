"""How the report calls things, and how it writes numbers."""

from collections.abc import Iterable
from typing import Any

import numpy as np

VARIANTS = {
    "none": "no reasoning",
    "simplified": "simplified reasoning",
    "detailed": "detailed reasoning",
    "unpopular": "unpopular",
    "popular_100": "popular 100",
    "popular_500": "popular 500",
    "popular_1000": "popular 1000",
}
NONE = "-"
"""What stands for a number that does not exist."""
PROJECTIONS = {
    "q": "query (q)",
    "k": "key (k)",
    "v": "value (v)",
    "o": "output (o)",
    "gate": "gate",
    "up": "up",
    "down": "down",
}


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent unless it is very large or small."""
    if value is None or not np.isfinite(value):
        return NONE
    rounded = float(f"{value:.{digits - 1}e}")
    if 10**digits <= abs(rounded) < 1e6:
        return f"{rounded:.0f}"
    return f"{rounded:#.{digits}g}".rstrip(".") if rounded else "0"


def percent(share: float | None) -> str:
    """A share as per cent, to two significant digits but no finer than a tenth."""
    if share is None or not np.isfinite(share):
        return NONE
    return f"{100 * share:.{0 if abs(share) >= 0.0995 else 1}f}\N{NO-BREAK SPACE}%"


def model_titles(study: dict[str, Any]) -> dict[str, str]:
    """What the models of a study are called, by name."""
    return {model["name"]: model["title"] for model in study["models"]}


def task_titles(study: dict[str, Any]) -> dict[str, str]:
    """What its tasks are called, by name: what stands before the colon of the title."""
    return {task["name"]: task["title"].partition(":")[0] for task in study["tasks"]}


def listing(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def counted(n: int, one: str, many: str | None = None) -> str:
    """``1 comparison``, ``2 comparisons``."""
    return f"{n} {one if n == 1 else many or one + 's'}"
