"""The pages of the claims, on a small ledger whose verdicts are known."""

import math
import re
from pathlib import Path

import pytest
from synthetic_ledger import RATIO, REASON, VERDICTS, claim_pages, report_with_claims, write_claims
from synthetic_report import MODELS, pages
from test_report_pages import read

from layergrad.report.claims_page import claims_of, effect_of

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(scope="module")
def claimed(made, tmp_path_factory):
    """The report of the synthetic study with a ledger: its folder, the files of the ledger, the study."""
    folder = tmp_path_factory.mktemp("claims")
    files = report_with_claims(made, folder, ["puzzles", "wiki"])
    _, study = made
    return folder / "report", files, study


def test_the_pages_and_their_links_are_there_with_claims_alone(made, claimed):
    folder, _, _ = claimed
    found = read(folder)
    assert set(found) == {*pages(), *claim_pages()}
    assert all("claims.html" in page.anchors for page in found.values())
    root, _ = made
    assert not any("claims" in path.read_text() for path in (root / "report").glob("*.html"))


def test_every_verdict_leads_to_its_evidence_and_that_to_the_figures(claimed):
    folder, _, _ = claimed
    found = read(folder)
    page = found["claims.html"]
    assert {address.removeprefix("#") for address in page.anchors if re.match("#[BC]", address)} == set(VERDICTS)
    led = {tuple(address.split("#")) for address in page.anchors if re.match(r"claims-.*#", address)}
    assert led == {(f"claims-{claim}.html", control) for claim, found in VERDICTS.items() for control in found}
    figures = {(f"task-{task}.html", model) for task in ("puzzles", "wiki") for model in MODELS}
    for claim in VERDICTS:
        own = found[f"claims-{claim}.html"]
        assert f"claims.html#{claim}" in own.anchors
        outside = {tuple(address.split("#")) for address in own.anchors if re.match(r"task-.*#", address)}
        assert outside == (set() if claim == "C8" else figures)  # where nothing was measured
        led |= outside
    for name in claim_pages():
        assert len(set(found[name].ids)) == len(found[name].ids)
    assert all(target in found[name].ids for name, target in led)


def test_the_menu_marks_the_claims_on_each_of_their_pages(claimed):
    folder, _, _ = claimed
    current = re.compile(r'href="([^"]*)" aria-current="(\w+)"')
    marked = {path.name: current.findall(path.read_text()) for path in folder.glob("*.html")}
    assert marked["claims.html"] == [("claims.html", "page")]
    assert marked["claims-B6.html"] == [("claims.html", "true")]
    assert marked["index.html"] == [("index.html", "page")]


def test_the_matrices_have_every_verdict_in_words_with_its_effect(claimed):
    _, files, study = claimed
    page = claims_of(files, study)
    assert page["by_model"]["headings"] == ["all models", "Tiny", "Tiny-chat"]
    assert page["by_control"]["headings"] == ["as measured", "Equal <length>", "Loss scale"]  # of untrained is nothing
    for row, (claim, verdicts) in zip(page["by_control"]["rows"], VERDICTS.items(), strict=True):
        assert row["claim"] == claim
        given = [entry["verdict"] if (entry := next(iter(cell), None)) else None for cell in row["cells"]]
        assert given == [verdicts.get(control) for control in ("none", "equal_length", "loss_scale")]
    effects = {row["claim"]: row["cells"][0][0]["effect"] for row in page["by_model"]["rows"]}
    ratio, low, high = (math.exp(RATIO) * factor for factor in (1, 0.8, 1.25))
    assert effects["C1"] == f"{TIMES}{ratio:.2f} [{low:.2f}, {high:.2f}]"
    assert effects["C8"] == ""
    assert effects["B6"].startswith("0.250 [")


def test_evidence_has_every_task_contrast_and_projection(claimed):
    folder, files, study = claimed
    claims = {claim["claim"]: claim["evidence"] for claim in claims_of(files, study)["claims"]}
    plain = claims["C1"][0]
    assert plain["projections"] == ["q", "k", "v", "o"]
    assert len(plain["cells"]) == len(MODELS) * 2 * 2
    assert {row["contrast"] for row in plain["cells"]} == {"none over simplified", "simplified over detailed"}
    assert all(entry["verdict"] == "supported" for row in plain["cells"] for entry in row["entries"])
    assert claims["C7"][0]["projections"] == ["all"]
    assert claims["C8"][0]["cells"] == []
    assert claims["C8"][0]["verdicts"][0]["reason"] == REASON
    text = {claim: (folder / f"claims-{claim}.html").read_text() for claim in ("C1", "C8")}
    assert "no base &amp; instruct pair" in text["C8"]
    assert "0.0034" in text["C1"]
    assert "What C1 &lt;says&gt;." in text["C1"]
    assert "Equal &lt;length&gt;!" in text["C1"]
    assert "Equal <length>" not in text["C1"]


def test_the_page_of_all_claims_has_their_verdicts_and_no_evidence(claimed):
    folder, _, _ = claimed
    text = (folder / "claims.html").read_text()
    for claim, verdicts in VERDICTS.items():
        own = text[text.index(f'<article class="finding" id="{claim}">') :].partition("</article>")[0]
        assert f"What {claim} &lt;says&gt;." in own
        assert re.findall(r"</span> ([a-z ]+)</span>", own) == [verdicts["none"]]
    assert "none over simplified" not in text
    assert "<details" not in text


def test_the_summary_says_what_the_verdicts_say_and_stands_on_the_first_page(claimed):
    folder, files, study = claimed
    lines = claims_of(files, study)["summary"]
    assert lines == [
        "As measured, of 7 claims, 3 are supported (C1, C2, B6), 1 is refuted (C5), 1 is inconclusive (C7), "
        "1 is not evaluable here (C8) and 1 is described without a verdict (C12).",
        "Equal <length>: of the 2 supported claims that could be tested with it, 1 stays supported (C1) and "
        "1 becomes refuted (C2).",
        "Loss scale: of the 2 supported claims that could be tested with it, 1 becomes inconclusive (C1) and "
        "1 becomes refuted (C2).",
        "Of the 2 supported claims that could be tested with any control, 0 are supported with each of them.",
    ]
    index = (folder / "index.html").read_text()
    section = index[index.index('id="claims"') : index.index('id="findings"')]
    assert section.count("<li>") == len(lines)
    assert "Equal &lt;length&gt;: of the 2" in section


def test_without_a_supported_claim_nothing_is_said_of_controls(tmp_path, monkeypatch):
    monkeypatch.setattr("synthetic_ledger.VERDICTS", {"C5": {"none": "refuted", "equal_length": "supported"}})
    study = {"models": [{"name": "tiny", "title": "Tiny"}], "tasks": [{"name": "wiki", "title": "Wiki"}]}
    page = claims_of(write_claims(tmp_path, ["tiny"], ["wiki"]), study)
    assert page["summary"] == ["As measured, of 1 claim, 1 is refuted (C5)."]
    assert page["by_model"]["headings"] == ["Tiny"]
    assert [[entry["model"] for entry in part["verdicts"]] for part in page["claims"][0]["evidence"]] == [["Tiny"]] * 2


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"estimate": 0.0, "low": -0.1, "high": 0.1, "unit": "log ratio"}, f"{TIMES}1.00 [0.905, 1.11]"),
        ({"estimate": 0.02, "low": -0.01, "high": 0.05, "unit": "cosine"}, "0.0200 [-0.0100, 0.0500]"),
        ({"estimate": 0.5, "low": None, "high": None, "unit": "ratio"}, "0.500"),
        ({"estimate": None, "low": None, "high": None, "unit": None}, ""),
    ],
)
def test_effects_as_text(row, text):
    assert effect_of(row) == text


def test_verdicts_are_told_apart_by_symbol_and_word(claimed):
    folder, _, _ = claimed
    text = Path(folder / "claims.html").read_text()
    shown = set(re.findall(r'aria-hidden="true">(.)</span> ([a-z ]+)</span>', text))
    assert {word for _, word in shown} == {word for verdicts in VERDICTS.values() for word in verdicts.values()}
    assert len({symbol for symbol, _ in shown}) == len(shown) == 5


def test_the_samples_that_show_a_claim_most_are_told_with_their_texts(claimed):
    folder, _, _ = claimed
    page = (folder / "claims-C1.html").read_text()
    assert page.index("sample1") < page.index("sample2")
    assert f"{TIMES}{math.exp(RATIO):.2f}" in page
    assert "How many &lt;b&gt;pens&lt;/b&gt;, 1?" in page
    assert "correct, no reasoning" in page
    assert "simplified 2: so &lt;i&gt;many&lt;/i&gt;" in page
    assert "<i>many" not in page
    assert {text.count("many") for text in re.findall(r"(?:none|simplified) \d: .*?</p>", page)} == {39}  # of 90
    assert "which it shows most" not in (folder / "claims-C2.html").read_text()
