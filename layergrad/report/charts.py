"""The interactive charts: the points of every figure, as CSV beside it and as what the pages' own script draws."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layergrad.contracts.files import whole_file
from layergrad.contracts.keys import RESPONSES
from layergrad.report.points import model_points, quantity_points, response_points, wants_log_scale
from layergrad.report.words import PROJECTIONS, VARIANTS, number

DIGITS = "%.6g"
RESPONSE_TITLES = {name: f"{name} responses" for name in RESPONSES}


@dataclass(frozen=True)
class Arrangement:
    """How a figure's curves are set out: columns that make its groups of panels, its panels, and the lines in them.

    Panels of a group share a scale, or ``one_scale`` all of them; readers switch curves off by the columns ``toggles``.
    """

    groups: tuple[str, ...]
    panels: str
    lines: str
    toggles: tuple[str, ...]
    label: str = "nuclear norm"
    one_scale: bool = False


def _of_quantity(label: str) -> Arrangement:
    return Arrangement(
        ("response",), "variant", "projection", ("projection", "variant", "response"), label, one_scale=True
    )


ARRANGEMENTS = {
    "nuclear_norm": _of_quantity("nuclear norm"),
    "correct_irrelevant": Arrangement(
        ("variant", "against"), "projection", "response", ("projection", "variant", "against")
    ),
    "sigma1_ratio": _of_quantity("largest singular value / sum of all"),
    "effective_rank": _of_quantity("effective rank"),
    "base_instruct": Arrangement(("variant",), "projection", "model", ("projection", "variant", "model")),
}
TOGGLES = {
    "projection": "Projections",
    "variant": "Variants",
    "response": "Responses",
    "against": "Compared with correct",
    "model": "Models",
}


def add_charts(made: list[dict[str, Any]], tables: dict[str, pd.DataFrame], bases: dict[str, str]) -> None:
    """Give every figure of the sections its ``points`` and its ``chart``, from the study's statistics by name.

    ``bases`` names, by model, the one it was tuned from, where both are in the study.
    """
    titles = {section["model"]["name"]: section["model"]["title"] for section in made}
    for section in made:
        model = section["model"]["name"]
        base = bases.get(model)
        for figure in section["figures"]:
            figure["points"] = points_of(figure["name"], tables, section["task"]["name"], model, base)
            lines = {"base": titles.get(base, ""), "tuned": titles[model]}
            figure["chart"] = chart_of(figure["name"], figure["points"], lines)


def points_of(
    figure: str, tables: dict[str, pd.DataFrame], task: str, model: str, base: str | None
) -> pd.DataFrame:
    """The points that a figure of one task and model shows, from the study's ``curves`` and paired curves by layer."""
    curves, pairs = (
        table[(table["task"] == task) & (table["control"] == "none")]
        for table in (tables["curves"], tables["relative_difference_layers"])
    )
    own = curves[curves["model"] == model]
    if figure == "base_instruct":
        return model_points({"base": curves[curves["model"] == base], "tuned": own})
    if figure == "correct_irrelevant":
        return response_points(pairs[pairs["model"] == model])
    return quantity_points(own, figure)


def write_points(points: pd.DataFrame, path: str | Path) -> None:
    """The points as CSV, to six significant digits."""
    with whole_file(path) as temporary:
        points.to_csv(temporary, index=False, float_format=DIGITS, lineterminator="\n")


def chart_of(figure: str, points: pd.DataFrame, models: dict[str, str]) -> dict[str, Any] | None:
    """What the script draws of a figure; ``models`` are titles of its lines by name. Nothing where it has no curve."""
    if points.empty:
        return None
    arrangement = ARRANGEMENTS[figure]
    words = {
        "projection": PROJECTIONS,
        "variant": VARIANTS,
        "response": RESPONSE_TITLES,
        "against": RESPONSE_TITLES,
        "model": models,
    }
    layers = range(int(points["layer"].min()), int(points["layer"].max()) + 1)
    key = [*dict.fromkeys((*arrangement.groups, arrangement.panels, arrangement.lines))]
    return {
        "label": arrangement.label,
        "one_scale": arrangement.one_scale,
        "log": figure != "sigma1_ratio" and wants_log_scale(points),
        "layers": list(layers),
        "toggles": _toggles(points, arrangement.toggles, words),
        "curves": [
            _curve(dict(zip(key, names, strict=True)), part, layers, arrangement, words)
            for names, part in points.groupby(key, sort=False)
        ],
        "summary": _summary(points, key, words),
    }


def _toggles(points: pd.DataFrame, columns: tuple[str, ...], words: dict[str, dict]) -> list[dict[str, Any]]:
    """What can be switched off: the values of each column that has more than one."""
    values = {column: list(points[column].unique()) for column in columns}
    return [
        {"column": column, "title": TOGGLES[column], "options": [(name, words[column][name]) for name in names]}
        for column, names in values.items()
        if len(names) > 1
    ]


def _curve(
    key: dict[str, str], part: pd.DataFrame, layers: range, arrangement: Arrangement, words: dict[str, dict]
) -> dict[str, Any]:
    """One curve: where it belongs, what it is called, and its numbers, one a layer, null where there is none."""
    title = {column: words[column][name] for column, name in key.items()}
    by_layer = part.set_index("layer").reindex(layers)
    return {
        "of": key,
        "group": ", against ".join(title[column] for column in arrangement.groups),
        "panel": title[arrangement.panels],
        "line": key[arrangement.lines],
        "name": title[arrangement.lines],
        "n": int(part["n"].max()),
        **{column: _plain_numbers(by_layer[column]) for column in ("value", "low", "high")},
    }


def _plain_numbers(column: pd.Series) -> list[float | None]:
    """The numbers as the CSV has them."""
    return [float(DIGITS % value) if np.isfinite(value) else None for value in column.astype(float)]


def _summary(points: pd.DataFrame, key: list[str], words: dict[str, dict]) -> str:
    """The chart in words: how many curves of how many layers, and where the greatest and the smallest value stand."""
    curves = points[key].drop_duplicates().shape[0]
    ends = [points.loc[points["value"].idxmax()], points.loc[points["value"].idxmin()]]
    greatest, smallest = (
        f"{number(row['value'])} in layer {row['layer']} ({', '.join(words[column][row[column]] for column in key)})"
        for row in ends
    )
    return (
        f"{curves} {'curve' if curves == 1 else 'curves'} over layers {points['layer'].min()} to "
        f"{points['layer'].max()}. Greatest value {greatest}; smallest {smallest}."
    )
