"""Gradient tables with a known effect, for tests of the statistics and the report: no model, no data, no torch."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from layergrad.contracts.keys import ATTENTION_PROJECTIONS
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, SAMPLES, write_table

REASONING = {
    ("none", "correct"): 12,
    ("none", "irrelevant"): 12,
    ("simplified", "correct"): 10,
    ("simplified", "irrelevant"): 10,
    ("detailed", "correct"): 12,
    ("detailed", "irrelevant"): 6,
    ("detailed", "incorrect"): 12,
}
KNOWLEDGE = {
    (variant, response): 8
    for variant in ("unpopular", "popular_100", "popular_500", "popular_1000")
    for response in ("correct", "irrelevant")
}
TOKENS = {"none": 3, "simplified": 90, "detailed": 400, "popular_500": 500, "popular_1000": 900}


@dataclass
class Task:
    """What a synthetic task is like; ``scale`` multiplies the norms of a (variant, response)."""

    name: str = "puzzles"
    family: str = "math"
    cells: dict = field(default_factory=lambda: dict(REASONING))
    scale: dict = field(default_factory=dict)
    spread: float = 0.1
    layers: int = 30
    provenance: str = "human"
    seed: int = 0

    def write(self, folder: Path) -> dict[str, Path]:
        """Write the three tables below ``folder`` and give their paths, named as ``compute_statistics`` names them."""
        data, samples, spectra = self.frames()
        paths = {name: folder / self.name / f"{name}.parquet" for name in ("gradients", "samples", "data")}
        write_table(data, paths["data"], SAMPLES, {})
        write_table(samples, paths["samples"], MEASURED_SAMPLES, {})
        write_table(spectra, paths["gradients"], GRADIENTS, {"model": "synthetic"})
        return paths

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Data, samples and gradients."""
        rng = np.random.default_rng(self.seed)
        rows, spectra = [], []
        for (variant, response), count in self.cells.items():
            for index in range(count):
                key = {
                    "task": self.name,
                    "sample_id": f"{index:016x}",
                    "variant": variant,
                    "response": response,
                    "replicate": 0,
                    "control": "none",
                }
                rows.append(key | self._response(variant, response, rng))
                spectra.append(pd.DataFrame(key | self._spectrum(variant, response, rng)))
        table = pd.DataFrame(rows)
        keys = list(key)
        data = table[[*keys, *(name for name in SAMPLES.names if name not in keys)]]
        samples = table[[*keys, *(name for name in MEASURED_SAMPLES.names if name not in keys)]]
        return data, samples, pd.concat(spectra, ignore_index=True)

    def _response(self, variant: str, response: str, rng: np.random.Generator) -> dict:
        return {
            "family": self.family,
            "instruction": "What is asked?",
            "output": "What is answered.",
            "answer": None,
            "provenance": self.provenance if response == "correct" else "shuffle",
            "licence": "CC0-1.0",
            "loss": rng.uniform(0.5, 3),
            "n_prompt_tokens": int(rng.integers(20, 60)),
            "n_response_tokens": int(TOKENS.get(variant, 100) + rng.integers(0, 10)),
            "truncated": False,
            "status": "ok",
            "reason": None,
        }

    def _spectrum(self, variant: str, response: str, rng: np.random.Generator) -> dict:
        """Every layer and projection of one response: a falling, slightly rough curve times scale times noise."""
        n, width = self.layers, len(ATTENTION_PROJECTIONS)
        layer = np.tile(np.arange(n), width)
        shape = np.tile(1.5 - layer[:n] / n + 0.2 * (np.arange(n) % 2), width) * np.repeat([1.0, 0.9, 2.2, 1.4], n)
        noise = rng.normal(1, self.spread) + rng.normal(0, self.spread / 3, n * width)
        nuclear = np.maximum(self.scale.get((variant, response), 1.0) * shape * noise, 1e-3)
        return {
            "layer": layer,
            "projection": np.repeat(ATTENTION_PROJECTIONS, n),
            "nuclear_norm": nuclear,
            "frobenius_norm": nuclear * 0.5,
            "spectral_norm": nuclear * rng.uniform(0.2, 0.4, n * width),
            "s_min": 0.0,
            "rank_bound": 64,
            "effective_rank": rng.uniform(5, 20, n * width),
            "stable_rank": rng.uniform(1, 4, n * width),
            "grad_mean": 0.0,
            "grad_max": nuclear / 10,
            "grad_min": -nuclear / 10,
        }
