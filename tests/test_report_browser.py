"""The report in a real headless Chromium, from disk: nothing fails, nothing is fetched, and the charts do as told."""

import csv
import itertools
import json
from urllib.parse import unquote, urlsplit

import pytest
from browser import CHROMIUM, Browser
from synthetic_ledger import claim_pages, report_with_claims
from synthetic_report import MODELS, pages

from layergrad.contracts.paths import ASSETS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}, the browser that shows the pages"),
]
CHART = "document.getElementById('tiny.figure.nuclear_norm')"
PHONE = {"width": 360, "height": 780}


@pytest.fixture(scope="module")
def report(made, tmp_path_factory):
    """The folder of the report of the synthetic study, with a ledger of claims."""
    folder = tmp_path_factory.mktemp("browser")
    report_with_claims(made, folder, ["puzzles", "wiki"])
    return folder / "report"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests."""
    browser = Browser(tmp_path_factory.mktemp("chromium") / "profile")
    yield browser
    browser.close()


@pytest.fixture
def task(browser, report):
    """The browser at the page of a task, its first chart in view and drawn."""
    browser.open(report / "task-puzzles.html")
    browser.run(f"{CHART}.scrollIntoView({{behavior: 'instant'}})")
    browser.wait_for(f"{CHART}.querySelector('.plot svg')")
    return browser


def table_of(browser, panel):
    """Names, means and intervals under a panel of the first chart."""
    rows = f"{CHART}.querySelectorAll('.panel')[{panel}].querySelectorAll('tbody tr')"
    return browser.run(f"[...{rows}].map(row => [...row.children].map(cell => cell.textContent.trim()))")


def titles(browser, kind):
    """Texts of the headings of the first chart's groups (h4) or panels (h5)."""
    return browser.run(f"[...{CHART}.querySelectorAll('{kind}')].map(heading => heading.textContent)")


def click(browser, name, value):
    """Click a control of the first chart as a reader does."""
    browser.run(f"{CHART}.querySelector('input[name={name}][value={value}]').click()")


def points(report, panel):
    """The curves of a panel, (variant, response), of the first chart by projection: rows of its CSV."""
    with (report / "figures/tiny/puzzles/nuclear_norm.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["variant"], row["response"]) == panel]
    return {name: [row for row in rows if row["projection"] == name] for name in "qkvo"}


@pytest.mark.parametrize("name", [*pages(), *claim_pages()])
@pytest.mark.parametrize("size", [{}, PHONE], ids=["desktop", "phone"])
def test_a_page_loads_without_a_complaint_and_from_its_own_folder(browser, report, name, size):
    browser.open(report / name, **size)
    assert browser.complaints() == []
    assert browser.run("document.documentElement.scrollWidth") <= browser.run("innerWidth")
    for address in browser.fetched():
        assert address.startswith(("data:", report.as_uri())), address
    loaded = {unquote(urlsplit(address).path) for address in browser.fetched() if address.startswith("file:")}
    scripts = {str(report / "assets" / script) for script in ASSETS if script.endswith(".js")}
    assert scripts <= loaded if name.startswith(("task-", "comparisons")) else not scripts & loaded


def test_every_link_and_picture_leads_to_something(browser, report):
    for name in [*pages(), *claim_pages()]:
        browser.open(report / name)
        addresses = browser.run("[...document.querySelectorAll('a')].map(link => link.href)")
        assert len(addresses) > 5
        for address in addresses:
            parts = urlsplit(address)
            target = report / unquote(parts.path).rpartition("/")[2]
            assert parts.scheme == "file"
            assert (report.parent / unquote(parts.path)).is_file(), address
            if parts.fragment:
                assert f'id="{unquote(parts.fragment)}"' in target.read_text(), address


def test_a_verdict_leads_to_its_evidence_which_is_open_then(browser, report):
    browser.open(report / "claims.html")
    browser.run("document.querySelector('a[href=\"claims-C1.html#loss_scale\"]').click()")
    browser.wait_for("location.pathname.endsWith('claims-C1.html') && document.readyState === 'complete'")
    browser.wait_for("document.getElementById('loss_scale').getBoundingClientRect().height > 100")
    assert browser.run("document.getElementById('equal_length').closest('details').open") is False
    browser.wait_for("Math.abs(document.getElementById('loss_scale').getBoundingClientRect().y) < innerHeight")


def test_every_chart_takes_the_place_of_its_picture_and_has_it_and_the_numbers_beside_it(task, report):
    charts = task.run("JSON.parse(document.getElementById('charts').textContent)")
    assert len(charts) == 4 * len(MODELS)
    for figure in charts:
        place = f"document.getElementById({json.dumps(figure)})"
        assert task.run(f"{place}.querySelector('.sheet').hidden && !{place}.querySelector('.stage').hidden")
        kinds = task.run(f"[...{place}.querySelectorAll('.files a')].map(link => link.href.slice(-4))")
        assert kinds == [".svg", ".csv"]
    panels, labels = (task.run(f"document.querySelectorAll('{found}').length") for found in (".panel", "[role=img]"))
    assert panels == labels > 60


def test_without_a_script_the_pictures_stay(browser, report):
    browser.open(report / "task-puzzles.html", script=False)
    tags = browser.send("DOM.getDocument", depth=-1)["root"]
    sheets = browser.send("DOM.querySelectorAll", nodeId=tags["nodeId"], selector=".sheet img")["nodeIds"]
    assert len(sheets) == 4 * len(MODELS)
    for node in sheets:
        browser.send("DOM.getBoxModel", nodeId=node)  # is an error for what is not shown
    browser.open(report / "index.html")  # with scripts again


def test_a_chart_draws_the_numbers_of_its_csv_with_their_intervals(task, report):
    assert titles(task, "h5")[:3] == [
        "no reasoning, n = 12",
        "simplified reasoning, n = 10",
        "detailed reasoning, n = 12",
    ]
    expected = [
        [float(point[0][column]) for column in ("value", "low", "high")]
        for point in points(report, ("none", "correct")).values()
    ]
    for (name, mean, interval), numbers in zip(table_of(task, 0), expected, strict=True):
        shown = [float(mean), *map(float, interval.split(" to "))]
        assert shown == pytest.approx(numbers, rel=0.005), name
    paths = f"{CHART}.querySelectorAll('.plot')[0].querySelectorAll('.mark-line path, .mark-area path')"
    assert task.run(f"[...{paths}].filter(path => path.getAttribute('d')?.length > 20).length") == 2 * 4


def test_the_pointer_tells_the_values_of_its_layer_in_every_panel(task, report):
    box = task.run(f"{CHART}.querySelector('.plot').getBoundingClientRect().toJSON()")
    task.send("Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + 0.99 * box["width"], y=box["y"] + 60)
    assert task.run(f"{CHART}.querySelector('output').value") == "5"
    for panel, key in enumerate([("none", "correct"), ("simplified", "correct")]):
        last = [float(point[-1]["value"]) for point in points(report, key).values()]
        assert [float(row[1]) for row in table_of(task, panel)] == pytest.approx(last, rel=0.005)
    other = "document.getElementById('tiny.figure.effective_rank').querySelector('output').value"
    assert task.run(other) == "0"


def test_the_keyboard_moves_through_layers_and_switches_curves(task):
    task.run(f"{CHART}.querySelector('input[name=layer]').focus()")
    for _ in range(2):
        task.press("ArrowRight", 39)
    assert task.run(f"{CHART}.querySelector('caption').textContent").startswith("layer 2")
    assert task.run("document.activeElement.getAttribute('aria-valuetext')") == "layer 2"
    task.run(f"{CHART}.querySelector('input[name=projection][value=q]').focus()")
    assert task.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    task.press(" ", 32)
    assert [row[0] for row in table_of(task, 0)] == ["■ key (k)", "▲ value (v)", "◆ output (o)"]
    assert task.run(f"{CHART}.querySelector('caption').textContent").startswith("layer 2")  # is kept


def test_the_skip_link_is_the_first_stop_and_leads_past_the_menu(browser, report):
    browser.open(report / "task-wiki.html")
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("document.activeElement.getBoundingClientRect().x") >= 0
    assert browser.run("document.querySelector(document.activeElement.hash).tagName") == "MAIN"


def test_variants_and_responses_go_and_come_back(task):
    before = titles(task, "h4"), titles(task, "h5")
    click(task, "variant", "simplified")
    assert not any("simplified" in title for title in titles(task, "h5"))
    click(task, "response", "correct")
    assert titles(task, "h4") == [f"{name} responses nuclear norm" for name in ("irrelevant", "incorrect")]
    for name, value in (("variant", "simplified"), ("response", "correct")):
        click(task, name, value)
    assert (titles(task, "h4"), titles(task, "h5")) == before
    for name in "qkvo":
        click(task, "projection", name)
    assert task.run(f"{CHART}.querySelector('.stage').textContent") == "Nothing is chosen."
    assert task.complaints() == []


def test_the_scale_is_linear_from_zero_or_logarithmic(task):
    ticks = (
        f"[...{CHART}.querySelectorAll('.plot')[0].querySelectorAll('.role-axis-label text')].map(t => t.textContent)"
    )
    assert task.run(f"{CHART}.querySelector('[name=scale]:checked').value") == "log"  # most means span more than 10
    task.wait_for(f"{ticks}.includes('2') && {ticks}.includes('20')")
    click(task, "scale", "linear")
    task.wait_for(
        f"{CHART}.querySelector('.plot svg') && !{ticks}.includes('2.5') && {ticks}.filter(t => t === '0').length === 2"
    )


def test_a_model_and_its_base_are_lines_of_their_titles(browser, report):
    browser.open(report / "task-puzzles.html")
    browser.run("[...document.querySelectorAll('#tiny-chat a')].find(link => link.hash.includes('tiny-chat/')).click()")
    browser.wait_for("location.pathname.endsWith('comparisons.html') && document.readyState === 'complete'")
    chart = "document.getElementById('tiny/tiny-chat/puzzles.figure.side_by_side')"
    names = browser.run(
        f"[...{chart}.querySelector('tbody').querySelectorAll('th')].map(head => head.textContent.trim())"
    )
    assert names == ["● Tiny", "■ Tiny-chat"]


def test_a_picture_stands_on_a_light_sheet_and_curves_change_their_colours_in_the_dark(browser, report):
    colours = []
    for dark in (False, True):
        browser.open(report / "task-puzzles.html", dark=dark)
        browser.wait_for("document.querySelector('.plot .mark-line path')")
        colours.append(browser.run("getComputedStyle(document.querySelector('.plot .mark-line path')).stroke"))
        assert browser.run("getComputedStyle(document.querySelector('.sheet')).backgroundColor") == "rgb(255, 255, 255)"
    assert colours == ["rgb(0, 114, 178)", "rgb(74, 163, 223)"]


def test_an_address_within_the_page_is_in_view_though_the_charts_have_moved_it(browser, report):
    browser.open(report / "index.html")
    browser.run("document.querySelector('a[href=\"task-puzzles.html#tiny.table.mad\"]').click()")
    browser.wait_for("document.querySelector('.panel')")
    browser.wait_for("Math.abs(document.getElementById('tiny.table.mad').getBoundingClientRect().y) < innerHeight")


def test_on_a_phone_panels_stand_below_each_other_and_tables_scroll(browser, report):
    browser.open(report / "task-puzzles.html", **PHONE)
    edges = browser.run(f"[...{CHART}.querySelectorAll('.panel')].map(panel => panel.getBoundingClientRect().x)")
    assert len(set(edges)) == 1
    wide = "[...document.querySelectorAll('.scroll')].filter(part => part.scrollWidth > part.clientWidth)"
    assert browser.run(f"{wide}.length") > 3
    assert browser.run(f"{wide}.every(part => part.tabIndex === 0 && part.getAttribute('aria-label'))")


def test_everything_has_a_name_for_a_screen_reader(browser, report):
    for name in [*pages(), *claim_pages()]:
        browser.open(report / name)
        browser.send("Accessibility.enable")
        nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
        named = [node for node in nodes if not node["ignored"]]
        roles = [node["role"]["value"] for node in named]
        assert roles.count("main") == 1
        for node, role in zip(named, roles, strict=True):
            if role in {"link", "checkbox", "radio", "slider", "image", "form", "region", "navigation", "heading"}:
                assert node.get("name", {}).get("value"), (name, role, node.get("properties"))
        levels = browser.run(
            "[...document.querySelectorAll('h1, h2, h3, h4, h5')].map(head => Number(head.tagName[1]))"
        )
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
