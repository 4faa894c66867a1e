"""Which samples are measured together, what becomes of a batch that does not fit, and the rows that come of it."""

import math
from typing import Any

import pandas as pd
import torch

from layergrad.contracts.keys import KEYS
from layergrad.contracts.tables import GRADIENTS
from layergrad.gradients.measure import Measurement, Measurer
from layergrad.models.tokens import EncodedResponse

OUT_OF_MEMORY = "out of memory"
_NO_STATISTICS = dict.fromkeys(name for name in GRADIENTS.names if name not in KEYS)


def plan_batches(encoded: list[EncodedResponse], batch_tokens: int) -> list[list[int]]:
    """Rows of each batch, the longest first, so that shards dealt out in turn take about the same time.

    A batch has at most ``batch_tokens`` tokens with its padding, or else one sample. Samples of about one length lie
    side by side, so there is little padding. Rows of the same tokens share a batch and count as one.
    """
    alike: dict[tuple, list[int]] = {}
    for row, sample in enumerate(encoded):
        alike.setdefault(sample.content, []).append(row)
    batches: list[list[int]] = []
    widest = fill = 0
    for rows in sorted(alike.values(), key=lambda rows: (-len(encoded[rows[0]].ids), rows[0])):
        if batches and widest * (fill + 1) <= batch_tokens:
            batches[-1] += rows
            fill += 1
        else:
            batches.append(rows)
            widest, fill = len(encoded[rows[0]].ids), 1
    return batches


def distinct(batch: list[EncodedResponse]) -> list[EncodedResponse]:
    """The samples without those whose tokens have come before: what is measured of a batch."""
    return list({sample.content: sample for sample in batch}.values())


def measure_batch(measurer: Measurer, batch: list[EncodedResponse]) -> list[Measurement]:
    """Measure a batch as far as it goes: a response without tokens, or too long for the memory, is a failure.

    Samples of the same tokens are measured once. So a control that leaves a response as it was costs nothing.
    """
    possible = distinct([encoded for encoded in batch if encoded.n_response])
    outcomes = _measure_what_fits(measurer, possible) if possible else []
    measured = {encoded.content: outcome for encoded, outcome in zip(possible, outcomes, strict=True)}
    return [measured.get(encoded.content) or _nothing_to_measure(encoded) for encoded in batch]


def batch_table(keys: pd.DataFrame, batch: list[EncodedResponse], measurer: Measurer) -> pd.DataFrame:
    """Measure a batch; a row a sample, layer and projection, or a single one that says why there are none.

    The columns are those of ``keys``, one of whose rows goes with each sample, and of both tables of gradients. With
    similarity there is also a row a pair of projections, which names its ``kind``.
    """
    rows = []
    outcomes = measure_batch(measurer, batch)
    for key, encoded, outcome in zip(keys.to_dict("records"), batch, outcomes, strict=True):
        statistics = [_NO_STATISTICS] if outcome.failure else measurer.rows(outcome, encoded)
        rows += [{**key, **_about(encoded, outcome), **row} for row in statistics]
    return pd.DataFrame(rows)


def worth_another_try(measured: pd.DataFrame) -> bool:
    """Whether a row failed for want of memory: the only failure that lies in the machine, not in model and sample."""
    return bool(measured["reason"].fillna("").str.startswith(OUT_OF_MEMORY).any())


def _about(encoded: EncodedResponse, outcome: Measurement) -> dict[str, Any]:
    """The sample's own columns."""
    return {
        "loss": None if outcome.failure else outcome.loss,
        "n_prompt_tokens": min(encoded.start, len(encoded.ids)),
        "n_response_tokens": encoded.n_response,
        "truncated": encoded.truncated,
        "status": "failed" if outcome.failure else "ok",
        "reason": outcome.failure,
    }


def _nothing_to_measure(encoded: EncodedResponse) -> Measurement:
    return Measurement(math.nan, failure=f"no response token left: the prompt alone has {encoded.start} tokens")


def _measure_what_fits(measurer: Measurer, batch: list[EncodedResponse]) -> list[Measurement]:
    """Measure a batch; where memory runs out, each half of it, down to one sample, whose failure it then is."""
    try:
        return measurer.measure(batch)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
    # Here the error is gone, and with it the frames that held the batch's memory.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(batch) == 1:
        return [Measurement(math.nan, failure=f"{OUT_OF_MEMORY} on {len(batch[0].ids)} tokens")]
    half = len(batch) // 2
    return [*_measure_what_fits(measurer, batch[:half]), *_measure_what_fits(measurer, batch[half:])]


def _out_of_memory(error: Exception) -> bool:
    """On a GPU torch has an error class of its own for it, on the CPU a RuntimeError that says so."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
