"""Figures and tables, made from synthetic statistics by the rules' own scripts."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from synthetic_report import MODELS, SCALE
from synthetic_tables import KNOWLEDGE, REASONING, Task

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json
from layergrad.contracts.paths import COMPARISON_FIGURES, FIGURES, STATISTICS, TABLES
from layergrad.contracts.tables import read_table
from layergrad.report.figures import _projections, _responses, draw_comparison, draw_figures
from layergrad.report.tables import SECOND_HAND, for_people, latex, markdown, numeric_tables
from layergrad.report.words import counted, listing, number, percent


def test_every_file_is_there(made):
    root, _ = made
    for task in ("puzzles", "wiki"):
        for path in [root / "figures" / model / task / name for model in MODELS for name in FIGURES]:
            assert path.with_suffix(".svg").stat().st_size > 10_000
            assert path.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    for name in TABLES:
        for kind in ("csv", "md", "tex"):
            assert (root / "tables" / f"{name}.{kind}").stat().st_size > 50
    leftover = [path for path in root.rglob(".*") if path.is_file()]
    assert leftover == []


def test_figures_are_the_same_bytes_again_without_dates(made, tmp_path):
    root, study = made
    curves = root / "statistics" / "tiny" / "puzzles" / "curves.parquet"
    draw_figures(
        curves,
        curves.with_name("relative_difference_layers.parquet"),
        tmp_path,
        model_title="Tiny",
        task_title=study["tasks"][0]["title"],
    )
    for name in FIGURES:
        for kind in ("svg", "png"):
            first = root / "figures" / "tiny" / "puzzles" / f"{name}.{kind}"
            assert (tmp_path / f"{name}.{kind}").read_bytes() == first.read_bytes()
        svg = (tmp_path / f"{name}.svg").read_text()
        ET.fromstring(svg)
        assert "<dc:date>" not in svg


def test_correct_and_other_responses_are_drawn_on_the_pairs_that_the_panel_names(made):
    root, _ = made
    pairs = read_table(root / "statistics" / "tiny" / "puzzles" / "relative_difference_layers.parquet")
    figure = _responses(pairs)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[::4] == [f"query (q), n = {n}" for n in (12, 10, 6, 12)]  # of 12 detailed, 6 have an irrelevant one
    spectra = Task(scale=SCALE, layers=6).frames()[2].query("variant == 'detailed' and projection == 'v'")
    for axes, other, n in ((figure.axes[10], "irrelevant", 6), (figure.axes[14], "incorrect", 12)):
        assert [line.get_label() for line in axes.lines] == ["correct", other]
        for line in axes.lines:
            some = spectra[(spectra["response"] == line.get_label()) & (spectra["sample_id"] < f"{n:016x}")]
            assert line.get_ydata().tolist() == pytest.approx(some.groupby("layer")["nuclear_norm"].mean().tolist())


def test_figures_without_a_correct_response_are_an_error(made, tmp_path):
    root, _ = made
    curves = read_table(root / "statistics" / "curves.parquet").query("response != 'correct'")
    curves.to_parquet(tmp_path / "curves.parquet")
    with pytest.raises(UserError, match="no correct response"):
        draw_figures(
            tmp_path / "curves.parquet", tmp_path / "differences.parquet", tmp_path, model_title="", task_title=""
        )


def test_tables_hold_the_numbers_of_the_statistics(made):
    root, _ = made
    means = read_table(root / "statistics" / "layer_means.parquet").query(
        "quantity == 'nuclear_norm' and segment == 'all' and projection == 'v'"
    )
    table = pd.read_csv(root / "tables" / "nuclear_norm.csv")
    assert table["v"].tolist() == pytest.approx(means["mean"].tolist(), rel=1e-5)
    assert table["v_standard_error"].tolist() == pytest.approx(means["standard_error"].tolist(), rel=1e-5)
    mad = pd.read_csv(root / "tables" / "mad.csv", keep_default_na=False, na_values=[""])
    assert mad["segment"].tolist() == ["early", "mid", "last", "all"] * (len(mad) // 4)
    steps = read_table(root / "statistics" / "mad.parquet").query("quantity == 'nuclear_norm' and projection == 'o'")
    both = mad.merge(steps, on=["model", "task", "variant", "response", "segment"], validate="1:1")
    for column, name in {
        "o": "mad",
        "o_corrected": "corrected_mad",
        "o_corrected_low": "corrected_low",
        "o_corrected_high": "corrected_high",
        "o_over_mean": "relative_mad",
    }.items():
        assert both[column].tolist() == pytest.approx(both[name].tolist(), rel=1e-5, nan_ok=True)
    assert not [column for column in mad if "error" in column]
    cells = len(MODELS) * (len(REASONING) + len(KNOWLEDGE))
    assert len(pd.read_csv(root / "tables" / "mad.csv")) == 4 * cells
    assert len(pd.read_csv(root / "tables" / "relative_difference.csv")) == len(MODELS) * 4 * (4 + 4)
    assert len(pd.read_csv(root / "tables" / "cells.csv")) == cells


def test_a_tuned_model_stands_beside_its_base(made):
    root, _ = made
    table = pd.read_csv(root / "tables" / "base_instruct.csv", keep_default_na=False, na_values=[""])
    assert set(table["model"]) == {"tiny-chat"}
    assert set(table["base"]) == {"tiny"}
    assert len(table) == 4 * (len(REASONING) + len(KNOWLEDGE))
    one = "task == 'wiki' and variant == 'popular_500' and response == 'irrelevant' and projection == 'k'"
    row = table.query(one)
    for name, column, file in (
        ("mad", "mad", "mad"),
        ("nuclear_norm", "mean", "layer_means"),
        ("relative_difference", "absolute", "relative_difference"),
    ):
        own = read_table(root / "statistics" / f"{file}.parquet").query(one)
        own = own if file == "relative_difference" else own.query("segment == 'all' and quantity == 'nuclear_norm'")
        for model, end in (("tiny", "_base"), ("tiny-chat", "")):
            assert row[name + end].item() == pytest.approx(own[own["model"] == model][column].item(), rel=1e-5)


def test_the_papers_numbers_stand_beside_the_same_cells_alone(made):
    root, _ = made
    statistics = {name: read_table(root / "statistics" / f"{name}.parquet") for name in STATISTICS}
    renamed = {"model": {"tiny": "qwen2-1.5b"}, "task": {"puzzles": "aqua"}}
    known = numeric_tables({name: table.replace(renamed) for name, table in statistics.items()}, {})["second_hand"]
    assert numeric_tables(statistics, {})["second_hand"].empty
    assert len(known) == len(pd.read_csv(SECOND_HAND)) == 3 * 4 + 2 * 4
    mad = known.query("quantity == 'MAD' and variant == 'detailed' and response == 'correct' and projection == 'v'")
    ours = statistics["mad"].query(
        "model == 'tiny' and task == 'puzzles' and variant == 'detailed' and response == 'correct'"
        " and projection == 'v' and segment == 'all' and quantity == 'nuclear_norm'"
    )
    assert mad[["ours", "second_hand"]].iloc[0].tolist() == [ours["mad"].item(), 0.64]
    difference = known.query("quantity == 'relative difference' and variant == 'detailed'")
    assert set(difference["second_hand"]) == {0.81}
    assert difference["remark"].str.contains("not told").all()


def test_rows_of_panels_are_responses_and_columns_variants(made):
    root, _ = made
    figure = _projections(read_table(root / "statistics" / "tiny" / "puzzles" / "curves.parquet"), "nuclear_norm")
    grid = [axes.get_title() for axes in figure.axes]
    assert grid[:3] == ["no reasoning, n = 12", "simplified reasoning, n = 10", "detailed reasoning, n = 12"]
    assert grid[3:6] == ["no reasoning, n = 12", "simplified reasoning, n = 10", "detailed reasoning, n = 6"]
    assert grid[6:] == ["not measured", "not measured", "detailed reasoning, n = 12"]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    wiki = read_table(root / "statistics" / "tiny" / "wiki" / "curves.parquet")
    assert len(_projections(wiki, "sigma1_ratio").axes) == 2 * 4


def test_a_model_and_its_base_are_drawn_side_by_side_and_the_same_again(made, tmp_path):
    root, study = made
    place = Path("tiny", "tiny-chat", "puzzles")
    titles = ["Tiny", "Tiny-chat", study["tasks"][0]["title"]]
    draw_comparison((root / "compared" / place).with_suffix(".parquet"), tmp_path, titles=titles)
    for name in COMPARISON_FIGURES:
        for kind in ("svg", "png"):
            drawn = root / "figures" / "comparisons" / place / f"{name}.{kind}"
            assert (tmp_path / drawn.name).read_bytes() == drawn.read_bytes()


def test_counts_are_whole_and_what_does_not_exist_is_a_dash():
    table = pd.DataFrame({"n_truncated": [1234.0, None], "mean_words": [1234.5, None], "median_tokens": [12.5, 1234.0]})
    assert for_people(table).to_dict("list") == {
        "truncated": ["1234", "-"],
        "mean words": ["1230", "-"],
        "median tokens": ["12.5", "1234"],
    }


def test_raw_and_corrected_mad_stand_side_by_side_with_an_interval():
    table = pd.DataFrame({"segment": ["all", "early"], "q": [0.2, 0.1], "q_corrected": [0.15, None]})
    table = table.assign(q_corrected_low=[0.1, None], q_corrected_high=[0.1777, None], q_over_mean=[0.4, 0.3])
    assert for_people(table).to_dict("list") == {
        "segment": ["all", "early"],
        "q raw": ["0.200", "0.100"],
        "q corrected": ["0.150 [0.100, 0.178]", "-"],
        "q raw / mean": ["0.400", "0.300"],
    }


def test_metrics_are_the_headline_numbers(made):
    root, _ = made
    metrics = read_json(root / "metrics.json")["tiny"]
    assert set(metrics) == {"puzzles", "wiki"}
    detailed = metrics["puzzles"]["detailed"]
    assert set(detailed) == {"nuclear_norm", "mad", "relative_difference"}
    assert set(detailed["relative_difference"]) == {"irrelevant", "incorrect"}
    table = pd.read_csv(root / "tables" / "mad.csv").query(
        "model == 'tiny' and task == 'puzzles' and variant == 'detailed' and response == 'correct' and segment == 'all'"
    )
    assert detailed["mad"] == pytest.approx(table[list("qkvo")].iloc[0].to_dict(), rel=1e-5)


def test_hostile_text_stands_for_itself_in_markdown_and_latex():
    table = pd.DataFrame({"a|b": ["<script> | 100 % & x_y *z* `c` [d](e) \\"], "n": ["1.00 ± 0.10"]})
    text = markdown(table)
    assert "<script>" not in text
    assert "&lt;script&gt; \\| 100 % &amp; x\\_y \\*z\\* \\`c\\` \\[d\\](e) \\\\" in text
    assert {line.replace("\\|", "").count("|") for line in text.splitlines()} == {3}
    text = latex(table)
    assert r"100 \% \& x\_y" in text
    assert r"\textbackslash" in text
    assert r"1.00 $\pm$ 0.10" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.500"),
        (12.345, "12.3"),
        (123.4, "123"),
        (1234.5, "1230"),
        (999.9, "1000"),
        (-3.14159, "-3.14"),
        (0.00123, "0.00123"),
        (1e-7, "1.00e-07"),
        (0.0, "0"),
        (float("nan"), "-"),
        (None, "-"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_words():
    assert percent(0.1234) == "12\N{NO-BREAK SPACE}%"
    assert percent(0.0123) == "1.2\N{NO-BREAK SPACE}%"
    assert percent(float("nan")) == "-"
    assert [listing("a"), listing("ab"), listing("abc")] == ["a", "a and b", "a, b and c"]
    assert [counted(1, "pair"), counted(2, "pair")] == ["1 pair", "2 pairs"]
