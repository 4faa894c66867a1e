"""From what is asked of a model to a model that is ready to be measured."""

import torch
from transformers import PreTrainedModel

from layergrad.gradients.batches import distinct
from layergrad.gradients.measure import Measurer
from layergrad.gradients.settings import Settings
from layergrad.models.load import ModelOrigin, load_model, resolve_attention, resolve_device
from layergrad.models.memory import check_memory, give_large_blocks_back, needed_bytes
from layergrad.models.projections import find_projections
from layergrad.models.tokens import EncodedResponse


def resolve(skeleton: PreTrainedModel, settings: Settings) -> Settings:
    """Settings with what ``auto`` and none mean for this model on this machine.

    Raises ``UserError`` for a model or a machine that cannot do what is asked, before any weight is loaded.
    """
    device = resolve_device("cuda" if settings.device_map else settings.device, settings.dtype)
    return settings.model_copy(
        update={
            "attention": resolve_attention(skeleton, settings.attention),
            "device": str(device),
            "batch_tokens": settings.batch_tokens or default_batch_tokens(device),
        }
    )


def default_batch_tokens(device: torch.device) -> int:
    """Padded tokens of a batch. On the CPU a pass of 256 tokens is as cheap a token as any longer one; a GPU is not
    kept busy by so few."""
    return 256 if device.type == "cpu" else 4096


def load_measurer(
    origin: ModelOrigin, skeleton: PreTrainedModel, settings: Settings, batches: list[list[EncodedResponse]]
) -> Measurer:
    """The model with its weights, for batches whose first samples are their longest; ``settings`` are resolved.

    Raises ``UserError`` if the weights and the largest batch do not fit into memory, before they are loaded.
    """
    measured = [distinct(batch) for batch in batches]
    needed = needed_bytes(
        skeleton,
        find_projections(skeleton, settings.projections, settings.modules),
        settings.dtype,
        settings.attention,
        tokens=max(len(batch) * len(batch[0].ids) for batch in measured),
        response_tokens=max(sum(encoded.n_response for encoded in batch) for batch in measured),
    )
    device = resolve_device(settings.device, settings.dtype)
    check_memory(type(skeleton).__name__, needed, device, all_gpus=bool(settings.device_map))
    give_large_blocks_back()
    model = load_model(origin, settings.dtype, settings.attention, settings.device, settings.device_map)
    return Measurer(model, settings.extremes, settings.projections, settings.modules, settings.similarity)
