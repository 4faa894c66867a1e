"""What the report shows of each task on each model: its figures and its tables."""

import xml.etree.ElementTree as ET
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from layergrad.contracts.errors import UserError
from layergrad.contracts.paths import task_page
from layergrad.report.words import VARIANTS

FIGURE_TITLES = {
    "nuclear_norm": "Nuclear norm by layer",
    "correct_irrelevant": "Correct against other responses",
    "sigma1_ratio": "Share of the largest singular value",
    "effective_rank": "Effective rank",
}
TABLE_TITLES = {
    "cells": "What was measured",
    "nuclear_norm": "Size of the gradients",
    "mad": "Roughness over layers (MAD)",
    "relative_difference": "Correct against other responses: relative difference",
    "base_instruct": "Base against tuned model",
    "second_hand": "Beside the paper",
    "audit": "The texts",
}


def sections(
    study: dict[str, Any],
    tables: dict[str, pd.DataFrame],
    figures: list[str | Path],
    audit: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    """One section a task and model, tasks first, with their ``figures`` and those ``tables`` that have rows of them.

    ``figures`` are SVG files ``<model>/<task>/<figure>.svg``. Raises ``UserError`` if one is missing.
    """
    if audit is not None:
        tables = tables | {"audit": audit.drop(columns=["family", "warnings"])}
    there = {Path(path).parts[-3:]: Path(path) for path in figures}
    return [
        {
            "id": model["name"],
            "page": task_page(task["name"]),
            "model": model,
            "task": task,
            "figures": _figures(there, model["name"], task["name"]),
            "tables": _tables(tables, model["name"], task["name"]),
        }
        for task in study["tasks"]
        for model in study["models"]
    ]


def _figures(there: dict[tuple[str, ...], Path], model: str, task: str) -> list[dict[str, Any]]:
    """The figures of one model and task."""
    return [figure_of(there, (model, task, f"{name}.svg"), title) for name, title in FIGURE_TITLES.items()]


def figure_of(there: dict[tuple[str, ...], Path], parts: tuple[str, ...], title: str) -> dict[str, Any]:
    """Name, title, place and size of the figure whose SVG file has a path that ends in these ``parts``.

    Raises ``UserError`` if it is not ``there``.
    """
    if parts not in there:
        raise UserError(f"the figure {'/'.join(parts)} is not among the {len(there)} given to the report")
    file = PurePosixPath("figures", *parts)
    width, height = _size(there[parts])
    places = {"source": there[parts], "file": str(file), "csv": str(file.with_suffix(".csv"))}
    return {"name": file.stem, "title": title, **places, "width": width, "height": height}


def _size(svg: Path) -> tuple[int, int]:
    """Width and height in points: with them, a figure has its place before it is loaded."""
    _, root = next(ET.iterparse(svg, events=("start",)))
    _, _, width, height = root.attrib["viewBox"].split()
    return round(float(width)), round(float(height))


def _tables(tables: dict[str, pd.DataFrame], model: str, task: str) -> list[dict[str, Any]]:
    """Name, title and rows of the tables of one model and task that have any."""
    found = []
    for name, title in TABLE_TITLES.items():
        table = tables.get(name, pd.DataFrame(columns=["model", "task", "variant"]))
        part = table[(table["model"] == model) & (table["task"] == task)]
        if len(part):
            rows = part.drop(columns=["model", "task"]).assign(variant=part["variant"].map(VARIANTS))
            found.append({"name": name, "title": title, "rows": rows})
    return found
