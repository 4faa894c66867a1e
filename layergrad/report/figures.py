"""The figures of one task on one model, or of two side by side, drawn from mean curves.

The same curves give the same bytes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.typing import RcKeyType

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import whole_file
from layergrad.contracts.keys import RESPONSES
from layergrad.contracts.paths import FIGURES
from layergrad.contracts.tables import read_table
from layergrad.report.points import (
    quantity_points,
    ratio_points,
    response_points,
    side_points,
    wants_log_scale,
)
from layergrad.report.words import PROJECTIONS, VARIANTS, listing

STYLE: dict[RcKeyType, Any] = {
    "svg.hashsalt": "layergrad",  # else element ids are random
    "svg.fonttype": "none",  # text stays text: a fifth smaller, searched and copied
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],  # the second is as wide, for readers who have not the first
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "savefig.dpi": 160,
}


class Look(TypedDict):
    """How a line is drawn, in matplotlib's words; solid where nothing is said."""

    color: str
    marker: str
    linestyle: NotRequired[str]


# Okabe and Ito's colours, which colour-blind readers tell apart; markers and dashes do so without colour.
LOOKS: dict[str, Look] = {
    "q": {"color": "#0072B2", "marker": "o"},
    "k": {"color": "#D55E00", "marker": "s"},
    "v": {"color": "#009E73", "marker": "^"},
    "o": {"color": "#CC79A7", "marker": "D"},
    "gate": {"color": "#56B4E9", "marker": "v"},
    "up": {"color": "#E69F00", "marker": "P"},
    "down": {"color": "#000000", "marker": "X"},
    "correct": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "irrelevant": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "incorrect": {"color": "#000000", "marker": "^", "linestyle": ":"},
    "one": {"color": "#56B4E9", "marker": "o", "linestyle": "--"},
    "other": {"color": "#000000", "marker": "s", "linestyle": "-"},
    "ratio": {"color": "#0072B2", "marker": "o"},
}
LABELS = {
    "nuclear_norm": "nuclear norm of the gradient",
    "sigma1_ratio": "largest singular value / sum of all",
    "effective_rank": "effective rank of the gradient",
}
TITLES = {
    "nuclear_norm": "How large are the gradients? Nuclear norm by layer",
    "correct_irrelevant": "Do gradients tell a correct response from another one? Nuclear norm by layer",
    "sigma1_ratio": "How much does one direction dominate? Largest singular value by layer",
    "effective_rank": "How many directions do gradients have? Effective rank by layer",
    "side_by_side": "Side by side: nuclear norm by layer, correct responses",
    "ratio": "How far apart? Ratio of the nuclear norms by layer, correct responses",
}


def draw_figures(
    curves: str | Path, differences: str | Path, folder: str | Path, *, model_title: str, task_title: str
) -> None:
    """Draw every one of ``FIGURES`` of one model and task into ``folder``, as SVG and PNG.

    ``curves`` is its table of that name; ``differences``, its ``relative_difference_layers``, has the paired curves.
    """
    table = read_table(curves).query("control == 'none'")
    if not (table["response"] == "correct").any():
        raise UserError(f"{curves}: no correct response in it; the figures need at least one")
    pairs = read_table(differences).query("control == 'none'")
    for name in FIGURES:
        with mpl.rc_context(STYLE):
            figure = _responses(pairs) if name == "correct_irrelevant" else _projections(table, name)
            _save(figure, Path(folder) / name, f"{model_title}  ·  {task_title}")


def draw_comparison(comparison: str | Path, folder: str | Path, *, titles: list[str]) -> None:
    """Draw ``side_by_side`` and ``ratio`` of one comparison into ``folder``, as SVG and PNG, from its table.

    ``titles`` are those of the one, of the other and of what both are on.
    """
    table = read_table(comparison)
    one, other, on = titles
    with mpl.rc_context(STYLE):
        both = _sides(side_points(table), {"one": one, "other": other})
        _save(both, Path(folder) / "side_by_side", f"{one}  ·  {other}  ·  {on}")
        _save(_ratios(ratio_points(table)), Path(folder) / "ratio", f"{other}  /  {one}  ·  {on}")


def _sides(table: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Two mean curves on their own scale for each variant, a column a projection; ``titles`` are those of the lines."""
    if table.empty:
        return _message("No correct response was measured on both sides.")
    figure, grid = _variants(table, "nuclear norm")
    _legend(figure, grid[:, 0], {name: _plain(title) for name, title in titles.items()})
    return figure


def _ratios(table: pd.DataFrame) -> Figure:
    """Ratios by layer around a line at 1, a row a variant, a column a projection."""
    if table.empty:
        return _message("There is no ratio by layer.")
    figure, grid = _variants(table, "ratio of nuclear norms")
    for row, (_, part) in zip(grid, table.groupby("variant", sort=False), strict=True):
        _around_one(row, part)
    return figure


def _variants(table: pd.DataFrame, label: str) -> tuple[Figure, np.ndarray]:
    """A figure with a row of panels on one scale for each variant, a column a projection, a line for each side."""
    rows = list(table.groupby("variant", sort=False))
    figure, grid = _grid([part for _, part in rows], table["projection"].unique(), "side")
    for row, (variant, _) in zip(grid, rows, strict=True):
        row[0].set_ylabel(f"{VARIANTS[variant]}:\n{label}")
    return figure, grid


def _projections(table: pd.DataFrame, quantity: str) -> Figure:
    """One row a response, one panel a variant, one line a projection, all on one scale: the paper's rows of panels."""
    table = quantity_points(table, quantity)
    if table.empty:
        return _message("These statistics do not have it.")
    variants = table["variant"].unique()
    responses = [response for response in RESPONSES if (table["response"] == response).any()]
    size = (max(6.4, 2.9 * len(variants) + 0.6), 2.4 * len(responses) + 1.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(responses), len(variants), sharex=True, sharey=True, squeeze=False)
    for row, response in zip(grid, responses, strict=True):
        for axes, variant in zip(row, variants, strict=True):
            part = table[(table["response"] == response) & (table["variant"] == variant)]
            _draw(axes, part, "projection")
            axes.set_title(f"{VARIANTS[variant]}, n = {part['n'].max()}" if len(part) else "not measured")
        row[0].set_ylabel(f"{response} responses:\n{LABELS[quantity]}")
    for axes in grid[-1]:
        axes.set_xlabel("layer (0 = first)")
    _scale(grid.flat, table, logarithmic=quantity != "sigma1_ratio" and wants_log_scale(table))
    _legend(figure, grid.flat, {name: PROJECTIONS[name] for name in table["projection"].unique()})
    return figure


def _responses(pairs: pd.DataFrame) -> Figure:
    """One row a comparison on its own scale, of samples that have both responses; one column a projection."""
    if pairs.empty:
        return _message("No sample has both a correct and another response.")
    table = response_points(pairs)
    rows, projections = list(table.groupby(["variant", "against"], sort=False)), table["projection"].unique()
    figure, grid = _grid([part for _, part in rows], projections, "response")
    for row, ((variant, response), _) in zip(grid, rows, strict=True):
        row[0].set_ylabel(f"{VARIANTS[variant]}:\ncorrect, {response}\nnuclear norm")
    _legend(figure, grid[:, 0], {name: f"{name} response" for name in ("correct", *table["against"].unique())})
    return figure


def _grid(rows: list[pd.DataFrame], projections: np.ndarray, by: str) -> tuple[Figure, np.ndarray]:
    """A figure with a row of panels on one scale for each table, a column a projection, and a line for each ``by``."""
    size = (max(6.4, 2.3 * len(projections) + 0.6), 2.05 * len(rows) + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), len(projections), sharex=True, sharey="row", squeeze=False)
    for row, part in zip(grid, rows, strict=True):
        for axes, projection in zip(row, projections, strict=True):
            line = part[part["projection"] == projection]
            _draw(axes, line, by)
            n = line.groupby(by, sort=False)["n"].max().unique()
            axes.set_title(f"{PROJECTIONS[projection]}, n = {listing(map(str, n))}")
        _scale(row, part, logarithmic=wants_log_scale(part))
    for axes in grid[-1]:
        axes.set_xlabel("layer (0 = first)")
    return figure, grid


def _message(text: str) -> Figure:
    figure = Figure(figsize=(6.4, 1.6), layout="constrained")
    figure.text(0.5, 0.4, text, ha="center")
    return figure


def _draw(axes: Axes, table: pd.DataFrame, by: str) -> None:
    """One line with a band of one standard error for each value of the column ``by``."""
    for place, (name, line) in enumerate(table.groupby(by, sort=False)):
        layer, mean, low, high = (line[column].to_numpy(float) for column in ("layer", "value", "low", "high"))
        every = max(1, len(layer) // 6)  # markers of the lines stand at different layers, so that none hides another
        axes.plot(layer, mean, label=name, markevery=(place * every // 4, every), **LOOKS[name])
        axes.fill_between(layer, low, high, color=LOOKS[name]["color"], alpha=0.25, linewidth=0)


def _scale(panels: Iterable[Axes], table: pd.DataFrame, *, logarithmic: bool) -> None:
    """The panels' common scale: from 0, or logarithmic from the smallest mean."""
    top = np.nanmax(np.append(table["high"].fillna(table["value"]).to_numpy(float), 1e-12))
    for axes in panels:
        if logarithmic:
            axes.set_yscale("log", nonpositive="clip")
            axes.set_ylim(table["value"][table["value"] > 0].min() / 1.3, top * 1.15)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(0, top * 1.06)
        axes.locator_params(axis="x", integer=True)


def _around_one(panels: Iterable[Axes], table: pd.DataFrame) -> None:
    """A line at 1, and a scale that holds it and every interval; it need not reach to 0."""
    ends = np.append(table[["value", "low", "high"]].to_numpy(float), 1.0)
    low, high = np.nanmin(ends), np.nanmax(ends)
    space = 0.06 * (high - low) or 0.06  # the same on both sides: all is 1
    for axes in panels:
        axes.axhline(1, color="#444444", linewidth=1.1, zorder=2)  # above the grid
        if axes.get_yscale() == "log":
            axes.set_ylim(low / 1.15, high * 1.15)
        else:
            axes.set_ylim(low - space, high + space)


def _legend(figure: Figure, panels: Iterable[Axes], labels: dict[str, str]) -> None:
    handles = {line.get_label(): line for axes in panels for line in axes.lines}
    names = [name for name in labels if name in handles]
    figure.legend(
        [handles[name] for name in names],
        [labels[name] for name in names],
        loc="outside lower center",
        ncols=len(names),
    )


def _plain(text: str) -> str:
    """A title is text: a dollar sign in it starts no formula."""
    return text.replace("$", r"\$")


def _save(figure: Figure, path: Path, subtitle: str) -> None:
    figure.suptitle(f"{TITLES[path.name]}\n{_plain(subtitle)}", fontsize=10.5, x=0.01, ha="left")
    for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
        with whole_file(path.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, metadata=metadata, format=suffix[1:])
