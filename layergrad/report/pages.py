"""The report: an index, a page for each task and claim and one on the method; static, without a network."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from layergrad.contracts.files import whole_file, write_text
from layergrad.contracts.paths import CLAIMS_PAGE, COMPARISONS_PAGE, task_page
from layergrad.contracts.tables import read_table
from layergrad.report.assets import write_assets
from layergrad.report.charts import add_charts, write_points
from layergrad.report.claims_page import claims_of
from layergrad.report.comparisons_page import comparisons_of
from layergrad.report.findings import Numbers, findings
from layergrad.report.method import measured_on, verdicts
from layergrad.report.sections import FIGURE_TITLES, TABLE_TITLES, sections
from layergrad.report.tables import for_people, numeric_tables
from layergrad.report.text_warnings import warnings_of
from layergrad.report.words import VARIANTS, counted, listing, model_titles, number, task_titles

Page = tuple[str, str, dict[str, Any]]
"""File name, template and what it is filled with; ``above`` is the page of the menu that it belongs to, if another."""


def write_report(
    statistics: dict[str, str | Path],
    figures: list[str | Path],
    folder: str | Path,
    *,
    study: dict[str, Any],
    audits: Sequence[str | Path] = (),
    diagnoses: Sequence[str | Path] = (),
    claims: dict[str, str | Path] | None = None,
    comparisons: Sequence[str | Path] = (),
) -> None:
    """Write the study's report into ``folder``: ``index.html``, ``method.html``, a page a task, their figures as SVG
    and CSV, and ``assets``, with which the pages draw them as charts.

    ``statistics`` are the study's tables by name; ``figures`` are SVG files ``<model>/<task>/<figure>.svg``; ``study``
    is the resolved study file as plain values; ``audits`` are tables of the texts of a model and task, ``diagnoses``
    JSON files ``<model>.json``; ``claims`` are the files of the ledger by name, and give ``claims.html`` and a page a
    claim; ``comparisons`` are tables ``<one>/<other>/<on>.parquet`` and give ``comparisons.html``. Raises
    ``UserError`` if a figure is missing.
    """
    tables = {name: read_table(file) for name, file in statistics.items()}
    numbers = _numbers(tables, study)
    audit = pd.concat([read_table(file) for file in audits], ignore_index=True) if audits else None
    made = sections(study, numeric_tables(tables, tuned_from(study)), figures, audit)
    add_charts(made, tables)
    compared = comparisons_of(comparisons, figures, study)
    ledger = claims_of(claims, study) if claims else None
    warnings = warnings_of(audit, study)
    index = _index(numbers, made, study) | {
        "warnings": warnings,
        "comparisons": compared,
        "claims_summary": ledger["summary"] if ledger else [],
    }
    pages = [
        ("index.html", "index", index),
        *_claim_pages(ledger),
        *_task_pages(study, made, warnings, compared),
        *_comparison_pages(compared),
        ("method.html", "method", measured_on(tables, statistics["cells"], study) | verdicts(diagnoses, study)),
    ]
    _write(pages, Path(folder), {"study": study, "menu": _menu(study, {name for name, _, _ in pages})})
    _write_figures(made + compared, Path(folder))
    write_assets(Path(folder) / "assets")


def _claim_pages(ledger: dict[str, Any] | None) -> list[Page]:
    """The page of all claims, and one a claim."""
    if ledger is None:
        return []
    shown = {"symbols": ledger["symbols"], "above": CLAIMS_PAGE}
    own: list[Page] = [(claim["page"], "claim", shown | {"claim": claim}) for claim in ledger["claims"]]
    return [(CLAIMS_PAGE, "claims", ledger), *own]


def _task_pages(
    study: dict[str, Any],
    made: list[dict[str, Any]],
    warnings: dict[str, list[str]],
    compared: list[dict[str, Any]],
) -> list[Page]:
    pages: list[Page] = []
    for task in study["tasks"]:
        own = [section for section in made if section["task"] is task]
        context = {"task": task, "sections": own, "warnings": warnings.get(task["name"], []), "charts": _charts(own)}
        pages.append((task_page(task["name"]), "task", context | {"comparisons": compared}))
    return pages


def _comparison_pages(compared: list[dict[str, Any]]) -> list[Page]:
    return [(COMPARISONS_PAGE, "comparisons", {"sections": compared, "charts": _charts(compared)})] if compared else []


def tuned_from(study: dict[str, Any]) -> dict[str, str]:
    """By model, the one it was tuned from, where both are in the study."""
    names = {model["name"] for model in study["models"]}
    return {model["name"]: model["base"] for model in study["models"] if model.get("base") in names}


def _write(pages: list[Page], folder: Path, shared: dict[str, Any]) -> None:
    """``shared`` is what all pages are filled with besides their own."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("layergrad.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "listing": listing, "text_table": for_people}
    for name, template, context in pages:
        page = environment.get_template(f"{template}.html.j2")
        write_text(folder / name, page.render({"above": None} | shared | context, page=name))


def _menu(study: dict[str, Any], written: set[str]) -> list[tuple[str, str]]:
    """File and title of every page of its own, of those that are written."""
    pages = [
        ("index.html", "Findings"),
        (CLAIMS_PAGE, "Claims"),
        *((task_page(name), title) for name, title in task_titles(study).items()),
        (COMPARISONS_PAGE, "Side by side"),
        ("method.html", "Method"),
    ]
    return [(name, title) for name, title in pages if name in written]


def _charts(own: list[dict[str, Any]]) -> dict[str, Any]:
    """The charts of a page by the id of their figure."""
    return {
        f"{section['id']}.figure.{figure['name']}": figure["chart"]
        for section in own
        for figure in section["figures"]
        if figure["chart"]
    }


def _write_figures(made: list[dict[str, Any]], folder: Path) -> None:
    """Copies of the figures, so that the folder can be given away as it is, and the numbers of each beside it."""
    for section in made:
        for figure in section["figures"]:
            with whole_file(folder / figure["file"]) as temporary:
                shutil.copyfile(figure["source"], temporary)
            write_points(figure["points"], folder / figure["csv"])


def _index(numbers: Numbers, made: list[dict[str, Any]], study: dict[str, Any]) -> dict[str, Any]:
    """What the first page says, and where everything is."""
    cells = numbers.tables["cells"]
    there = {kind: {item["name"] for section in made for item in section[kind]} for kind in ("figures", "tables")}
    return {
        "counts": _counts(cells, study),
        "findings": findings(numbers),
        "templated": _templated(numbers),
        "fewest": counted(int(cells.query("n > 0")["n"].min()), "response"),
        "sections": made,
        "short": task_titles(study),
        "figure_titles": {name: title for name, title in FIGURE_TITLES.items() if name in there["figures"]},
        "table_titles": {name: title for name, title in TABLE_TITLES.items() if name in there["tables"]},
    }


def _numbers(tables: dict[str, pd.DataFrame], study: dict[str, Any]) -> Numbers:
    """What the findings are made from."""
    models, tasks = model_titles(study), task_titles(study)
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


def _counts(cells: pd.DataFrame, study: dict[str, Any]) -> str:
    """How much was measured, in one sentence."""
    tokens = float((cells["n"] * cells["mean_response_tokens"]).sum())
    lengths = f", {tokens:,.0f} response tokens in all" if tokens else ""
    return (
        f"{counted(int(cells['n'].sum()), 'response')} of {counted(len(study['tasks']), 'task')} were measured on "
        f"{counted(len(study['models']), 'model')}{lengths}."
    )
