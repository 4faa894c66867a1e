"""What the page on the method says of the study's own making: segments, settings, versions, and the verdicts on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from layergrad.contracts.files import read_json
from layergrad.contracts.tables import read_facts
from layergrad.report.words import listing, number


def measured_on(tables: dict[str, pd.DataFrame], cells: str | Path, study: dict[str, Any]) -> dict[str, Any]:
    """Segments of the models, settings, versions and checksums; the facts stand in the file of the table ``cells``."""
    facts = read_facts(cells)
    return {
        "segments": _segments(tables["mad"]),
        "versions": _versions(facts),
        "facts": facts,
        "settings": yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=100),
    }


def verdicts(diagnoses: Sequence[str | Path], study: dict[str, Any]) -> dict[str, Any]:
    """``verdicts``, a table with one row a model and one column a check, and what the checks' names mean."""
    found = {Path(file).stem: read_json(file) for file in diagnoses}
    rows = []
    meanings: dict[str, str] = {}
    for model in study["models"]:
        if model["name"] in found:
            diagnosis = found[model["name"]]
            row = {"model": model["title"], "verdict": "passed" if diagnosis["passed"] else "FAILED"}
            rows.append(row | {check["name"]: _outcome(check) for check in diagnosis["checks"]})
            meanings |= {check["name"]: check["meaning"] for check in diagnosis["checks"]}
    return {"verdicts": pd.DataFrame(rows).fillna("not made"), "meanings": meanings}


def _outcome(check: dict[str, Any]) -> str:
    return f"{number(check['measured'], 2)} of {number(check['allowed'], 1)}"


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
