"""How much memory a measurement needs, known before the weights are loaded, and how much there is."""

import copy
import ctypes
import logging
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedModel

from layergrad.contracts.errors import UserError
from layergrad.models.projections import Projection

logger = logging.getLogger("layergrad")

_SPECTRA = 100 * 10**6  # gradients that wait for their spectra, and the workspace of decompositions
_HOLES = 1.25  # what malloc holds for tensors of a few megabytes, over what they need: 1.0 to 1.35 was measured
_LOGITS = {"float64": 16, "float32": 8, "bfloat16": 10, "float16": 10}  # bytes of one logit and of its gradient
_LARGE_BLOCK = 4 * 2**20
_M_MMAP_THRESHOLD = -3  # as glibc's malloc.h has it
_CGROUPS = Path("/sys/fs/cgroup")


def needed_bytes(
    skeleton: PreTrainedModel,
    projections: list[Projection],
    dtype: str,
    attention: str,
    tokens: int,
    response_tokens: int,
) -> int | None:
    """Estimate of the bytes that the weights and the peak of one sample's measurement take, imports not counted.

    ``skeleton`` has no weights (``load_skeleton``), ``projections`` are its own, ``attention`` is resolved, and the
    sample has ``tokens`` in all. A forward pass is traced on tensors that have shapes and no values, so that what
    autograd keeps of it is counted and not guessed, for any architecture. None where its code cannot be traced.
    """
    # torch traces grouped experts in bfloat16 alone; twice its bytes are somewhat more than those of float32.
    experts = any(type(module).__name__.endswith("Experts") for module in skeleton.modules())
    traced = torch.bfloat16 if experts else getattr(torch, dtype)
    try:
        weights, kept = _traced_bytes(skeleton, projections, traced, attention, tokens, response_tokens)
    except RuntimeError as error:
        logger.warning("%s: its memory cannot be estimated: %s", type(skeleton).__name__, error)
        return None
    scale = getattr(torch, dtype).itemsize / traced.itemsize
    config = skeleton.config.get_text_config()
    # The loss holds the logits, in float32 at least, and their gradient; the backward pass a layer's gradients.
    logits = response_tokens * config.vocab_size * _LOGITS[dtype]
    one_layer = kept * scale / config.num_hidden_layers
    return int(weights * scale + kept * scale * _HOLES + max(logits, one_layer) + _SPECTRA)


def _traced_bytes(
    skeleton: PreTrainedModel,
    projections: list[Projection],
    dtype: torch.dtype,
    attention: str,
    tokens: int,
    response_tokens: int,
) -> tuple[int, int]:
    """Bytes of the weights, and of all else that is alive at the end of a forward pass."""
    held: dict[int, torch.UntypedStorage] = {}

    def hold(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage._cdata] = storage
        return tensor

    def hold_input(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        hold(arguments[0])

    def total() -> int:
        return sum(storage.nbytes() for storage in held.values())

    config = copy.deepcopy(skeleton.config)
    with FakeTensorMode():
        model = type(skeleton)._from_config(config, dtype=dtype, attn_implementation=attention)
        model.eval().requires_grad_(False)
        for tensor in (*model.parameters(), *model.buffers()):
            hold(tensor)
        weights = total()
        for name in {projection.module_name for projection in projections}:
            model.get_submodule(name).register_forward_pre_hook(hold_input)
        embedded = model.get_input_embeddings()(torch.zeros(1, tokens, dtype=torch.long)).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            model(inputs_embeds=embedded, use_cache=False, logits_to_keep=response_tokens)
        return weights, total() - weights


def give_large_blocks_back() -> None:
    """Let this process return every block of 4 MB or more to the system as soon as it is free.

    glibc otherwise raises that limit to 32 MB by itself and keeps what is smaller, in pieces that the next tensor may
    not fit into: 20 % of the peak at the width of Llama-3-8B. No effect where the C library has no mallopt.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def available_bytes(device: torch.device, all_gpus: bool = False) -> int:
    """Bytes of memory that are free on a device now, or on all CUDA GPUs together.

    On the CPU no more than the control groups of the process (containers, SLURM) leave it.
    """
    if device.type == "cuda":
        gpus = range(torch.cuda.device_count()) if all_gpus else [device]
        return sum(torch.cuda.mem_get_info(gpu)[0] for gpu in gpus)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(psutil.virtual_memory().available, *cgroup_bytes(_CGROUPS, Path("/proc/self/cgroup")))


def cgroup_bytes(root: Path, membership: Path) -> list[int]:
    """Bytes left under every memory limit of the process's control groups, of version 1 or 2, up to the ``root``."""
    free = []
    for line in membership.read_text().splitlines() if membership.exists() else []:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = top / group.strip("/")
        free += [left for place in (folder, *folder.parents) if (left := _left_in(place, *names)) is not None]
    return free


def _left_in(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Limit minus usage; a cache of files that is idle gives way when memory is short."""
    if not (folder / limit).is_file() or (folder / limit).read_text().strip() == "max":
        return None
    statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return int((folder / limit).read_text()) - int((folder / usage).read_text()) + int(statistics[cache])


def check_memory(name: str, needed: int | None, device: torch.device, all_gpus: bool = False) -> None:
    """Log how much memory a model needs and how much there is. Raises ``UserError`` where that is less."""
    if needed is None:
        return
    have = available_bytes(device, all_gpus)
    place = "all GPUs" if all_gpus else device
    line = f"{name} needs about {needed / 1e9:.1f} GB; have {have / 1e9:.1f} GB ({place})"
    if needed > have:
        raise UserError(f"{line}; lower --max-length, choose bfloat16, or a machine with more memory")
    logger.info(line)
