"""A small study in the authors' layout: two tasks, two models, data files, and statistics as their code writes them."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from layergrad.contracts.config.load import load_study
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.files import file_sha256
from layergrad.contracts.sources import MIRROR
from layergrad.contracts.tables import SAMPLES, read_table, write_table
from layergrad.data.build import build_task
from layergrad.data.sources import fetch_sources
from layergrad.released.exporting import export_released
from layergrad.released.importing import import_released
from layergrad.released.layout import files

COLUMNS = ["grad_mean", "grad_max", "grad_min", "frobenius_norm", "nuclear_norm", "spectral_norm", "s_min"]
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


def written(folder: Path) -> Layout:
    """A study in the authors' layout, with the tables of its responses in ``tables/``."""
    layout = Layout(folder).write()
    for task in load_study(layout.config).tasks:
        tables_of(task, layout.folder / "data", layout.folder / "tables" / task.name)
    return layout


def tables_of(task: TaskSpec, mirror: Path, folder: Path) -> Path:
    """The table of a task's responses, from a mirror of its sources; its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MIRROR, str(mirror))
        fetch_sources(task.model_dump(mode="json")["sources"], folder / "SOURCES.json")
        built = build_task(task.content(), {}, folder / "SOURCES.json", None, 0, "length_matched")
    write_table(built.samples, folder / f"{task.name}.parquet", SAMPLES, {})
    return folder / f"{task.name}.parquet"


def data_of(layout: Layout, task: str = "puzzles") -> Path:
    """Where the table of a task's responses is, of a study that is ``written``."""
    return layout.folder / f"tables/{task}/{task}.parquet"


def imported(
    layout: Layout, prefix: Path, task: str = "puzzles", model: str = "small", data: Path | None = None
) -> list[pd.DataFrame]:
    """Import a task on a model; gradients, samples, problems."""
    study = load_study(layout.config)
    samples = read_table(data) if data else None
    import_released(layout.released, files(study.task(task), study.model(model)), task, prefix, samples)
    return [read_table(f"{prefix}{end}.parquet") for end in ("", ".samples", ".import")]


def exported(layout: Layout, prefix: Path, data: Path, folder: Path, task: str = "puzzles") -> dict[str, list[str]]:
    """Export a task of the model small; lines by path."""
    study = load_study(layout.config)
    paths = export_released(prefix, data, files(study.task(task), study.model("small")), folder)
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8").splitlines() for path in paths}


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
