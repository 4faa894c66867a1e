"""From the fetched files of a task to its table of samples."""

import importlib.metadata
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import datasets
import pandas as pd
from tokenizers import Tokenizer

from layergrad.contracts.config.tasks import TaskContent
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256, read_json, text_sha256
from layergrad.contracts.keys import RESPONSES, sample_id
from layergrad.data.controls import control_rows
from layergrad.data.given import with_given
from layergrad.data.irrelevant import CountTokens, Response, irrelevant
from layergrad.data.readers import read_rows
from layergrad.data.select import select
from layergrad.data.sources import fetched_files
from layergrad.data.templates import Templates

logger = logging.getLogger(__name__)

Method = Literal["length_matched", "shuffled"]
PACKAGES = ("datasets", "jinja2", "mwparserfromhell", "scipy", "sentencex", "tokenizers")


class Built(NamedTuple):
    """What a task is made into; both tables have the columns of ``contracts.tables.SAMPLES``."""

    samples: pd.DataFrame
    """The responses that are measured."""
    pool: pd.DataFrame
    """Every response of every row, from which the samples are taken."""
    facts: dict[str, Any]
    """What both were made from."""


def build_task(
    task: TaskContent,
    templates: Mapping[str, str],
    listing: str | Path,
    tokenizer: str | Path | None,
    seed: int,
    method: Method,
    controls: Sequence[str] = (),
    max_length: int = 1024,
) -> Built:
    """The samples of a task, the pool they are taken from, and the facts both were made from.

    ``listing`` is what ``fetch_sources`` wrote; ``templates`` are texts by file name; ``tokenizer`` is a
    ``tokenizer.json``, whose tokens measure length; a task that does not measure any needs none. Raises ``UserError``
    for rows, templates and counts that do not fit.
    """
    count_tokens = token_counter(tokenizer) if tokenizer else _no_tokenizer
    files = fetched_files(listing)
    rows = read_rows(task, files, seed, count_tokens)
    rendered = with_given(render(rows, task, Templates(task, templates)), task, files)
    responses = {variant: _responses(rendered, variant) for variant in task.variants}
    for variant, correct in responses.items():
        if not task.variants[variant].irrelevant:
            rendered[f"{variant}.irrelevant"] = irrelevant(correct, method, seed, count_tokens)
    facts = {
        "task": task.model_dump(mode="json"),
        "seed": seed,
        "irrelevant": method,
        "controls": list(controls),
        "max_length": max_length,
        "templates": {name: text_sha256(templates[name]) for name in task.templates()},
        "sources": read_json(listing),
        "length_tokenizer": file_sha256(tokenizer) if tokenizer else None,
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
    }
    plain = samples(rendered, task, seed)
    controlled = control_rows(plain, rendered, responses, controls, seed, count_tokens, max_length)
    frame = pd.concat([plain, controlled], ignore_index=True)
    logger.info("%s: %d responses", task.name, len(frame))
    return Built(frame, pool(rendered, task), facts)


def token_counter(path: str | Path) -> CountTokens:
    """A function that counts the tokens of a text, without special tokens. Raises ``UserError`` for a bad file."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        raise UserError(f"{path}: cannot be read as a tokenizer.json: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _no_tokenizer(text: str) -> int:
    raise UserError("no length_tokenizer is given, but responses are made here by the length of others")


def render(rows: datasets.Dataset, task: TaskContent, templates: Templates) -> pd.DataFrame:
    """A row for every row of the task: ``sample_id``, ``group`` and all texts that ``Templates.render`` gives.

    Rows are of one group if they share the task's field ``group``, or, if it names none, their instruction: what one
    says is an answer to the other's question.
    """
    if task.group is not None and task.group not in rows.column_names:
        raise UserError(f"task {task.name}: group: {task.group!r} given; fields of a row are: {rows.column_names}")
    # The fingerprint names a file of the library's cache, which rows in memory do not have.
    texts = rows.map(templates.render, remove_columns=rows.column_names, new_fingerprint="rendered").to_pandas()
    occurrences = texts.groupby("instruction").cumcount()
    texts["sample_id"] = [
        sample_id(task.name, instruction, occurrence)
        for instruction, occurrence in zip(texts["instruction"], occurrences, strict=True)
    ]
    texts["group"] = [str(value) for value in rows[task.group]] if task.group else texts["instruction"]
    return texts


def _responses(rendered: pd.DataFrame, variant: str) -> list[Response]:
    """The correct responses of a variant; one that is nothing but the row's answer is a bare one."""
    return [
        Response(
            sample_id=row["sample_id"],
            group=row["group"],
            text=text,
            pool=row[f"{variant}.pool"],
            answer=row["answer"],
            bare=variant == "none" or text == row["answer"],
        )
        for row in rendered.to_dict("records")
        for text in [row[f"{variant}.correct"]]
    ]


def samples(rendered: pd.DataFrame, task: TaskContent, seed: int) -> pd.DataFrame:
    """The selected responses as rows of the table."""
    return pd.concat(
        [_cell(rows, task, variant, response) for (variant, response), rows in select(rendered, task, seed).items()],
        ignore_index=True,
    )


def pool(rendered: pd.DataFrame, task: TaskContent) -> pd.DataFrame:
    """Every response that there is as rows of the same kind."""
    cells = [cell for cell in itertools.product(task.variants, RESPONSES) if ".".join(cell) in rendered]
    return pd.concat(
        [_cell(rendered[rendered[".".join(cell)] != ""], task, *cell) for cell in cells], ignore_index=True
    )


def _cell(rows: pd.DataFrame, task: TaskContent, variant: str, response: str) -> pd.DataFrame:
    """An irrelevant response was put together, so nobody wrote it."""
    return pd.DataFrame(
        {
            "task": task.name,
            "sample_id": rows["sample_id"],
            "variant": variant,
            "response": response,
            "replicate": 0,
            "control": "none",
            "family": task.family,
            "instruction": rows["instruction"],
            "output": rows[f"{variant}.{response}"],
            "answer": rows["answer"],
            "provenance": "shuffle" if response == "irrelevant" else rows[f"{variant}.provenance"],
            "licence": task.licence,
        }
    )
