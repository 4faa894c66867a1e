"""A small ledger of claims with verdicts that are known, as the report gets it."""

import itertools
import math
from pathlib import Path

import pandas as pd
from synthetic_report import MODELS, Parts, report_inputs, run

from layergrad.contracts.files import write_json
from layergrad.contracts.paths import claim_page
from layergrad.contracts.tables import write_statistics

VERDICTS = {
    "C1": {"none": "supported", "equal_length": "supported", "loss_scale": "inconclusive"},
    "C2": {"none": "supported", "equal_length": "refuted", "loss_scale": "refuted"},
    "C5": {"none": "refuted", "equal_length": "supported"},
    "C7": {"none": "inconclusive"},
    "C8": {"none": "not evaluable"},
    "C12": {"none": "descriptive"},
    "B6": {"none": "supported", "equal_length": "not evaluable"},
}
"""By claim and control, over all models."""
UNITS = {"C7": "ratio", "C12": "ratio", "B6": "cosine"}
CONTROLS = {"equal_length": "Equal <length>", "loss_scale": "Loss scale", "untrained": "Untrained"}
REASON = "no base & instruct pair"
RATIO = 1.45
"""The log ratio of every claim that has one."""


def claim_pages() -> list[str]:
    """File names of the pages that the report has with this ledger."""
    return ["claims.html", *map(claim_page, VERDICTS)]


def report_with_claims(made, folder: Path, tasks: list[str]) -> dict[str, Path]:
    """Write the report of the synthetic study into ``folder/report``, with this ledger: the ledger's files by name."""
    root, study = made
    files = write_claims(folder / "claims", list(MODELS), tasks)
    inputs = Parts(**report_inputs(root) | {"claims": list(files.values())})
    run("write_report", input=inputs, output=Parts([folder / "report" / "index.html"]), params=Parts(study=study))
    return files


def write_claims(folder: Path, models: list[str], tasks: list[str]) -> dict[str, Path]:
    """Write the ledger's four files into ``folder``: their paths by name."""
    rows = [
        row
        for claim, verdicts in VERDICTS.items()
        for control, verdict in verdicts.items()
        for row in _rows(claim, control, verdict, models, tasks)
    ]
    ledger = [
        {"claim": claim, "title": f"Title of {claim}", "statement": f"What {claim} <says>.", "source": "abstract"}
        | {"statistic": "nuclear norm", "direction": "greater", "rule": "q below 0.05"}
        for claim in VERDICTS
    ]
    controls = [{"control": name, "title": title, "statement": f"{title}!"} for name, title in CONTROLS.items()]
    paths = {name: folder / f"{name}.{end}" for name, end in (("claims", "parquet"), ("ledger", "json"))}
    paths |= {"controls": folder / "controls.json", "examples": folder / "examples.parquet"}
    folder.mkdir(parents=True, exist_ok=True)
    write_statistics(pd.DataFrame(rows), paths["claims"], {})
    write_json(paths["ledger"], ledger)
    write_json(paths["controls"], controls)
    write_statistics(_examples(models[0], tasks[0]), paths["examples"], {})
    return paths


def _examples(model: str, task: str) -> pd.DataFrame:
    """Two samples of C1, each with two responses, whose texts are long and no HTML."""
    shared = {"claim": "C1", "contrast": "none over simplified", "model": model, "task": task, "response": "correct"}
    return pd.DataFrame(
        [
            shared
            | {"place": place, "effect": RATIO, "variant": variant, "sample_id": f"sample{place}"}
            | {
                "instruction": f"How many <b>pens</b>, {place}?",
                "output": f"{variant} {place}: {'so <i>many</i> ' * 90}",
            }
            for place in (1, 2)
            for variant in ("none", "simplified")
        ]
    )


def _rows(claim: str, control: str, verdict: str, models: list[str], tasks: list[str]) -> list[dict]:
    shared = {"claim": claim, "control": control, "verdict": verdict, "unit": UNITS.get(claim, "log ratio")}
    shared |= {"reason": REASON if verdict == "not evaluable" else None} | _numbers(claim, verdict)
    nowhere = dict.fromkeys(("model", "task", "contrast", "projection"))
    rows = [shared | nowhere | {"level": "overall"}]
    rows += [shared | nowhere | {"level": "model", "model": model} for model in models]
    if verdict == "not evaluable":
        return rows
    projections = [None] if claim == "C7" else ["q", "k", "v", "o"]
    contrasts = ["none over simplified", "simplified over detailed"] if claim in ("C1", "C2") else [None]
    for model, task, contrast, projection in itertools.product(models, tasks, contrasts, projections):
        where = {"model": model, "task": task, "contrast": contrast, "projection": projection}
        rows.append(shared | where | {"level": "cell"})
    return rows


def _numbers(claim: str, verdict: str) -> dict:
    if verdict == "not evaluable":
        return dict.fromkeys(("estimate", "low", "high", "effect_size", "p", "q")) | {"n": 0}
    estimate = RATIO if claim not in UNITS else 0.25
    numbers = {"n": 48, "estimate": estimate, "low": estimate - math.log(1.25), "high": estimate + math.log(1.25)}
    tested = {"effect_size": 0.91, "p": 0.00012, "q": 0.0034}
    return numbers | (tested if verdict != "descriptive" else dict.fromkeys(tested))
