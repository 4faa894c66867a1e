"""The report: one page that needs nothing but itself."""

import base64
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import write_text
from layergrad.contracts.paths import FIGURES, TABLES
from layergrad.contracts.tables import read_facts, read_table
from layergrad.report.findings import Numbers, findings
from layergrad.report.tables import for_people, numeric_tables
from layergrad.report.words import VARIANTS, counted, listing, number

TABLE_TITLES = {
    "cells": "What was measured",
    "nuclear_norm": "Size of the gradients",
    "mad": "Roughness over layers",
    "relative_difference": "Correct against other responses",
}
FIGURE_TITLES = {
    "nuclear_norm": "Nuclear norm by layer",
    "correct_irrelevant": "Correct against other responses",
    "sigma1_ratio": "Share of the largest singular value",
    "effective_rank": "Effective rank",
}


def write_report(
    statistics: dict[str, str | Path], figures: list[str | Path], path: str | Path, *, study: dict[str, Any]
) -> None:
    """Write the study's report as one HTML file without any outside part.

    ``statistics`` are the study's tables by name; ``figures`` are SVG files ``<model>/<task>/<figure>.svg``; ``study``
    is the resolved study file as plain values. Raises ``UserError`` if a figure is missing.
    """
    tables = {name: read_table(file) for name, file in statistics.items()}
    numbers = _numbers(tables, study)
    shown = numeric_tables(tables)
    context = {
        "study": study,
        "counts": _counts(numbers.tables["cells"], study),
        "findings": findings(numbers),
        "templated": _templated(numbers),
        "sections": [
            _section(model, task, shown, _figures(figures, model, task))
            for model in study["models"]
            for task in study["tasks"]
        ],
        "segments": _segments(numbers.tables["mad"]),
        "fewest": counted(int(numbers.tables["cells"].query("n > 0")["n"].min()), "response"),
        "facts": read_facts(statistics["cells"]),
        "settings": yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=100),
    }
    context["versions"] = _versions(context["facts"])
    write_text(path, _environment().get_template("report.html.j2").render(context))


def _numbers(tables: dict[str, pd.DataFrame], study: dict[str, Any]) -> Numbers:
    """What the findings are made from; a task is called by what stands before the colon of its title."""
    models = {model["name"]: model["title"] for model in study["models"]}
    tasks = {task["name"]: task["title"].partition(":")[0] for task in study["tasks"]}
    return Numbers(
        {name: table[table["control"] == "none"] for name, table in tables.items()}, models, tasks, study["noisy_above"]
    )


def _templated(numbers: Numbers) -> list[str]:
    """Tasks and, of each, the variants that a template wrote."""
    found: dict[str, list[str]] = {}
    for task, variant in numbers.templated():
        found.setdefault(task, []).append(variant)
    return [
        f"{numbers.tasks[task]}: {listing(VARIANTS[variant] for variant in VARIANTS if variant in found[task])}"
        for task in numbers.tasks
        if task in found
    ]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("layergrad.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "listing": listing, "text_table": for_people}
    return environment


def _section(model: dict, task: dict, tables: dict[str, pd.DataFrame], figures: dict[str, str]) -> dict[str, Any]:
    """Everything of one model and task: titles, figures as data URIs with their titles, tables."""
    found = {}
    for name in TABLES:
        table = tables[name]
        part = table[(table["model"] == model["name"]) & (table["task"] == task["name"])]
        found[name] = part.drop(columns=["model", "task"]).assign(variant=part["variant"].map(VARIANTS))
    return {
        "id": f"{model['name']}-{task['name']}",
        "model": model,
        "task": task,
        "figures": [(name, FIGURE_TITLES[name], uri) for name, uri in figures.items()],
        "tables": [(name, TABLE_TITLES[name], table) for name, table in found.items() if len(table)],
    }


def _figures(paths: list[str | Path], model: dict, task: dict) -> dict[str, str]:
    """Data URIs of the figures of one model and task by name, in the order of ``FIGURES``."""
    there = {Path(path).parts[-3:]: Path(path) for path in paths}
    found = {}
    for name in FIGURES:
        parts = (model["name"], task["name"], f"{name}.svg")
        if parts not in there:
            raise UserError(f"the figure {'/'.join(parts)} is not among the {len(paths)} given to the report")
        found[name] = "data:image/svg+xml;base64," + base64.b64encode(there[parts].read_bytes()).decode()
    return found


def _counts(cells: pd.DataFrame, study: dict[str, Any]) -> str:
    """How much was measured, in one sentence."""
    tokens = float((cells["n"] * cells["mean_response_tokens"]).sum())
    lengths = f", {tokens:,.0f} response tokens in all" if tokens else ""
    return (
        f"{counted(int(cells['n'].sum()), 'response')} of {counted(len(study['tasks']), 'task')} were measured on "
        f"{counted(len(study['models']), 'model')}{lengths}."
    )


def _segments(mad: pd.DataFrame) -> list[dict[str, Any]]:
    """By model: layers of its early, mid and last segment."""
    rows = mad.query("segment != 'all'")[["model", "segment", "first_layer", "last_layer"]].drop_duplicates().dropna()
    return [
        {
            "model": model,
            "parts": [f"{row.segment} {row.first_layer:.0f} to {row.last_layer:.0f}" for row in part.itertuples()],
        }
        for model, part in rows.groupby("model", sort=False)
    ]


def _versions(facts: dict[str, Any]) -> dict[str, str]:
    """Versions of all packages that had a hand in the numbers, as the tables record them."""
    found: dict[str, set[str]] = {}
    for record in facts.values():
        for part in ("data", "gradients"):
            for package, version in record.get(part, {}).get("versions", {}).items():
                found.setdefault(package, set()).add(str(version))
    return {package: listing(sorted(versions)) for package, versions in sorted(found.items())}
