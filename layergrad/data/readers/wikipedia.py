"""Wikipedia: articles of a dump as plain text, popular and unpopular ones, cut at the end of a sentence."""

import bz2
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import datasets
import numpy as np
from scipy.optimize import linear_sum_assignment

from layergrad.contracts.config.options import WikipediaOptions
from layergrad.contracts.errors import UserError
from layergrad.data import sentences
from layergrad.data.readers.files import load_json, named
from layergrad.data.wikitext import plain_text

CountTokens = Callable[[str], int]


def read(
    files: dict[str, list[Path]], options: WikipediaOptions, seed: int, count_tokens: CountTokens
) -> datasets.Dataset:
    """A row an article: ``title``, ``popular_<length>`` for each length, ``unpopular``, and ``text``, all of it.

    Popular articles are on the list of vital ones and long enough for the longest cut; unpopular ones are the shortest
    off the list that reach the paired lengths. One popular and one unpopular article are paired so that ``unpopular``
    and the shortest popular cut, at the end of a sentence within the ``paired`` lengths, differ least. A popular
    article without a partner has no shortest cut. A text that an article does not have is empty.
    """
    vital = set(load_json(named(files, "vital", ".json")))
    articles = plain_articles(named(files, "articles", ".bz2"))
    shortest, longest = min(options.lengths), max(options.lengths)
    popular = {title: text for title, text in articles.items() if title in vital and count_tokens(text) >= longest}
    unpopular = _shortest_off(articles, vital, options, count_tokens)
    pairs = _paired_cuts(list(popular.values()), list(unpopular.values()), options.paired, count_tokens)
    rows = []
    for place, (title, text) in enumerate(popular.items()):
        cuts = {f"popular_{length}": cut(text, length, count_tokens) for length in options.lengths}
        cuts[f"popular_{shortest}"] = pairs[0].get(place, "")
        rows.append({"title": title, "text": text, "unpopular": "", **cuts})
    for place, (title, text) in enumerate(unpopular.items()):
        nothing = {f"popular_{length}": "" for length in options.lengths}
        rows.append({"title": title, "text": text, "unpopular": pairs[1].get(place, ""), **nothing})
    return datasets.Dataset.from_list(rows)


def plain_articles(dump: Path) -> dict[str, str]:
    """Plain text by title of every article of a dump whose lead survives; redirects and other pages are left out."""
    texts = {}
    try:
        with bz2.open(dump) as file:
            for _, page in ElementTree.iterparse(file):
                if page.tag.endswith("}page"):
                    find = {element.tag.rpartition("}")[2]: element.text or "" for element in page.iter()}
                    if find["ns"] == "0" and "redirect" not in find:
                        texts[find["title"]] = plain_text(find["title"], find["text"])
                    page.clear()
    except (OSError, EOFError, ElementTree.ParseError, KeyError) as error:
        raise UserError(f"{dump}: cannot be read as a bz2 dump of MediaWiki pages: {error}") from error
    return {title: text for title, text in texts.items() if text}


def cut(text: str, tokens: int, count_tokens: CountTokens) -> str:
    """The longest beginning of a text that ends with a sentence and has at most so many tokens; else empty."""
    return max(
        (start for start, length in _beginnings(text, tokens, count_tokens) if length <= tokens), default="", key=len
    )


def _beginnings(text: str, tokens: int, count_tokens: CountTokens) -> list[tuple[str, int]]:
    """Every beginning of a text that ends with a sentence, with its tokens, up to the first that has too many."""
    found, so_far = [], ""
    parts = sentences.split(text)
    for separator, sentence in zip(parts[::2], parts[1::2], strict=False):
        so_far += separator + sentence
        found.append((so_far, count_tokens(so_far)))
        if found[-1][1] > tokens:
            break
    return found


def _shortest_off(
    articles: dict[str, str], vital: set[str], options: WikipediaOptions, count_tokens: CountTokens
) -> dict[str, str]:
    """The shortest articles off the list that have a sentence end within the paired lengths."""
    off = {title: text for title, text in articles.items() if title not in vital}
    long_enough = {title: text for title, text in off.items() if _cuts_within(text, options.paired, count_tokens)}
    chosen = sorted(long_enough, key=lambda title: (count_tokens(off[title]), title))[: options.unpopular]
    return {title: off[title] for title in chosen}


def _cuts_within(text: str, bounds: tuple[int, int], count_tokens: CountTokens) -> list[tuple[str, int]]:
    least, most = bounds
    return [(start, length) for start, length in _beginnings(text, most, count_tokens) if least <= length <= most]


def _paired_cuts(
    left: list[str], right: list[str], bounds: tuple[int, int], count_tokens: CountTokens
) -> tuple[dict[int, str], dict[int, str]]:
    """Pair texts one to one so that their cuts differ least in tokens: the cuts by place in ``left`` and in ``right``.

    Of equally good pairs the longer cuts are taken. Texts without a partner are not among the keys.
    """
    cuts = [[_cuts_within(text, bounds, count_tokens) for text in texts] for texts in (left, right)]
    best = [[_nearest_cuts(one, other) for other in cuts[1]] for one in cuts[0]]
    costs = np.array([[cost for cost, *_ in row] for row in best]).reshape(len(left), len(right))
    pairs = [pair for pair in zip(*linear_sum_assignment(costs), strict=True) if best[pair[0]][pair[1]][1]]
    return {i: best[i][j][1] for i, j in pairs}, {j: best[i][j][2] for i, j in pairs}


def _nearest_cuts(one: list[tuple[str, int]], other: list[tuple[str, int]]) -> tuple[float, str, str]:
    """Cost and the two cuts that differ least; a token of difference weighs as much as 20 of length."""
    return min(((abs(m - n) - (m + n) / 20, start, end) for start, m in one for end, n in other), default=(1e6, "", ""))
