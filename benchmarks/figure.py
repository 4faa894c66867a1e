"""One figure: seconds a sample of each procedure, a panel a sample."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layergrad.contracts.files import whole_file
from layergrad.report.figures import STYLE
from layergrad.report.words import number

# Okabe and Ito's colours; the words beside the bars say the same without them.
BARS = {
    "a": ("the paper's procedure", "#D55E00"),
    "b": ("a fine-tuning step", "#999999"),
    "c": ("floor: forward and backward", "#56B4E9"),
    "d": ("layergrad", "#0072B2"),
    "e": ("layergrad, with extreme entries", "#009E73"),
}


def draw(summary: pd.DataFrame, path: Path) -> None:
    """Draw ``path`` with .svg and .png: medians as bars on one logarithmic scale, quartiles as whiskers."""
    times = summary[(summary["quantity"] == "seconds") & summary["procedure"].isin(list(BARS))]
    with mpl.rc_context(STYLE):
        figure = _panels(times)
        for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
            with whole_file(path.with_suffix(suffix)) as temporary:
                figure.savefig(temporary, metadata=metadata, format=suffix[1:])


def _panels(times: pd.DataFrame) -> Figure:
    cases = list(times.groupby(["model", "sample", "tokens", "response_tokens"], sort=False))
    figure = Figure(figsize=(9, 1.35 * len(cases) + 0.9), layout="constrained")
    grid = figure.subplots(len(cases), 1, sharex=True, squeeze=False)[:, 0]
    left = 0.5 * times["lower_quartile"].min()
    for axes, ((model, _, tokens, response), part) in zip(grid, cases, strict=True):
        _bars(axes, part.set_index("procedure"), left)
        axes.set_title(f"{model}: {tokens} tokens, {response} of them the response", loc="left")
    grid[0].set_xlim(left, 4 * times["upper_quartile"].max())
    grid[-1].set_xlabel("seconds a sample (logarithmic scale); median, quartiles")
    figure.suptitle(
        "How long does one sample take? In brackets: in fine-tuning steps", fontsize=10.5, x=0.01, ha="left"
    )
    return figure


def _bars(axes: Axes, part: pd.DataFrame, left: float) -> None:
    """A bar a procedure from the left edge to its median, with seconds and how many fine-tuning steps they are."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", visible=False)
    axes.set_axisbelow(True)
    for place, (key, (_, colour)) in enumerate(BARS.items()):
        median, low, high = part.loc[key, ["median", "lower_quartile", "upper_quartile"]]
        axes.barh(place, median - left, left=left, height=0.72, color=colour)
        axes.plot([low, high], [place, place], color="black", linewidth=1, solid_capstyle="butt")
        steps = f"  ({number(median / part.loc['b', 'median'], 2)})" if key != "b" else ""
        axes.annotate(f"{number(median)} s{steps}", (high, place), (5, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(BARS)), [words for words, _ in BARS.values()])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
