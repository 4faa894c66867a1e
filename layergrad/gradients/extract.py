"""The gradient job: from a table of responses to the tables of their gradients, resumable at every batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from layergrad.contracts.files import text_sha256
from layergrad.contracts.keys import KEYS
from layergrad.contracts.progress import meter
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, SIMILARITY, write_table
from layergrad.contracts.versions import MEASUREMENT, code_version, package_versions
from layergrad.gradients.batches import batch_table, plan_batches, worth_another_try
from layergrad.gradients.controls import cut_to_shortest, without_and_with_loss
from layergrad.gradients.earlier import take_over
from layergrad.gradients.loading import load_measurer, resolve
from layergrad.gradients.measure import Measurer
from layergrad.gradients.parts import Parts
from layergrad.gradients.settings import WHOLE, Settings, Shard
from layergrad.models.load import ModelOrigin, load_skeleton, load_tokenizer
from layergrad.models.projections import find_projections, module_names
from layergrad.models.tokens import EncodedResponse, encode

_STATISTICS = tuple(name for name in GRADIENTS.names if name not in KEYS)
_SAMPLE_COLUMNS = tuple(name for name in MEASURED_SAMPLES.names if name not in KEYS)
_SIMILARITY = {"kind": "kind", "cosine": "cosine", "cosine_reason": "reason"}
"""Columns that measured rows have with similarity, and what the table calls them: a reason is a sample's there."""


def extract(
    samples: pd.DataFrame,
    origin: ModelOrigin,
    model_facts: dict[str, Any],
    settings: Settings,
    prefix: str | Path,
    parts_folder: str | Path,
    shard: Shard = WHOLE,
    earlier: str | Path | None = None,
) -> None:
    """Measure the shard's share of ``samples`` and write ``<prefix>.parquet`` and ``<prefix>.samples.parquet``.

    With similarity also ``<prefix>.similarity.parquet``. ``samples`` has the key columns, ``instruction`` and
    ``output``, for a user's own data ``sample_index`` and for the control answer_only ``answer``. The batches are
    planned on all of them, so that a sample's batch does not depend on the sharding. ``model_facts`` say what the model
    is; they go into the tables' metadata and into the fingerprint of the parts. ``parts_folder`` is for this job alone:
    no other shard may use it. ``earlier`` is where merged tables of an earlier run may lie, to be used if they are of
    the very same.
    """
    samples = samples[
        [name for name in (*KEYS, "sample_index", "instruction", "output", "answer") if name in samples.columns]
    ]
    torch.set_num_threads(settings.threads)
    tokenizer = load_tokenizer(origin)
    encoded = encode_samples(samples, tokenizer, settings)
    skeleton = load_skeleton(origin)
    settings = resolve(skeleton, settings)
    assert settings.batch_tokens is not None  # resolved
    batches = plan_batches(encoded, settings.batch_tokens)[shard.index - 1 :: shard.count]
    facts = {
        "model": model_facts,
        # Not which of several GPUs it is: that changes nothing.
        "settings": settings.model_dump(mode="json") | {"device": settings.device.partition(":")[0]},
        "modules": module_names(find_projections(skeleton, settings.projections, settings.modules)),
        "samples": text_sha256(samples.to_csv(index=False)),
        # What the tokenizer makes of them: it may be another one without the model being another.
        "tokens": text_sha256(*(repr(response.content) for response in encoded)),
        "versions": package_versions(),
        "code": code_version(*MEASUREMENT),
    }
    keyed = samples.drop(columns=["instruction", "output", "answer"], errors="ignore")
    if earlier and take_over(earlier, prefix, keyed.iloc[[row for batch in batches for row in batch]], facts):
        return
    parts = Parts(parts_folder, facts)

    def load() -> Measurer:
        return load_measurer(origin, skeleton, settings, [[encoded[row] for row in batch] for batch in batches])

    frames = measure_batches(keyed, encoded, batches, parts, load)
    none = _no_rows(keyed, settings.similarity)
    write_gradient_tables(pd.concat([none, *frames], ignore_index=True), prefix, facts)
    parts.remove()


def encode_samples(
    samples: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, settings: Settings
) -> list[EncodedResponse]:
    """Token ids of every row, as its control asks for."""
    encoded = [
        encode(
            tokenizer,
            instruction,
            output,
            lead=lead,
            prompt=settings.prompt,
            paper_compat=settings.paper_compat,
            max_length=settings.max_length,
        )
        for instruction, (lead, output) in zip(samples["instruction"], without_and_with_loss(samples), strict=True)
    ]
    return cut_to_shortest(encoded, samples)


def measure_batches(
    keyed: pd.DataFrame,
    encoded: list[EncodedResponse],
    batches: list[list[int]],
    parts: Parts,
    load: Callable[[], Measurer],
) -> list[pd.DataFrame]:
    """One frame a batch, from its part where that is finished and did not want for memory.

    The model is loaded only if one is to be measured.
    """
    measurer = None
    frames = []
    name = " ".join(dict.fromkeys(keyed["task"])) if len(keyed) else "nothing"
    tokens = sum(len(encoded[row].ids) for batch in batches for row in batch)
    with meter(name, sum(map(len, batches)), tokens) as progress:
        for batch in batches:
            frame = parts.load(batch[0])
            if frame is None or worth_another_try(frame):
                measurer = measurer or load()
                frame = batch_table(keyed.iloc[batch], [encoded[row] for row in batch], measurer)
                parts.save(batch[0], frame)
            frames.append(frame)
            for row in batch:
                progress.advance(len(encoded[row].ids))
    return frames


def write_gradient_tables(frame: pd.DataFrame, prefix: str | Path, facts: dict[str, Any]) -> None:
    """Split measured rows into the tables of the contract and write them."""
    identity = [name for name in (*KEYS, "sample_index") if name in frame.columns]
    samples = frame[[*identity, *_SAMPLE_COLUMNS]].drop_duplicates(subset=identity)
    frame = frame.drop(columns=list(_SAMPLE_COLUMNS))[frame["layer"].notna()]
    if "kind" in frame.columns:
        similarity = frame.loc[frame["kind"].notna(), [*identity, "layer", "projection", *_SIMILARITY]]
        write_table(similarity.rename(columns=_SIMILARITY), f"{prefix}.similarity.parquet", SIMILARITY, facts)
        frame = frame[frame["kind"].isna()].drop(columns=list(_SIMILARITY))
    write_table(frame, f"{prefix}.parquet", GRADIENTS, facts)
    write_table(samples, f"{prefix}.samples.parquet", MEASURED_SAMPLES, facts)


def _no_rows(keyed: pd.DataFrame, similarity: bool) -> pd.DataFrame:
    """The columns of measured rows, for a shard that has none."""
    return pd.DataFrame(columns=[*keyed.columns, *_SAMPLE_COLUMNS, *_STATISTICS, *(_SIMILARITY if similarity else ())])
