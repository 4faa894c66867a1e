"""A study of synthetic gradients, taken by the rules' own scripts all the way to the report: no model and no torch."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from synthetic_tables import KNOWLEDGE, Task

from layergrad.contracts.files import write_json
from layergrad.contracts.paths import COMPARISONS_PAGE, FIGURES, STATISTICS, task_page
from layergrad.contracts.tables import write_statistics

SCRIPTS = Path(__file__).parent.parent / "scripts"
SCALE = {("none", response): 8.0 for response in ("correct", "irrelevant")} | {("detailed", "irrelevant"): 2.0}
HOSTILE = 'Puzzles <script>alert("1")</script> 100 % | a_b & $x$'
MODELS = {"tiny": None, "tiny-chat": "tiny"}
"""The models, and what they were tuned from."""
KNOWN_WARNING = "a <b>bold</b> warning"


class Parts(list):
    """Like Snakemake's input, output and params: places and names."""

    def __init__(self, items=(), **names):
        super().__init__(items)
        vars(self).update(names)


def run(script, **fields):
    """Run a rule's script as Snakemake would."""
    job = SimpleNamespace(**({"log": [], "rule": script, "input": Parts(), "params": Parts()} | fields))
    runpy.run_path(str(SCRIPTS / f"{script}.py"), init_globals={"snakemake": job})


def model_of(name, base=None):
    """A model as the study file gives it."""
    model = {"name": name, "title": name.capitalize(), "weights": "random", "seed": 7, "dtype": "float32"}
    return model | {"prompt": "plain", "licence": "CC0-1.0", "note": "Its weights are <b>random</b>.", "base": base}


def study_of(tasks, models=None):
    """A study as plain values, of tasks with their titles."""
    specs = [
        {"name": task.name, "title": title, "family": task.family, "licence": "MIT & more", "attribution": "One, 2024"}
        for task, title in tasks
    ]
    models = [model_of(name, base) for name, base in (models or {"tiny": None}).items()]
    study = {"name": "trial", "title": "A trial", "models": models, "tasks": specs, "seed": 0, "max_length": 1024}
    return study | {"paper_compat": False, "irrelevant": "length_matched", "noisy_above": 0.15}


def audit_of(model, task):
    """The audit of a task's texts, made up; the texts of one model's alone have a cut response."""
    rows = []
    for variant, response in task.cells:
        other = response != "correct"
        row = {"model": model, "task": task.name, "family": task.family, "variant": variant, "response": response}
        row |= {"rows": 1500, "mean_words": 12.5, "median_words": 12.0, "mean_tokens": 20.0, "median_tokens": 19.5}
        row |= {"median_prompt_tokens": 31.0, "n_truncated": 0, "n_same_as_correct": 1234 if other else None}
        row |= {"mean_newlines": 0.0, "n_glued": 2, "n_duplicated_instructions": 1, "n_literal_newlines": 0}
        warnings = [KNOWN_WARNING] if other else []
        if model == "tiny-chat" and variant == "detailed":
            warnings.append("3 of 12 cut")
        rows.append(row | {"n_answer_missing": None, "warnings": "; ".join(warnings)})
    return pd.DataFrame(rows).astype({"n_same_as_correct": "Int64", "n_answer_missing": "Int64"})


def make_report(root):
    """The whole way from gradients to the report below ``root``; the study."""
    tasks = [Task(scale=SCALE, layers=6), Task("wiki", "knowledge", KNOWLEDGE, layers=6, seed=1)]
    study = study_of(zip(tasks, (HOSTILE, "Wikipedia: knowledge"), strict=True), MODELS)
    for model in MODELS:
        for task, spec in zip(tasks, study["tasks"], strict=True):
            _statistics_and_figures(root, model, task, spec["title"])
            audit = root / "audit" / model / f"{task.name}.parquet"
            audit.parent.mkdir(parents=True, exist_ok=True)
            write_statistics(audit_of(model, task), audit, {})
        check = {"name": "norms", "measured": 3.14e-7, "allowed": 1e-4, "meaning": "Norms are <those> of an SVD."}
        write_json(root / "diagnostics" / f"{model}.json", {"passed": True, "checks": [check]})
    parts = [root / "statistics" / model / task.name for model in MODELS for task in tasks]
    statistics = [root / "statistics" / f"{name}.parquet" for name in STATISTICS]
    run(
        "collect_statistics",
        input=[folder / f"{name}.parquet" for folder in parts for name in STATISTICS],
        output=statistics,
    )
    _compare(root, study["tasks"][0])
    output = Parts(tables=[root / "tables" / "mad.csv"], metrics=root / "metrics.json")
    bases = {model: base for model, base in MODELS.items() if base}
    run("write_tables", input=Parts(statistics=statistics), output=output, params=Parts(bases=bases))
    output = Parts([root / "report" / "index.html"])
    run(
        "write_report",
        input=Parts(**report_inputs(root)),
        output=output,
        params=Parts(study=study),
    )
    return study


def report_inputs(root):
    """Files of a made study that the report is made from, by kind."""
    return {
        "statistics": [root / "statistics" / f"{name}.parquet" for name in STATISTICS],
        "figures": sorted((root / "figures").rglob("*.svg")),
        "audits": sorted((root / "audit").rglob("*.parquet")),
        "diagnoses": sorted((root / "diagnostics").iterdir()),
        "claims": [],
        "comparisons": sorted((root / "compared").rglob("*.parquet")),
    }


def _compare(root, task):
    """The table and figures of a comparison: the tuned model with its base on one task."""
    labels = {"one": "tiny", "other": "tiny-chat", "on": task["name"], "paired": True}
    tables = [root / "in" / model / task["name"] for model in ("tiny", "tiny-chat")]
    paths = {name: [folder / f"{name}.parquet" for folder in tables] for name in ("gradients", "samples", "data")}
    table = root / "compared" / "tiny" / "tiny-chat" / f"{task['name']}.parquet"
    run("compare_pair", input=Parts(**paths), output=[table], params=Parts(labels=labels))
    figure = root / "figures" / "comparisons" / "tiny" / "tiny-chat" / task["name"] / "side_by_side.svg"
    titles = ["Tiny", "Tiny-chat", task["title"]]
    run("draw_comparison", input=[table], output=Parts(svg=[figure]), params=Parts(titles=titles))


def _statistics_and_figures(root, model, task, title):
    out, drawn = (root / kind / model / task.name for kind in ("statistics", "figures"))
    params = Parts(model={"name": model, "segments": None}, seed=0, noisy_above=0.15)
    names = Parts(model=model, task=task.name)
    paths = task.write(root / "in" / model)
    run("compute_statistics", input=Parts(**paths), output=[out / "cells.parquet"], params=params, wildcards=names)
    curves = Parts(curves=out / "curves.parquet", differences=out / "relative_difference_layers.parquet")
    titles = Parts(model_title=model.capitalize(), task_title=title)
    run("draw_figures", input=curves, output=Parts([drawn / f"{FIGURES[0]}.svg"]), params=titles)


def pages():
    """File names of the report's pages."""
    return ["index.html", "method.html", COMPARISONS_PAGE, *map(task_page, ("puzzles", "wiki"))]
