"""The documentation as its tests read it: pages with their headings, links, blocks of code, and commands."""

import itertools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT
from markdown_it import MarkdownIt
from markdown_it.token import Token

PAGES = sorted(
    [*ROOT.glob("*.md"), ROOT / "config/README.md", *ROOT.glob("docs/**/*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)


@dataclass(frozen=True)
class Block:
    """A block of code and the language that it is marked with; none where it is indented or unmarked."""

    page: str
    language: str
    text: str

    def file(self) -> tuple[str, str] | None:
        """Path and content of a file that the block shows whole, which its first line tells in a comment."""
        first, _, rest = self.text.partition("\n")
        named = re.fullmatch(r"(?:# |\{# )(\S+/\S+)(?: #\})?", first)
        return (named[1], rest) if named and self.language in ("yaml", "jinja") else None

    def lines(self) -> list[str]:
        """The lines of a block ``sh`` that call something, as they stand."""
        return [line for line in self.text.replace("\\\n", " ").splitlines() if command(line)]


def name_of(page: Path) -> str:
    """Its path in the project."""
    return page.relative_to(ROOT).as_posix()


def tokens(page: Path) -> list[Token]:
    """All tokens of a page, those inside of paragraphs, headings and cells too."""
    parsed = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    return [token for outer in parsed for token in (outer, *(outer.children or []))]


def blocks(page: Path) -> list[Block]:
    """Blocks of code in their order."""
    found = [token for token in tokens(page) if token.type in ("fence", "code_block")]
    return [Block(name_of(page), token.info.strip(), token.content) for token in found]


def links(page: Path) -> list[str]:
    """Where links and images point."""
    return [str(token.attrs.get("href") or token.attrs["src"]) for token in tokens(page) if _points(token)]


def anchors(page: Path) -> set[str]:
    """The names by which the headings of a page are linked to, as the usual hosts of repositories make them."""
    found: list[str] = []
    parsed = tokens(page)
    for opening, inline in itertools.pairwise(parsed):
        if opening.type == "heading_open":
            text = "".join(token.content for token in inline.children or [])
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.append(f"{name}-{found.count(name)}" if name in found else name)
    return set(found)


def spoken(page: Path) -> list[list[str]]:
    """The words of code inside of the text, where it is more than one word."""
    inline = [token.content for token in tokens(page) if token.type == "code_inline"]
    return [text.split() for text in inline if " " in text]


def command(line: str) -> str:
    """A line of a block ``sh`` without comment and layout."""
    return " ".join(shlex.split(line, comments=True))


def calls(line: str) -> list[list[str]]:
    """The programs that such a line calls, each with its arguments and without its environment."""
    found: list[list[str]] = [[]]
    for word in shlex.split(line, comments=True):
        if word == "&&":
            found.append([])
        elif found[-1] or not re.match(r"[A-Z_]+=", word):
            found[-1].append(word)
    return found


def _points(token: Token) -> bool:
    return token.type in ("link_open", "image")
