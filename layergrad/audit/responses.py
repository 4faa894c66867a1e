"""Responses one by one: their lengths and their faults."""

from dataclasses import asdict, dataclass

import pandas as pd
from transformers import PreTrainedTokenizerBase

from layergrad.audit.texts import contains, final_answer, has_literal_newline, is_glued
from layergrad.contracts.keys import REASONING_VARIANTS
from layergrad.models.tokens import encode

_WITH_REASONING = REASONING_VARIANTS[1:]


@dataclass(frozen=True)
class Reading:
    """How a model is given a prompt and a response, in the words of ``models.tokens.encode``."""

    prompt: str = "plain"
    paper_compat: bool = False
    max_length: int = 1024


def examine(samples: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, reading: Reading) -> pd.DataFrame:
    """The samples with columns of what they are like; ``answer`` may be missing, as in a user's own data.

    ``words`` are parted by white space. ``tokens`` and ``prompt_tokens`` are counted as in the tables of gradients: the
    positions whose next token is a response token and the tokens before the response, both within ``max_length``.
    ``answer_missing`` is null where there is no answer or no reasoning, ``final`` where no final answer is told.
    """
    instructions, outputs = samples["instruction"], samples["output"]
    encoded = [encode(tokenizer, *texts, **asdict(reading)) for texts in zip(instructions, outputs, strict=True)]
    return samples.assign(
        words=outputs.map(lambda text: len(text.split())),
        tokens=[one.n_response for one in encoded],
        prompt_tokens=[min(one.start, len(one.ids)) for one in encoded],
        truncated=[one.truncated for one in encoded],
        newlines=outputs.str.count("\n"),
        glued=outputs.map(is_glued),
        literal_in_instruction=instructions.map(has_literal_newline),
        literal_in_output=outputs.map(has_literal_newline),
        answer_missing=_answers_missing(samples),
        final=outputs.map(final_answer).astype("str"),  # where none is told, null and not the same as another
    )


def _answers_missing(samples: pd.DataFrame) -> pd.Series:
    answers = samples["answer"] if "answer" in samples else pd.Series("", samples.index)
    asked = samples["variant"].isin(_WITH_REASONING) & (answers != "")
    missing = [
        not contains(output, answer) if ask else None
        for output, answer, ask in zip(samples["output"], answers, asked, strict=True)
    ]
    return pd.Series(missing, samples.index, dtype="boolean")
