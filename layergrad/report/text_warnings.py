"""What the audit warns of, said once for all models whose texts it holds for."""

from typing import Any

import pandas as pd

from layergrad.report.words import VARIANTS, listing, model_titles


def warnings_of(audit: pd.DataFrame | None, study: dict[str, Any]) -> dict[str, list[str]]:
    """By task that has any: warnings with variant and response, and with models where not all have it."""
    if audit is None:
        return {}
    told = audit[audit["warnings"] != ""]
    told = told.assign(warning=told["warnings"].str.split("; ")).explode("warning")
    key = ["task", "variant", "response", "warning"]
    titles = model_titles(study)
    found: dict[str, list[str]] = {}
    for (task, variant, response, warning), rows in told.groupby(key, sort=False):
        models = [titles[name] for name in titles if name in set(rows["model"])]
        where = "" if len(models) == len(titles) else f" ({listing(models)})"
        found.setdefault(task, []).append(f"{VARIANTS[variant]}, {response}: {warning}{where}")
    return found
