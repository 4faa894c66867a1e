"""The whole benchmark: what is measured, how often, and in which order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
from transformers import PreTrainedModel

from benchmarks.cases import WIDE, Case, evenly, nearest, random_sample, study_samples, wide_model
from benchmarks.memory import peak_memory
from benchmarks.procedures import NAMES, procedures
from benchmarks.timing import throughput, time_rounds
from layergrad.contracts.config.load import load_study
from layergrad.contracts.paths import StudyPaths
from layergrad.contracts.progress import meter
from layergrad.gradients.loading import default_batch_tokens
from layergrad.gradients.measure import Measurer
from layergrad.gradients.settings import Settings
from layergrad.models.load import ModelOrigin, load_model, load_tokenizer
from layergrad.models.tokens import EncodedResponse

STUDY = "config/config.yaml"
SAMPLES = {"none": ("gsm_symbolic", 95), "simplified": ("champ", 250), "detailed": ("champ", 500)}
"""Task and length of the real samples by variant. CHAMP's long answers without reasoning are formulas, not the few
tokens that such answers have; GSM-Symbolic has no simplified reasoning as long as that."""
WIDE_TOKENS = {"short": (100, "none"), "long": (700, "detailed")}
"""Length of the wide model's samples, and whose share of response tokens they have."""


@dataclass(frozen=True)
class Effort:
    """How often things are measured, and how many samples are measured with and without batches."""

    repeats: int = 9
    repeats_dense_wide: int = 2  # the paper's procedure takes about a minute there
    repeats_short_wide: int = 41  # the spectra are some hundredths of two times that differ by a tenth of themselves
    set_sizes: tuple[int, int] = (16, 6)


@dataclass(frozen=True)
class Subject:
    """A model, how to make it (picklable, for a process of its own), and its samples."""

    title: str
    load: Callable[[], PreTrainedModel]
    samples: dict[str, EncodedResponse]

    @property
    def cases(self) -> list[Case]:
        """Its samples by name, in the order of measurement."""
        return [Case(self.title, name, encoded) for name, encoded in self.samples.items()]


def subjects(effort: Effort) -> tuple[Subject, dict[str, list[EncodedResponse]], Subject]:
    """The default study's model with its samples, sets of them for the batches, and the wide model with random ones."""
    study = load_study(STUDY)
    spec = study.models[0]
    origin = ModelOrigin.of(str(StudyPaths(study.name).models / spec.name))
    found = study_samples(study, load_tokenizer(origin))
    samples = {variant: nearest(found[task, variant], tokens) for variant, (task, tokens) in SAMPLES.items()}
    real = Subject(spec.title, partial(load_model, origin, spec.dtype), samples)
    random = {
        f"wide, {name}": random_sample(tokens, samples[like], WIDE["vocab_size"])
        for name, (tokens, like) in WIDE_TOKENS.items()
    }
    wide = Subject("Two layers of Llama-3-8B's width", partial(wide_model, **WIDE), random)
    return real, batch_sets(found, effort), wide


def batch_sets(found: dict[tuple[str, str], list[EncodedResponse]], effort: Effort) -> dict[str, list[EncodedResponse]]:
    """Answers without reasoning, and as many of each variant, of all tasks and evenly spread over their lengths."""
    variants = {name: [s for (_, variant), some in found.items() if variant == name for s in some] for name in SAMPLES}
    n_none, n_mixed = effort.set_sizes
    mixed = [sample for samples in variants.values() for sample in evenly(samples, n_mixed // len(variants))]
    return {"set of none": evenly(variants["none"], n_none), "mixed set": mixed}


def measure(real: Subject, sets: dict[str, list[EncodedResponse]], wide: Subject, effort: Effort) -> pd.DataFrame:
    """One row a measurement: model, sample, tokens, response_tokens, procedure, quantity, repeat, value."""
    usual = dict.fromkeys(NAMES, effort.repeats)
    rows = time_subject(real, usual)
    for name, encoded in wide.samples.items():
        often = {"c": effort.repeats_short_wide, "d": effort.repeats_short_wide} if name == "wide, short" else {}
        repeats = usual | {"a": min(effort.repeats, effort.repeats_dense_wide)} | often
        rows += time_subject(replace(wide, samples={name: encoded}), repeats)
    rows += time_batches(real, sets, effort.repeats)
    rows += measure_memory(wide)
    return pd.DataFrame(rows)


def time_subject(subject: Subject, repeats: dict[str, int]) -> list[dict[str, Any]]:
    """Rows with the seconds of every procedure on a subject's samples."""
    most = max(repeats.values())
    runs = sum(n + (n == most) for n in repeats.values())  # with the round that is thrown away
    tokens = sum(len(case.encoded.ids) for case in subject.cases) * runs
    with meter(f"{subject.title}: seconds", len(subject.cases) * runs, tokens) as progress:
        return time_rounds(subject.cases, procedures(subject.load()), repeats, progress)


def time_batches(subject: Subject, sets: dict[str, list[EncodedResponse]], repeats: int) -> list[dict[str, Any]]:
    """Rows with the throughput on every set, with the gradient job's settings."""
    tokens = sum(len(sample.ids) for samples in sets.values() for sample in samples) * 2 * repeats
    settings = Settings()
    with meter(f"{subject.title}: batches", len(sets) * 2 * repeats, tokens) as progress:
        measurer = Measurer(subject.load(), settings.extremes)
        budget = default_batch_tokens(measurer.model.device)
        return throughput(measurer, subject.title, sets, budget, repeats, progress)


def measure_memory(subject: Subject) -> list[dict[str, Any]]:
    """Rows with the peak memory of the paper's procedure and of layergrad on a subject's samples."""
    keys = ("a", "d", "e")
    rows = []
    tokens = sum(len(case.encoded.ids) for case in subject.cases) * len(keys)
    with meter(f"{subject.title}: memory", len(subject.cases) * len(keys), tokens) as progress:
        for case in subject.cases:
            for key in keys:
                peak = peak_memory(subject.load, key, case.encoded)
                rows.append(case.row(key, "peak_memory_mb", 1, peak))
                progress.advance(len(case.encoded.ids))
    return rows
