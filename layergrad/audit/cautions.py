r"""What a reader must know of one kind of response before believing a difference between it and another."""

from collections.abc import Iterator

import pandas as pd

from layergrad.audit.texts import FINAL

NOTABLE = 0.05
"""Share of the rows, or relative change of a mean, from which a difference of format is told: one in twenty could move
a mean by as much as the noise floor of a small study. Of line breaks also never fewer than one in twenty responses."""

LENGTH = 0.1
"""Relative difference in length that is told: norms fall about as the root of the tokens, so a tenth moves them by 5 %,
the noise floor of the default study."""


def of_rows(cell: pd.DataFrame, max_length: int) -> Iterator[str]:
    """Faults of the responses themselves, and of their prompts; the first row is told."""
    n = len(cell)
    yield from _told(cell["truncated"], n, "is truncated", "are truncated", f"at {max_length} tokens")
    yield from _told(cell["tokens"] == 0, n, "has", "have", f"no response token within {max_length} tokens")
    yield from _told(repeated(cell), n, "repeats", "repeat", "the instruction of an earlier sample")
    yield from _told(cell["literal_in_instruction"], n, "has", "have", r"a literal \n in the instruction")
    yield from _told(cell["literal_in_output"], n, "has", "have", r"a literal \n in the response")


def of_answers(cell: pd.DataFrame) -> Iterator[str]:
    """Reasoning that never has the answer. A few may tell it in other words, so less than ``NOTABLE`` is not told."""
    missing = cell["answer_missing"].dropna()
    if missing.sum() > NOTABLE * len(missing):
        yield from _told(missing, len(missing), "does", "do", "not contain the answer as the task writes it")


def of_pairs(pairs: pd.DataFrame) -> Iterator[str]:
    """How responses differ from the correct ones of the same samples, whose columns end in ``_correct``."""
    n = len(pairs)
    yield from _told(pairs["output"] == pairs["output_correct"], n, "is", "are", "the same as the correct response")
    yield from _told(pairs["final"] == pairs["final_correct"], n, "ends", "end", "in the correct final answer")
    if pairs["final_correct"].notna().mean() > 1 - NOTABLE:
        lack = pairs["final"].isna() & pairs["final_correct"].notna()
        yield from _told(lack, n, "lacks", "lack", f'"{FINAL}", which the correct response has')
    old, new = pairs["newlines_correct"].mean(), pairs["newlines"].mean()
    if abs(new - old) > NOTABLE * max(1, old):
        yield f"line breaks {'fall' if new < old else 'rise'} from {old:.1f} to {new:.1f} a response"
    old, new = pairs["glued_correct"].sum(), pairs["glued"].sum()
    if new - old > NOTABLE * n:
        yield f"{new} of {n} have glued punctuation, against {old} of the correct responses"
    old, new = pairs["tokens_correct"].mean(), pairs["tokens"].mean()
    if abs(new - old) > LENGTH * old:
        yield f"{new:.1f} tokens a response, against {old:.1f} in correct ones"


def of_popularity(unpopular: pd.DataFrame, popular: pd.DataFrame) -> Iterator[str]:
    """How long unpopular articles are beside those of the shortest popular variant."""
    variant = popular["variant"].iloc[0]
    new, old = unpopular["tokens"].median(), popular["tokens"].median()
    if abs(new - old) > LENGTH * old:
        yield f"a median of {new:g} tokens, against {old:g} of {variant}: popularity cannot be told from length"


def repeated(cell: pd.DataFrame) -> pd.Series:
    """Rows of samples whose instruction an earlier sample has."""
    first = cell.groupby("instruction")["sample_id"].transform("first")
    return cell["sample_id"] != first


def _told(which: pd.Series, n: int, one: str, many: str, what: str) -> Iterator[str]:
    """``3 of 500 are ...``, if there are any."""
    count = int(which.sum())
    if count:
        yield f"{count} of {n} {one if count == 1 else many} {what}"
