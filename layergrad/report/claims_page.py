"""What the pages of the claims show: who claims what, what the study says to it, and by which numbers."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layergrad.contracts.files import read_json
from layergrad.contracts.paths import claim_page, task_page
from layergrad.contracts.tables import read_table
from layergrad.report.claims_summary import summary
from layergrad.report.examples import examples_of
from layergrad.report.words import model_titles, number, task_titles

SYMBOLS = {
    "supported": "\N{CHECK MARK}",
    "refuted": "\N{BALLOT X}",
    "inconclusive": "?",
    "not evaluable": "\N{EN DASH}",
    "descriptive": "\N{WHITE CIRCLE}",
}
PLAIN = {"control": "none", "title": "as measured", "statement": "All responses as they are, without a control."}
EVERY = "all"
"""Where a cell is of no single projection."""


def claims_of(files: dict[str, str | Path], study: dict[str, Any]) -> dict[str, Any]:
    """What the page of all claims is filled with, from the tables ``claims`` and ``examples`` and the JSON files
    ``ledger`` and ``controls``; each of its ``claims`` is what the claim's own page, ``page``, shows."""
    table, ledger = read_table(files["claims"]), read_json(files["ledger"])
    tested = set(table["control"])
    controls = [control for control in [PLAIN, *_others(files["controls"])] if control["control"] in tested]
    models = model_titles(study)
    entries, examples = _entries(table), read_table(files["examples"])
    return {
        "symbols": SYMBOLS,
        "controls": controls,
        "summary": summary(table[table["level"] == "overall"], controls, [claim["claim"] for claim in ledger]),
        "by_model": _by_model(_of(entries, control="none"), ledger, models),
        "by_control": _by_control(_of(entries, level="overall"), ledger, controls),
        "claims": [
            claim
            | _with_evidence(claim["claim"], _of(entries, claim=claim["claim"]), controls, study)
            | {"examples": examples_of(examples[examples["claim"] == claim["claim"]], study)}
            for claim in ledger
        ],
    }


def _of(entries: list[dict[str, Any]], **wanted: str) -> list[dict[str, Any]]:
    """Those that have the wanted values."""
    return [entry for entry in entries if all(entry[name] == value for name, value in wanted.items())]


def _with_evidence(name: str, entries: list[dict], controls: list[dict], study: dict[str, Any]) -> dict[str, Any]:
    """Where the page of a claim is, its verdict over all models as measured, and its evidence by control."""
    return {
        "page": claim_page(name),
        "verdicts": _of(entries, level="overall", control=PLAIN["control"]),
        "evidence": list(_evidence(entries, controls, study)),
    }


def _others(path: str | Path) -> list[dict[str, Any]]:
    """The controls that take something away."""
    return [control for control in read_json(path) if control["control"] != "none"]


def _by_model(plain: list[dict], ledger: list[dict], models: dict[str, str]) -> dict[str, Any]:
    """The matrix of claims by model and, of several, over all models, without a control."""
    columns = [(title, _of(plain, level="model", model=name)) for name, title in models.items()]
    whole = [("all models", _of(plain, level="overall"))] if len(models) > 1 else []
    return _matrix([*whole, *columns], ledger)


def _by_control(overall: list[dict], ledger: list[dict], controls: list[dict]) -> dict[str, Any]:
    """The matrix of claims by control, over all models."""
    return _matrix([(each["title"], _of(overall, control=each["control"])) for each in controls], ledger)


def _matrix(columns: list[tuple[str, list[dict]]], ledger: list[dict]) -> dict[str, Any]:
    """Headings, and for each claim a row of cells, each with the verdicts of one column, mostly one."""
    rows = [
        {
            "claim": claim["claim"],
            "page": claim_page(claim["claim"]),
            "title": claim["title"],
            "cells": [_of(part, claim=claim["claim"]) for _, part in columns],
        }
        for claim in ledger
    ]
    return {"headings": [heading for heading, _ in columns], "rows": rows}


def _evidence(entries: list[dict], controls: list[dict], study: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of one claim and each control that it was tested with: the verdicts, and the cells that they stand on.

    The verdict on a study's only model is that of all, and stands there once.
    """
    models = model_titles(study)
    for control in controls:
        part = _of(entries, control=control["control"])
        overall = [entry | {"model": "all models"} for entry in _of(part, level="overall")]
        own = [entry | {"model": models.get(entry["model"], entry["model"])} for entry in _of(part, level="model")]
        verdicts = own if own and len(models) == 1 else [*overall, *own]
        if verdicts:
            cells = _cells(_of(part, level="cell"), models, study)
            yield {"control": control, "overall": overall, "verdicts": verdicts, **cells}


def _cells(part: list[dict], models: dict[str, str], study: dict[str, Any]) -> dict[str, Any]:
    """One row a model, task and contrast, one column a projection, each row with the place of its figures."""
    tasks = task_titles(study)
    found: dict[tuple, dict[str, dict]] = {}
    for entry in part:
        key = (entry["model"], entry["task"], entry["contrast"])
        found.setdefault(key, {})[entry["projection"] or EVERY] = entry
    projections = list(dict.fromkeys(projection for cells in found.values() for projection in cells))
    rows = [
        {
            "model": models.get(model, ""),
            "task": tasks.get(task, ""),
            "page": task_page(task) if task in tasks and model in models else None,
            "id": model,
            "contrast": contrast or "",
            "n": _range(cells.values()),
            "entries": [cells.get(projection) for projection in projections],
            "reason": _common(cells.values()),
        }
        for (model, task, contrast), cells in found.items()
    ]
    return {"projections": projections, "cells": rows}


def _common(cells: Iterable[dict[str, Any]]) -> str:
    """The reason that all cells of a row share; where they have several, each stands with its own cell."""
    reasons = {entry["reason"] for entry in cells}
    return reasons.pop() if len(reasons) == 1 else ""


def _range(cells: Iterable[dict[str, Any]]) -> str:
    """How many samples the cells of a row stand on."""
    known = sorted({int(entry["n"]) for entry in cells if entry["n"]})
    return "" if not known else str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"


def _entries(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Verdicts with their numbers as text; the number of a missing one is empty."""
    return [
        {
            **{name: row[name] for name in ("claim", "level", "control", "model", "task", "contrast", "projection")},
            "verdict": row["verdict"],
            "effect": effect_of(row),
            "n": "" if row["n"] is None else str(int(row["n"])),
            "effect_size": _text(row["effect_size"], 3),
            "p": _text(row["p"], 2),
            "q": _text(row["q"], 2),
            "reason": row["reason"] or "",
            "unit": row["unit"] or "",
        }
        for row in table.astype(object).where(table.notna(), None).to_dict("records")
    ]


def effect_of(row: dict[str, Any]) -> str:
    """Estimate and interval; of a natural log ratio, the ratio that it stands for, after a sign of multiplication."""
    if row["estimate"] is None:
        return ""
    ratio = row["unit"] == "log ratio"
    values = [row["estimate"], row["low"], row["high"]]
    texts = [_text(np.exp(value) if ratio and value is not None else value, 3) for value in values]
    interval = f" [{texts[1]}, {texts[2]}]" if texts[1] and texts[2] else ""
    return ("\N{MULTIPLICATION SIGN}" if ratio else "") + texts[0] + interval


def _text(value: float | None, digits: int) -> str:
    return "" if value is None else number(float(value), digits)
