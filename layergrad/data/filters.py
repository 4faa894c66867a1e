"""What a template can do to a text besides what Jinja has, for what data sets mark up or leave unfinished."""

import re


def without(text: str, pattern: str) -> str:
    """The text with nothing where the regular expression matches."""
    return re.sub(pattern, "", text)


def sentence(text: str) -> str:
    """The text as a sentence: its first letter large, and a full stop where it has no end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ("", ".", "!", "?") else ".")


def boxed(text: str) -> str:
    r"""What stands in the last ``\boxed{}`` of a solution in LaTeX; empty if there is none or it is not closed."""
    depth, (_, found, rest) = 1, text.rpartition(r"\boxed{")
    for place, character in enumerate(rest if found else ""):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[:place]
    return ""


FILTERS = {"without": without, "sentence": sentence, "boxed": boxed}
"""By the name that templates give them."""
