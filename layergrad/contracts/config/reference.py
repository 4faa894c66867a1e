"""The reference of the YAML files in Markdown: one table of keys for each kind of mapping, from their JSON Schemas.

``make schema`` writes it, so that editors, validation and docs/configuration.md say the same.
"""

import json
import sys
from typing import Any

from layergrad.contracts.config.options import OPTIONS
from layergrad.contracts.config.schemas import schemas
from layergrad.contracts.files import write_text

_HEAD = """\
# Configuration

Every key of the YAML files, with its type, its default and what it means. This page is made by `make schema` from the
models that validate the files: change those, not this page. Unknown keys are errors. A mistake is told in one line,
with file and key, before any job starts. In an editor that knows YAML schemas, those in `config/schema/` complete and
check the files while they are written.

A study file names its models and tasks; each is a file of its own, `models/<model>.yaml` and `tasks/<task>.yaml`, in
the folder of the study file, and templates lie in `templates/` there. The name of a model or task is the name of its
file. Any key of the study file can also be given on the command line:
`snakemake --cores all --config max_length=512`.
"""
_TABLE = ["| key | type | default | meaning |", "|:--|:--|:--|:--|"]


def reference() -> str:
    """The whole page."""
    kinds = schemas()
    parts = [_HEAD]
    parts += [_section(f"{kind.capitalize()} file", 2, kinds[kind]) for kind in ("study", "model", "task")]
    parts += ["## Options of the readers\n\nThe key `options` of a task file, by its `reader`.\n"]
    parts += [_section(reader, 3, options.model_json_schema()) for reader, options in OPTIONS.items()]
    inner = {name: schema for kind in kinds.values() for name, schema in kind["$defs"].items()}
    parts += ["## Mappings inside these files\n"]
    parts += [_section(name, 3, inner[name]) for name in sorted(inner)]
    return "\n".join(parts)


def write_reference(path: str) -> None:
    """Write the page to ``path``."""
    write_text(path, reference())


def _section(heading: str, level: int, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [_row(key, node, key in required) for key, node in schema["properties"].items()]
    about = schema.get("description", "").replace("``", "`")
    return "\n".join([f"{'#' * level} {heading}", "", about, "", *([*_TABLE, *rows, ""] if rows else [])])


def _row(key: str, node: dict[str, Any], required: bool) -> str:
    default = "required" if required else _default(node.get("default"))
    about = node.get("description") or next((one.get("description", "") for one in node.get("anyOf", [])), "")
    return f"| `{key}` | {_type(node)} | {default} | {about} |"


def _default(value: Any) -> str:
    """Nothing for null, and for a mapping, whose keys have their own defaults."""
    return "" if value is None or isinstance(value, dict) else f"`{json.dumps(value)}`".replace('"', "")


def _type(node: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in node:
            return " or ".join(_type(one) for one in node[several] if one.get("type") != "null")
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    return {"array": _list, "object": _mapping, "integer": _number, "number": _number}.get(node["type"], _plain)(node)


def _list(node: dict[str, Any]) -> str:
    if "prefixItems" in node:
        return f"list of {len(node['prefixItems'])}: {_type(node['prefixItems'][0])}"
    return f"list of {_type(node['items'])}"


def _mapping(node: dict[str, Any]) -> str:
    """Of names to values; the keys where only some are allowed."""
    values = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    value = f" to {_type(values[0])}" if isinstance(values[0], dict) else ""
    keys = f" of {_type(node['propertyNames'])}" if "enum" in node.get("propertyNames", {}) else ""
    return f"mapping{keys}{value}"


def _number(node: dict[str, Any]) -> str:
    """With its bounds, where a person could meet them."""
    kind = "whole number" if node["type"] == "integer" else "number"
    if "exclusiveMinimum" in node:
        kind += " from 1" if node["type"] == "integer" else f" above {node['exclusiveMinimum']}"
    elif "minimum" in node:
        kind += f" from {node['minimum']}"
    return f"{kind} to {node['maximum']}" if "maximum" in node else kind


def _plain(node: dict[str, Any]) -> str:
    return {"string": "text", "boolean": "true or false"}[node["type"]]


if __name__ == "__main__":
    write_reference(sys.argv[1])
