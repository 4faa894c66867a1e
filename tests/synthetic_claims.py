"""Responses with a known effect as the ledger sees them, straight in memory, so that hundreds of studies are quick."""

from dataclasses import dataclass, field

import numpy as np

from layergrad.statistics.claims.evaluate import evaluate
from layergrad.statistics.claims.evidence import Evidence
from layergrad.statistics.claims.ledger import LEDGER
from layergrad.statistics.claims.responses import Samples, TaskResponses
from layergrad.statistics.claims.rows import frame_of

PROJECTIONS = ("q", "k", "v", "o")
TOKENS = {"none": 3, "simplified": 90, "detailed": 400, "popular_100": 90, "popular_500": 450, "popular_1000": 900}


@dataclass
class Truth:
    """What a synthetic task is like. Norms are ``scale`` of a (variant, response) * tokens ** ``power`` * a curve.

    Every response has a factor of its own with standard deviation ``spread`` of its log, ``kept`` of whose variance all
    responses to a sample share, and every layer one of ``rough``.
    """

    groups: tuple = (("none", "correct"), ("simplified", "correct"), ("detailed", "correct"))
    n: int = 24
    layers: int = 9
    family: str = "math"
    scale: dict = field(default_factory=dict)
    power: float = 0.0
    spread: float = 0.25
    kept: float = 0.5
    rough: float = 0.05
    bumps: float = 0.2
    templated: frozenset = frozenset()

    def draw(self, rng: np.random.Generator) -> TaskResponses:
        """One study's responses."""
        own = rng.normal(0, self.spread * np.sqrt(self.kept), self.n)
        groups = {}
        for key in self.groups:
            variant, response, control = key if len(key) == 3 else (*key, "none")
            groups[variant, response, control] = self._samples(rng, variant, response, own)
        return TaskResponses(self.family, self.n, PROJECTIONS, self.layers, self.templated, groups)

    def _samples(self, rng: np.random.Generator, variant: str, response: str, own: np.ndarray) -> Samples:
        tokens = np.maximum(1, np.round(TOKENS.get(variant, 60) * rng.uniform(0.7, 1.3, self.n)))
        size = own + rng.normal(0, self.spread * np.sqrt(1 - self.kept), self.n) + self.power * np.log(tokens)
        size += np.log(self.scale.get((variant, response), 1.0))
        curve = np.log(1.5 - np.arange(self.layers) / self.layers + self.bumps * (np.arange(self.layers) % 2))
        shape = (self.n, len(PROJECTIONS), self.layers)
        norms = np.exp(size[:, None, None] + curve + rng.normal(0, self.rough, shape))
        values = {
            "nuclear_norm": norms,
            "frobenius_norm": norms * rng.uniform(0.4, 0.6, shape),
            "effective_rank": rng.uniform(5, 20, shape),
            "rank_bound": np.full(shape, 64.0),
        }
        units = np.arange(self.n)
        return Samples(units, tokens, rng.uniform(0.5, 3, self.n), np.full(self.n, response != "correct"), values, {})


def study_of(rng: np.random.Generator, models: dict | None = None, seed: int = 0, **tasks: Truth) -> Evidence:
    """A study of some tasks; ``models`` are facts by name, each with all tasks."""
    models = models or {"tiny": {}}
    responses = {(model, task): truth.draw(rng) for model in models for task, truth in tasks.items()}
    return Evidence(responses, models, seed)


def table_of(evidence: Evidence, *claims: str):
    """The table of claims, of some of them."""
    return frame_of(evaluate(evidence, [claim for claim in LEDGER if not claims or claim.name in claims]))


def verdicts_of(evidence: Evidence, *claims: str) -> dict:
    """The study's verdict by (claim, control)."""
    table = table_of(evidence, *claims).query("level == 'overall'")
    return table.set_index(["claim", "control"])["verdict"].to_dict()
