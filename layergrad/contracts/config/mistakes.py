"""What pydantic found wrong, in words for the person who wrote it."""

from pydantic import BaseModel
from pydantic_core import ErrorDetails

SOURCE_TAGS = {f"{kind} source": kind for kind in ("hub", "url", "pypi", "join", "file")}
ORIGIN_TAGS = {"field origin": "field", "source origin": "source", "template origin": "template"}
TAGS = SOURCE_TAGS | ORIGIN_TAGS
"""By the tag that pydantic counts as a part of a mistake's place, the key that tells which kind of value is meant."""


def told(mistake: ErrorDetails, spec: type[BaseModel], within: str = "") -> str:
    """One of pydantic's mistakes: key, what is allowed, what was given."""
    keys = [within, *(str(part) for part in mistake["loc"] if part not in TAGS)]
    key = ".".join(filter(None, keys))
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "extra_forbidden":
        message = f"unknown key; allowed here: {', '.join(sorted(_fields_at(spec, mistake['loc'][:-1]))) or 'none'}"
    if mistake["type"] in ("missing", "value_error"):
        return f"{key}: {message}" if key else message
    return f"{key}: {message} ({mistake['input']!r:.80} given)"


def _fields_at(spec: type[BaseModel], location: tuple) -> list[str]:
    """Names of the keys allowed at a location of nested models."""
    schema = spec.model_json_schema()
    node = schema
    for part in location:
        node = _resolve(node, schema)
        choices = [node, *(_resolve(choice, schema) for choice in node.get("anyOf", []) + node.get("oneOf", []))]
        for choice in choices:
            if part in choice.get("properties", {}):
                node = choice["properties"][part]
                break
            if TAGS.get(part) in choice.get("required", []):
                node = choice
                break
        else:
            node = next((element for choice in choices for element in _elements(choice)), node)
    node = _resolve(node, schema)
    allowed = list(node.get("properties", {}))
    for choice in node.get("anyOf", []) + node.get("oneOf", []):
        allowed += _resolve(choice, schema).get("properties", {})
    return [name for name in allowed if name != "directory"]


def _elements(node: dict) -> list[dict]:
    """What a list or a mapping of any keys holds."""
    held = [node.get("items"), node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return [element for element in held if isinstance(element, dict)]


def _resolve(node: dict, schema: dict) -> dict:
    """Follow a JSON Schema reference to the definition it names."""
    return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
