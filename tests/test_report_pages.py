"""The pages of the report, made from synthetic statistics by the rules' own scripts."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest
from synthetic_report import KNOWN_WARNING, MODELS, pages, report_inputs, study_of
from synthetic_tables import Task

from layergrad.contracts.errors import UserError
from layergrad.contracts.paths import ASSETS, COMPARISON_FIGURES, FIGURES, STATISTICS
from layergrad.report.figures import draw_figures
from layergrad.report.pages import write_report
from layergrad.report.text_warnings import warnings_of
from layergrad.statistics.compute import compute_statistics


class Page(HTMLParser):
    """What a page fetches, links to and holds."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched, self.anchors, self.ids, self.images = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.images += [values] if tag == "img" else []
        self.fetched += [values[name] for name in ("src", "srcset", "data", "poster") if name in values]
        (self.anchors if tag == "a" else self.fetched).extend([values["href"]] if "href" in values else [])


def read(folder):
    """Every page of a report by file name."""
    return {path.name: Page(path.read_text()) for path in sorted(folder.glob("*.html"))}


def write_again(root, study, folder):
    """The report of a made study, written into another folder."""
    inputs = report_inputs(root)
    statistics = {path.stem: path for path in inputs.pop("statistics")}
    write_report(statistics, inputs.pop("figures"), folder, study=study, **inputs)


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(made):
    root, _ = made
    folder = root / "report"
    found = read(folder)
    assert sorted(found) == sorted(pages())
    for name, page in found.items():
        assert len(set(page.ids)) == len(page.ids)
        for address in page.anchors:
            file, _, target = unquote(address).partition("#")
            assert not target or target in found[file or name].ids, address
        for address in page.fetched:
            assert address.startswith("data:") or (folder / unquote(address)).is_file(), address
        text = (folder / name).read_text()
        assert not re.search(r"url\(|@import", text)
        assert str(root) not in text
    assert {path.name for path in (folder / "assets").iterdir()} == set(ASSETS)


def test_a_task_has_every_figure_with_caption_and_every_table_of_every_model(made):
    root, _ = made
    for task in ("puzzles", "wiki"):
        page = read(root / "report")[f"task-{task}.html"]
        assert page.tags.count("img") == page.tags.count("figcaption") == len(MODELS) * len(FIGURES)
        assert page.tags.count("table") == len(MODELS) * 5 + 1  # with the audit; the tuned model beside its base
        assert page.tags.count("h1") == page.tags.count("main") == 1
        for image in page.images:
            assert image["loading"] == "lazy"
            assert int(image["width"]) > 400
            assert int(image["height"]) > 200
            assert image["alt"]


def test_the_index_finds_every_figure_and_table_by_task_model_and_kind(made):
    root, _ = made
    found = read(root / "report")
    targets = {
        f"{name}#{target}"
        for name, page in found.items()
        for target in page.ids
        if ".figure." in target or ".table." in target
    }
    assert len(targets) == 2 * (len(MODELS) * (len(FIGURES) + 5) + 1) + len(COMPARISON_FIGURES)
    assert targets <= set(found["index.html"].anchors)


def test_hostile_text_is_text_on_every_page(made):
    root, _ = made
    for name in pages():
        text = (root / "report" / name).read_text()
        assert text.count("<script") == (
            3 if name.startswith(("task-", "comparisons")) else 0
        )  # the charts' numbers, Vega, ours
        assert "<b>" not in text
    text = (root / "report" / "index.html").read_text()
    assert "&lt;script&gt;" in text
    assert "MIT &amp; more" in text
    assert "&lt;those&gt;" in (root / "report" / "method.html").read_text()


def test_the_pages_are_the_same_bytes_again(made, tmp_path):
    root, study = made
    write_again(root, study, tmp_path)
    first = {path.relative_to(root / "report"): path for path in (root / "report").rglob("*") if path.is_file()}
    n_figures = 2 * len(MODELS) * len(FIGURES) + len(COMPARISON_FIGURES)
    assert len(first) == len(pages()) + len(ASSETS) + 2 * n_figures
    for name, path in first.items():
        assert (tmp_path / name).read_bytes() == path.read_bytes()


def test_a_tasks_note_is_told_with_the_task_and_among_the_limits(made, tmp_path):
    root, study = made
    task = study["tasks"][0] | {"note": "The wrong answers had <no> hints."}
    write_again(root, study | {"tasks": [task, study["tasks"][1]]}, tmp_path)
    index = (tmp_path / "index.html").read_text()
    limits = index[index.index('id="limits"') : index.index('id="licences"')]
    method = (tmp_path / "method.html").read_text()
    page = (tmp_path / "task-puzzles.html").read_text()
    assert all("The wrong answers had &lt;no&gt; hints." in text for text in (limits, method, page))


def test_the_verdicts_on_the_measurement_have_their_numbers(made):
    root, _ = made
    text = (root / "report" / "method.html").read_text()
    assert text.count("3.1e-07 of 0.0001") == len(MODELS)
    assert text.count("passed") == len(MODELS)


def test_warnings_of_the_audit_are_told_once_with_the_models_they_are_of(made):
    root, study = made
    audit = pd.concat([pd.read_parquet(path) for path in report_inputs(root)["audits"]])
    found = warnings_of(audit, study)
    assert set(found) == {"puzzles", "wiki"}
    assert found["wiki"].count(f"popular 500, irrelevant: {KNOWN_WARNING}") == 1
    assert "detailed reasoning, correct: 3 of 12 cut (Tiny-chat)" in found["puzzles"]
    assert len(found["puzzles"]) == 4 + 3  # other responses; detailed ones of one model
    for page in ("index.html", "task-wiki.html"):
        assert "a &lt;b&gt;bold&lt;/b&gt; warning" in (root / "report" / page).read_text()
    assert "1234" in (root / "report" / "task-wiki.html").read_text()  # same as correct, to the last digit
    assert warnings_of(None, study) == {}


def test_a_missing_figure_is_an_error_in_one_line(made, tmp_path):
    root, study = made
    statistics = {name: root / "statistics" / f"{name}.parquet" for name in STATISTICS}
    with pytest.raises(UserError, match=r"tiny/puzzles/nuclear_norm\.svg is not among the 0") as error:
        write_report(statistics, [], tmp_path, study=study)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def index_of(task, folder):
    """The text of the first page on one task, made from its gradients on, without audit and diagnosis."""
    out = folder / "statistics"
    compute_statistics(**task.write(folder), folder=out, model={"name": "tiny"}, task="puzzles")
    tables = (out / "curves.parquet", out / "relative_difference_layers.parquet")
    draw_figures(*tables, folder / "tiny" / "puzzles", model_title="Tiny", task_title="Puzzles")
    figures = [folder / "tiny" / "puzzles" / f"{name}.svg" for name in FIGURES]
    statistics = {name: out / f"{name}.parquet" for name in STATISTICS}
    write_report(statistics, figures, folder / "report", study=study_of([(task, "Puzzles")]))
    return (folder / "report" / "index.html").read_text()


@pytest.mark.parametrize("layers", [1, 2])
def test_very_small_models_and_single_responses_have_figures_and_pages(tmp_path, layers):
    cells = {("none", "correct"): 1, ("none", "irrelevant"): 1}
    assert "8 of 8 mean nuclear norms" in index_of(Task(cells=cells, layers=layers), tmp_path)


def test_a_task_without_other_responses_has_pages(tmp_path):
    task = Task(cells={("none", "correct"): 3, ("detailed", "correct"): 3}, layers=3)
    assert "irrelevant text?" not in index_of(task, tmp_path)
