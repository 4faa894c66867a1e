"""Take a response apart into sentences and what stands between them, and put it together again byte for byte."""

import re

import sentencex

# What opens a line and is its layout, not its sentence: indentation, list marks, numbers, headings and quotes, if any.
_LINE_MARK = re.compile(r"^\s*(?:(?:[-*+•]|#{1,6}|>|\(?\d{1,3}[.)])\s+)*")
_PAIRS = (("(", ")"), ("[", "]"))
_ENDS_IN_TITLE = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|cf|approx)\.\s*$")


def split(text: str) -> list[str]:
    """Separators at even places, sentences at odd places; ``"".join`` of the list is the text.

    The list has an odd number of entries, starts and ends with a separator, and separators may be empty. A sentence
    never holds a line break and never starts or ends with white space. List marks and lines without a letter or digit,
    such as the brackets around displayed formulas, belong to the separators.
    """
    parts = [""]
    for line in re.split(r"(\n)", text):
        mark, sentences = _split_line(line)
        parts[-1] += mark
        for sentence in sentences:
            bare = sentence.strip()
            before, _, after = sentence.partition(bare)
            parts[-1] += before
            parts += [bare, after]
    return parts


def sentences(text: str) -> list[str]:
    """The sentences of a text, without what stands between them."""
    return split(text)[1::2]


def _split_line(line: str) -> tuple[str, list[str]]:
    """The mark that opens a line, and its sentences with their white space."""
    rest = _LINE_MARK.sub("", line, count=1)
    mark = line.removesuffix(rest)
    if not re.search(r"\w", rest):
        return line, []
    pieces: list[str] = []
    for piece in sentencex.segment("en", rest):
        if pieces and _goes_on(pieces[-1], piece):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return mark, pieces


def _goes_on(piece: str, following: str) -> bool:
    """Whether two pieces are one sentence: no blank between them, a title at the joint, or something left open."""
    return (
        not (piece[-1:].isspace() or following[:1].isspace())
        or not re.search(r"\w", following)
        or bool(_ENDS_IN_TITLE.search(piece))
        or piece.count("**") % 2 == 1
        or any(piece.count(left) > piece.count(right) for left, right in _PAIRS)
    )
