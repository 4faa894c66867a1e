"""The vocabulary of the study and the primary key of a measured response."""

import hashlib

KEYS = ("task", "sample_id", "variant", "response", "replicate", "control")
"""Primary key of a measured response, checked at every write."""

REASONING_VARIANTS = ("none", "simplified", "detailed")
KNOWLEDGE_VARIANTS = ("unpopular", "popular_100", "popular_500", "popular_1000")
VARIANTS = REASONING_VARIANTS + KNOWLEDGE_VARIANTS
RESPONSES = ("correct", "irrelevant", "incorrect")
FAMILIES = ("math", "commonsense", "knowledge")
CONTROLS = (
    "none",
    "equal_length",
    "answer_only",
    "irrelevant_shuffled",
    "irrelevant_deranged",
    "cut_before_error",
    "cut_after_error",
)
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
