"""Gradient tables of the size of the paper's whole study, made up: what its ledger of claims is evaluated on."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from layergrad.contracts.config.study import Study
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.keys import KEYS
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, SAMPLES, SIMILARITY, write_arrow, write_table

LAYERS = 28
PROJECTIONS = ("k", "o", "q", "v")
GRADIENT_PLACES = pd.DataFrame(
    [(layer, name) for layer in range(LAYERS) for name in PROJECTIONS], columns=["layer", "projection"]
)
COSINE_PLACES = pd.DataFrame(
    [("adjacent", layer, name) for layer in range(LAYERS - 1) for name in PROJECTIONS]
    + [("kv", layer, "k") for layer in range(LAYERS)]
    + [("qo", layer, "q") for layer in range(LAYERS)],
    columns=["kind", "layer", "projection"],
)
TOKENS = {"none": 4, "simplified": 90, "detailed": 400, "popular_500": 460, "popular_1000": 880}
CURVE = 1.5 - np.arange(LAYERS) / LAYERS + 0.2 * (np.arange(LAYERS) % 2)


def write_paper(folder: Path, study: Study) -> dict[str, list[Path]]:
    """Write ``gradients`` and ``data`` of a study below ``folder``: their paths by these names.

    All tuned models share their numbers, and so do all others, as links to one file: what is compared still differs.
    """
    first: dict[bool, str] = {}
    gradients = []
    for model in study.models:
        own = first.setdefault(model.base is None, model.name)
        for task in study.tasks:
            path = folder / "gradients" / model.name / f"{task.name}.parquet"
            gradients.append(path)
            if own == model.name:
                _write_task(path, task, np.random.default_rng(len(gradients)))
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                for made in (folder / "gradients" / own).glob(f"{task.name}.*"):
                    os.link(made, path.with_name(made.name))
    return {"gradients": gradients, "data": [_write_data(folder / "data", task) for task in study.tasks]}


def keys_of(task: TaskSpec) -> pd.DataFrame:
    """The responses that the study measures, those of its controls among them, in the order of the key."""
    rows = []
    for number, variant in enumerate(task.variants):
        n = task.samples_of(variant).correct
        units = range(1000, 1000 + n) if variant == "unpopular" else range(n)
        for response in ("correct", "irrelevant"):
            controls = ["none", "equal_length"]
            controls += ["answer_only"] if task.answer and (number or response == "correct") else []
            controls += ["irrelevant_deranged"] if response == "irrelevant" else []
            rows += [(f"{unit:016x}", variant, response, control) for unit in units for control in controls]
    table = pd.DataFrame(rows, columns=["sample_id", "variant", "response", "control"])
    table = table.assign(task=task.name, replicate=0)[list(KEYS)]
    return table.sort_values(list(KEYS), ignore_index=True)


def _write_data(folder: Path, task: TaskSpec) -> Path:
    keys = keys_of(task)
    texts = {"family": task.family, "instruction": "?", "answer": "!", "provenance": "human", "licence": "CC0-1.0"}
    table = keys.assign(output=keys["sample_id"] + keys["response"], **texts)
    write_table(table, folder / f"{task.name}.parquet", SAMPLES, {})
    return folder / f"{task.name}.parquet"


def _write_task(path: Path, task: TaskSpec, rng: np.random.Generator) -> None:
    """Norms fall with length and scatter by sample, by response and by layer; cosines are small."""
    keys = keys_of(task)
    n = len(keys)
    tokens = np.ceil(keys["variant"].map(TOKENS).fillna(110) * rng.uniform(0.7, 1.3, n)).astype(int)
    measured = {"n_prompt_tokens": 50, "truncated": False, "status": "ok", "reason": None}
    measured |= {"loss": rng.uniform(0.5, 3, n), "n_response_tokens": tokens}
    write_table(keys.assign(**measured), path.with_suffix(".samples.parquet"), MEASURED_SAMPLES, {})

    _, units = np.unique(keys["sample_id"], return_inverse=True)
    size = rng.normal(0, 0.2, n) + rng.normal(0, 0.2, n)[units] - 0.4 * np.log(tokens)
    norms = CURVE[:, None] * np.exp(size.to_numpy()[:, None, None] + rng.normal(0, 0.1, (n, LAYERS, len(PROJECTIONS))))
    norms = norms.ravel()
    spectra = {"nuclear_norm": norms, "frobenius_norm": norms * rng.uniform(0.2, 0.5, norms.size)}
    spectra |= {"spectral_norm": norms * 0.2, "effective_rank": rng.uniform(5, 20, norms.size), "rank_bound": 64}
    spectra |= dict.fromkeys(("s_min", "stable_rank", "grad_mean", "grad_max", "grad_min"), 0.0)
    _write_long(path, keys, GRADIENT_PLACES, GRADIENTS, spectra)
    cosines = {"cosine": rng.normal(0, 0.02, n * len(COSINE_PLACES)), "reason": None}
    _write_long(path.with_suffix(".similarity.parquet"), keys, COSINE_PLACES, SIMILARITY, cosines)


def _write_long(path: Path, keys: pd.DataFrame, places: pd.DataFrame, schema: pa.Schema, values: dict) -> None:
    """One row a key and place, as ``write_table`` orders them."""
    keys, places = (table.astype(dict.fromkeys(table.select_dtypes("str"), "category")) for table in (keys, places))
    table = keys.loc[np.repeat(keys.index, len(places))].reset_index(drop=True)
    repeated = places.loc[np.tile(places.index, len(keys))].reset_index(drop=True)
    table = pd.concat([table, repeated], axis=1).assign(**values)[schema.names]
    write_arrow(pa.Table.from_pandas(table, schema=schema, preserve_index=False), path, {})
