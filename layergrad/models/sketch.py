"""What a new model's file has to say of it, known from its configuration and its tokenizer before any weight."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from layergrad.contracts.errors import UserError
from layergrad.models.load import ModelOrigin, load_skeleton, load_tokenizer, resolve_attention
from layergrad.models.memory import needed_bytes
from layergrad.models.projections import find_projections
from layergrad.models.safety import refuse_unsafe_files
from layergrad.models.tokens import encode

SECONDS = 80
"""Core-seconds of 1000 tokens for a billion parameters: SmolLM2-135M takes 81 of them, Gemma 3 270M takes 63."""

_IMPORTS = 600 * 10**6  # bytes of a process that has loaded torch and transformers, and no weight
_STEP = 100  # MB that an estimate is rounded up to


class Sketch(NamedTuple):
    """A model, as its file is to describe it."""

    source: dict[str, Any]
    prompt: str
    n_layers: int
    parameters: int
    memory_mb: int
    seconds_per_1000_tokens: float
    tokenizer: PreTrainedTokenizerBase


def sketch(model: str, max_length: int) -> Sketch:
    """The sketch of a hub id, a directory or a ``.gguf`` file, in float32 and for responses up to ``max_length``.

    The prompt is chat where the tokenizer has a template for it. Raises ``UserError`` for a model that cannot be
    loaded, and for one whose projections cannot be mapped.
    """
    origin = ModelOrigin.of(model)
    refuse_unsafe_files(origin)
    tokenizer = load_tokenizer(origin)
    skeleton = load_skeleton(origin)
    projections = find_projections(skeleton, "attention", None)
    attention = resolve_attention(skeleton, "auto")
    parameters = sum(weight.numel() for weight in skeleton.parameters())
    needed = needed_bytes(skeleton, projections, "float32", attention, max_length, max_length) or 6 * parameters
    if origin.gguf_file:
        needed = max(needed, 8 * parameters)  # when it is converted, its weights are there twice
    return Sketch(
        source=_source(model, getattr(skeleton.config, "_commit_hash", None)),
        prompt="chat" if tokenizer.chat_template else "plain",
        n_layers=1 + max(projection.layer for projection in projections),
        parameters=parameters,
        memory_mb=_STEP * math.ceil((needed + _IMPORTS) / 10**6 / _STEP),
        seconds_per_1000_tokens=float(f"{max(SECONDS * parameters / 10**9, 0.1):.2g}"),
        tokenizer=tokenizer,
    )


def token_counts(tokenizer: PreTrainedTokenizerBase, pairs: Iterable[tuple[str, str]], prompt: str) -> np.ndarray:
    """Tokens of each prompt and response together, however many."""
    return np.array([len(encode(tokenizer, *pair, prompt=prompt, max_length=10**9).ids) for pair in pairs])


def _source(model: str, commit: str | None) -> dict[str, Any]:
    """A hub repository is pinned to the commit that was looked at."""
    if Path(model).exists():
        return {"file": model}
    if commit is None:
        raise UserError(f"{model}: its commit on the hub is not known, and a study pins it; download it into a folder")
    return {"hub": model, "revision": commit}
