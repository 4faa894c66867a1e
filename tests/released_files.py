"""A small study in the authors' layout: two tasks, two models, data files, and statistics as their code writes them."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from layergrad.contracts.files import file_sha256

NUMBERS = ["M_mean", "M_max", "M_min", "frobenius_norm", "S_sum", "S_max", "S_min"]
ROWS = 6
LAYERS = 5
MODELS = {"small": "small_1b", "small-it": "small_1b_it_new"}
TASKS = {
    "puzzles": (
        "math",
        "cot_500",
        {
            "none": "puzzles_train_no_cot",
            "simplified": "puzzles_train_with_cot",
            "detailed": "puzzles_train_with_cot_gpt4o",
        },
    ),
    "titles": (
        "knowledge",
        "wiki_popularity",
        {
            "popular_100": "popular_wikipedia_100",
            "popular_500": "popular_wikipedia_500",
            "popular_1000": "popular_wikipedia_1000",
            "unpopular": "long_tail_wikipedia",
        },
    ),
}


@dataclass
class Layout:
    """The study below ``folder``: ``config/``, the authors' ``data/`` and the ``released/`` statistics."""

    folder: Path
    lines: dict = field(default_factory=dict)
    """By path below ``released/``, the objects that were written."""

    @property
    def config(self) -> Path:
        """The study file."""
        return self.folder / "config/small.yaml"

    @property
    def released(self) -> Path:
        """The folder of statistics."""
        return self.folder / "released"

    def write(self) -> "Layout":
        """Everything, with fixed random numbers."""
        rng = np.random.default_rng(0)
        for name, (family, folder, stems) in TASKS.items():
            rows = {
                f"{folder}{end}/{stem}": _rows(name, variant, response)
                for variant, stem in stems.items()
                for response, end in (("correct", ""), ("irrelevant", "_wrong_answer_shuffle"))
            }
            for path, responses in rows.items():
                _write_text(self.folder / f"data/{path}.json", json.dumps(responses))
            self._write_yaml(f"tasks/{name}.yaml", _task(name, family, folder, stems, self.folder / "data"))
            for key in MODELS.values():
                for path, responses in rows.items():
                    parent, _, stem = path.partition("/")
                    self.put(f"{parent}/{key}/grads_{stem}.jsonl", [line(row, rng) for row in responses])
        for name, key in MODELS.items():
            self._write_yaml(f"models/{name}.yaml", _model(name, key))
        study = {"name": "small", "title": "A small study", "released": "released", "mirror": "data"}
        self._write_yaml("small.yaml", study | {"models": list(MODELS), "tasks": list(TASKS), "paper_compat": True})
        return self

    def put(self, path: str, lines: list[dict]) -> None:
        """Write one file of statistics."""
        self.lines[path] = lines
        _write_text(self.released / path, "".join(json.dumps(entry) + "\n" for entry in lines))

    def _write_yaml(self, path: str, values: dict) -> None:
        _write_text(self.folder / "config" / path, yaml.safe_dump(values, sort_keys=False))


def line(row: dict, rng: np.random.Generator, layers: int = LAYERS) -> dict:
    """What the authors' code writes of one row: float32 numbers, as Python floats."""
    entry = {"instruction": row["instruction"], "output": row["output"], "loss": float(np.float32(rng.uniform(0.5, 3)))}
    for layer in range(layers):
        for projection in "qkvo":
            size = 50 / (1 + len(row["output"])) * rng.uniform(0.8, 1.2)
            numbers = [1e-9, size / 10, -size / 9, size / 2, size, size / 3, 1e-9 * rng.uniform()]
            name = f"model.layers.{layer}.self_attn.{projection}_proj.weight"
            entry[name] = {key: float(np.float32(value)) for key, value in zip(NUMBERS, numbers, strict=True)}
    return entry


def _rows(task: str, variant: str, response: str) -> list[dict]:
    """The rows of one data file; the last two have one instruction, as it is in the authors' StrategyQA."""
    words = {"none": 0, "simplified": 4, "detailed": 20}.get(variant, 10)
    return [
        {
            "instruction": f"{task} {min(index, ROWS - 2)}: “what”\\nis it?",
            "input": "",
            "output": f"{response} {variant} {index}" + " and so on" * words,
        }
        for index in range(ROWS)
    ]


def _task(name: str, family: str, folder: str, stems: dict[str, str], data: Path) -> dict:
    sources, variants = {}, {}
    for variant, stem in stems.items():
        for response, end in (("correct", ""), ("irrelevant", "_wrong_answer_shuffle")):
            path = f"{folder}{end}/{stem}.json"
            address = f"https://nowhere.invalid/authors/data/{path}"
            sources[f"{variant}_{response}"] = {"url": address, "sha256": file_sha256(data / path)}
        given = {response: {"source": f"{variant}_{response}"} for response in ("correct", "irrelevant")}
        variants[variant] = given | {"tokens": 50}
    return {
        "title": name.title(),
        "family": family,
        "licence": "CC0-1.0",
        "attribution": "made up for a test",
        "sources": sources,
        "rows": [f"{next(iter(stems))}_correct"],
        "instruction": {"field": "instruction"},
        "variants": variants,
        "samples": dict.fromkeys(stems, ROWS),
    }


def _model(name: str, key: str) -> dict:
    """A model that cannot be had from anywhere."""
    return {
        "title": name.title(),
        "source": {"hub": f"nobody/{name}", "revision": "0" * 40},
        "released_as": key,
        "licence": "CC0-1.0",
        "memory_mb": 100,
        "seconds_per_1000_tokens": 1,
    }


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
