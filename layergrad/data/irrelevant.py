"""Irrelevant responses: what other rows of the same task and variant say, in place of what the row says.

Every choice is seeded by the row's own id, so that no text depends on how many samples a study takes.
"""

import itertools
import logging
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from layergrad.contracts.files import text_sha256
from layergrad.data import sentences

logger = logging.getLogger(__name__)

CountTokens = Callable[[str], int]
_Shelf = tuple[str, int]

# How far from the length it replaces a sentence may be for the sake of variety, as a share of it, at least one token.
TOLERANCE = 0.1
# A sentence that this share of all groups has, at least three, is a heading of a template: it says nothing of its row,
# and so it recurs. One that names the row's answer is none: half of all rows may end in "The answer is yes".
HEADING = 0.25


@dataclass(frozen=True)
class Response:
    """A row's response, ``pool``, the text it lends to others, and its bare answer, if it has one.

    Rows of one ``group`` lend each other nothing. ``bare`` says that the response is nothing but an answer.
    """

    sample_id: str
    group: str
    text: str
    pool: str
    answer: str = ""
    bare: bool = False


@dataclass(frozen=True)
class _Sentence:
    text: str
    group: str
    tokens: int


def irrelevant(
    responses: list[Response], method: Literal["length_matched", "shuffled"], seed: int, count_tokens: CountTokens
) -> list[str]:
    """One irrelevant response for each response of a variant, in order; empty where the row has no response.

    A bare answer becomes another row's different answer of the same kind, nearest in tokens. For others,
    ``length_matched`` replaces each sentence by one nearest in tokens and keeps what stands between them; ``shuffled``
    deals the sentences of all rows out anew, joined by blanks. No sentence of the row itself is lent to it, though
    another group has the same one. It is empty too where no other group has anything else to lend.
    """
    answers = _bare_answers(responses, seed, count_tokens)
    pool = _pool(responses, count_tokens)
    long = [response for response in responses if response.text and not response.bare]
    if method == "shuffled":
        made = _dealt(long, pool, seed)
    else:
        lender = _Lender(pool)
        made = {r.sample_id: _length_matched(r, lender, seed, count_tokens) for r in long}
    texts = [(answers if r.bare else made).get(r.sample_id, "") for r in responses]
    return ["" if text == r.text else text for r, text in zip(responses, texts, strict=True)]


def _pool(responses: list[Response], count_tokens: CountTokens) -> list[_Sentence]:
    """The sentences of all rows, in an order that does not depend on the order of the rows."""
    found = {(sentence, response.group) for response in responses for sentence in sentences.sentences(response.pool)}
    return [_Sentence(text, group, count_tokens(text)) for text, group in sorted(found)]


class _Lender:
    """Sentences by how they end and by their number of tokens."""

    def __init__(self, pool: list[_Sentence]) -> None:
        self._at: dict[tuple[str, int], list[_Sentence]] = {}
        for sentence in pool:
            for ending in ("any", _ending(sentence.text)):
                self._at.setdefault((ending, sentence.tokens), []).append(sentence)
        self._longest = max((sentence.tokens for sentence in pool), default=0)
        groups = Counter(sentence.text for sentence in pool)
        enough = max(3, HEADING * len({sentence.group for sentence in pool}))
        self.headings = {text for text, count in groups.items() if count >= enough}

    def lend(
        self, like: str, tokens: int, group: str, own: set[str], lent: set[str], rng: random.Random
    ) -> _Sentence | None:
        """A sentence of another group: the nearest to ``tokens`` that ends alike and is neither ``own`` nor ``lent``.

        Where the nearest of those is beyond the tolerance it may end otherwise, and where that one is too, the nearest
        of all but its own is taken, lent before or not. None if no other group has a sentence that is not its own.
        """
        for ending in (_ending(like), "any"):
            found = self._nearest(ending, tokens, group, own | lent, rng)
            if found and abs(found.tokens - tokens) <= max(1, TOLERANCE * tokens):
                return found
        return self._nearest("any", tokens, group, own, rng)

    def _nearest(self, ending: str, tokens: int, group: str, avoid: set[str], rng: random.Random) -> _Sentence | None:
        for distance in range(max(tokens, self._longest) + 1):
            for length in sorted({tokens - distance, tokens + distance}):
                for sentence in _from_random_place(self._at.get((ending, length), []), rng):
                    if sentence.group != group and sentence.text not in avoid:
                        return sentence
        return None


def _ending(sentence: str) -> str:
    """A full stop, a colon or the like; or that there is none, as after a formula."""
    return sentence[-1] if sentence[-1] in ".!?:;," else "none"


def _from_random_place(items: list[_Sentence], rng: random.Random) -> Iterator[_Sentence]:
    start = rng.randrange(len(items)) if items else 0
    return (items[(start + step) % len(items)] for step in range(len(items)))


def _length_matched(response: Response, lender: _Lender, seed: int, count_tokens: CountTokens) -> str:
    """Replace the sentences one by one, the longest first: they have the fewest of like length to be replaced by.

    What one is too short or too long, the next ones make up for, each within the tolerance.
    """
    rng = random.Random(f"{seed}:{response.sample_id}")
    parts = sentences.split(response.text)
    tokens = {place: count_tokens(parts[place]) for place in range(1, len(parts), 2)}
    own, owed = set(parts[1::2]), 0
    used: set[str] = set()
    for place in sorted(tokens, key=lambda place: (-tokens[place], place)):
        if parts[place] in lender.headings and not _names(response.answer, parts[place]):
            continue
        margin = max(1, round(TOLERANCE * tokens[place]))
        wanted = max(1, tokens[place] + min(max(owed, -margin), margin))
        lent = lender.lend(parts[place], wanted, response.group, own, used, rng)
        if lent is None:
            return ""
        owed += tokens[place] - lent.tokens
        parts[place] = lent.text
        used.add(lent.text)
    return "".join(parts)


def _names(answer: str, sentence: str) -> bool:
    return bool(answer and re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", sentence, re.IGNORECASE))


def _dealt(responses: list[Response], pool: list[_Sentence], seed: int) -> dict[str, str]:
    """Shuffle all sentences into one deck and deal each row as many as it has, passing over those of its own group.

    When the deck is used up, all sentences are shuffled anew: one may stand in several responses, but never twice in
    one. So a row gets fewer than it has only where other groups have no more that differ from its own, and it is told.
    """
    made: dict[str, str] = {}
    deck: list[_Sentence] = []
    short = 0
    for response in sorted(responses, key=lambda response: response.sample_id):
        own = sentences.sentences(response.text)
        hand = _take(deck, len(own), response.group, set(own))
        if len(hand) < len(own):
            deck = sorted(pool, key=lambda s: text_sha256(str(seed), response.sample_id, s.group, s.text))
            hand += _take(deck, len(own) - len(hand), response.group, {*own, *hand})
        short += len(hand) < len(own)
        made[response.sample_id] = " ".join(hand)
    if short:
        logger.warning("%d of %d shuffled responses are short: other rows have too few sentences", short, len(made))
    return made


def _take(deck: list[_Sentence], wanted: int, group: str, avoid: set[str]) -> list[str]:
    """Take the first different sentences that are neither of the group nor to be avoided out of the deck."""
    places: dict[str, int] = {}
    for place, sentence in enumerate(deck):
        if len(places) == wanted:
            break
        if sentence.group != group and sentence.text not in avoid:
            places.setdefault(sentence.text, place)
    for place in reversed(places.values()):
        del deck[place]
    return list(places)


_CHOICE = re.compile(r"\(?[A-H]\)?\.?")
_INTEGER = re.compile(r"[-\u2212+]?[$€£]?\d[\d,]*%?")
_DECIMAL = re.compile(r"[-\u2212+]?[$€£]?[\d,]*\.\d+%?")
_WORD = re.compile(r"[^\W\d_]{3,}")
_FUNCTIONS = {"sqrt", "floor", "ceil", "log", "sin", "cos", "tan", "max", "min", "mod", "gcd", "lcm", "sum", "exp"}
_JOINTS = {"and", "for", "all", "any", "such", "form", "equivalent", "equivalently"}


def kind(answer: str) -> str:
    """What a bare answer is: ``yes_no``, ``choice``, ``integer``, ``decimal``, ``expression`` or ``text``."""
    answer = answer.strip()
    if answer.casefold().rstrip(".") in {"yes", "no", "true", "false"}:
        return "yes_no"
    for name, pattern in (("choice", _CHOICE), ("integer", _INTEGER), ("decimal", _DECIMAL)):
        if pattern.fullmatch(answer):
            return name
    words = {word.casefold() for word in _WORD.findall(answer)}
    return "text" if words - _FUNCTIONS - _JOINTS or not re.search(r"[\w∞]", answer) else "expression"


def _bare_answers(responses: list[Response], seed: int, count_tokens: CountTokens) -> dict[str, str]:
    """For each bare response another group's different answer: of its kind, then nearest in tokens, then by lot."""
    groups: dict[str, set[str]] = defaultdict(set)
    for response in (response for response in responses if response.bare and response.pool):
        groups[response.pool].add(response.group)
    shelves: dict[_Shelf, list[str]] = defaultdict(list)
    for answer in groups:
        shelves[kind(answer), count_tokens(answer)].append(answer)
    made = {}
    for response in (response for response in responses if response.bare and response.text):
        own = kind(response.text), count_tokens(response.text)
        made[response.sample_id] = _nearest_answer(response, own, groups, shelves, seed)
    return made


def _nearest_answer(
    response: Response, own: _Shelf, groups: dict[str, set[str]], shelves: dict[_Shelf, list[str]], seed: int
) -> str:
    """A shelf holds the answers of one kind and number of tokens; those as near as each other are tried by lot."""

    def distance(shelf: _Shelf) -> tuple[bool, int]:
        return shelf[0] != own[0], abs(shelf[1] - own[1])

    for _, alike in itertools.groupby(sorted(shelves, key=distance), key=distance):
        answers = [answer for shelf in alike for answer in shelves[shelf] if groups[answer] != {response.group}]
        for answer in sorted(answers, key=lambda answer: (_lot(seed, response, answer), answer)):
            if _differ(answer, response.text):
                return answer
    return ""


def _lot(seed: int, response: Response, answer: str) -> str:
    return text_sha256(str(seed), response.sample_id, answer)


def _differ(one: str, other: str) -> bool:
    """Whether two answers say different things; of texts that name the same numbers, that cannot be known."""
    numbers = re.findall(r"\d+", one)
    same_numbers = numbers and numbers == re.findall(r"\d+", other) and "text" in (kind(one), kind(other))
    return _plain(one) != _plain(other) and not same_numbers


def _plain(answer: str) -> str:
    return "".join(answer.casefold().split()).rstrip(".")
