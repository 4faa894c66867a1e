"""Responses that a source holds ready: rows of ``instruction`` and ``output``, matched by the prompt."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from layergrad.contracts.config.tasks import TaskContent
from layergrad.contracts.errors import UserError
from layergrad.data.readers.rows import read_fields


def with_given(rendered: pd.DataFrame, task: TaskContent, files: Mapping[str, list[Path]]) -> pd.DataFrame:
    """``rendered`` with the responses that sources give, byte for byte; empty where a source has none for a prompt.

    Of prompts that recur, the first takes the first output, and so on. A given correct response is also what the row
    lends to others, where no template says otherwise. Raises ``UserError`` for a source that fits no prompt.
    """
    rendered = rendered.copy()
    prompts = _keys(rendered["instruction"])
    for (variant, response), source in task.given().items():
        outputs = _outputs(files[source]).reindex(prompts).fillna("").to_numpy()
        if not (outputs != "").any():
            raise UserError(
                f"task {task.name}: source {source}: no instruction in it is a prompt of the task; "
                f"the first prompt is {rendered['instruction'].iloc[0]!r:.120}"
            )
        rendered[f"{variant}.{response}"] = outputs
        if response == "correct" and not task.variants[variant].pool:
            rendered[f"{variant}.pool"] = outputs
    return rendered


def _outputs(paths: list[Path]) -> pd.Series:
    """Outputs by instruction and its occurrence."""
    rows = pd.DataFrame([row for path in paths for row in read_fields(path, ("instruction", "output"), ())])
    return pd.Series(rows["output"].to_numpy(object), index=_keys(rows["instruction"]))


def _keys(instructions: pd.Series) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([instructions, instructions.groupby(instructions).cumcount()])
