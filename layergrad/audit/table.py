"""The audit of one task with one model's tokenizer: a row a variant and response, with counts and warnings."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import PreTrainedTokenizerBase

from layergrad.audit import cautions
from layergrad.audit.responses import Reading, examine
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256, text_sha256
from layergrad.contracts.keys import KNOWLEDGE_VARIANTS, RESPONSES, VARIANTS
from layergrad.contracts.tables import read_table, write_statistics
from layergrad.contracts.versions import code_version, package_versions
from layergrad.models.load import ModelOrigin, load_tokenizer

logger = logging.getLogger(__name__)

_POPULAR = KNOWLEDGE_VARIANTS[1:]
_TYPES = {
    **dict.fromkeys(("model", "task", "family", "variant", "response", "warnings"), "str"),
    **dict.fromkeys(("n_same_as_correct", "n_answer_missing"), "Int64"),  # either may be null
}


def audit_task(data: str | Path, origin: ModelOrigin, path: str | Path, *, model: str, reading: Reading) -> None:
    """Audit a task's table of samples; written at ``path`` as Parquet, and as CSV beside it."""
    tokenizer = load_tokenizer(origin)
    table = audit(read_table(data), tokenizer, model, reading)
    write_statistics(table, path, audit_facts(data, tokenizer, reading))


def audit(samples: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, model: str, reading: Reading) -> pd.DataFrame:
    """One row a variant and response of the uncontrolled samples of one task; those with a control are left out.

    ``samples`` has the keys, ``instruction`` and ``output``, and may have ``family`` and ``answer``. Columns that start
    with ``n_`` count responses: ``n_duplicated_instructions`` those of samples whose instruction an earlier sample has,
    ``n_literal_newlines`` those with a literal backslash and n in the instruction. ``n_same_as_correct`` is null for
    correct responses and where there are none, ``n_answer_missing`` where there is no answer or no reasoning. Raises
    ``UserError`` for a table without uncontrolled rows.
    """
    plain = samples[samples["control"] == "none"]
    if plain.empty:
        raise UserError("the data have no row of control none, and only such rows are audited")
    task, controlled = plain["task"].iloc[0], len(samples) - len(plain)
    logger.info("%s: auditing %d responses; %d with a control are left out", task, len(plain), controlled)
    rows = _ordered(examine(plain, tokenizer, reading))
    labels = {"model": model, "task": task, "family": plain["family"].iloc[0] if "family" in plain else None}
    cells = rows.groupby(["variant", "response"], observed=True, dropna=False)
    return pd.DataFrame([labels | _counts(cell, rows, reading) for _, cell in cells]).astype(_TYPES)


def audit_facts(data: str | Path, tokenizer: PreTrainedTokenizerBase, reading: Reading) -> dict[str, Any]:
    """What an audit was made from: checksums of data and tokenizer, how texts were read, code and versions."""
    return {
        "data": {"file": Path(data).name, "sha256": file_sha256(data), "control": "none"},
        "tokenizer": text_sha256(tokenizer.backend_tokenizer.to_str(), str(tokenizer.chat_template)),
        "reading": asdict(reading),
        "code": code_version("audit", "models/tokens.py"),
        "versions": package_versions(("pandas", "tokenizers", "transformers")),
    }


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Variants and responses in the vocabulary's order."""
    orders = {"variant": VARIANTS, "response": RESPONSES}
    return rows.assign(**{name: pd.Categorical(rows[name], order, ordered=True) for name, order in orders.items()})


def _counts(cell: pd.DataFrame, rows: pd.DataFrame, reading: Reading) -> dict[str, Any]:
    """The counts of one variant and response, and what there is to warn of beside the other ``rows``."""
    pairs = _pairs(cell, rows)
    same = (pairs["output"] == pairs["output_correct"]).sum()
    return {
        "variant": cell["variant"].iloc[0],
        "response": cell["response"].iloc[0],
        "rows": len(cell),
        "mean_words": cell["words"].mean(),
        "median_words": cell["words"].median(),
        "mean_tokens": cell["tokens"].mean(),
        "median_tokens": cell["tokens"].median(),
        "median_prompt_tokens": cell["prompt_tokens"].median(),
        "n_truncated": cell["truncated"].sum(),
        "n_same_as_correct": same if len(pairs) else None,
        "mean_newlines": cell["newlines"].mean(),
        "n_glued": cell["glued"].sum(),
        "n_duplicated_instructions": cautions.repeated(cell).sum(),
        "n_literal_newlines": cell["literal_in_instruction"].sum(),
        "n_answer_missing": cell["answer_missing"].sum(min_count=1),
        "warnings": "; ".join(_warnings(cell, pairs, rows, reading)),
    }


def _warnings(cell: pd.DataFrame, pairs: pd.DataFrame, rows: pd.DataFrame, reading: Reading) -> list[str]:
    variant, response = cell[["variant", "response"]].iloc[0]
    told = list(cautions.of_pairs(pairs)) if len(pairs) else []
    if response == "correct":
        told += cautions.of_answers(cell)
    popular = _shortest_popular(rows[rows["response"] == response])
    if variant == "unpopular" and popular is not None:
        told += cautions.of_popularity(cell, popular)
    return told + list(cautions.of_rows(cell, reading.max_length))


def _shortest_popular(rows: pd.DataFrame) -> pd.DataFrame | None:
    """The popular variant that is nearest in length to the unpopular one, if there is any."""
    popular = [part for variant, part in rows.groupby("variant", observed=True) if variant in _POPULAR]
    return min(popular, key=lambda part: part["tokens"].median(), default=None)


def _pairs(cell: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The responses of a cell, each beside its sample's correct one, if they are others and it has one."""
    same_variant = rows["variant"] == cell["variant"].iloc[0]
    correct = rows[same_variant & (rows["response"] == "correct")].drop_duplicates("sample_id")
    others = cell[cell["response"] != "correct"]
    return others.merge(correct, on="sample_id", suffixes=("", "_correct"))
