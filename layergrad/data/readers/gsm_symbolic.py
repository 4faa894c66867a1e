"""GSM-Symbolic: grade-school word problems, drawn from the fetched generators of Reasoning Gym.

The generators are plain functions of a random number generator. They are loaded from their files, because installing
their package would bring a solver that has to be compiled.
"""

import hashlib
import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets

from layergrad.contracts.config.options import GsmSymbolicOptions
from layergrad.contracts.errors import UserError
from layergrad.data import sentences
from layergrad.data.readers.files import named

KNOWN_CODE = frozenset(
    {
        "25fe815ebfce019dad92aa79e61528e0418a04edbce2aa86d019a5a3f186e9d1",
        "78b85da5a9225fec76d7fc27e1bad207b0dfb58b386d5e3c1089b9542c04b1e7",
        "29e28c60ac623defb0acabdbf568771b4f43abb75027d2432c368d670ff4889e",
    }
)
"""sha256 of the files of reasoning-gym 0.1.25 that are run. They stand here, where no task file can name others."""

# The modules import their helper by this name.
_HELPER = "reasoning_gym.utils"
_FINAL = re.compile(r"\s*#### ?(?P<answer>\S+)\s*$")
_FLOAT_NOISE = re.compile(r"\d\.\d{3,}")
_NEEDLESS_ZERO = re.compile(r"(?<=\d)\.0(?!\d)")
_LIST_MARK = re.compile(r"^\s*(?:[-•]|\d+\.)\s+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:/\d+)?")
_DIFFICULTY = 1.0
_ATTEMPTS = 1000


def read(
    files: dict[str, list[Path]], options: GsmSymbolicOptions, seed: int, count_tokens: Callable[[str], int]
) -> datasets.Dataset:
    """A row a problem: ``question``, ``answer``, ``rationale`` and ``template``, the number of its template.

    For a detailed solution also ``given``, the sentences of the question before the one that ``asked``, and ``steps``,
    each with its ``text`` and the ``result`` it comes to. Raises ``UserError`` if no clean problem can be drawn.
    """
    generators = _generators(files, options.leave_out)
    return datasets.Dataset.from_list(
        [row for number in sorted(generators) for row in _instances(number, generators[number], options, seed)]
    )


def _instances(number: int, generate: Callable, options: GsmSymbolicOptions, seed: int) -> Iterator[dict[str, Any]]:
    """Different problems of one template, each drawn again until it is clean and new."""
    questions = set()
    for instance in range(options.instances):
        rng = random.Random(f"{seed}:{number}:{instance}")
        row = next((row for row in _draws(number, generate, rng) if row["question"] not in questions), None)
        if row is None:
            raise UserError(
                f"gsm_symbolic: template {number}: fewer than {options.instances} clean problems to be drawn"
            )
        questions.add(row["question"])
        yield row


def _draws(number: int, generate: Callable, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Clean problems: without the noise of binary fractions, a negative answer, or a rationale that ends otherwise."""
    for _ in range(_ATTEMPTS):
        problem = generate(rng, _DIFFICULTY)
        row = _row(number, problem["question"], problem["answer"], problem["metadata"]["answer_cot"])
        if row and float(row["answer"]) == float(problem["metadata"]["answer_value"]) >= 0:
            yield row


def _row(number: int, question: str, answer: str, reasoning: str) -> dict[str, Any] | None:
    question, answer, reasoning = (_NEEDLESS_ZERO.sub("", text).strip() for text in (question, answer, reasoning))
    final = _FINAL.search(reasoning)
    noisy = any(_FLOAT_NOISE.search(text) for text in (question, answer, reasoning))
    if noisy or final is None or final["answer"].replace(",", "") != answer:
        return None
    rationale = reasoning[: final.start()]
    *given, asked = sentences.sentences(question)
    return {
        "template": str(number),
        "question": question,
        "answer": answer,
        "rationale": rationale,
        "given": given,
        "asked": asked,
        "steps": [_step(line) for line in rationale.splitlines() if line.strip() and not line.rstrip().endswith(":")],
    }


def _step(line: str) -> dict[str, str]:
    """A line of the rationale without its list mark, and the last number in it, which is what the line comes to."""
    text = _LIST_MARK.sub("", line).strip()
    numbers = _NUMBER.findall(text)
    return {"text": text if text[-1] in ".!?" else f"{text}.", "result": numbers[-1] if "=" in text and numbers else ""}


def _generators(files: dict[str, list[Path]], leave_out: list[int]) -> dict[int, Callable]:
    """The functions ``generate_<number>`` of both modules, by number."""
    modules = _load(
        named(files, "generators", "/utils.py"),
        [named(files, "generators", "generators_00_49.py"), named(files, "generators", "generators_50_99.py")],
    )
    found = {
        int(name.removeprefix("generate_")): function
        for module in modules
        for name, function in vars(module).items()
        if re.fullmatch(r"generate_\d+", name)
    }
    unknown = sorted(set(leave_out) - set(found))
    if unknown:
        raise UserError(f"gsm_symbolic: options.leave_out: there are no templates {unknown}")
    return {number: function for number, function in found.items() if number not in leave_out}


def _load(helper: Path, paths: list[Path]) -> list[ModuleType]:
    """Load modules from their files; the helper stands under the name they know only while they load."""
    before = {name: sys.modules.get(name) for name in (_HELPER.partition(".")[0], _HELPER)}
    try:
        sys.modules[_HELPER.partition(".")[0]] = ModuleType(_HELPER.partition(".")[0])
        sys.modules[_HELPER] = _load_one(_HELPER, helper)
        return [_load_one(path.stem, path) for path in paths]
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def _load_one(name: str, path: Path) -> ModuleType:
    """Run a file of known code. Python's own loader would leave a cache beside the fetched files.

    Raises ``UserError`` for any other file, which is not even parsed.
    """
    code = path.read_bytes()
    if hashlib.sha256(code).hexdigest() not in KNOWN_CODE:
        raise UserError(f"{path}: not a file of reasoning-gym 0.1.25, the only code that the reader gsm_symbolic runs")
    module = ModuleType(name)
    exec(compile(code, str(path), "exec"), vars(module))
    return module
