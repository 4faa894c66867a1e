"""Seconds of each procedure in turn, and throughput with and without batches."""

import gc
import time
from typing import Any

from benchmarks.cases import Case
from benchmarks.procedures import LayergradResult, PaperResult, Procedure
from layergrad.contracts.progress import Meter
from layergrad.gradients.batches import plan_batches
from layergrad.gradients.measure import Measurer
from layergrad.models.tokens import EncodedResponse


def time_rounds(
    cases: list[Case], compared: dict[str, Procedure], repeats: dict[str, int], progress: Meter
) -> list[dict[str, Any]]:
    """Rows with the seconds of each procedure on each case: a b c d e, a b c d e, ..., so that drift meets all alike.

    ``repeats`` says how often each procedure is measured. A round before the first is thrown away, without those that
    are repeated less than others because they take too long.
    """
    rows = []
    most = max(repeats.values())
    for repeat in range(most + 1):
        gc.collect()
        for case in cases:
            for key, procedure in compared.items():
                if repeat == 0 and repeats[key] == most:
                    time_once(procedure, case.encoded)
                    progress.advance(len(case.encoded.ids))
                elif 0 < repeat <= repeats[key]:
                    seconds, result = time_once(procedure, case.encoded)
                    rows.append(case.row(key, "seconds", repeat, seconds))
                    if isinstance(result, PaperResult | LayergradResult):
                        rows.append(case.row(key, "svd_seconds", repeat, result.svd_seconds))
                    progress.advance(len(case.encoded.ids))
    return rows


def time_once(procedure: Procedure, encoded: EncodedResponse) -> tuple[float, Any]:
    """Seconds of one run, and what it gave. Clearing gradients is not counted."""
    with procedure.ready():
        began = time.perf_counter()
        result = procedure.run(encoded)
        return time.perf_counter() - began, result


def throughput(
    measurer: Measurer,
    model: str,
    sets: dict[str, list[EncodedResponse]],
    batch_tokens: int,
    repeats: int,
    progress: Meter,
) -> list[dict[str, Any]]:
    """Rows with the tokens a second of each set of samples, one by one and in the gradient job's batches in turn."""
    rows = []
    for repeat in range(1, repeats + 1):
        gc.collect()
        for name, samples in sets.items():
            tokens = sum(len(sample.ids) for sample in samples)
            key = {"model": model, "sample": name, "tokens": tokens}
            key["response_tokens"] = sum(sample.n_response for sample in samples)
            arms = {"one by one": plan_batches(samples, 0), "batched": plan_batches(samples, batch_tokens)}
            for arm, batches in arms.items():
                seconds = _seconds(measurer, samples, batches)
                value = {"quantity": "tokens_per_second", "repeat": repeat, "value": tokens / seconds}
                rows.append(key | {"procedure": arm} | value)
                progress.advance(tokens)
    return rows


def _seconds(measurer: Measurer, samples: list[EncodedResponse], batches: list[list[int]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        measurer.measure([samples[row] for row in batch])
    return time.perf_counter() - began
