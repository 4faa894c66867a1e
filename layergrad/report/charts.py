"""The interactive charts: the points of every figure, as CSV beside it and as what the pages' own script draws."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layergrad.contracts.files import whole_file
from layergrad.report.points import quantity_points, response_points, wants_log_scale
from layergrad.report.words import PROJECTIONS, VARIANTS, counted, number

DIGITS = "%.6g"


@dataclass(frozen=True)
class Arrangement:
    """How a figure's curves are set out: columns that make its groups of panels, its panels, and the lines in them.

    ``title`` is that of a group. Panels of a group share a scale, or all of them do (``one_scale``). Readers switch
    curves off by the columns ``toggles``. Where there is a ``reference``, a line stands at that value and the scale is
    around it.
    """

    groups: tuple[str, ...]
    title: str
    panels: str
    lines: str
    toggles: tuple[str, ...]
    label: str = "nuclear norm"
    one_scale: bool = False
    reference: float | None = None


def _of_quantity(label: str) -> Arrangement:
    toggles = ("projection", "variant", "response")
    return Arrangement(("response",), "{response} responses", "variant", "projection", toggles, label, one_scale=True)


ARRANGEMENTS = {
    "nuclear_norm": _of_quantity("nuclear norm"),
    "correct_irrelevant": Arrangement(
        ("variant", "against"),
        "{variant}: correct against {against} responses",
        "projection",
        "response",
        ("projection", "variant", "against"),
    ),
    "sigma1_ratio": _of_quantity("largest singular value / sum of all"),
    "effective_rank": _of_quantity("effective rank"),
    "side_by_side": Arrangement(("variant",), "{variant}", "projection", "side", ("projection", "variant", "side")),
    "ratio": Arrangement(
        *(("variant",), "{variant}", "projection", "side", ("projection", "variant")),
        label="ratio of nuclear norms, second over first",
        reference=1.0,
    ),
}
TOGGLES = {
    "projection": "Projections",
    "variant": "Variants",
    "response": "Responses",
    "against": "Compared with correct",
    "side": "Curves",
}
WORDS = PROJECTIONS | VARIANTS
"""What readers see for a value of a column; the others stand for themselves."""


def add_charts(made: list[dict[str, Any]], tables: dict[str, pd.DataFrame]) -> None:
    """Give every figure of the sections its ``points`` and its ``chart``, from the study's statistics by name."""
    for section in made:
        for figure in section["figures"]:
            figure["points"] = points_of(figure["name"], tables, section["task"]["name"], section["model"]["name"])
            figure["chart"] = chart_of(figure["name"], figure["points"])


def points_of(figure: str, tables: dict[str, pd.DataFrame], task: str, model: str) -> pd.DataFrame:
    """The points that a figure of one task and model shows, from the study's ``curves`` and paired curves by layer."""
    curves, pairs = (
        table[(table["task"] == task) & (table["model"] == model) & (table["control"] == "none")]
        for table in (tables["curves"], tables["relative_difference_layers"])
    )
    return response_points(pairs) if figure == "correct_irrelevant" else quantity_points(curves, figure)


def write_points(points: pd.DataFrame, path: str | Path) -> None:
    """The points as CSV, to six significant digits."""
    with whole_file(path) as temporary:
        points.to_csv(temporary, index=False, float_format=DIGITS, lineterminator="\n")


def chart_of(figure: str, points: pd.DataFrame, titles: dict[str, str] | None = None) -> dict[str, Any] | None:
    """What the script draws of a figure; ``titles`` are those of its lines by name, where they are a study's own.

    Nothing where it has no curve.
    """
    if points.empty:
        return None
    arrangement, words = ARRANGEMENTS[figure], WORDS | (titles or {})
    layers = list(range(int(points["layer"].min()), int(points["layer"].max()) + 1))
    key = [*arrangement.groups, arrangement.panels, arrangement.lines]
    curves = [
        _curve(dict(zip(key, names, strict=True)), part, layers, arrangement, words)
        for names, part in points.groupby(key, sort=False)
    ]
    return {
        "label": arrangement.label,
        "one_scale": arrangement.one_scale,
        "reference": arrangement.reference,
        "log": figure != "sigma1_ratio" and any(map(wants_log_scale, _on_one_scale(points, arrangement))),
        "layers": layers,
        "toggles": _toggles(points, arrangement.toggles, words),
        "curves": curves,
        "summary": _summary(curves, layers),
    }


def _on_one_scale(points: pd.DataFrame, arrangement: Arrangement) -> list[pd.DataFrame]:
    """The points in parts, each of panels that share a scale."""
    groups = points.groupby(list(arrangement.groups), sort=False)
    return [points] if arrangement.one_scale else [part for _, part in groups]


def _toggles(points: pd.DataFrame, columns: tuple[str, ...], words: dict[str, str]) -> list[dict[str, Any]]:
    """What can be switched off: the values of each column that has more than one."""
    values = {column: list(points[column].unique()) for column in columns}
    return [
        {"column": column, "title": TOGGLES[column], "options": [(name, words.get(name, name)) for name in names]}
        for column, names in values.items()
        if len(names) > 1
    ]


def _curve(
    key: dict[str, str], part: pd.DataFrame, layers: list[int], arrangement: Arrangement, words: dict[str, str]
) -> dict[str, Any]:
    """One curve: where it belongs, what it is called, and its numbers, one a layer, null where there is none."""
    titles = {column: words.get(name, name) for column, name in key.items()}
    by_layer = part.set_index("layer").reindex(layers)
    return {
        "of": key,
        "group": arrangement.title.format_map(titles),
        "panel": titles[arrangement.panels],
        "line": key[arrangement.lines],
        "name": titles[arrangement.lines],
        "n": int(part["n"].max()),
        **{column: _as_in_csv(by_layer[column]) for column in ("value", "low", "high")},
    }


def _as_in_csv(column: pd.Series) -> list[float | None]:
    """The numbers as the CSV has them."""
    return [float(DIGITS % value) if np.isfinite(value) else None for value in column.astype(float)]


def _summary(curves: list[dict[str, Any]], layers: list[int]) -> str:
    """The chart in words: how many curves of how many layers, and where the greatest and the smallest value stand."""
    places = [
        (value, f"layer {layer} ({curve['group']}, {curve['panel']}, {curve['name']})")
        for curve in curves
        for layer, value in zip(layers, curve["value"], strict=True)
        if value is not None
    ]
    least, most = (f"{number(value)} in {place}" for value, place in (min(places), max(places)))
    which = f"layers {layers[0]} to {layers[-1]}" if len(layers) > 1 else f"layer {layers[0]}"
    return f"{counted(len(curves), 'curve')} over {which}: the greatest value is {most}, the smallest {least}."
