"""The gradient job: from a table of responses to the tables of their gradients, resumable at every batch."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from layergrad.contracts.files import text_sha256
from layergrad.contracts.keys import KEYS
from layergrad.contracts.progress import meter
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, write_table
from layergrad.contracts.versions import MEASUREMENT, code_version, package_versions
from layergrad.gradients.measure import Measurer, NotFiniteError
from layergrad.gradients.parts import Parts
from layergrad.models.load import ModelOrigin, load_model, load_skeleton, load_tokenizer
from layergrad.models.projections import find_projections, module_names
from layergrad.models.tokens import EncodedResponse, encode

logger = logging.getLogger("layergrad")

_STATISTICS = tuple(name for name in GRADIENTS.names if name not in KEYS)
_SAMPLE_COLUMNS = ("loss", "n_prompt_tokens", "n_response_tokens", "truncated", "status", "reason")


@dataclass(frozen=True)
class Settings:
    """All that a measurement depends on besides the model and the samples."""

    prompt: str = "plain"
    paper_compat: bool = False
    max_length: int = 1024
    dtype: str = "float32"
    attention: str = "sdpa"
    projections: str = "attention"
    extremes: bool = True
    threads: int = 1


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 1) of ``count`` of a job."""

    index: int = 1
    count: int = 1

    @property
    def suffix(self) -> str:
        """What the shard adds to the name of its tables; nothing where there is only one."""
        return f".shard-{self.index}-of-{self.count}" if self.count > 1 else ""


def extract(
    samples: pd.DataFrame,
    origin: ModelOrigin,
    model_facts: dict[str, Any],
    settings: Settings,
    prefix: str | Path,
    parts_folder: str | Path,
    shard: Shard = Shard(),
) -> None:
    """Measure the shard's share of ``samples`` and write ``<prefix>.parquet`` and ``<prefix>.samples.parquet``.

    ``samples`` has the key columns, ``instruction`` and ``output``, and for a user's own data ``sample_index``. The
    batches are planned on all of them, so that a sample's batch does not depend on the sharding. ``model_facts`` say
    what the model is; they go into the tables' metadata and into the fingerprint of the parts. ``parts_folder`` is for
    this job alone: no other shard may use it.
    """
    samples = samples[[name for name in (*KEYS, "sample_index", "instruction", "output") if name in samples.columns]]
    torch.set_num_threads(settings.threads)
    tokenizer = load_tokenizer(origin)
    encoded = encode_samples(samples, tokenizer, settings)
    batches = plan_batches(encoded)[shard.index - 1 :: shard.count]
    facts = {
        "model": model_facts,
        "settings": asdict(settings),
        "modules": module_names(find_projections(load_skeleton(origin))),
        "samples": text_sha256(samples.to_csv(index=False)),
        "versions": package_versions(),
        "code": code_version(*MEASUREMENT),
    }
    parts = Parts(parts_folder, facts)
    keyed = samples.drop(columns=["instruction", "output"])
    frames = measure_batches(keyed, encoded, batches, parts, lambda: _measurer(origin, settings))
    write_gradient_tables(pd.concat([_no_rows(keyed), *frames], ignore_index=True), prefix, facts)
    parts.remove()


def encode_samples(
    samples: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, settings: Settings
) -> list[EncodedResponse]:
    """Token ids of every row."""
    options = {"prompt": settings.prompt, "paper_compat": settings.paper_compat, "max_length": settings.max_length}
    rows = zip(samples["instruction"], samples["output"], strict=True)
    return [encode(tokenizer, instruction, output, **options) for instruction, output in rows]


def plan_batches(encoded: list[EncodedResponse]) -> list[list[int]]:
    """Rows of each batch, the longest first, so that shards dealt out in turn take about the same time."""
    return [[row] for row in sorted(range(len(encoded)), key=lambda row: (-len(encoded[row].ids), row))]


def measure_batches(
    keyed: pd.DataFrame,
    encoded: list[EncodedResponse],
    batches: list[list[int]],
    parts: Parts,
    load: Callable[[], Measurer],
) -> list[pd.DataFrame]:
    """One frame a batch, from its part where that is finished; the model is loaded only if one is not."""
    measurer = None
    frames = []
    name = " ".join(dict.fromkeys(keyed["task"])) if len(keyed) else "nothing"
    tokens = sum(len(encoded[row].ids) for batch in batches for row in batch)
    with meter(name, sum(map(len, batches)), tokens) as progress:
        for batch in batches:
            frame = parts.load(batch[0])
            if frame is None or (frame["status"] != "ok").any():
                measurer = measurer or load()
                frame = pd.concat([_measured(keyed.iloc[row], encoded[row], measurer) for row in batch])
                parts.save(batch[0], frame)
            frames.append(frame)
            for row in batch:
                progress.advance(len(encoded[row].ids))
    return frames


def write_gradient_tables(frame: pd.DataFrame, prefix: str | Path, facts: dict[str, Any]) -> None:
    """Split measured rows into the two tables of the contract and write them."""
    identity = [name for name in (*KEYS, "sample_index") if name in frame.columns]
    samples = frame[[*identity, *_SAMPLE_COLUMNS]].drop_duplicates(subset=identity)
    gradients = frame.drop(columns=list(_SAMPLE_COLUMNS))[frame["layer"].notna()]
    write_table(gradients, f"{prefix}.parquet", GRADIENTS, facts)
    write_table(samples, f"{prefix}.samples.parquet", MEASURED_SAMPLES, facts)


def _measurer(origin: ModelOrigin, settings: Settings) -> Measurer:
    return Measurer(load_model(origin, settings.dtype, settings.attention), settings.extremes)


def _measured(key: pd.Series, encoded: EncodedResponse, measurer: Measurer) -> pd.DataFrame:
    """Rows of one sample: one a layer and projection, or a single one that says why there are none."""
    loss, rows, reason = None, [], None
    if encoded.n_response == 0:
        reason = f"no response token left: the prompt alone has {encoded.start} tokens"
    else:
        try:
            measured = measurer.measure(encoded)
            loss, rows = measured.loss, measured.rows
        except NotFiniteError as error:
            reason = str(error)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            reason = f"out of memory on {len(encoded.ids)} tokens"
    sample = {
        "loss": loss,
        "n_prompt_tokens": min(encoded.start, len(encoded.ids)),
        "n_response_tokens": encoded.n_response,
        "truncated": encoded.truncated,
        "status": "failed" if reason else "ok",
        "reason": reason,
    }
    return pd.DataFrame([{**key.to_dict(), **sample, **row} for row in rows or [dict.fromkeys(_STATISTICS)]])


def _no_rows(keyed: pd.DataFrame) -> pd.DataFrame:
    """The columns of measured rows, for a shard that has none."""
    return pd.DataFrame(columns=[*keyed.columns, *_SAMPLE_COLUMNS, *_STATISTICS])


def _out_of_memory(error: Exception) -> bool:
    """On a GPU torch has an error class of its own for it, on the CPU a RuntimeError that says so."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
