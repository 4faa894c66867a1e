"""Figures, tables and the page, made from synthetic statistics by the rules' own scripts."""

import runpy
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from synthetic_tables import KNOWLEDGE, REASONING, Task

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json
from layergrad.contracts.paths import FIGURES, STATISTICS, TABLES
from layergrad.contracts.tables import read_table
from layergrad.report.figures import _responses, draw_figures
from layergrad.report.page import write_report
from layergrad.report.tables import latex, markdown
from layergrad.report.words import counted, listing, number, percent
from layergrad.statistics.compute import compute_statistics

SCRIPTS = Path(__file__).parent.parent / "scripts"
SCALE = {("none", response): 8.0 for response in ("correct", "irrelevant")} | {("detailed", "irrelevant"): 2.0}
HOSTILE = 'Puzzles <script>alert("1")</script> 100 % | a_b & $x$'


class Parts(list):
    """Like Snakemake's input, output and params: places and names."""

    def __init__(self, items=(), **names):
        super().__init__(items)
        vars(self).update(names)


def run(script, **fields):
    job = SimpleNamespace(**({"log": [], "rule": script, "input": Parts(), "params": Parts()} | fields))
    runpy.run_path(str(SCRIPTS / f"{script}.py"), init_globals={"snakemake": job})


def study_of(tasks):
    model = {"name": "tiny", "title": "Tiny model", "weights": "random", "seed": 7, "dtype": "float32"}
    model |= {"prompt": "plain", "licence": "CC0-1.0", "note": "Its weights are <b>random</b>."}
    specs = [
        {
            "name": task.name,
            "title": title,
            "family": task.family,
            "licence": "MIT & more",
            "attribution": "Someone, 2024",
        }
        for task, title in tasks
    ]
    study = {"name": "trial", "title": "A trial", "models": [model], "tasks": specs, "seed": 0, "max_length": 1024}
    return study | {"paper_compat": False, "irrelevant": "length_matched", "noisy_above": 0.15}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The whole way from gradients to the page, by the scripts: the folder and the study."""
    root = tmp_path_factory.mktemp("study")
    puzzles = Task(scale=SCALE, layers=6)
    wiki = Task("wiki", "knowledge", KNOWLEDGE, layers=6, seed=1)
    study = study_of([(puzzles, HOSTILE), (wiki, "Wikipedia: knowledge")])
    parts, figures = [], []
    for task, spec in zip((puzzles, wiki), study["tasks"], strict=True):
        out, drawn = (root / kind / "tiny" / task.name for kind in ("statistics", "figures"))
        params = Parts(model={"name": "tiny", "segments": None}, seed=0, noisy_above=0.15)
        paths = task.write(root / "in")
        names = Parts(model="tiny", task=task.name)
        run("compute_statistics", input=Parts(**paths), output=[out / "cells.parquet"], params=params, wildcards=names)
        titles = Parts(model_title="Tiny model", task_title=spec["title"])
        curves = Parts(curves=out / "curves.parquet", differences=out / "relative_difference_layers.parquet")
        run("draw_figures", input=curves, output=[drawn / f"{FIGURES[0]}.svg"], params=titles)
        parts += [out / f"{name}.parquet" for name in STATISTICS]
        figures += [drawn / f"{name}.svg" for name in FIGURES]
    run("collect_statistics", input=parts, output=[root / "statistics" / "cells.parquet"])
    statistics = [root / "statistics" / f"{name}.parquet" for name in STATISTICS]
    tables = Parts(tables=[root / "tables" / "mad.csv"], metrics=root / "metrics.json")
    run("write_tables", input=Parts(statistics=statistics), output=tables)
    page = root / "report" / "index.html"
    run("write_report", input=Parts(statistics=statistics, figures=figures), output=[page], params=Parts(study=study))
    return root, study


def test_every_file_is_there(made):
    root, _ = made
    for task in ("puzzles", "wiki"):
        for name in FIGURES:
            assert (root / "figures" / "tiny" / task / f"{name}.svg").stat().st_size > 10_000
            assert (root / "figures" / "tiny" / task / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    for name in TABLES:
        for kind in ("csv", "md", "tex"):
            assert (root / "tables" / f"{name}.{kind}").stat().st_size > 100
    leftover = [path for path in root.rglob(".*") if path.is_file()]
    assert leftover == []


def test_figures_are_the_same_bytes_again_without_dates(made, tmp_path):
    root, study = made
    curves = root / "statistics" / "tiny" / "puzzles" / "curves.parquet"
    draw_figures(
        curves,
        curves.with_name("relative_difference_layers.parquet"),
        tmp_path,
        model_title="Tiny model",
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
    assert titles[::4] == [f"query (q), {n} pairs" for n in (12, 10, 6, 12)]  # of 12 detailed, 6 have an irrelevant one
    spectra = Task(scale=SCALE, layers=6).frames()[2].query("variant == 'detailed' and projection == 'v'")
    for axes, other, n in ((figure.axes[10], "irrelevant", 6), (figure.axes[14], "incorrect", 12)):
        assert [line.get_label() for line in axes.lines] == ["correct", other]
        for line in axes.lines:
            some = spectra[(spectra["response"] == line.get_label()) & (spectra["sample_id"] < f"{n:016x}")]
            assert line.get_ydata().tolist() == pytest.approx(some.groupby("layer")["nuclear_norm"].mean().tolist())


def test_a_tasks_note_is_told_with_the_task_and_among_the_limits(made, tmp_path):
    root, study = made
    task = study["tasks"][0] | {"note": "The wrong answers had <no> hints."}
    statistics = {name: root / "statistics" / f"{name}.parquet" for name in STATISTICS}
    figures = sorted((root / "figures").rglob("*.svg"))
    write_report(statistics, figures, tmp_path / "index.html", study=study | {"tasks": [task, study["tasks"][1]]})
    text = (tmp_path / "index.html").read_text()
    assert text.count("The wrong answers had &lt;no&gt; hints.") >= 2
    assert "had &lt;no&gt; hints" in text[text.index('id="limits"') : text.index('id="licences"')]


def page_of(task, folder):
    """The text of the page of one task, made from its gradients on."""
    out = folder / "statistics"
    compute_statistics(**task.write(folder), folder=out, model={"name": "tiny"}, task="puzzles")
    tables = (out / "curves.parquet", out / "relative_difference_layers.parquet")
    draw_figures(*tables, folder / "tiny" / "puzzles", model_title="Tiny", task_title="Puzzles")
    figures = [folder / "tiny" / "puzzles" / f"{name}.svg" for name in FIGURES]
    statistics = {name: out / f"{name}.parquet" for name in STATISTICS}
    write_report(statistics, figures, folder / "index.html", study=study_of([(task, "Puzzles")]))
    return (folder / "index.html").read_text()


@pytest.mark.parametrize("layers", [1, 2])
def test_very_small_models_and_single_responses_have_figures_and_a_page(tmp_path, layers):
    cells = {("none", "correct"): 1, ("none", "irrelevant"): 1}
    task = Task(cells=cells, layers=layers)
    page = page_of(task, tmp_path)
    assert "8 of 8 mean nuclear norms" in page


def test_a_task_without_other_responses_has_a_page(tmp_path):
    task = Task(cells={("none", "correct"): 3, ("detailed", "correct"): 3}, layers=3)
    page = page_of(task, tmp_path)
    assert "irrelevant text?" not in page


class Page(HTMLParser):
    """What a page fetches, links to and holds."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched, self.anchors, self.ids = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.ids.add(values.get("id"))
        self.fetched += [values[name] for name in ("src", "srcset", "data", "poster") if name in values]
        (self.anchors if tag == "a" else self.fetched).extend([values["href"]] if "href" in values else [])


def test_the_page_needs_nothing_but_itself(made):
    root, _ = made
    text = (root / "report" / "index.html").read_text()
    page = Page(text)
    assert all(address.startswith("data:") for address in page.fetched)
    assert {anchor.removeprefix("#") for anchor in page.anchors} <= page.ids
    assert "url(" not in text
    assert "@import" not in text
    assert "script" not in page.tags
    assert str(root) not in text


def test_the_page_has_every_figure_with_caption_and_every_table(made):
    root, _ = made
    page = Page((root / "report" / "index.html").read_text())
    assert page.tags.count("img") == page.tags.count("figcaption") == 2 * len(FIGURES)
    assert page.tags.count("table") == 2 * len(TABLES)
    assert page.tags.count("h1") == 1
    assert "main" in page.tags
    assert "nav" in page.tags


def test_hostile_titles_are_text_in_the_page(made):
    root, _ = made
    text = (root / "report" / "index.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "MIT &amp; more" in text
    assert "<b>random</b>" not in text


def test_the_page_is_the_same_bytes_again(made, tmp_path):
    root, study = made
    statistics = {name: root / "statistics" / f"{name}.parquet" for name in STATISTICS}
    figures = sorted((root / "figures").rglob("*.svg"))
    write_report(statistics, figures, tmp_path / "index.html", study=study)
    assert (tmp_path / "index.html").read_bytes() == (root / "report" / "index.html").read_bytes()


def test_a_missing_figure_is_an_error_in_one_line(made, tmp_path):
    root, study = made
    statistics = {name: root / "statistics" / f"{name}.parquet" for name in STATISTICS}
    with pytest.raises(UserError, match=r"tiny/puzzles/nuclear_norm\.svg is not among the 0") as error:
        write_report(statistics, [], tmp_path / "index.html", study=study)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "index.html").exists()


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
    assert len(pd.read_csv(root / "tables" / "mad.csv")) == 4 * (len(REASONING) + len(KNOWLEDGE))
    assert len(pd.read_csv(root / "tables" / "relative_difference.csv")) == 4 * (4 + 4)
    assert len(pd.read_csv(root / "tables" / "cells.csv")) == len(REASONING) + len(KNOWLEDGE)


def test_metrics_are_the_headline_numbers(made):
    root, _ = made
    metrics = read_json(root / "metrics.json")["tiny"]
    assert set(metrics) == {"puzzles", "wiki"}
    detailed = metrics["puzzles"]["detailed"]
    assert set(detailed) == {"nuclear_norm", "mad", "relative_difference"}
    assert set(detailed["relative_difference"]) == {"irrelevant", "incorrect"}
    table = pd.read_csv(root / "tables" / "mad.csv").query(
        "task == 'puzzles' and variant == 'detailed' and response == 'correct' and segment == 'all'"
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
