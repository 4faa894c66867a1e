"""The vocabulary of the study and the primary key of a measured response."""

import hashlib
from typing import Literal, get_args

KEYS = ("task", "sample_id", "variant", "response", "replicate", "control")
"""Primary key of a measured response, checked at every write."""

Variant = Literal["none", "simplified", "detailed", "unpopular", "popular_100", "popular_500", "popular_1000"]
Family = Literal["math", "commonsense", "knowledge"]
Control = Literal[
    "equal_length",
    "answer_only",
    "irrelevant_shuffled",
    "irrelevant_deranged",
    "cut_before_error",
    "cut_after_error",
]
"""What a study may ask for besides the responses as they are, whose control is none."""

VARIANTS = get_args(Variant)
REASONING_VARIANTS = VARIANTS[:3]
KNOWLEDGE_VARIANTS = VARIANTS[3:]
RESPONSES = ("correct", "irrelevant", "incorrect")
CONTROLS = ("none", *get_args(Control))
ATTENTION_PROJECTIONS = ("q", "k", "v", "o")
MLP_PROJECTIONS = ("gate", "up", "down")
PROJECTIONS = ATTENTION_PROJECTIONS + MLP_PROJECTIONS


def sample_id(task: str, instruction: str, occurrence: int = 0) -> str:
    """First 16 hex digits of the sha256 of task, instruction and occurrence.

    ``occurrence`` counts identical instructions of a task from 0, so that duplicates keep ids of their own. The three
    parts are joined by a zero byte, which none of them can contain.
    """
    text = "\0".join((task, instruction, str(occurrence)))
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]
