"""Which samples are measured together, and what becomes of a batch that does not fit into memory."""

import math

import torch

from layergrad.gradients.measure import Measurement, Measurer
from layergrad.models.tokens import EncodedResponse


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


def measure_what_fits(measurer: Measurer, batch: list[EncodedResponse]) -> list[Measurement]:
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
    return [*measure_what_fits(measurer, batch[:half]), *measure_what_fits(measurer, batch[half:])]


def _out_of_memory(error: Exception) -> bool:
    """On a GPU torch has an error class of its own for it, on the CPU a RuntimeError that says so."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
