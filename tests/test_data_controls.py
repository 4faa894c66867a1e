"""Rows of the gradient controls: what they say, and that none is made that adds nothing."""

import json
from itertools import permutations

import pandas as pd
import pytest
from test_data_build import SAMPLES, TEMPLATES, VARIANTS, make_row, make_task

from layergrad.contracts import estimate
from layergrad.contracts.config.load import load_study
from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import CONTROLS
from layergrad.contracts.tables import SAMPLES as SCHEMA
from layergrad.contracts.tables import write_table
from layergrad.data.build import build_task
from layergrad.data.controls import deranged
from layergrad.data.irrelevant import Response
from layergrad.data.sources import fetch_sources

ALL = [control for control in CONTROLS if control != "none"]
CUTS = {"before_error": "before.j2", "after_error": "after.j2"}


@pytest.fixture
def build(tmp_path, root):
    """The table of 24 rows with controls; a wrong answer's first wrong step ends with its first sentence."""
    rows = [make_row(number) for number in range(24)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    fetch_sources({"rows": {"file": str(tmp_path / "rows.json")}}, tmp_path / "towns" / "SOURCES.json")
    templates = TEMPLATES | {
        "before.j2": "{{ (wrong or '')[:3] }}",
        "after.j2": "{{ (wrong or '').split('.')[0] }}",
    }
    variants = VARIANTS | {"detailed": VARIANTS["detailed"] | CUTS}

    def built(controls, max_length=1024, **changes):
        task = make_task(**({"variants": variants, "samples": SAMPLES} | changes))
        tokenizer = root / "tests/data/tokenizer/tokenizer.json"
        listing = tmp_path / "towns" / "SOURCES.json"
        frame, _, facts = build_task(task, templates, listing, tokenizer, 0, "length_matched", controls, max_length)
        assert facts["controls"] == controls
        write_table(frame, tmp_path / "t.parquet", SCHEMA, facts)  # refuses keys that repeat
        return frame

    return built


def texts(frame, control):
    rows = frame[frame["control"] == control]
    return rows.set_index(["variant", "response", "sample_id"])["output"].to_dict()


def test_the_uncontrolled_rows_stay_as_they_are(build):
    plain, controlled = build([]), build(ALL)
    assert set(plain["control"]) == {"none"}
    pd.testing.assert_frame_equal(plain, controlled[controlled["control"] == "none"])
    assert set(controlled["control"]) == {"none", *ALL}


def test_equal_length_holds_the_same_texts_of_pairs_alone(build):
    frame = build(["equal_length"])
    plain, equal = texts(frame, "none"), texts(frame, "equal_length")
    assert equal.items() <= plain.items()
    for variant, response, sample in plain:
        others = {r for v, r, s in plain if (v, s) == (variant, sample)}
        assert ((variant, response, sample) in equal) == ("correct" in others and len(others) > 1)


def test_answer_only_ends_with_the_true_answer_in_the_same_words(build):
    frame = build(["answer_only"])
    answers = frame.set_index("sample_id")["answer"].to_dict()
    plain, only = texts(frame, "none"), texts(frame, "answer_only")
    assert set(only) == {key for key in plain if key[:2] != ("none", "irrelevant")}
    for (variant, response, sample), output in only.items():
        reasoning = "" if variant == "none" else plain[variant, response, sample]
        assert output == f"{reasoning}\nThe final answer is {answers[sample]}"


def test_answer_only_leaves_out_what_the_context_would_cut(build):
    whole, short = (texts(build(["answer_only"], max_length=n), "answer_only") for n in (1024, 60))
    assert 0 < len(short) < len(whole)
    assert short.items() <= whole.items()
    assert {key for key in whole if key[0] == "none"} <= set(short)


def test_other_irrelevant_texts_are_of_other_rows(build):
    frame = build(["irrelevant_shuffled", "irrelevant_deranged"])
    plain, shuffled, whole = (texts(frame, c) for c in ("none", "irrelevant_shuffled", "irrelevant_deranged"))
    assert {key[:2] for key in shuffled} == {("simplified", "irrelevant"), ("detailed", "irrelevant")}
    full = {make_row(n)["answer"]: " ".join(make_row(n)["steps"]) for n in range(24)}
    for (variant, response, sample), output in whole.items():
        assert response == "irrelevant"
        if (variant, "correct", sample) in plain:
            assert output != plain[variant, "correct", sample]
        if variant == "simplified":
            steps, answer = output.rsplit("\nThe final answer is ", 1)
            assert full[answer] == steps
    outputs = [output for (variant, _, _), output in whole.items() if variant == "simplified"]
    assert len(set(outputs)) == len(outputs)


def test_a_derangement_is_the_nearest_of_all():
    lengths = [3, 4, 9, 10, 3, 11]
    groups = ["a", "a", "b", "c", "d", "e"]
    responses = [Response(str(i), groups[i], f"{i} " + "x " * (n - 1), "") for i, n in enumerate(lengths)]
    made = deranged(responses, lambda text: len(text.split()))
    givers = [int(text.split()[0]) for text in made]
    allowed = [p for p in permutations(range(6)) if all(groups[i] != groups[j] for i, j in enumerate(p))]
    assert tuple(givers) in allowed
    costs = {order: sum(abs(lengths[i] - lengths[j]) for i, j in enumerate(order)) for order in allowed}
    assert costs[tuple(givers)] == min(costs.values())
    assert deranged(responses[:2], len) == ["", ""]


def test_pairs_are_cut_at_the_first_wrong_step(build):
    frame = build(["cut_before_error", "cut_after_error"])
    plain = texts(frame, "none")
    for control, end in (("cut_before_error", 3), ("cut_after_error", None)):
        cut = texts(frame, control)
        pairs = {sample for _, _, sample in cut}
        assert pairs
        assert set(cut) == {("detailed", response, sample) for sample in pairs for response in ("correct", "incorrect")}
        for sample in pairs:
            wrong = plain["detailed", "incorrect", sample]
            assert cut["detailed", "correct", sample] == plain["detailed", "correct", sample]
            assert cut["detailed", "incorrect", sample] == (wrong[:end] if end else wrong.split(".")[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"controls": ["cut_before_error"]}, "cut_before_error given, but no task of the study has what it needs"),
        ({"controls": ["equal_length", "equal_length"]}, "controls names one of .* twice"),
        ({"controls": ["irrelevant_shuffled"], "irrelevant": "shuffled"}, "irrelevant is shuffled already"),
        ({"controls": ["shorter"]}, r"controls.*'equal_length'.*\('shorter' given\)"),
    ],
)
def test_controls_that_cannot_be_made_are_told(root, given, message):
    with pytest.raises(UserError, match=message):
        load_study(root / "config/test.yaml", given)


def test_an_estimate_counts_no_fewer_responses_than_are_measured(build, root):
    task = make_task(variants=VARIANTS | {"detailed": VARIANTS["detailed"] | CUTS})
    study = load_study(root / "config/test.yaml").model_copy(update={"tasks": [task]})
    for controls in ([], *([control] for control in ALL), ALL):
        made = build(controls)
        # Of those cut to equal length the shortest stays as it was, and is not measured again.
        kept = (made["control"] == "equal_length") & (made["response"] == "correct")
        measured = len(made) - kept.sum()
        given = study.model_copy(update={"controls": controls})
        total = sum(estimate.responses(given, given.models[0], task, variant) for variant in task.variants)
        assert measured <= total <= 1.3 * measured
