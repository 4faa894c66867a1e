"""What the page of comparisons shows: two models or two tasks side by side, and their ratio by layer in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layergrad.contracts.paths import COMPARISONS_PAGE
from layergrad.contracts.tables import read_table
from layergrad.report.charts import chart_of
from layergrad.report.points import ratio_points, side_points
from layergrad.report.sections import figure_of
from layergrad.report.words import VARIANTS, counted, listing, model_titles, number, task_titles

FIGURES = {"side_by_side": ("Both curves", side_points), "ratio": ("Ratio by layer", ratio_points)}
"""By name, title and points of a comparison's figures."""


def comparisons_of(
    comparisons: Sequence[str | Path], figures: list[str | Path], study: dict[str, Any]
) -> list[dict[str, Any]]:
    """One section a comparison, with its ``sentences`` and its ``figures``, their points and charts; ``cells`` are the
    model and the task of both sides.

    ``comparisons`` are tables ``<one>/<other>/<on>.parquet``: two models on a task, or two tasks on a model. Of the
    ``figures``, SVG files, theirs are ``comparisons/<one>/<other>/<on>/<figure>.svg``. Raises ``UserError`` if one of
    these is missing.
    """
    there = {Path(path).parts[-5:]: Path(path) for path in figures}
    return [_section(Path(path), there, study) for path in comparisons]


def _section(path: Path, there: dict[tuple[str, ...], Path], study: dict[str, Any]) -> dict[str, Any]:
    names = (*path.parts[-3:-1], path.name.removesuffix(".parquet"))
    models, tasks = model_titles(study), task_titles(study)
    of_models = {*names[:2]} <= set(models)
    compared, shared = (models, tasks) if of_models else (tasks, models)
    one, other, on = compared[names[0]], compared[names[1]], shared[names[2]]
    table = read_table(path)
    return {
        "id": "/".join(names),
        "page": COMPARISONS_PAGE,
        "title": f"{other} against {one}",
        "on": on,
        "of_models": of_models,
        "cells": [(side, names[2]) if of_models else (names[2], side) for side in names[:2]],
        "sentences": sentences(table, one, other),
        "figures": _figures(table, ("comparisons", *names), there, {"one": one, "other": other}),
    }


def _figures(
    table: pd.DataFrame, folders: tuple[str, ...], there: dict[tuple[str, ...], Path], titles: dict[str, str]
) -> list[dict[str, Any]]:
    found = []
    for name, (title, points_of) in FIGURES.items():
        points = points_of(table)
        chart = {"points": points, "chart": chart_of(name, points, titles)}
        found.append(figure_of(there, (*folders, f"{name}.svg"), title) | chart)
    return found


def sentences(table: pd.DataFrame, one: str, other: str) -> list[str]:
    """What the table of a comparison says, a sentence a variant; ``one`` and ``other`` are titles."""
    if table.empty:
        return ["No correct response was measured on both sides."]
    depths = [int(table.loc[table[f"mean_{side}"].notna(), "layer"].max()) + 1 for side in ("one", "other")]
    if depths[0] != depths[1]:
        return [f"There is no ratio by layer: {one} has {counted(depths[0], 'layer')}, {other} {depths[1]}."]
    found = table[table["log_ratio"].notna()]
    return [_sentence(variant, rows, one, other) for variant, rows in found.groupby("variant", sort=False)]


def _sentence(variant: str, rows: pd.DataFrame, one: str, other: str) -> str:
    ratios = [
        f"{number(np.exp(part['log_ratio'].mean()))} for {projection} ({_beyond(part)})"
        for projection, part in rows.groupby("projection", sort=False)
    ]
    start = VARIANTS[variant][0].upper() + VARIANTS[variant][1:]
    return f"{start}: the nuclear norms of {other} are typically those of {one} times {listing(ratios)}."


def _beyond(part: pd.DataFrame) -> str:
    """In how many layers the interval leaves out 1, to either side."""
    if part["low"].isna().all():
        return "a single sample has no interval"
    counts = {"above": int((part["low"] > 0).sum()), "below": int((part["high"] < 0).sum())}
    sides = [f"{side} 1 in {count}" for side, count in counts.items() if count]
    return f"interval {listing(sides) if sides else 'beyond 1 in none'} of {counted(len(part), 'layer')}"
