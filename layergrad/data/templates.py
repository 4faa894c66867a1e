"""Render a row of a task into its prompt, its bare answer and the texts of every variant."""

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.loaders import DictLoader
from jinja2.sandbox import SandboxedEnvironment

from layergrad.contracts.config.tasks import Given, RowField, TaskContent
from layergrad.contracts.errors import UserError
from layergrad.data.filters import FILTERS

ROLES = ("correct", "incorrect", "before_error", "after_error", "pool", "provenance")

_FAULTS = (
    *(TemplateError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError),
    *(RecursionError, MemoryError),  # of a template that includes itself, or multiplies a text
    re.error,  # of a filter's pattern
)


class Templates:
    """The compiled templates of one task. Raises ``UserError`` naming a template that is not valid Jinja2."""

    def __init__(self, task: TaskContent, texts: Mapping[str, str]) -> None:
        self._task = task
        self._environment = SandboxedEnvironment(
            loader=DictLoader(dict(texts)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=lambda value: "" if value is None else value,
        )
        self._environment.filters |= FILTERS
        self._templates = {name: self._compile(name) for name in task.templates()}
        self._provenances = {
            variant: self._compile(spec.provenance, inline=f"variants.{variant}.provenance")
            for variant, spec in task.variants.items()
        }

    def render(self, row: Mapping[str, Any]) -> dict[str, str]:
        """All texts of a row, by ``instruction``, ``answer`` and ``<variant>.<role>`` for all ``ROLES``.

        White space around a text is layout of the template and is cut; a field is taken byte for byte. An empty text
        says that the row has no such response, or that a source gives it; the pool is the correct response where the
        variant names no other. A template has the fields by their names, and ``row`` for those whose names Jinja keeps
        to itself. Raises ``UserError`` naming the template and what it asked for.
        """
        texts = {"instruction": self._text(self._task.instruction, row), "answer": self._text(self._task.answer, row)}
        if not texts["instruction"]:
            raise UserError(f"task {self._task.name}: {self._task.instruction} gives an empty prompt")
        for variant, spec in self._task.variants.items():
            texts[f"{variant}.correct"] = self._text(spec.correct, row)
            texts[f"{variant}.incorrect"] = self._text(spec.incorrect, row)
            texts[f"{variant}.before_error"] = self._text(spec.before_error, row)
            texts[f"{variant}.after_error"] = self._text(spec.after_error, row)
            texts[f"{variant}.pool"] = self._text(spec.pool or spec.correct, row)
            texts[f"{variant}.provenance"] = self._run(
                self._provenances[variant], f"variants.{variant}.provenance", row
            )
        return texts

    def _text(self, origin: str | RowField | Given | None, row: Mapping[str, Any]) -> str:
        if isinstance(origin, RowField):
            return self._field(origin.field, row)
        return self._run(self._templates[origin], origin, row) if isinstance(origin, str) else ""

    def _field(self, name: str, row: Mapping[str, Any]) -> str:
        if not isinstance(row.get(name), str):
            raise UserError(
                f"task {self._task.name}: field {name}: no text in a row; its fields are: {', '.join(sorted(row))}"
            )
        return row[name]

    def _compile(self, source: str, inline: str | None = None) -> Any:
        try:
            return self._environment.from_string(source) if inline else self._environment.get_template(source)
        except TemplateSyntaxError as error:
            where = inline or f"{source}:{error.lineno}"
            raise UserError(f"task {self._task.name}: template {where}: {error.message}") from error

    def _run(self, template: Any, name: str, row: Mapping[str, Any]) -> str:
        try:
            return template.render({"row": row} | dict(row)).strip()
        except _FAULTS as error:
            message = re.sub(r"\s+", " ", str(error)) or type(error).__name__
            raise UserError(
                f"task {self._task.name}: template {name}: {message}; fields of a row are: {', '.join(sorted(row))}"
            ) from error
