"""The samples in which a claim shows most, as the page of the claim tells them."""

from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from layergrad.contracts.paths import task_page
from layergrad.report.words import VARIANTS, model_titles, number, task_titles


def examples_of(table: pd.DataFrame, study: dict[str, Any]) -> list[dict[str, Any]]:
    """By contrast, from the rows of one claim: samples, each with effect, origin, prompt and responses."""
    models, tasks = model_titles(study), task_titles(study)
    rows = [row for row in table.to_dict("records") if row["task"] in tasks and row["model"] in models]
    contrasts = groupby(rows, key=itemgetter("contrast"))
    return [
        {
            "contrast": contrast,
            "samples": [
                _sample(list(responses), models, tasks)
                for _, responses in groupby(found, key=itemgetter("model", "place"))
            ],
        }
        for contrast, found in contrasts
    ]


def _sample(responses: list[dict[str, Any]], models: dict[str, str], tasks: dict[str, str]) -> dict[str, Any]:
    first = responses[0]
    return {
        "effect": f"\N{MULTIPLICATION SIGN}{number(float(np.exp(first['effect'])))}",
        "model": models[first["model"]],
        "id": first["model"],
        "task": tasks[first["task"]],
        "page": task_page(first["task"]),
        "sample_id": first["sample_id"],
        "instruction": first["instruction"],
        "responses": [
            {"title": f"{row['response']}, {VARIANTS[row['variant']]}", "text": row["output"]} for row in responses
        ],
    }
