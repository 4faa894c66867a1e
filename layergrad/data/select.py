"""Which rows of a task become its samples."""

import pandas as pd

from layergrad.contracts.config.tasks import TaskContent
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import text_sha256
from layergrad.contracts.keys import RESPONSES


def select(rendered: pd.DataFrame, task: TaskContent, seed: int) -> dict[tuple[str, str], pd.DataFrame]:
    """By (variant, response), the rows that take part: the first of one order that have the response.

    ``rendered`` has a row for every row of the task, with ``sample_id``, ``group`` and ``<variant>.<response>``
    for each response, empty where there is none. Since all cells follow one order, samples are nested. Raises
    ``UserError`` if a cell has fewer rows than the task asks for.
    """
    counts = {
        (variant, response): count
        for variant in task.variants
        for response, count in task.samples_of(variant).model_dump().items()
        if count
    }
    # All responses count that the task can have, not those it asks for: the order must not depend on the counts.
    columns = [
        f"{variant}.{response}"
        for variant, spec in task.variants.items()
        for response in RESPONSES
        if response != "incorrect" or spec.incorrect
    ]
    ordered = _in_order(rendered, columns, seed)
    return {cell: _first(ordered, cell, count, task) for cell, count in counts.items()}


def _in_order(rendered: pd.DataFrame, columns: list[str], seed: int) -> pd.DataFrame:
    """Rows that fill more cells first, a group's first row before any group's second, and then by a seeded hash."""
    keys = pd.DataFrame(
        {
            "cells": (rendered[columns] != "").sum(axis="columns"),
            "group": rendered["group"],
            "hash": [text_sha256(str(seed), identity) for identity in rendered["sample_id"]],
        }
    ).sort_values(["cells", "hash"], ascending=[False, True])
    keys["turn"] = keys.groupby(["cells", "group"]).cumcount()
    order = keys.sort_values(["cells", "turn", "hash"], ascending=[False, True, True]).index
    return rendered.loc[order]


def _first(ordered: pd.DataFrame, cell: tuple[str, str], count: int, task: TaskContent) -> pd.DataFrame:
    variant, response = cell
    there = ordered[ordered[f"{variant}.{response}"] != ""]
    if len(there) < count:
        raise UserError(
            f"task {task.name}: samples.{variant}: {count} {response} responses asked for, {len(there)} available"
        )
    return there.head(count)
