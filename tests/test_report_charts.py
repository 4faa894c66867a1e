"""What the pages' charts are made from: the points of each figure, as CSV and as the numbers embedded in a page."""

import json
import re

import pandas as pd
import pytest
from synthetic_report import HOSTILE, MODELS

from layergrad.contracts.errors import UserError
from layergrad.contracts.paths import ASSETS, FIGURES
from layergrad.contracts.tables import read_table
from layergrad.report import assets
from layergrad.report.charts import chart_of
from layergrad.report.points import POINT, quantity_points, wants_log_scale


def charts_in(page):
    """The charts that a page embeds, by the id of their figure."""
    return json.loads(re.search(r'<script type="application/json" id="charts">(.*)</script>', page.read_text())[1])


def points_beside(root, model, figure):
    """The CSV of a chart of the first task."""
    path = root / "report" / "figures" / model / "puzzles" / f"{figure}.csv"
    return pd.read_csv(path, keep_default_na=False, na_values=[""])  # "none" is a variant


def test_a_chart_has_the_numbers_of_its_csv(made):
    root, _ = made
    charts = charts_in(root / "report" / "task-puzzles.html")
    assert len(charts) == len(MODELS) * len(FIGURES)
    for place, chart in charts.items():
        model, _, figure = place.split(".")
        points = points_beside(root, model, figure)
        assert list(points.columns)[-len(POINT) :] == POINT
        by_curve = points.groupby(list(chart["curves"][0]["of"]))
        for curve in chart["curves"]:
            of = by_curve.get_group(tuple(curve["of"].values()))
            assert chart["layers"] == of["layer"].tolist()
            for column in ("value", "low", "high"):
                assert curve[column] == of[column].tolist()
        assert sum(len(curve["value"]) for curve in chart["curves"]) == len(points)


def test_the_interval_is_one_standard_error_to_either_side(made):
    root, _ = made
    curves = read_table(root / "statistics" / "curves.parquet").query(
        "model == 'tiny' and task == 'puzzles' and quantity == 'effective_rank'"
    )
    points = points_beside(root, "tiny", "effective_rank")
    assert points["value"].tolist() == pytest.approx(curves["mean"].tolist(), rel=1e-5)
    assert (points["high"] - points["low"]).tolist() == pytest.approx(2 * curves["standard_error"], rel=1e-3)
    assert points["n"].tolist() == curves["n"].tolist()


def test_a_summary_tells_the_extremes_and_where_they_are(made):
    root, _ = made
    points = points_beside(root, "tiny", "nuclear_norm")
    summary = charts_in(root / "report" / "task-puzzles.html")["tiny.figure.nuclear_norm"]["summary"]
    greatest = points.loc[points["value"].idxmax()]
    assert summary.startswith(f"{7 * 4} curves over layers 0 to 5: the greatest value is {greatest['value']:.1f} in")
    assert f"in layer {greatest['layer']} ({greatest['response']} responses, no reasoning, value (v))" in summary


def curves_of(**columns):
    """Curves of one quantity with these columns."""
    table = pd.DataFrame(columns)
    return table.assign(variant="none", response="correct", projection="q", quantity="nuclear_norm")


def test_single_responses_have_no_interval_and_means_that_are_missing_leave_a_gap():
    none = float("nan")
    points = quantity_points(
        curves_of(layer=[0, 1, 2], n=[1, 0, 1], mean=[2.0, none, 3.0], standard_error=none), "nuclear_norm"
    )
    (curve,) = chart_of("nuclear_norm", points)["curves"]
    assert curve["value"] == [2.0, None, 3.0]
    assert curve["low"] == curve["high"] == [None] * 3
    assert chart_of("nuclear_norm", points[:0]) is None


def test_a_scale_is_logarithmic_where_most_values_span_more_than_ten():
    for means, log in (([1.0, 5.0, 9.0], False), ([0.5, 5.0, 50.0], True), ([0.0, 0.0, 0.0], False)):
        points = quantity_points(curves_of(layer=[0, 1, 2], n=2, mean=means, standard_error=0.1), "nuclear_norm")
        assert wants_log_scale(points) is log


def test_a_chart_with_a_scale_for_each_comparison_is_logarithmic_only_where_one_of_them_asks_for_it(made):
    root, _ = made
    charts = charts_in(root / "report" / "task-puzzles.html")
    points = points_beside(root, "tiny", "correct_irrelevant")
    assert wants_log_scale(points)
    assert not any(wants_log_scale(part) for _, part in points.groupby(["variant", "against"]))
    assert {place: chart["log"] for place, chart in charts.items() if place.startswith("tiny.")} == {
        "tiny.figure.nuclear_norm": True,
        "tiny.figure.correct_irrelevant": False,
        "tiny.figure.sigma1_ratio": False,
        "tiny.figure.effective_rank": False,
    }


def test_titles_are_text_within_the_script(made):
    _, study = made
    points = quantity_points(curves_of(layer=[0], n=2, mean=[1.0], standard_error=[0.1]), "nuclear_norm")
    assert study["tasks"][0]["title"] == HOSTILE
    one = points.drop(columns="response").assign(side="one")
    chart = chart_of("side_by_side", one, {"one": "</script><b>"})
    assert chart["curves"][0]["name"] == "</script><b>"


def test_the_library_comes_with_its_licences_and_its_lack_is_an_error_in_one_line(made, monkeypatch, tmp_path):
    root, _ = made
    vega, licences, script = ((root / "report" / "assets" / name).read_text() for name in ASSETS)
    assert "vega" in vega[:2000]
    assert all(f"===== {name} =====" in licences for name in assets.LICENCES)
    assert "University of Washington" in licences
    assert "innerHTML" not in script
    monkeypatch.setattr(assets, "VEGA", "vega/no-such-file.js")
    with pytest.raises(UserError, match=r"no vega/no-such-file\.js") as error:
        assets.write_assets(tmp_path)
    assert "\n" not in str(error.value)
