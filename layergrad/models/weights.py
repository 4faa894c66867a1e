"""Weights from the hub brought to this machine before a job loads them: nodes of a cluster often have no network."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json, write_json

FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")
"""What loading takes: weights and their index, configuration, tokenizer, chat template, a model's own code."""


def fetch_weights(card: str | Path, listing: str | Path) -> None:
    """Bring the model of a card into the hub's cache and list its files with their bytes; none for a local one.

    Raises ``UserError`` if the hub cannot be reached or refuses.
    """
    load = read_json(card)["load"]
    local = Path(load["name_or_path"]).is_dir()
    write_json(listing, {} if local else _in_cache(load["name_or_path"], load["revision"]))


def _in_cache(repository: str, revision: str) -> dict[str, int]:
    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))
    except (OSError, ValueError, HfHubHTTPError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"{repository}: its weights cannot be downloaded: {reason}") from error
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    # Where its list of files cannot be had, the hub's library takes for whole what an earlier download left.
    for name in sorted(_weight_files(folder) - set(files)):
        raise UserError(f"{repository}: {name} could not be downloaded, or the repository has none")
    return files


def _weight_files(folder: Path) -> set[str]:
    """Names of the weight files that an index lists, or of the one there must be without an index."""
    indices = list(folder.glob("*.safetensors.index.json"))
    return {name for index in indices for name in read_json(index)["weight_map"].values()} or {"model.safetensors"}
