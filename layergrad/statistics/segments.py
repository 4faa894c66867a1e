"""Which layers are the early, the mid and the last part of a model."""

from layergrad.contracts.errors import UserError

PAPER = {
    26: {"early": (0, 6), "mid": (7, 19), "last": (20, 25)},
    28: {"early": (0, 6), "mid": (7, 20), "last": (21, 27)},
    32: {"early": (0, 9), "mid": (10, 19), "last": (20, 31)},
    42: {"early": (0, 11), "mid": (12, 29), "last": (30, 41)},
}
"""First and last layer, inclusive, in the paper's released code, by the number of layers."""


def segments(n_layers: int, declared: dict | None = None) -> dict[str, range]:
    """Layers of ``all``, ``early``, ``mid`` and ``last``, counted from 0.

    ``declared`` are a model file's own segments (first and last layer, inclusive); without them the paper's table
    holds for 26, 28, 32 and 42 layers, and cuts at floor(N/3) and floor(2N/3) for every other N. A segment of a very
    small model may be empty.
    """
    if declared:
        parts = {name: range(first, last + 1) for name, (first, last) in declared.items()}
        _check(parts, n_layers)
    elif n_layers in PAPER:
        parts = {name: range(first, last + 1) for name, (first, last) in PAPER[n_layers].items()}
    else:
        one, two = n_layers // 3, 2 * n_layers // 3
        parts = {"early": range(one), "mid": range(one, two), "last": range(two, n_layers)}
    return {"all": range(n_layers), **parts}


def _check(parts: dict[str, range], n_layers: int) -> None:
    for name, layers in parts.items():
        if not layers or layers.start < 0 or layers.stop > n_layers:
            raise UserError(
                f"segments: {name} is given as {layers.start} to {layers.stop - 1}; "
                f"allowed are layers 0 to {n_layers - 1}, the first not after the last"
            )
