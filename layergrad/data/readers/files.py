"""What readers ask of the fetched files."""

import json
from pathlib import Path
from typing import Any

from layergrad.contracts.errors import UserError


def named(files: dict[str, list[Path]], source: str, ending: str) -> Path:
    """The file of a source that ends as given. Raises ``UserError`` if there is not exactly one."""
    fitting = [path for path in files.get(source, []) if str(path).endswith(ending)]
    if len(fitting) != 1:
        given = ", ".join(f"{name}: {path.name}" for name, paths in files.items() for path in paths) or "none"
        raise UserError(f"sources: one file *{ending} of a source {source!r} is needed; there are: {given}")
    return fitting[0]


def load_json(path: Path) -> Any:
    """A JSON file, with or without a byte-order mark. Raises ``UserError`` naming the line that is wrong."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
