"""CHAMP: competition problems with human solutions, and with models' answers that people searched for wrong steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets

from layergrad.contracts.config.options import ChampOptions
from layergrad.contracts.errors import UserError
from layergrad.data.readers.files import load_json, named


def read(
    files: dict[str, list[Path]], options: ChampOptions, seed: int, count_tokens: Callable[[str], int]
) -> datasets.Dataset:
    """A row a problem: ``question``, ``answer``, ``solution``, ``detailed``, ``detailed_incorrect``, ``detailed_pool``,
    ``detailed_author``, ``category``, ``before_error``, ``after_error``; what a problem does not have is empty."""
    path = named(files, "problems", ".json")
    try:
        problems = load_json(path)["problems"].values()
        return datasets.Dataset.from_list([_row(problem, options) for problem in problems])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not laid out as CHAMP's v0.json: {error!r}") from error


def _row(problem: dict[str, Any], options: ChampOptions) -> dict[str, str]:
    """An agreeing conclusion does not make an answer correct: only people's search for a first wrong step decides."""
    annotated = [
        (setting, answer)
        for setting, answer in problem["fws_annotations"].items()
        if answer["author"] in options.authors
    ]
    # The preferred setting gave the model no hint, as the study's prompt does not either.
    annotated.sort(key=lambda pair: not pair[0].endswith(options.preferred_setting))
    right = [answer for _, answer in annotated if answer["start_idx"] is None]
    wrong = [answer for _, answer in annotated if answer["start_idx"] is not None]
    return {
        "question": problem["_text"],
        "answer": problem["_answer"],
        "solution": " ".join(step["_text"] for step in problem["solution"]["steps"]),
        "category": problem["category"],
        "detailed": right[0]["text"] if right else "",
        "detailed_incorrect": wrong[0]["text"] if wrong else "",
        "before_error": wrong[0]["text"][: wrong[0]["start_idx"]] if wrong else "",
        "after_error": wrong[0]["text"][: wrong[0]["end_idx"]] if wrong else "",
        "detailed_author": annotated[0][1]["author"] if annotated else "",
        "detailed_pool": _first_message(problem["conversations"].get(options.pool, {"messages": []})["messages"]),
    }


def _first_message(messages: list[dict[str, Any]]) -> str:
    """The model's worked answer. Later messages only sum it up."""
    return next((message["text"] or "" for message in messages if message["role"].startswith("Model.")), "")
