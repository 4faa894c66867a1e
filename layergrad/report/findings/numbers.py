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

    def size(self, quantity: str = "nuclear_norm") -> pd.DataFrame:
        """Mean of a quantity over all layers."""
        table = self.tables["layer_means"]
        return table[(table["quantity"] == quantity) & (table["segment"] == "all")]

    def roughness(self, kind: str = "mad") -> pd.DataFrame:
        """MAD of the mean nuclear-norm curve over all layers, or ``relative_mad``, that over the mean of the curve."""
        table = self.tables["mad"].query("quantity == 'nuclear_norm' and segment == 'all'")
        error = "standard_error" if kind == "mad" else "relative_standard_error"
        kept = [name for name in table.columns if "mad" not in name and "standard_error" not in name]
        return table[kept].assign(mean=table[kind], standard_error=table[error])

    def differences(self, quantity: str) -> pd.DataFrame:
        """From variant to variant on the samples that both have, correct responses."""
        table = self.tables["variant_differences"]
        return table[(table["quantity"] == quantity) & (table["response"] == "correct")]

    def where(self, model: str, task: str) -> str:
        """Name of a task, and of the model if there are several."""
        return self.tasks[task] if len(self.models) == 1 else f"{self.tasks[task]} on {self.models[model]}"

    def templated(self) -> set[tuple[str, str]]:
        """(task, variant) whose correct responses a template wrote, at least some of them."""
        cells = self.tables["cells"].query("response == 'correct'")
        rows = cells[["task", "variant", "provenance"]].itertuples(index=False)
        return {(task, variant) for task, variant, origin in rows if "template" in origin.split(", ")}


def direction_of(differences: Sequence[float], errors: Sequence[float]) -> str | None:
    """``falls``, ``rises`` or ``stays level`` if every step does, else each step's word: ``falls, then stays level``.

    A step that does not pass twice its standard error is level. None where a difference or an error is not known.
    """
    if not np.isfinite([differences, errors]).all():
        return None
    signs = np.where(passes(differences, errors), np.sign(differences), 0)
    words = [{-1: "falls", 0: "stays level", 1: "rises"}[int(sign)] for sign in signs]
    return words[0] if len(set(words)) == 1 else ", then ".join(words)


def passes(values: Sequence[float], errors: Sequence[float]) -> np.ndarray:
    """Whether values differ from zero by more than ``ERRORS`` standard errors; never where either is not known."""
    return np.abs(np.asarray(values, float)) > ERRORS * np.asarray(errors, float)


def by_task(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of every (model, task), in the order of the table."""
    return iter(table.groupby(["model", "task"], sort=False))
