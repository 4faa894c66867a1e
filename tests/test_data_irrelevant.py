"""Irrelevant responses against what a plain loop over all sentences says."""

import random
import re

import pytest

from layergrad.data.irrelevant import Response, irrelevant, kind

ROWS = 60


def count_tokens(text):
    """A word, a number or a mark is a token."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def sentence(rng, row, place):
    """One that tells its row, of 5 to 30 words."""
    words = " ".join(
        rng.choices(["we", "add", "both", "sides", "of", "it", "and", "find", "that"], k=rng.randint(4, 29))
    )
    return f"Row{row}x{place} {words}{rng.choice(['.', '.', '.', ':', ''])}"


def worked_answer(rng, row):
    """A model's answer as they are: headings, lists and formulas on lines of their own."""
    lines = ["## Solution", "", sentence(rng, row, 0), ""]
    for step in range(1, rng.randint(4, 12)):
        lines += [f"{step}. {sentence(rng, row, step).rstrip(':')}", "   - " + sentence(rng, row, step + 100)]
        lines += ["", "\\[", f"a_{row} = {rng.randint(1, 99)} + {step}", "\\]", ""]
    return "\n".join([*lines, f"**Answer:** Row{row} says {row}."])


@pytest.fixture(scope="module")
def responses():
    rng = random.Random(1)
    texts = [worked_answer(rng, row) for row in range(ROWS)]
    return [Response(f"id{row}", f"g{row // 2}", text, text) for row, text in enumerate(texts)]


@pytest.mark.parametrize("method", ["length_matched", "shuffled"])
def test_nothing_is_taken_from_the_own_group(responses, method):
    for row, text in enumerate(irrelevant(responses, method, 0, count_tokens)):
        rows = [int(found) for found in re.findall(r"Row(\d+)", text)]
        assert rows
        assert not {row // 2 * 2, row // 2 * 2 + 1} & set(rows)


def test_length_matched_keeps_lines_and_length(responses):
    for response, text in zip(responses, irrelevant(responses, "length_matched", 0, count_tokens), strict=True):
        layout = [re.match(r"\s*(?:\d+\. |- |## |\\[\[\]])?", line).group() for line in response.text.split("\n")]
        assert [re.match(r"\s*(?:\d+\. |- |## |\\[\[\]])?", line).group() for line in text.split("\n")] == layout
        assert count_tokens(text) == pytest.approx(count_tokens(response.text), rel=0.03)
        own = re.findall(r"Row\d+x\d+", text)
        assert len(own) == len(set(own))  # no sentence twice


def test_headings_of_all_rows_recur(responses):
    assert all(text.startswith("## Solution\n") for text in irrelevant(responses, "length_matched", 0, count_tokens))


def test_headings_recur_and_answers_do_not():
    """Though other sentences have the length of both."""
    texts = [f"Check it:\nRow{n} so:\nRow{n} adds up.\nThe answer is {'yes' if n % 2 else 'no'}" for n in range(20)]
    rows = [Response(f"id{n}", f"g{n}", t, t, answer="yes" if n % 2 else "no") for n, t in enumerate(texts)]
    for n, text in enumerate(irrelevant(rows, "length_matched", 0, count_tokens)):
        lines = text.split("\n")
        assert lines[0] == "Check it:"
        assert lines[1] != f"Row{n} so:"
        assert lines[3] == f"The answer is {'no' if n % 2 else 'yes'}"


def test_the_others_make_up_for_a_sentence_that_none_is_as_long_as():
    rng = random.Random(4)
    texts = [" ".join(sentence(rng, n, place).rstrip(":.") + "." for place in range(25)) for n in range(20)]
    long = texts[0] + " Row0 " + "and then " * 24 + "ends."
    rows = [Response(f"id{n}", f"g{n}", text, text) for n, text in enumerate([long, *texts[1:]])]
    made = irrelevant(rows, "length_matched", 0, count_tokens)
    assert count_tokens(made[0]) == pytest.approx(count_tokens(long), rel=0.01)


def test_one_sentence_is_replaced_by_the_nearest_of_its_ending():
    rng = random.Random(2)
    texts = [sentence(rng, row, 0) for row in range(ROWS)]
    made = irrelevant(
        [Response(f"id{i}", f"g{i}", t, t) for i, t in enumerate(texts)], "length_matched", 0, count_tokens
    )
    for own, text in zip(texts, made, strict=True):
        alike = [other for other in texts if other != own and other[-1] in ".:" and other[-1] == own[-1]]
        alike = alike or [other for other in texts if other != own]
        distances = {other: abs(count_tokens(other) - count_tokens(own)) for other in alike}
        if own[-1] in ".:" and min(distances.values()) <= 1:
            assert distances[text] == min(distances.values())
        assert text != own


def test_a_text_depends_on_its_own_id_and_the_seed_alone(responses):
    made = irrelevant(responses, "length_matched", 0, count_tokens)
    again = irrelevant(responses[::-1], "length_matched", 0, count_tokens)[::-1]
    assert made == again
    assert made != irrelevant(responses, "length_matched", 1, count_tokens)


def test_shuffled_deals_every_sentence_once():
    rows = [Response(f"id{i}", f"g{i}", f"S{i}a. S{i}b. S{i}c.", f"S{i}a. S{i}b. S{i}c.") for i in range(40)]
    made = irrelevant(rows, "shuffled", 0, count_tokens)
    dealt = " ".join(made).split()
    assert all(len(text.split()) == 3 for text in made)
    assert len(dealt) - len(set(dealt)) <= 6  # only a row that would have been left with its own is dealt anew


def test_empty_response_and_nothing_to_lend():
    rows = [Response("a", "g", "One. Two.", "One. Two."), Response("b", "g", "", "")]
    for method in ("length_matched", "shuffled"):
        assert irrelevant(rows, method, 0, count_tokens) == ["", ""]


@pytest.mark.parametrize("method", ["length_matched", "shuffled"])
def test_no_irrelevant_response_where_others_say_the_same(method):
    """a and b answer one question with T. So does d another one, and nobody but c says anything else."""
    texts = {"a": "It is so.", "b": "It is so.", "c": "It is quite another matter altogether.", "d": "It is so."}
    groups = {"a": "q", "b": "q", "c": "r", "d": "s"}
    rows = [Response(name, groups[name], text, text) for name, text in texts.items()]
    assert irrelevant(rows, method, 0, count_tokens) == [texts["c"], texts["c"], texts["a"], texts["c"]]
    assert irrelevant([rows[0], rows[1], rows[3]], method, 0, count_tokens) == ["", "", ""]


def test_a_response_of_headings_alone_is_not_irrelevant():
    texts = ["We look.\nWe add.", "We look.\nWe add.\nOne.", "We look.\nWe add.\nTwo.", "We look.\nWe add.\nThree."]
    rows = [Response(f"id{n}", f"g{n}", text, text) for n, text in enumerate(texts)]
    assert irrelevant(rows, "length_matched", 0, count_tokens)[0] == ""


def test_shuffled_repeats_sentences_rather_than_deal_short(caplog):
    """Each of five rows needs all that the others have, three of their sentences, and no row twice the same."""
    rows = [Response(f"id{n}", f"g{n}", f"Row{n} is. It was. So be it.", f"Row{n} is.") for n in range(4)]
    made = irrelevant(rows, "shuffled", 0, count_tokens)
    for n, text in enumerate(made):
        assert set(re.findall(r"Row\d is\.", text)) == {f"Row{other} is." for other in range(4) if other != n}
        assert len(text) == 3 * len("Row0 is.") + 2
    assert not caplog.messages


def test_shuffled_tells_that_it_dealt_short(caplog):
    rows = [Response("a", "g", "One. Two. Three.", "One. Two. Three."), Response("b", "h", "Four.", "Four.")]
    made = irrelevant(rows, "shuffled", 0, count_tokens)
    assert made[0] == "Four."
    assert made[1] in ("One.", "Two.", "Three.")
    assert caplog.messages == ["1 of 2 shuffled responses are short: other rows have too few sentences"]


def test_bare_answers_differ_and_are_of_their_kind():
    answers = [
        "1",
        "23",
        "456",
        "1.5",
        "2.25",
        "Yes",
        "no",
        "x+1",
        "n^2/2",
        "(A)",
        "(B)",
        "No such number",
        "23",
        "yes",
    ]
    rows = [Response(f"id{i}", f"id{i}", answer, answer, bare=True) for i, answer in enumerate(answers)]
    made = irrelevant(rows, "length_matched", 0, count_tokens)
    for own, other in zip(answers, made, strict=True):
        assert other in answers
        assert other.casefold() != own.casefold()
        same_kind = {a for a in answers if kind(a) == kind(own) and a.casefold() != own.casefold()}
        candidates = same_kind or {a for a in answers if a.casefold() != own.casefold()}
        assert other in candidates
        nearest = min(abs(count_tokens(a) - count_tokens(own)) for a in candidates)
        assert abs(count_tokens(other) - count_tokens(own)) == nearest


def test_bare_answers_of_the_own_group_are_not_lent():
    rows = [Response(f"id{n}", f"g{n % 3}", str(n), str(n), bare=True) for n in range(30)]
    made = irrelevant(rows, "length_matched", 0, count_tokens)
    assert all(int(text) % 3 != n % 3 for n, text in enumerate(made))


def test_another_wording_of_the_same_number_is_not_another_answer():
    answers = ["At most 0 zeros", "At most 0 roots", "At most 3 roots and no more"]
    rows = [Response(f"id{n}", f"g{n}", answer, answer, bare=True) for n, answer in enumerate(answers)]
    assert irrelevant(rows, "length_matched", 0, count_tokens)[:2] == [answers[2], answers[2]]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("12", "integer"),
        ("-1,200", "integer"),
        ("$5", "integer"),
        ("0.5", "decimal"),
        ("1/2", "expression"),
        ("sqrt(3)/3, or equivalently 1/sqrt(3)", "expression"),
        ("Yes", "yes_no"),
        ("(C)", "choice"),
        ("0 is the only possible value", "text"),
    ],
)
def test_kind(answer, expected):
    assert kind(answer) == expected
