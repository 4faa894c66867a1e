"""Rows of the controls that need gradients of their own: other texts of the samples that a task has taken.

Their key ``control`` says which; what the gradient job does to them besides stands in ``gradients/controls.py``.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from layergrad.contracts.keys import KEYS, Variant
from layergrad.data.irrelevant import CountTokens, Response, irrelevant

ANSWER = "\nThe final answer is "
_SAMPLE = ["sample_id", "variant"]


def control_rows(
    plain: pd.DataFrame,
    rendered: pd.DataFrame,
    responses: dict[Variant, list[Response]],
    controls: Sequence[str],
    seed: int,
    count_tokens: CountTokens,
    max_length: int,
) -> pd.DataFrame:
    """The rows of every control, none where a control adds nothing.

    ``plain`` are the uncontrolled rows, ``rendered`` all texts of all rows of the task, ``responses`` by variant all
    correct ones, from which irrelevant texts are made.
    """
    tables = [plain.iloc[:0]]
    for control in controls:
        match control:
            case "equal_length":
                rows = _with_a_correct_one(plain)
            case "answer_only":
                rows = _answer_only(plain, count_tokens, max_length)
            case "irrelevant_shuffled" | "irrelevant_deranged":
                rows = _irrelevant(plain, control, responses, seed, count_tokens)
            case "cut_before_error" | "cut_after_error":
                rows = _cut_at_error(plain, rendered, control.removeprefix("cut_"), count_tokens)
        tables.append(rows.assign(control=control))
    return pd.concat(tables, ignore_index=True).drop_duplicates(subset=list(KEYS))


def _with_a_correct_one(rows: pd.DataFrame) -> pd.DataFrame:
    """The responses of samples that have a correct one and another: what is alone is compared with nothing."""
    has = rows.groupby(_SAMPLE)["response"].agg(set).map(lambda found: "correct" in found and len(found) > 1)
    return rows[pd.MultiIndex.from_frame(rows[_SAMPLE]).isin(has.index[has])]


def _answer_only(plain: pd.DataFrame, count_tokens: CountTokens, max_length: int) -> pd.DataFrame:
    """Every reasoning, followed by the true answer in the same words; of none, which has no reasoning, that alone.

    A text that is too long for the context is left out: its answer would be cut off, and with it the loss.
    """
    bare = plain["variant"] == "none"
    rows = plain[plain["answer"].fillna("").ne("") & (~bare | (plain["response"] == "correct"))]
    rows = rows.assign(output=rows["output"].where(rows["variant"] != "none", "") + ANSWER + rows["answer"])
    return rows[(rows["instruction"] + "\n" + rows["output"]).map(count_tokens) <= max_length]


def _irrelevant(
    plain: pd.DataFrame, control: str, responses: dict[Variant, list[Response]], seed: int, count_tokens: CountTokens
) -> pd.DataFrame:
    """The irrelevant responses made in another way; none of a variant in which all come out as they were."""
    texts: dict[tuple[str, str], str] = {}
    for variant, correct in responses.items():
        made = (
            irrelevant(correct, "shuffled", seed, count_tokens)
            if control == "irrelevant_shuffled"
            else deranged(correct, count_tokens)
        )
        texts |= {(r.sample_id, variant): text for r, text in zip(correct, made, strict=True)}
    rows = plain[plain["response"] == "irrelevant"]
    outputs = [texts[sample] for sample in rows[_SAMPLE].itertuples(index=False, name=None)]
    rows = rows.assign(output=outputs, provenance="shuffle")
    changed = (rows["output"] != plain.loc[rows.index, "output"]).groupby(rows["variant"]).transform("any")
    return rows[changed & (rows["output"] != "")]


def deranged(responses: list[Response], count_tokens: CountTokens) -> list[str]:
    """To every row the whole response of a row of another group, each given away once: the nearest in tokens overall.

    Empty where the row has no response, or where only its own group's or its own text is left.
    """
    # In an order of their own, so that where two are as near it does not depend on the order of the rows.
    places = sorted((i for i, r in enumerate(responses) if r.text), key=lambda i: responses[i].sample_id)
    tokens = np.array([count_tokens(responses[i].text) for i in places], dtype=float)
    own = _alike(responses[i].group for i in places) | _alike("".join(responses[i].text.split()) for i in places)
    distance = np.abs(np.subtract.outer(tokens, tokens))
    takers, givers = linear_sum_assignment(np.where(own, tokens.sum() + 1, distance))
    made = [""] * len(responses)
    for taker, giver in zip(takers, givers, strict=True):
        if not own[taker, giver]:
            made[places[taker]] = responses[places[giver]].text
    return made


def _alike(texts: Iterable[str]) -> np.ndarray:
    codes, _ = pd.factorize(np.array(list(texts), dtype=object))
    return np.equal.outer(codes, codes)


def _cut_at_error(plain: pd.DataFrame, rendered: pd.DataFrame, end: str, count_tokens: CountTokens) -> pd.DataFrame:
    """Right and wrong responses of a sample, the wrong one cut at its first wrong step.

    The gradient job cuts the right one to as many tokens; a pair whose right one has fewer is left out.
    """
    rows = plain[plain["response"].isin(["correct", "incorrect"])].copy()
    texts = rendered.set_index("sample_id")
    wrong = rows["response"] == "incorrect"
    for variant in rows.loc[wrong, "variant"].unique():
        cut = rows.loc[wrong & (rows["variant"] == variant), "sample_id"].map(texts.get(f"{variant}.{end}", {}))
        rows.loc[cut.index, "output"] = cut.fillna("")
    tokens = rows["output"].map(count_tokens)
    lengths = pd.DataFrame({"right": tokens[~wrong], "wrong": tokens[wrong]}).join(rows[_SAMPLE]).groupby(_SAMPLE).max()
    kept = lengths.index[(lengths["wrong"] > 0) & (lengths["right"] >= lengths["wrong"])]
    return rows[pd.MultiIndex.from_frame(rows[_SAMPLE]).isin(kept)]
