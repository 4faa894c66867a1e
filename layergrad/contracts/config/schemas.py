"""JSON Schema of the YAML files, from the models that validate them, so that editors complete and check them.

``make schema`` writes them. What no schema can say, as that a source which is named is there, validation alone tells.
"""

import sys
from pathlib import Path
from typing import Any

from pydantic import Field, create_model

from layergrad.contracts.config.models import ModelSpec
from layergrad.contracts.config.names import SafeName
from layergrad.contracts.config.options import OPTIONS, Reader
from layergrad.contracts.config.strict import Strict
from layergrad.contracts.config.study import Study
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.files import write_json

_STUDY_FILE = create_model(
    "_StudyFile",
    __base__=Study,
    __doc__="A study file as a person writes it: models and tasks by name.",
    models=(list[SafeName], Field(min_length=1, description="names of files in models/")),
    tasks=(list[SafeName], Field(min_length=1, description="names of files in tasks/")),
)


def schemas() -> dict[str, dict[str, Any]]:
    """The schemas of study, model and task files, by kind."""
    task = _schema(TaskSpec, "name")
    task["allOf"] = [_options_of(reader) for reader in OPTIONS]
    return {"study": _schema(_STUDY_FILE, "directory"), "model": _schema(ModelSpec, "name"), "task": task}


def write_schemas(folder: str | Path) -> None:
    """Write ``<kind>.schema.json`` for every kind of file."""
    for kind, schema in schemas().items():
        write_json(Path(folder) / f"{kind}.schema.json", schema)


def _schema(spec: type[Strict], not_written: str) -> dict[str, Any]:
    """A model's schema without the key that is known from the file itself."""
    schema = spec.model_json_schema()
    schema["required"].remove(not_written)
    del schema["properties"][not_written]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _closed(schema)


def _closed(node: Any) -> Any:
    """The schema in which a mapping whose keys have a pattern may have no others, as pydantic means it."""
    if isinstance(node, list):
        return [_closed(element) for element in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    return closed | {"additionalProperties": False} if "patternProperties" in node else closed


def _options_of(reader: Reader) -> dict[str, Any]:
    """What ``options`` may be where the task names this reader; ``rows`` is meant where it names none."""
    named = {} if reader == "rows" else {"required": ["reader"]}
    fitting: dict[str, Any] = {"properties": {"options": OPTIONS[reader].model_json_schema()}}
    if OPTIONS[reader].model_json_schema().get("required"):
        fitting["required"] = ["options"]
    return {"if": {"properties": {"reader": {"const": reader}}} | named, "then": fitting}


if __name__ == "__main__":
    write_schemas(sys.argv[1])
