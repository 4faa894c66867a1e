"""layergrad: what data does to the layers of a language model, seen through per-sample gradients.

As a library: ``layergrad.measure(model, tokenizer, pairs)``, ``layergrad.singular_values(model, tokenizer, pairs)`` and
``layergrad.watch(model)``, all in ``layergrad.library``.
"""

from typing import Any

__all__ = ["measure", "singular_values", "watch"]


def __getattr__(name: str) -> Any:
    """The library, imported when it is first used: the floors that need no torch must not load it."""
    if name not in __all__:
        raise AttributeError(f"module layergrad has no attribute {name}")
    from layergrad import library

    return getattr(library, name)
