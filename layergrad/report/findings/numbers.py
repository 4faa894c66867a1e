"""The numbers that findings are made from, and when a difference between them counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

ERRORS = 2
"""A step between two means counts as one only from so many standard errors of the difference on."""

NO_VERDICT = "No verdict: only templated responses were measured."
NO_ERROR = "No verdict: no comparison has a known error."


@dataclass
class Finding:
    """A question, its answer in a sentence, and the numbers behind it, one line a task."""

    question: str
    answer: str
    evidence: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    """Numbers of templated responses, which are no part of the answer."""


@dataclass(frozen=True)
class Numbers:
    """The statistics of the responses without controls, by name, and how models and tasks are called."""

    tables: dict[str, pd.DataFrame]
    models: dict[str, str]
    tasks: dict[str, str]
    noisy_above: float

    def size(self) -> pd.DataFrame:
        """Mean nuclear norm over all layers."""
        return self.tables["layer_means"].query("quantity == 'nuclear_norm' and segment == 'all'")

    def differences(self, quantity: str) -> pd.DataFrame:
        """From variant to variant, correct responses: a change counts where ``low`` to ``high`` leaves out zero.

        That is the 95 % interval of the log ratio where the table has one, else so many standard errors.
        """
        table = self.tables["variant_differences"]
        table = table[(table["quantity"] == quantity) & (table["response"] == "correct")]
        if quantity in ("mad", "relative_mad"):
            return table
        low, high = around(table["difference"], table["standard_error"])
        return table.assign(low=low, high=high)

    def where(self, model: str, task: str) -> str:
        """Name of a task, and of the model if there are several."""
        return self.tasks[task] if len(self.models) == 1 else f"{self.tasks[task]} on {self.models[model]}"

    def templated(self) -> set[tuple[str, str]]:
        """(task, variant) whose correct responses a template wrote, at least some of them."""
        cells = self.tables["cells"].query("response == 'correct'")
        rows = cells[["task", "variant", "provenance"]].itertuples(index=False)
        return {(task, variant) for task, variant, origin in rows if "template" in origin.split(", ")}


def direction_of(low: Sequence[float], high: Sequence[float]) -> str | None:
    """``falls``, ``rises`` or ``stays level`` if every step does, else each step's word: ``falls, then stays level``.

    A step is level if its interval, from ``low`` to ``high``, has zero in it. None where an end is not known.
    """
    steps = np.array([low, high], float).T
    if np.isnan(steps).any():
        return None
    words = ["falls" if end < 0 else "rises" if start > 0 else "stays level" for start, end in steps]
    return words[0] if len(set(words)) == 1 else ", then ".join(words)


def around(values: pd.Series, errors: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Ends of the interval of ``ERRORS`` standard errors on either side of values."""
    return values - ERRORS * errors, values + ERRORS * errors


def passes(values: Sequence[float], errors: Sequence[float]) -> np.ndarray:
    """Whether values differ from zero by more than ``ERRORS`` standard errors; never where either is not known."""
    return np.abs(np.asarray(values, float)) > ERRORS * np.asarray(errors, float)


def by_task(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of every (model, task), in the order of the table."""
    return iter(table.groupby(["model", "task"], sort=False))
