"""Plain text of a Wikipedia article. What cannot be shown as text takes its whole sentence along."""

import re
from collections.abc import Callable

import mwparserfromhell

from layergrad.data import sentences

# Stands where something was lost that its sentence needs, such as a formula.
_LOST = "\ufffc"

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_REFERENCE = re.compile(r"<ref\b[^<>]*/>|<ref\b[^<>]*>.*?</ref\s*>", re.DOTALL | re.IGNORECASE)
_BLOCK = re.compile(
    r"<(gallery|timeline|imagemap|table|div|source|syntaxhighlight|pre|poem)\b.*?</\1\s*>", re.DOTALL | re.I
)
_FORMULA = re.compile(r"<(math|chem|score|code|tt)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_POWER = re.compile(r"(?<=\w)<sup>([^<>]+)</sup>", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{((?:[^{}]|\{(?!\{)|\}(?!\}))*)\}\}")
_FIELD_END = re.compile(r"\|(?![^\[\]]*\]\])")
_TABLE = re.compile(r"\{\|(?:(?!\{\|)(?!\|\}).)*\|\}", re.DOTALL)
_FILE = re.compile(
    r"\[\[\s*(?:File|Image|Media|Category):(?:[^\[\]]|\[\[[^\[\]]*\]\]|\[[^\[\]]*\])*\]\]", re.IGNORECASE
)
_END_MATTER = re.compile(
    r"^==\s*(?:See also|References?|Notes?|Notes and references|Footnotes|External links|Further reading|Bibliography"
    r"|Sources|Citations|Works cited|Selected works|Literature)\s*==\s*$",
    re.MULTILINE | re.IGNORECASE,
)
_LAYOUT_LINE = re.compile(r"^(?:=+.*=+\s*|[*#:;|!].*|-{4,}.*|__\w+__)$", re.MULTILINE)

# Templates that show their last text, and those that show nothing a sentence needs.
_SHOWS_TEXT = re.compile(
    r"(?:lang|lang-\w+|transl|nowrap|nobr|nq|large|big|small|smaller|sc|abbr|visible anchor|vanchor|sic|linktext|"
    r"flag|angbr|marriage|longitem|val)$"
)
_SHOWS_FIRST = re.compile(r"(?:nihongo\d?|ipa)$")
_SHOWS_NOTHING = re.compile(
    r"(?:sfn\w*|efn\w*|refn|r|rp|ref|cite.*|citation.*|cn|fact|harv.*|reflist.*|ipa.*|respell|pron.*|audio|listen|"
    r"dubious.*|disputed.*|who|by whom|according to whom|when|where|which|why|vague|or|full|better.*|clarify.*|"
    r"verify.*|failed verification|unreferenced.*|page needed|quantify|dead link|contradict.*|update.*|"
    r"inline.*|synthesis.*|original.*|.*refimprove.*|inconsistent.*|good article|infobox.*|taxobox.*|"
    r"automatic taxobox|coord.*|anchor.*|"
    r"flagicon|.* icon|increase|decrease|use .*|pp.*|about|other uses.*|redirect.*|main.*|see also.*|further.*|"
    r"portal.*|authority.*|wide image|multiple image.*|clear.*|pb|-)$"
)
_UNITS = {
    "km2": "km²",
    "sqmi": "square miles",
    "mi": "miles",
    "ft": "feet",
    "C": "°C",
    "F": "°F",
    "K": "K",
    "in": "inches",
}

_EMPTY_BRACKETS = re.compile(r"\s*\((?:[\s,;:]|\bor\b|\bpronounced\b)*\)|\s*\[\s*\]")
_BRACKET_EDGES = re.compile(r"(?<=\()[\s,;:]+|[\s,;:]+(?=\))")
_DOUBLED_STOP = re.compile(r"(?<!\.)\.\.(?!\.)")
_GAP = re.compile(r",\s*[,.;]")
_BLANK_BEFORE_MARK = re.compile(r"[ \t]+([,.;:!?)])")
_BLANKS = re.compile(r"[ \t\u00a0\u200b]+")
_PROSE_END = re.compile(r"[.!?][\"”')]*$")
_LEAD_VERB = re.compile(
    r"\b(?:is|are|was|were|refers|comprises?|constitutes?|consists?|includes?|involves?|served|denotes)\b"
)


def plain_text(title: str, wikitext: str) -> str:
    """Paragraphs of an article's running text, one a line; empty if its lead is lost or it only tells titles apart."""
    paragraphs = [_mend(paragraph) for paragraph in _paragraphs(wikitext)]
    if not paragraphs or _is_disambiguation(title, wikitext) or not is_lead(title, paragraphs[0]):
        return ""
    return "\n".join(paragraph for paragraph in paragraphs if paragraph)


def is_lead(title: str, paragraph: str) -> bool:
    """Whether a paragraph begins as an article does: what the title names, then what it is."""
    first = (sentences.sentences(paragraph) or [""])[0]
    words = [word for word in re.findall(r"\w+", re.sub(r"\(.*?\)", "", title)) if len(word) > 2] or [title]
    start = first[:200].casefold()
    return bool(
        re.match(r"[\"“'(]?\w", first)
        and any(word.casefold() in start for word in words)
        and _LEAD_VERB.search(first)
        and _PROSE_END.search(paragraph)
    )


def _is_disambiguation(title: str, wikitext: str) -> bool:
    marked = re.search(r"\{\{\s*(?:[\w ]*disambig[\w ]*|geodis|hndis|surname)\b", wikitext, re.IGNORECASE)
    return bool(marked) or title.endswith("(disambiguation)") or title.startswith("List of ")


def _paragraphs(wikitext: str) -> list[str]:
    """Running text without markup, where only an empty line ends a paragraph; what cannot be shown is a sign."""
    text = _COMMENT.sub("", wikitext)
    text = _REFERENCE.sub("", text)
    text = _BLOCK.sub("", text)
    text = _FORMULA.sub(_LOST, text)
    text = _POWER.sub(r"^\1", text)
    text = _until_stable(_TEMPLATE, lambda match: _shown(match[1]), text)
    text = _until_stable(_TABLE, lambda match: "", text)
    text = _until_stable(_FILE, lambda match: "", text)
    text = _END_MATTER.split(text)[0]
    text = _LAYOUT_LINE.sub("", text)
    plain = mwparserfromhell.parse(text).strip_code(normalize=True, collapse=False)
    lines = (line if line.strip(_LOST + " \t") else "" for line in plain.splitlines())
    return [" ".join(paragraph.split()) for paragraph in re.split(r"\n{2,}", "\n".join(lines)) if paragraph.strip()]


def _until_stable(pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str], text: str) -> str:
    """Replace innermost matches first, until none is left."""
    while pattern.search(text):
        text = pattern.sub(replacement, text)
    return text


def _shown(template: str) -> str:
    """What a reader sees of a template."""
    name, *fields = (field.strip() for field in _FIELD_END.split(template))
    values = [field for field in fields if "=" not in field]
    name = name.casefold().replace("_", " ")
    if name in {"convert", "cvt"} and len(values) > 1:
        return _quantity(values)
    if name in {"circa", "c.", "ca."}:
        return f"c. {values[0]}" if values else "c."
    if name in {"ndash", "snd", "spaced ndash", "mdash"}:
        return " \u2013 "
    if values and (_SHOWS_TEXT.match(name) or _SHOWS_FIRST.match(name)):
        return values[-1 if _SHOWS_TEXT.match(name) else 0]
    return "" if _SHOWS_NOTHING.match(name) or "\n" in template else _LOST


def _quantity(values: list[str]) -> str:
    """A measure as it was given, without what it was converted to."""
    if values[1] in {"to", "-", "\u2013", "and", "by", "x"} and len(values) > 3:
        joint = "\u2013" if values[1] in {"-", "\u2013"} else f" {values[1]} "
        return f"{values[0]}{joint}{values[2]} {_UNITS.get(values[3], values[3])}"
    return f"{values[0]} {_UNITS.get(values[1], values[1])}"


def _mend(paragraph: str) -> str:
    """Close the gaps that markup left, and leave out sentences that lost something or do not end."""
    text = _until_stable(_EMPTY_BRACKETS, "", _BLANKS.sub(" ", paragraph).replace("''", ""))
    text = _DOUBLED_STOP.sub(".", _BRACKET_EDGES.sub("", text))
    text = _BLANK_BEFORE_MARK.sub(r"\1", text)
    return " ".join(sentence for sentence in sentences.sentences(text) if _is_whole(sentence))


def _is_whole(sentence: str) -> bool:
    lost_something = _LOST in sentence or _GAP.search(sentence) or sentence[0].islower()
    return bool(not lost_something and _PROSE_END.search(sentence))
