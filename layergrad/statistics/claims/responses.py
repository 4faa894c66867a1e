"""The measured responses as arrays, by what they are: what every claim is tested on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import KEYS, PROJECTIONS
from layergrad.contracts.tables import read_facts

QUANTITIES = ("nuclear_norm", "frobenius_norm", "effective_rank", "rank_bound")
_FINITE = ("nuclear_norm", "frobenius_norm", "spectral_norm")
_TEXTS = ("family", "output", "provenance")


@dataclass(frozen=True)
class Samples:
    """Responses of one variant, kind and control, one a sample, in the order of the samples of their task."""

    units: np.ndarray
    """Places (n,) of the samples among all of the task, ascending."""
    tokens: np.ndarray
    """Response tokens (n,)."""
    loss: np.ndarray
    """Mean cross-entropy (n,)."""
    distinct: np.ndarray
    """Whether the text is another one than that of the sample's correct response (n,)."""
    values: dict[str, np.ndarray]
    """Every one of ``QUANTITIES``, (n, projections, layers), in float32: a study's have to fit in memory at once."""
    cosines: dict[tuple[str, str], np.ndarray]
    """By (kind, projection), (n, layers), null where gradients have none; empty where they were not measured."""


@dataclass(frozen=True)
class TaskResponses:
    """All used responses of one model to one task."""

    family: str
    n_units: int
    """Samples of the task, measured or not."""
    projections: tuple[str, ...]
    n_layers: int
    templated: frozenset[str]
    """Variants of which a template wrote correct responses."""
    groups: dict[tuple[str, str, str], Samples]
    """By (variant, response, control)."""


@dataclass(frozen=True)
class Texts:
    """What is told of the responses to one task by their texts, which all models read."""

    path: Path
    family: str
    n_units: int
    """Samples of the task."""
    templated: frozenset[str]
    """Variants of which a template wrote correct responses."""
    rows: pd.DataFrame
    """By the key: ``unit``, the place of the sample, and ``distinct``, whether the text is not the correct one."""


def read_texts(data: str | Path) -> Texts:
    """Read the table of the responses to one task."""
    texts = _with_plain_keys(_read(data, [*KEYS, *_TEXTS]).to_pandas())
    outputs, units = texts["output"].str.strip(), pd.Index(sorted(texts["sample_id"].unique()))
    correct = (texts["response"] == "correct") & (texts["control"] == "none") & (texts["replicate"] == 0)
    own = outputs.set_axis(pd.MultiIndex.from_frame(texts[["sample_id", "variant"]]))
    own = own[correct.to_numpy()].reindex(own.index).to_numpy()
    made = texts[(texts["response"] == "correct") & (texts["provenance"] == "template")]
    return Texts(
        path=Path(data),
        family=str(texts["family"].iloc[0]),
        n_units=len(units),
        templated=frozenset(made["variant"]),
        rows=texts[list(KEYS)].assign(unit=units.get_indexer(texts["sample_id"]), distinct=outputs != own),
    )


def _with_plain_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """Tables with categories of their own cannot be joined."""
    return frame.astype(dict.fromkeys(set(KEYS) - {"replicate"}, "str"))


def read_responses(
    gradients: str | Path, samples: str | Path, texts: Texts, similarity: str | Path | None = None
) -> TaskResponses:
    """Read the tables of one model and task: the responses that ``statistics.measured`` uses, and the same values.

    It is five times as fast, since it relies on what ``write_table`` promises: all tables are in the order of the key,
    and a measured response has a row for every layer and projection. Raises ``UserError`` where that is not so.
    """
    columns = ["sample_id", "layer", "projection", *dict.fromkeys([*QUANTITIES, *_FINITE])]
    responses = _read(samples, [*KEYS, "loss", "n_response_tokens", "status"]).to_pandas()
    responses, spectra = responses[responses["status"] == "ok"].reset_index(drop=True), _read(gradients, columns)
    projections, n_layers = _projections(spectra), int(spectra["layer"].to_numpy().max()) + 1
    values = _by_response(spectra, responses, projections, n_layers, gradients)
    finite = np.all([np.isfinite(values[name]).all(axis=(1, 2)) for name in _FINITE], axis=0)
    finite &= np.isfinite(responses["loss"].to_numpy())
    cosines = _cosines(similarity, responses) if similarity else {}
    responses = _with_texts(responses, texts)
    return TaskResponses(
        family=texts.family,
        n_units=texts.n_units,
        projections=projections,
        n_layers=n_layers,
        templated=texts.templated,
        groups=dict(_groups(responses, finite, values, cosines)),
    )


def _read(path: str | Path, columns: list[str]) -> pa.Table:
    read_facts(path)  # a damaged file is told here
    # The job has one core, and the file is near: threads and reading ahead cost more than they bring.
    return pq.read_table(path, columns=columns, use_threads=False, pre_buffer=False)


def _projections(spectra: pa.Table) -> tuple[str, ...]:
    there = set(spectra["projection"].combine_chunks().dictionary.to_pylist())
    return tuple(name for name in PROJECTIONS if name in there)


def _by_response(
    spectra: pa.Table, responses: pd.DataFrame, projections: tuple[str, ...], n_layers: int, path: str | Path
) -> dict[str, np.ndarray]:
    """Each quantity as responses x projections x layers; rows come by response, layer and name of the projection."""
    names = sorted(projections)
    places = [(layer, name) for layer in range(n_layers) for name in names]
    _check_order(spectra, responses, places, path)
    order = [names.index(name) for name in projections]
    shape = (len(responses), n_layers, len(names))
    return {
        name: spectra[name].to_numpy().astype(np.float32).reshape(shape)[:, :, order].transpose(0, 2, 1)
        for name in dict.fromkeys([*QUANTITIES, *_FINITE])
    }


def _cosines(path: str | Path, responses: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """By kind and projection, responses x layers."""
    table = _read(path, ["sample_id", "kind", "layer", "projection", "cosine"])
    pairs = table.slice(0, len(table) // max(1, len(responses))).to_pandas()
    places = list(pairs[["layer", "projection"]].itertuples(index=False, name=None))
    _check_order(table, responses, places, path)
    cosines = table["cosine"].to_numpy().astype(np.float32).reshape(len(responses), -1)
    kinds = pairs.groupby(["kind", "projection"], observed=True).indices
    return {name: cosines[:, columns] for name, columns in kinds.items()}


def _check_order(table: pa.Table, responses: pd.DataFrame, places: list[tuple[int, str]], path: str | Path) -> None:
    """Every response has one row a (layer, projection) of ``places``, in their order, and none has any other."""
    width, layers, names = len(places), [layer for layer, _ in places], [name for _, name in places]
    projection, sample = (table[name].combine_chunks() for name in ("projection", "sample_id"))
    code = {name: i for i, name in enumerate(projection.dictionary.to_pylist())}
    if (
        len(table) != width * len(responses)
        or (table["layer"].to_numpy().reshape(-1, width) != layers).any()
        or (projection.indices.to_numpy().reshape(-1, width) != [code[name] for name in names]).any()
        or (sample[::width].to_pandas().astype(str) != responses["sample_id"].astype(str)).any()
    ):
        raise UserError(f"{path}: its rows are not those of the responses measured; remove it and run again")


def _with_texts(responses: pd.DataFrame, texts: Texts) -> pd.DataFrame:
    """Add the place of each sample, and whether its text is another one than that of the correct response."""
    merged = _with_plain_keys(responses).merge(texts.rows, on=list(KEYS), how="left", indicator="found")
    strangers = merged.loc[merged["found"] != "both", "sample_id"]
    if len(strangers):
        raise UserError(f"{texts.path}: has no response of sample {strangers.iloc[0]}, which was measured")
    return merged.astype({"unit": "int64", "distinct": "bool"})


def _groups(
    responses: pd.DataFrame,
    finite: np.ndarray,
    values: dict[str, np.ndarray],
    cosines: dict[tuple[str, str], np.ndarray],
) -> Iterator[tuple[tuple[str, str, str], Samples]]:
    used = np.flatnonzero(finite)
    cells = responses.iloc[used].groupby(["variant", "response", "control"]).indices
    for key, places in sorted(cells.items()):
        rows = used[places]
        units, sample = np.unique(responses["unit"].to_numpy()[rows], return_inverse=True)
        columns = ("n_response_tokens", "loss", "distinct")
        tokens, loss, distinct = (_by_sample(responses[name].to_numpy(float), rows, sample) for name in columns)
        chosen = {name: _by_sample(values[name], rows, sample) for name in QUANTITIES}
        yield (
            key,
            Samples(
                units,
                tokens,
                loss,
                distinct > 0,
                chosen,
                {name: _by_sample(array, rows, sample) for name, array in cosines.items()},
            ),
        )


def _by_sample(array: np.ndarray, rows: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Mean over the replicates of each sample: of the rows, by the place of their sample."""
    if len(rows) == sample.max() + 1:
        return array[rows[np.argsort(sample)]]
    total = np.zeros((sample.max() + 1, *array.shape[1:]))
    np.add.at(total, sample, array[rows])
    return total / np.bincount(sample).reshape(-1, *[1] * (array.ndim - 1))
