"""Load a study with the model and task files that it names; a mistake in any of them is told in one line."""

from pathlib import Path
from typing import Any

import jinja2
import yaml
from pydantic import TypeAdapter, ValidationError

from layergrad.contracts.config.mistakes import told
from layergrad.contracts.config.models import ModelSpec
from layergrad.contracts.config.modules import Modules
from layergrad.contracts.config.names import SafeName
from layergrad.contracts.config.strict import Strict
from layergrad.contracts.config.study import Study
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_text


def load_study(path: str | Path, overrides: dict[str, Any] | None = None) -> Study:
    """Load and validate a study file with its models and tasks. Raises ``UserError`` with one line.

    ``overrides`` are keys of the study file that were given elsewhere, as by ``snakemake --config``.
    """
    path = Path(path)
    values = _merged(_read_yaml(path, "study"), overrides or {})
    for kind, spec in (("models", ModelSpec), ("tasks", TaskSpec)):
        names = values.get(kind)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(
                f"{path}: {kind}: {names!r} given; allowed is a list of names of files in {path.parent / kind}/"
            )
        values[kind] = [_load_spec(spec, path.parent / kind, name, path) for name in names]
    study = _validate(Study, values | {"directory": path.parent}, path)
    study = study.model_copy(update={"tasks": [task.limited(study.limit) for task in study.tasks]})
    for task in study.tasks:
        _compile_templates(study, task)
    return study


def load_modules(path: str | Path) -> Modules:
    """What a YAML file, such as a model's, says under ``modules``. Raises ``UserError`` with one line."""
    described = _read_yaml(Path(path), "modules").get("modules")
    if not isinstance(described, dict):
        raise UserError(
            f"{path}: modules: {described!r} given; allowed is a mapping such as modules: {{qkv: attn.Wqkv}}"
        )
    return _validate(Modules, described, Path(path))


def _compile_templates(study: Study, task: TaskSpec) -> None:
    """Raise ``UserError`` for a template or a provenance that is not there or not valid Jinja."""
    texts = {str(study.directory / "templates" / name): text for name, text in study.template_texts(task).items()}
    for variant, spec in task.variants.items():
        texts[f"{study.directory / 'tasks' / task.name}.yaml: variants.{variant}.provenance"] = spec.provenance
    for place, text in texts.items():
        try:
            jinja2.Environment().parse(text)  # a filter of the data floor is not known here
        except jinja2.TemplateSyntaxError as error:
            raise UserError(f"{place}:{error.lineno}: not a valid Jinja template: {error.message}") from error
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # nested too deeply, a number too long
            raise UserError(f"{place}: not a valid Jinja template: {str(error) or type(error).__name__}") from error


def _merged(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides key by key, so that naming one key of a mapping leaves the others as they are."""
    nested = {
        key: _merged(values[key], value) if isinstance(value, dict) and isinstance(values.get(key), dict) else value
        for key, value in overrides.items()
    }
    return values | nested


def _load_spec(spec: type[Strict], folder: Path, name: str, study: Path) -> Strict:
    file = folder / f"{name}.yaml"
    try:
        TypeAdapter(SafeName).validate_python(name)
    except ValidationError as error:
        mistake = error.errors()[0]["msg"]
        raise UserError(f"{study}: {folder.name}: {mistake} ({name!r:.80} given)") from error
    if not file.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise UserError(f"{study}: {folder.name}: {name!r} given, but there is no {file}; there are: {there}")
    values = _read_yaml(file, folder.name)
    if "name" in values:
        raise UserError(f"{file}: name: {values['name']!r:.80} given; it is called {name} after its file")
    return _validate(spec, {"name": name, **values}, file)


class _Loader(yaml.SafeLoader):
    """Safe loading of plain values in which a key that is given twice is a mistake."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Aliases are refused: a few lines of them can stand for more than any memory holds."""
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()
            raise _mistake(f"*{alias.anchor} is an alias, which is not allowed; write the value out", alias)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The library's own errors for a value that is none of its kind, such as the date 2024-13-45, have no place."""
        try:
            if isinstance(node, yaml.ScalarNode):
                node.value.encode("utf-8")
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _mistake(f"{node.value!r:.80} is no valid {node.tag.rpartition(':')[2]}", node) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        given = []
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            name = self.construct_object(key, deep=True)
            if name in given:
                raise _mistake(f"the key {name!r} is given twice", key)
            given.append(name)
        return super().construct_mapping(node, deep)


def _mistake(problem: str, where: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, where.start_mark)


def _read_yaml(path: Path, what: str) -> dict[str, Any]:
    try:
        values = yaml.load(read_text(path, what), Loader=_Loader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f":{where.line + 1}:{where.column + 1}" if where else ""
        raise UserError(f"{path}{place}: not valid YAML: {getattr(error, 'problem', error)}") from error
    except RecursionError as error:
        raise UserError(f"{path}: not valid YAML: values are nested too deeply") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: a mapping of keys to values is expected, {type(values).__name__} given")
    return values


def _validate(spec: type[Strict], values: dict[str, Any], path: Path) -> Any:
    try:
        return spec.model_validate(values)
    except ValidationError as error:
        raise UserError(_one_line(error, spec, path)) from error


def _one_line(error: ValidationError, spec: type[Strict], path: Path) -> str:
    """The first mistake in one line: file, key, what was given, what is allowed; and how many more there are."""
    first, *more = error.errors()
    rest = f" (and {len(more)} more)" if more else ""
    return " ".join(f"{path}: {told(first, spec)}{rest}".split())
