"""From the tables of a study to the files of its claims."""

from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layergrad.contracts.files import write_json, write_text
from layergrad.contracts.tables import read_facts, write_statistics
from layergrad.statistics.claims.evaluate import evaluate
from layergrad.statistics.claims.evidence import Evidence, MissingDataError
from layergrad.statistics.claims.examples import examples, with_texts
from layergrad.statistics.claims.ledger import LEDGER
from layergrad.statistics.claims.lengths import FittedLaw
from layergrad.statistics.claims.responses import read_responses, read_texts
from layergrad.statistics.claims.rows import Row, frame_of
from layergrad.statistics.claims.words import control_entries, entries, latex, nested, summary, verdict_metrics

EVIDENCE = ("C12", "C13", "C14")
"""Claims that are shown and not judged, whose numbers have tables of their own."""


def write_claims(
    gradients: list[str | Path],
    data: list[str | Path],
    folder: str | Path,
    *,
    models: list[dict[str, Any]],
    title: str,
    seed: int = 0,
    similarity: bool = False,
) -> None:
    """Evaluate the ledger and write every file of ``CLAIMS`` into ``folder``.

    ``gradients`` are the study's ``<model>/<task>.parquet``, beside which the tables of samples and, with
    ``similarity``, of cosines lie; ``data`` are its ``<task>.parquet``; ``models`` say of each its ``name`` and, where
    there are, ``base``, ``untrained_of`` and ``segments``.
    """
    evidence = read_evidence(gradients, data, models, seed, similarity)
    rows = evaluate(evidence)
    facts = {"seed": seed, "gradients": {_name(path): read_facts(path) for path in map(Path, gradients)}}
    folder = Path(folder)
    write_statistics(frame_of(rows), folder / "claims.parquet", facts)
    for claim in EVIDENCE:
        write_statistics(_evidence(rows, claim), folder / f"evidence_{claim}.parquet", facts)
    write_statistics(length_laws(evidence), folder / "length_laws.parquet", facts)
    write_statistics(with_texts(examples(evidence), data), folder / "examples.parquet", facts)
    write_json(folder / "claims.json", nested(LEDGER, rows))
    write_json(folder / "ledger.json", entries(LEDGER))
    write_json(folder / "controls.json", control_entries())
    write_json(folder / "verdicts.json", verdict_metrics(rows))
    write_text(folder / "claims.tex", latex(LEDGER, rows))
    write_text(folder / "summary.md", summary(LEDGER, rows, title))


def read_evidence(
    gradients: list[str | Path], data: list[str | Path], models: list[dict[str, Any]], seed: int, similarity: bool
) -> Evidence:
    """All responses of a study."""
    texts = {Path(path).stem: read_texts(path) for path in data}
    responses = {}
    for path in map(Path, gradients):
        samples = path.with_suffix(".samples.parquet")
        cosines = path.with_suffix(".similarity.parquet") if similarity else None
        responses[path.parent.name, path.stem] = read_responses(path, samples, texts[path.stem], cosines)
    return Evidence(responses, {model["name"]: model for model in models}, seed)


def _evidence(rows: list[Row], claim: str) -> pd.DataFrame:
    """The cells of a claim that has no verdict, in a simple form."""
    table = frame_of([row for row in rows if row.claim == claim and row.level == "cell" and np.isfinite(row.estimate)])
    columns = ["control", "model", "task", "contrast", "projection", "n", "estimate", "low", "high", "p", "unit"]
    return table[columns].assign(note=table["reason"])


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def length_laws(evidence: Evidence) -> pd.DataFrame:
    """Power of the number of response tokens that nuclear norm and effective rank follow, and what it explains."""
    rows = []
    for model in evidence.models:
        projections = next(found.projections for (name, _), found in evidence.responses.items() if name == model)
        for fitted_on in ("all", "knowledge"):
            for quantity in ("nuclear_norm", "effective_rank"):
                try:
                    laws = evidence.laws(model, fitted_on, quantity)
                except MissingDataError:
                    continue
                for projection, law in zip(projections, laws, strict=True):
                    rows.append((model, fitted_on, quantity, projection, *astuple(law)))
    columns = [field.name for field in fields(FittedLaw)]
    return pd.DataFrame(rows, columns=["model", "fitted_on", "quantity", "projection", *columns])
