"""Sentences: whatever the text, nothing of it is lost, and what is layout stays out of the sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layergrad.data.sentences import sentences, split

MARKUP = st.lists(
    st.sampled_from(
        ["A b.", " ", "\n", "\n\n", "- ", "1. ", "### ", "**", "\\(", "x^2", "\\)", "\\[", "\\]", "3!", "é…", "\r\n"]
    )
).map("".join)


@given(st.text() | MARKUP)
def test_joining_gives_the_text_again(text):
    parts = split(text)
    assert "".join(parts) == text
    assert len(parts) % 2 == 1
    for sentence in parts[1::2]:
        assert sentence == sentence.strip() != ""
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is odd. Two is even.", ["One is odd.", "Two is even."]),
        ("Let x=3.5 and see Fig. 2 of Smith. Done!", ["Let x=3.5 and see Fig. 2 of Smith.", "Done!"]),
        ("In Ms. Lee's class. Mr. Poe left.", ["In Ms. Lee's class.", "Mr. Poe left."]),
        ("**Step 2.** We add. Then stop.", ["**Step 2.** We add.", "Then stop."]),
        ("So (a_1*...*a_n)*x_1. Hence.", ["So (a_1*...*a_n)*x_1.", "Hence."]),
        ("1. First.\n   - Second one.\n\n## Third", ["First.", "Second one.", "Third"]),
        ("We get\n\\[\nx = 2\n\\]\nso it is.", ["We get", "x = 2", "so it is."]),
        ("", []),
        ("\n\n---\n", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


def test_list_marks_and_brackets_are_layout():
    assert split("1. First.\n\\[\nx\n\\]\n")[::2] == ["1. ", "\n\\[\n", "\n\\]\n"]
