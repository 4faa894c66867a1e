"""Load a causal language model and its tokenizer from the hub, a directory or a GGUF file, never from a pickle."""

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256

GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True)
class ModelOrigin:
    """Where a model is: a hub id or a directory, with the file's name if it is a GGUF file in that directory.

    ``tokenizer`` is the directory its tokenizer is in, where that is not with the weights.
    """

    name_or_path: str
    revision: str | None = None
    gguf_file: str | None = None
    trust_remote_code: bool = False
    tokenizer: str | None = None

    @classmethod
    def of(cls, text: str, **options: Any) -> "ModelOrigin":
        """Read a hub id, a directory or the path of a ``.gguf`` file, as a person gives it."""
        path = Path(text)
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) != GGUF_MAGIC:
                    raise UserError(f"{text}: not a GGUF file; a model is a hub id, a directory or a .gguf file")
            return cls(str(path.parent), gguf_file=path.name, **options)
        if not path.is_dir() and (text.endswith(".gguf") or text.startswith((".", "/", "~")) or text.count("/") > 1):
            raise UserError(f"{text}: no such model; a model is a hub id, a directory or a .gguf file")
        return cls(text, **options)

    def keywords(self) -> dict[str, Any]:
        """Arguments for the ``from_pretrained`` methods of transformers."""
        known = {"revision": self.revision, "gguf_file": self.gguf_file}
        return {"trust_remote_code": self.trust_remote_code} | {k: v for k, v in known.items() if v is not None}

    def checksums(self) -> dict[str, str]:
        """sha256 of the weight files by name, for a local model; the revision says it for one on the hub."""
        folder = Path(self.name_or_path)
        names = [self.gguf_file] if self.gguf_file else sorted(p.name for p in folder.glob("*.safetensors"))
        return {name: file_sha256(folder / name) for name in names}


def origin_facts(origin: ModelOrigin) -> dict[str, Any]:
    """What tells these weights from any others: checksums of a local model's files, the commit of one on the hub."""
    facts: dict[str, Any] = {"name_or_path": origin.name_or_path, "checksums": origin.checksums()}
    if not Path(origin.name_or_path).is_dir():
        facts["revision"] = getattr(load_config(origin), "_commit_hash", None) or origin.revision
    return facts


def load_tokenizer(origin: ModelOrigin) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer. Raises ``UserError`` where there is none: spans of tokens are needed."""
    if origin.tokenizer:
        return load_tokenizer(ModelOrigin(origin.tokenizer, trust_remote_code=origin.trust_remote_code))
    with _one_line(origin, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(origin.name_or_path, **origin.keywords())
    if not tokenizer.is_fast:
        raise UserError(f"{origin.name_or_path}: its tokenizer gives no character spans; a fast tokenizer is needed")
    return tokenizer


def load_config(origin: ModelOrigin) -> transformers.PretrainedConfig:
    """Load a model's configuration."""
    with _one_line(origin, "model configuration"):
        return AutoConfig.from_pretrained(origin.name_or_path, **origin.keywords())


def load_skeleton(origin: ModelOrigin) -> PreTrainedModel:
    """The model's modules without weights, on the meta device: what it is made of, known at once."""
    config = load_config(origin)
    with _one_line(origin, "model"), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=origin.trust_remote_code)


def resolve_attention(model: PreTrainedModel, wanted: str) -> str:
    """``sdpa`` or ``eager``: which of them a model or its skeleton runs for ``auto``, ``sdpa`` or ``eager``.

    ``auto`` is transformers' own choice: sdpa, or eager for a class that has none, such as Gemma 2's, whose capped
    scores torch's fused attention cannot express. Raises ``UserError`` for sdpa on such a class.
    """
    try:
        return model.get_correct_attn_implementation(None if wanted == "auto" else wanted)
    except ValueError as error:
        raise UserError(f"{type(model).__name__} cannot run {wanted} attention; choose auto or eager") from error


def resolve_device(wanted: str, dtype: str) -> torch.device:
    """The device meant by ``auto``, ``cpu``, ``cuda``, ``cuda:<n>`` or ``mps``, for weights in ``dtype``.

    ``auto`` is the first CUDA GPU, else MPS, else the CPU. Raises ``UserError`` for one that is absent, with a list of
    those there are, and for float64 on MPS, which has none.
    """
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    there = [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
    chosen = {"auto": there[0], "cuda": "cuda:0"}.get(wanted, wanted)
    if chosen not in there:
        raise UserError(f"device {wanted}: not on this machine, which has {', '.join(there)}")
    if chosen == "mps" and dtype == "float64":
        raise UserError(f"device {wanted}: MPS has no float64; choose float32, or the device cpu")
    return torch.device(chosen)


def load_model(
    origin: ModelOrigin,
    dtype: str = "float32",
    attention: str = "auto",
    device: str = "cpu",
    device_map: str | None = None,
) -> PreTrainedModel:
    """Load weights in ``dtype`` (a name of torch's), in evaluation mode and frozen. Pickled weights are refused.

    ``attention`` is sdpa, eager, or auto for transformers' choice; ``config._attn_implementation`` of the result tells
    what it runs. ``device`` is read as ``resolve_device`` does; ``device_map="auto"`` spreads the layers over all CUDA
    GPUs instead.
    ``dtype`` is always said, since transformers 5 takes the checkpoint's own one otherwise.
    """
    place = resolve_device("cuda" if device_map else device, dtype)
    # A GGUF file is not safetensors, and asking for them there is an error.
    safe = {} if origin.gguf_file else {"use_safetensors": True}
    with _one_line(origin, "model"):
        model = AutoModelForCausalLM.from_pretrained(
            origin.name_or_path,
            dtype=getattr(torch, dtype),
            attn_implementation=None if attention == "auto" else attention,
            device_map=device_map,
            **safe,
            **origin.keywords(),
        )
    if device_map is None:
        PreTrainedModel.to(model, place)
    elif not all(weight.is_cuda for weight in model.parameters()):
        raise UserError(f"{origin.name_or_path}: does not fit on the GPUs that device_map auto found; choose bfloat16")
    if dtype == "float64" and hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the default one multiplies no float64 matrices
    return model.eval().requires_grad_(False)


@contextlib.contextmanager
def _one_line(origin: ModelOrigin, what: str) -> Iterator[None]:
    """Turn what transformers raises for a bad model into one line, and keep its progress bars out of the logs."""
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError, struct.error) as error:
        if _hub_refused(error):
            raise UserError(
                f"{origin.name_or_path}: the hub refuses access to it; accept its licence at "
                f"https://huggingface.co/{origin.name_or_path}, then log in with hf auth login or set HF_TOKEN "
                "(a token must be valid and allowed to read gated repositories)"
            ) from error
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"{origin.name_or_path}: no {what} can be loaded from it: {reason}") from error


def _hub_refused(error: BaseException | None) -> bool:
    """Whether the hub has the model and gives it only to those who are let in; its answer is among the causes."""
    while error is not None and not isinstance(error, HfHubHTTPError):
        error = error.__cause__ or error.__context__
    if isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError):
        return False
    return error is not None and error.response.status_code in (401, 403)
