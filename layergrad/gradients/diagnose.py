"""Show on the model at hand that its measurement can be trusted: a few texts, a few checks, a verdict with numbers."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from layergrad.contracts.versions import MEASUREMENT, code_version, package_versions
from layergrad.gradients import checks
from layergrad.gradients.checks import Finding, Samples
from layergrad.gradients.loading import load_measurer, resolve
from layergrad.gradients.measure import Measurer
from layergrad.gradients.settings import Settings
from layergrad.models.load import ModelOrigin, load_skeleton, load_tokenizer
from layergrad.models.projections import find_projections, module_names
from layergrad.models.tokens import EncodedResponse, encode

_TEXTS = {
    "long": (
        "A farmer has 17 hens and buys 25 more. How many hens are there?",
        "There were 17 hens. With 25 more there are 17 + 25 = 42 hens. The answer is 42.",
    ),
    "one token": ("What is 2 + 2?", "4"),
    "repeated tokens": ("Say it again.", "no no no no no no no no"),
    "short": ("Name a colour.", "Blue, I think."),
}
"""Prompt and response, the longest first."""

ALLOWED = {
    "float64": {"roles": 1e-9, "entries": 1e-9, "norms": 1e-9, "batches": 1e-9, "spectra": 1e-9},
    "float32": {"roles": 1e-4, "entries": 1e-4, "norms": 1e-4, "batches": 1e-4, "spectra": 1e-5, "float64": 1e-4},
    "float16": {"roles": 1e-2, "entries": 5e-3, "norms": 1e-2, "batches": 5e-2, "spectra": 1e-5, "float64": 5e-2},
    "bfloat16": {"roles": 1e-2, "entries": 2e-2, "norms": 3e-2, "batches": 3e-1, "spectra": 1e-5, "float64": 4e-1},
}
"""Relative differences that a check may find, by the dtype of the weights.

Whole precision: docs/method.md, Same bytes. Half precision: about three times what SmolLM2-135M-Instruct showed,
entries 3e-3, norms 9e-3, batches 0.09 and float64 0.13 in bfloat16, and 4e-4, 2e-3, 0.02 and 0.02 in float16.
"""

_EAGER_FLOAT64 = 1e-5  # eager attention takes its softmax in float32 whatever the weights are: 1e-6 on SmolLM2

_MEANINGS = {
    "finite": "Every text has a finite loss and finite gradients.",
    "roles": "The outputs taken for q and k have no gradient where causal attention leaves q and k none.",
    "entries": "The product of the caught factors is the weight gradient that autograd forms, entry by entry.",
    "norms": "The norms are those of a dense SVD in float64 of the weight gradient that autograd forms.",
    "batches": "A text has the same norms alone, in a padded batch, and in the batch in another order.",
    "spectra": "One layer's factors, as they are and graded over six powers of ten, have the spectra of NumPy's SVD.",
    "float64": "The whole measurement with weights and arithmetic in float64 gives the same norms.",
}
_HALF = {
    "batches": " In half precision the model's own forward pass rounds differently from batch to batch.",
    "float64": " In half precision the difference is the rounding of the model's own passes.",
}


@dataclass(frozen=True)
class Check:
    """The worst of a check's findings against what is allowed. It fails, too, where that is not a number."""

    name: str
    worst: Finding
    allowed: float
    meaning: str

    @property
    def passed(self) -> bool:
        """Whether the worst is allowed."""
        return self.worst.value <= self.allowed

    def facts(self) -> dict[str, Any]:
        """For a JSON file; ``measured`` is null where something is not finite."""
        worst = self.worst
        return {
            "name": self.name,
            "passed": self.passed,
            "measured": None if math.isnan(worst.value) else worst.value,
            "allowed": self.allowed,
            "where": {"layer": worst.layer, "projection": worst.projection, "sample": worst.sample},
            "meaning": self.meaning,
        }

    def numbers(self) -> str:
        """What was measured and what is allowed."""
        return f"{self.name} {self.worst.value:.1e} ({self.allowed:.0e} allowed)"

    def place(self) -> str:
        """Where the worst was."""
        return f"layer {self.worst.layer} {self.worst.projection}, text: {self.worst.sample}"


@dataclass(frozen=True)
class Diagnosis:
    """All checks of one model, and what the model is, with settings and versions."""

    about: dict[str, Any]
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every check has."""
        return all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """One line with numbers."""
        if not self.passed:
            failed = [f"{check.numbers()} in {check.place()}" for check in self.checks if not check.passed]
            return f"FAILED: {'; '.join(failed)}"
        numbers = ", ".join(check.numbers() for check in self.checks)
        half = self.about["settings"]["dtype"].endswith("16")
        return f"OK: {numbers}{'; half precision itself differs from batch to batch' if half else ''}"

    @property
    def float64(self) -> str:
        """How much was compared with float64."""
        whole = self.about["settings"]["dtype"] == "float64" or any(check.name == "float64" for check in self.checks)
        return "the whole measurement" if whole else "the spectra of one layer's factors"

    def facts(self) -> dict[str, Any]:
        """For a JSON file: the same for the same model, settings, versions and kind of processor."""
        outcome = {"passed": self.passed, "verdict": self.verdict, "compared_with_float64": self.float64}
        return self.about | outcome | {"checks": [check.facts() for check in self.checks]}

    def table(self) -> Iterator[str]:
        """The checks for a person, in aligned lines."""
        yield f"{'check':8} {'':6} {'measured':>8} {'allowed':>8}  worst at"
        for check in self.checks:
            passed = "passed" if check.passed else "FAILED"
            yield f"{check.name:8} {passed} {check.worst.value:8.1e} {check.allowed:8.0e}  {check.place()}"
            yield f"         {check.meaning}"
        yield f"compared with float64: {self.float64}"


def diagnose(origin: ModelOrigin, model_facts: dict[str, Any], settings: Settings) -> Diagnosis:
    """Examine a model as ``settings`` would have it measured: its dtype, attention, device, projections, modules.

    Raises ``UserError`` for a model that cannot be measured at all.
    """
    torch.set_num_threads(settings.threads)
    samples = built_in_samples(load_tokenizer(origin))
    skeleton = load_skeleton(origin)
    settings = resolve(skeleton, settings)
    facts = {
        "model": model_facts,
        "settings": settings.model_dump(
            mode="json", include={"dtype", "attention", "projections", "modules", "threads"}
        ),
        "modules": module_names(find_projections(skeleton, settings.projections, settings.modules)),
        "samples": {name: {"tokens": len(e.ids), "response_tokens": e.n_response} for name, e in samples.items()},
        "versions": package_versions(),
        "code": code_version(*MEASUREMENT),
    }
    measurer = load_measurer(origin, skeleton, settings, [list(samples.values())])
    return Diagnosis(facts, examine(measurer, samples))


def built_in_samples(tokenizer: PreTrainedTokenizerBase) -> Samples:
    """The texts in the model's own tokens, the longest first; the one of a single response token is cut to it."""
    samples = {name: encode(tokenizer, *text) for name, text in _TEXTS.items()}
    cut = samples["one token"]
    return samples | {"one token": EncodedResponse(cut.ids[: cut.start + 1], cut.start, truncated=False)}


def examine(measurer: Measurer, samples: Samples) -> list[Check]:
    """All checks; only that of finite numbers where it fails. The model may be in float64 afterwards."""
    dtype = str(measurer.model.dtype).removeprefix("torch.")
    allowed = {"finite": 0.0, **ALLOWED[dtype]}
    if dtype == "float64" and measurer.model.config._attn_implementation == "eager":
        allowed["batches"] = _EAGER_FLOAT64
    half = _HALF if dtype.endswith("16") else {}
    return [
        Check(name, checks.worst(found), allowed[name], _MEANINGS[name] + half.get(name, ""))
        for name, found in _findings(measurer, samples)
    ]


def _findings(measurer: Measurer, samples: Samples) -> Iterator[tuple[str, Iterable[Finding]]]:
    alone = {name: measurer.measure([encoded])[0] for name, encoded in samples.items()}
    finite = list(checks.finite(measurer, alone))
    yield "finite", finite
    if any(math.isnan(finding.value) for finding in finite):
        return
    longest = next(iter(samples))
    entries, norms = checks.autograd(measurer, samples[longest], longest, alone[longest])
    yield "roles", checks.roles(measurer, samples)
    yield "entries", entries
    yield "norms", norms
    yield "batches", checks.batches(measurer, samples, alone)
    yield "spectra", checks.factor_spectra(measurer, samples[longest], longest)
    if measurer.model.dtype != torch.float64 and checks.float64_fits(measurer, samples[longest]):
        yield "float64", checks.float64(measurer, samples, alone)
