"""Which samples are measured together, what becomes of a batch that does not fit, and the rows that come of it."""

import math
from typing import Any

import pandas as pd
import torch

from layergrad.contracts.keys import KEYS
from layergrad.contracts.tables import GRADIENTS
from layergrad.gradients.measure import Measurement, Measurer
from layergrad.models.tokens import EncodedResponse

_NO_STATISTICS = dict.fromkeys(name for name in GRADIENTS.names if name not in KEYS)


def plan_batches(encoded: list[EncodedResponse], batch_tokens: int) -> list[list[int]]:
    """Rows of each batch, the longest first, so that shards dealt out in turn take about the same time.

    A batch has at most ``batch_tokens`` tokens with its padding, or else one sample. Samples of about one length lie
    side by side, so there is little padding.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(encoded)), key=lambda row: (-len(encoded[row].ids), row)):
        widest = len(encoded[batches[-1][0]].ids) if batches else 0
        if batches and widest * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def measure_batch(measurer: Measurer, batch: list[EncodedResponse]) -> list[Measurement]:
    """Measure a batch as far as it goes: a response without tokens, or too long for the memory, is a failure."""
    possible = [encoded for encoded in batch if encoded.n_response]
    measured = iter(_measure_what_fits(measurer, possible) if possible else [])
    return [next(measured) if encoded.n_response else _nothing_to_measure(encoded) for encoded in batch]


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
        return [Measurement(math.nan, failure=f"out of memory on {len(batch[0].ids)} tokens")]
    half = len(batch) // 2
    return [*_measure_what_fits(measurer, batch[:half]), *_measure_what_fits(measurer, batch[half:])]


def _out_of_memory(error: Exception) -> bool:
    """On a GPU torch has an error class of its own for it, on the CPU a RuntimeError that says so."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
