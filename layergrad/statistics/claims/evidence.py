"""Everything that was measured in a study, and the part of it that one test sees: a model, a task, a control."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from layergrad.contracts.files import text_sha256
from layergrad.statistics.claims.controls import Control
from layergrad.statistics.claims.lengths import FittedLaw, fitted_laws, without_length
from layergrad.statistics.claims.responses import Samples, TaskResponses
from layergrad.statistics.inference import Resamples
from layergrad.statistics.segments import segments

KNOWLEDGE = "knowledge"


class MissingDataError(Exception):
    """Why something cannot be evaluated, in words."""


@dataclass(frozen=True)
class Group:
    """Responses of one variant and kind, of the model that is looked at or of the one that it was tuned from."""

    variant: str
    response: str = "correct"
    of: Literal["model", "base"] = "model"

    def of_base(self) -> "Group":
        """The same of the base model."""
        return replace(self, of="base")


@dataclass(eq=False)
class Evidence:
    """A study's responses by (model, task), facts of its models by name (``base``, ``untrained_of``, ``segments``)."""

    responses: dict[tuple[str, str], TaskResponses]
    models: dict[str, dict[str, Any]]
    seed: int
    _laws: dict[tuple, list[FittedLaw]] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """In the order of the study."""
        return list(dict.fromkeys(task for _, task in self.responses))

    @property
    def trained(self) -> list[str]:
        """Models that stand for themselves: all but the untrained twins of others."""
        return [name for name in self.models if not self.untrained_twin_of(name)]

    def untrained_twin_of(self, model: str) -> str | None:
        """The model of the study whose architecture this one has with random weights."""
        twin = self.models[model].get("untrained_of")
        return twin if twin in self.models else None

    def untrained(self, model: str) -> str:
        """The untrained twin of a model."""
        for name in self.models:
            if self.untrained_twin_of(name) == model:
                return name
        raise MissingDataError("the study has no untrained model of the same architecture")

    def base(self, model: str) -> str:
        """The model that a model was tuned from."""
        base = self.models[model].get("base")
        if base not in self.models:
            raise MissingDataError("the study has no base model to this one")
        return base

    def tasks_of(self, family: str) -> list[str]:
        """Tasks of ``knowledge``, or of ``reasoning``: all others."""
        return [
            task
            for task in self.tasks
            if (next(r for (_, name), r in self.responses.items() if name == task).family == KNOWLEDGE)
            == (family == KNOWLEDGE)
        ]

    def laws(self, model: str, fitted_on: str, quantity: str) -> list[FittedLaw]:
        """The length law of each projection, on the uncontrolled responses to all tasks or to the knowledge tasks."""
        key = (model, fitted_on, quantity)
        if key not in self._laws:
            chosen = [
                (task, samples)
                for (name, task), found in self.responses.items()
                if name == model and fitted_on in ("all", found.family)
                for (_, _, control), samples in found.groups.items()
                if control == "none"
            ]
            self._laws[key] = fitted_laws(chosen, quantity) if chosen else []
        if not np.isfinite([law.slope for law in self._laws[key]]).all() or not self._laws[key]:
            raise MissingDataError("the study has no two lengths of such responses")
        return self._laws[key]


@dataclass(frozen=True)
class Case:
    """What one test sees: ``model`` is whose numbers are taken."""

    evidence: Evidence
    model: str
    task: str
    control: Control

    @property
    def responses(self) -> TaskResponses:
        """Of the model to the task."""
        return self.evidence.responses[self.model, self.task]

    @property
    def parts(self) -> dict[str, range]:
        """Layers of every segment of the model."""
        return segments(self.responses.n_layers, self.evidence.models[self.model].get("segments"))

    def samples(self, groups: Iterable[Group]) -> list[tuple[Samples, np.ndarray]]:
        """Of every group, its responses and the places of those whose samples all groups have, in one order.

        Raises ``MissingDataError`` where a group is not there, or fewer than two samples are left.
        """
        found = [self._group(group) for group in groups]
        taken = [
            samples.distinct
            if self.control.distinct and group.response != "correct"
            else np.full(len(samples.units), True)
            for group, samples in zip(groups, found, strict=True)
        ]
        shared = found[0].units[taken[0]]
        for samples, there in zip(found[1:], taken[1:], strict=True):
            shared = np.intersect1d(shared, samples.units[there], assume_unique=True)
        if len(shared) < 2:
            raise MissingDataError(f"{len(shared)} samples have all the responses that it needs")
        return [(samples, np.searchsorted(samples.units, shared)) for samples in found]

    def values(self, groups: Iterable[Group], quantity: str) -> tuple[np.ndarray, list[np.ndarray]]:
        """By group, the controlled values (n, projections, layers) of shared samples with nothing null; their units."""
        groups = list(groups)
        known = [_known(*self.owning(group), quantity) for group in groups]
        shared = known[0][0]
        for units, _ in known[1:]:
            shared = np.intersect1d(shared, units, assume_unique=True)
        if len(shared) < 2:
            self.samples(groups)  # tells which responses are missing, if that is why
            raise MissingDataError(f"{quantity} is not known of 2 samples that have all the responses that it needs")
        return shared, [values[np.searchsorted(units, shared)] for units, values in known]

    def owning(self, group: Group) -> tuple["Case", Group]:
        """The case of the model that a group is of, and the group as that model's own."""
        return replace(self, model=self._model_of(group)), replace(group, of="model")

    def draws(self, units: np.ndarray | None = None) -> Resamples:
        """The draws over all samples of the task, or over some: the same for all models, responses and controls."""
        seed = int(text_sha256("claims", self.task, str(self.evidence.seed))[:16], 16)
        n_units = self.responses.n_units
        part = None if units is None or len(units) == n_units else tuple(units.tolist())
        return Resamples(seed, n_units, part)

    def spread(self, units: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores (n, columns) of some samples as those of all samples of the task, null for the others."""
        whole = np.full((self.responses.n_units, scores.shape[1]), np.nan)
        whole[units] = scores
        return whole

    def elsewhere(self, family: str, groups: Iterable[Group]) -> list["Case"]:
        """The same model and control on other tasks that have some responses, not written by a template."""
        found = []
        for task in self.evidence.tasks_of(family):
            measured = self.evidence.responses.get((self.model, task))
            if measured and not measured.templated & {group.variant for group in groups}:
                other = replace(self, task=task)
                with contextlib.suppress(MissingDataError):
                    other.samples(groups)
                    found.append(other)
        if not found:
            raise MissingDataError(f"the study has no {family} task with such responses")
        return found

    def length_doubt(self, over: Iterable[Group], under: Iterable[Group], quantity: str) -> np.ndarray:
        """Standard error (projections,) that the fitted power of a length law adds to a log ratio of two sides."""
        over, under = list(over), list(under)
        if not self.control.fitted_on:
            return np.zeros(len(self.responses.projections))
        lengths = [np.log(samples.tokens[places]).mean() for samples, places in self.samples([*over, *under])]
        longer = sum(lengths[: len(over)]) - sum(lengths[len(over) :])
        errors = [law.standard_error for law in self._laws_of(over[0], quantity)]
        return abs(longer) * np.array(errors)

    def _laws_of(self, group: Group, quantity: str) -> list[FittedLaw]:
        return self.evidence.laws(self._model_of(group), self.control.fitted_on, quantity)

    def changed(self, group: Group, samples: Samples, places: np.ndarray, quantity: str) -> np.ndarray:
        """The values (n, projections, layers) of a group's responses at some places, as the control changes them."""
        if self.control.fitted_on:
            slopes = np.array([law.slope for law in self._laws_of(group, quantity)])
            return without_length(samples.values[quantity][places], samples.tokens[places], slopes)
        if self.control.change is not None:
            return self.control.change(samples, quantity)[places].astype(float)
        return samples.values[quantity][places].astype(float)

    def _model_of(self, group: Group) -> str:
        return self.model if group.of == "model" else self.evidence.base(self.model)

    def _group(self, group: Group) -> Samples:
        response = self.control.stand_in if group.response == "irrelevant" else group.response
        key = self.control.keys.get(response, "none")
        found = self.evidence.responses[self._model_of(group), self.task].groups.get((group.variant, response, key))
        if found is None:
            controlled = "" if key == "none" else f" under the control {key}"
            raise MissingDataError(f"no {response} responses of {group.variant} were measured{controlled}")
        return found


@lru_cache(maxsize=512)  # those of one model and task, which many claims compare
def _known(case: Case, group: Group, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """Units of the samples of a group with nothing null, and their controlled values (n, projections, layers)."""
    ((samples, places),) = case.samples([group])
    values = case.changed(group, samples, places, quantity)
    known = np.isfinite(values).all(axis=(1, 2))
    return samples.units[places[known]], values[known]
