"""What a model's files may be: whole weights as safetensors or GGUF. A pickle can run any code when it is opened.

transformers is asked for safetensors, yet it opens a pickle that an index or a configuration names, and takes the base
of an adapter from wherever that says, at no fixed revision.
"""

import json
import re
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from layergrad.contracts.errors import UserError
from layergrad.models.load import ModelOrigin

_PICKLES = ("*.bin", "*.ckpt", "*.pickle", "*.pkl", "*.pt", "*.pth")
_WEIGHTS = re.compile(r"[^./\\][^/\\]*\.safetensors(\.index\.json)?")


def refuse_unsafe_files(origin: ModelOrigin) -> None:
    """Raise ``UserError`` naming a file of a model that is not to be opened; nothing of it is loaded before.

    Refused are a directory whose weights are pickles, an index or a configuration that names weights which are no
    safetensors of the same folder, and an adapter on a model that lies elsewhere.
    """
    if origin.gguf_file:
        return
    if _path(origin, "adapter_config.json"):
        raise UserError(
            f"{origin.name_or_path}: adapter_config.json: an adapter on another model; merge it into its base "
            "(merge_and_unload) and save the whole model"
        )
    _refuse_pickles(origin.name_or_path)
    chosen = _json(origin, "config.json").get("transformers_weights") or "model.safetensors.index.json"
    _refuse_name(origin, "config.json", chosen)
    shards = _json(origin, chosen).get("weight_map") if chosen.endswith(".json") else None
    for shard in sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else []:
        _refuse_name(origin, chosen, shard)


def _refuse_pickles(folder: str) -> None:
    found = sorted(path.name for pattern in _PICKLES for path in Path(folder).glob(pattern))
    if found and not any(Path(folder).glob("*.safetensors")):
        raise UserError(
            f"{folder}: {found[0]}: a pickle, which can run code when it is opened, and no safetensors; allowed are "
            "weights as safetensors (save_pretrained writes them) or as a .gguf file"
        )


def _refuse_name(origin: ModelOrigin, where: str, name: Any) -> None:
    if not isinstance(name, str) or not _WEIGHTS.fullmatch(name):
        raise UserError(
            f"{origin.name_or_path}: {where} names the weights {name!r:.80}; allowed are .safetensors files beside it"
        )


def _json(origin: ModelOrigin, name: str) -> dict[str, Any]:
    """A JSON file of a model, empty where there is none."""
    path = _path(origin, name)
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{origin.name_or_path}: {name}: cannot be read as JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{origin.name_or_path}: {name}: a mapping is expected, {type(values).__name__} given")
    return values


def _path(origin: ModelOrigin, name: str) -> str | None:
    """Where a file of a model is, in its directory or fetched from the hub; none if it has none or none can be got.

    What keeps a whole model from being got is told where it is loaded.
    """
    try:
        return cached_file(
            origin.name_or_path, name, revision=origin.revision, _raise_exceptions_for_missing_entries=False
        )
    except OSError:
        return None
