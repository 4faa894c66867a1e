"""What a study shows side by side: two models on each of its tasks, or two tasks on each of its models."""

from typing import Annotated, NamedTuple

from pydantic import Field

from layergrad.contracts.config.models import ModelSpec
from layergrad.contracts.config.names import SafeName
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.keys import Variant

Pair = Annotated[list[SafeName], Field(min_length=2, max_length=2)]
"""Names of the two."""


class Comparison(NamedTuple):
    """Two models on one task, or two tasks on one model."""

    one: str
    other: str
    on: str
    """The task or the model that both share."""
    paired: bool
    """Whether both are of the same samples: two models are, two tasks are not."""

    @property
    def place(self) -> str:
        """The path of its files, without an ending, in a folder of comparisons."""
        return f"{self.one}/{self.other}/{self.on}"

    @property
    def sides(self) -> list[tuple[str, str]]:
        """Model and task of ``one``, then of ``other``."""
        return [(side, self.on) if self.paired else (self.on, side) for side in (self.one, self.other)]


def check_pairs(pairs: list[Pair], models: list[ModelSpec], tasks: list[TaskSpec]) -> None:
    """Raise ``ValueError`` for a pair that is neither two models nor two tasks of the study, or is there twice."""
    names = [{model.name for model in models}, {task.name for task in tasks}]
    seen: list[set[str]] = []
    for pair in pairs:
        one, other = pair
        strangers = [name for name in pair if name not in set.union(*names)]
        if strangers:
            raise ValueError(_refused(pair, f"but the study has no {strangers[0]}", names))
        if one == other:
            raise ValueError(_refused(pair, "twice the same", names))
        if not any(set(pair) <= those for those in names):
            raise ValueError(_refused(pair, "a model and a task", names))
        if set(pair) in seen:
            raise ValueError(f"compare: [{one}, {other}] given, but this pair is there already; allowed is each once")
        if not set(pair) <= names[0]:
            _check_variants(pair, {task.name: set(task.variants) for task in tasks})
        seen.append(set(pair))


def _refused(pair: Pair, why: str, names: list[set[str]]) -> str:
    models, tasks = (", ".join(sorted(those)) for those in names)
    return f"compare: [{', '.join(pair)}] given, {why}; allowed are two of the models {models} or of the tasks {tasks}"


def _check_variants(pair: Pair, variants: dict[str, set[Variant]]) -> None:
    """Two tasks are compared variant by variant."""
    one, other = pair
    if not variants[one] & variants[other]:
        have = " and ".join(f"{name} has {', '.join(sorted(variants[name]))}" for name in pair)
        raise ValueError(f"compare: [{one}, {other}] given, but {have}; allowed are tasks that share a variant")


def comparisons_of(pairs: list[Pair], models: list[ModelSpec], tasks: list[TaskSpec]) -> list[Comparison]:
    """The pairs asked for and that of each model with its base, on each task or model, in the order of the study."""
    names = [model.name for model in models]
    implied = [[model.base, model.name] for model in models if model.base in names and model.base != model.name]
    asked = [set(pair) for pair in pairs]
    found = []
    for one, other in [*pairs, *(pair for pair in implied if set(pair) not in asked)]:
        paired = {one, other} <= set(names)
        shared = [task.name for task in tasks] if paired else names
        found += [Comparison(one, other, on, paired) for on in shared]
    return found
