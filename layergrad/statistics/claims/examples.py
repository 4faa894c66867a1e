"""The samples in which a claim shows most, with the texts of their responses: what stands behind a mean."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from layergrad.contracts.keys import KEYS
from layergrad.contracts.tables import read_table
from layergrad.statistics.claims.comparisons import Comparison
from layergrad.statistics.claims.controls import CONTROLS
from layergrad.statistics.claims.entry import Claim, family_of
from layergrad.statistics.claims.evidence import Case, Evidence, MissingDataError
from layergrad.statistics.claims.ledger import LEDGER

SHOWN = 3
"""Samples a contrast and model."""

_COLUMNS = ["claim", "contrast", "model", "task", "place", "effect", "unit", "variant", "response"]


def examples(evidence: Evidence, ledger: Sequence[Claim] = LEDGER) -> pd.DataFrame:
    """The samples of largest effect of every contrast and model, over all tasks, without a control.

    One row a sample and response that the contrast compares: ``place`` counts the samples from 1, ``effect`` is a log
    ratio, the mean over projections, ``unit`` the place of the sample in its task. A contrast that is not of single
    samples has none.
    """
    rows = []
    for claim in ledger:
        for comparison in claim.comparisons:
            responses = dict.fromkeys((group.variant, group.response) for group in comparison.groups)
            for model in evidence.trained:
                for place, (task, effect, unit) in enumerate(_largest(evidence, model, comparison), 1):
                    sample = (claim.name, comparison.contrast, model, task, place, effect, unit)
                    rows += [(*sample, *response) for response in responses]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _largest(evidence: Evidence, model: str, comparison: Comparison) -> list[tuple[str, float, int]]:
    """Task, effect and unit of the samples of a model whose effects lie farthest from none."""
    found = []
    family = family_of(comparison)
    for task in evidence.tasks_of(family) if family else evidence.tasks:
        effects = _effects(evidence, model, task, comparison)
        known = np.flatnonzero(np.isfinite(effects))
        largest = known[np.argsort(-np.abs(effects[known]), kind="stable")[:SHOWN]]
        found += [(task, float(effects[unit]), int(unit)) for unit in largest]
    return sorted(found, key=lambda sample: -abs(sample[1]))[:SHOWN]


def _effects(evidence: Evidence, model: str, task: str, comparison: Comparison) -> np.ndarray:
    """Of every sample of a task (n,); none at all where it cannot be evaluated, or a template wrote the responses."""
    measured = evidence.responses.get((model, task))
    if measured is None or measured.templated & {group.variant for group in comparison.groups}:
        return np.empty(0)
    try:
        return comparison.effects(Case(evidence, model, task, CONTROLS[0]))
    except MissingDataError:
        return np.empty(0)


def with_texts(table: pd.DataFrame, data: Iterable[str | Path]) -> pd.DataFrame:
    """Examples with ``sample_id``, ``instruction`` and ``output`` from ``<task>.parquet``, in place of the unit."""
    return pd.concat([_of_task(table[table["task"] == Path(path).stem], path) for path in data]).sort_index()


def _of_task(part: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    rows = read_table(path)
    ids = np.array(sorted(rows["sample_id"].unique()), dtype=object)
    plain = rows[(rows["control"] == "none") & (rows["replicate"] == 0)]
    texts = plain.set_index([name for name in KEYS if name not in ("replicate", "control")])[["instruction", "output"]]
    part = part.assign(sample_id=ids[part["unit"].to_numpy(int)]).drop(columns="unit")
    return part.join(texts, on=list(texts.index.names))
