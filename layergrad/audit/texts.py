"""What can be wrong with one text, seen without a model: what went wrong with the paper's released responses."""

import re

FINAL = "The final answer is"
"""What opens the last line of simplified reasoning, in the paper's data and in this project's templates."""

# Two full stops, or a colon and one, that were put together; three full stops are an ellipsis, which people write.
_GLUED = re.compile(r"(?<!\.)\.\.(?!\.)|:\.")
# A backslash and an n where a line break was meant. LaTeX's commands, as \neq, go on with a small letter, and its own
# line break is two backslashes.
_LITERAL_NEWLINE = re.compile(r"(?<!\\)\\n(?![a-z])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def is_glued(text: str) -> bool:
    """Whether punctuation was glued together where sentences were joined."""
    return _GLUED.search(text) is not None


def has_literal_newline(text: str) -> bool:
    r"""Whether the two characters ``\n`` stand where a line break was meant."""
    return _LITERAL_NEWLINE.search(text) is not None


def contains(text: str, answer: str) -> bool:
    """Whether the answer stands in the text as whole words, capital or small, numbers with or without commas.

    5 is in 5.00, but not in 5.25, 2.5 or 15.
    """
    whole = rf"(?<!\w)(?<!\d\.){re.escape(_plain(answer))}(?!\w)(?!\.\d*[1-9])"
    return re.search(whole, _plain(text)) is not None


def final_answer(text: str) -> str | None:
    """What follows the last ``FINAL``, if the text has it."""
    _, found, answer = text.rpartition(FINAL)
    return answer.strip() if found else None


def _plain(text: str) -> str:
    return _THOUSANDS.sub("", text).casefold()
