"""How alike two gradients of one response are: their cosines within a layer and from one layer to the next."""

from collections.abc import Iterator

import torch
from torch import Tensor

from layergrad.gradients.capture import Factors
from layergrad.models.projections import Projection

WITHIN_A_LAYER = {"qo": ("q", "o"), "kv": ("k", "v")}
_BLOCK = 2**20  # entries of a gradient that are formed at a time

Place = tuple[int, str]
"""Layer and name of a projection."""


class Similarity:
    """Inner products of the gradients of one response, of which at most two layers' factors are kept at a time."""

    def __init__(self) -> None:
        self.products: dict[tuple[Place, Place], float] = {}
        self._kept: dict[Place, tuple[Tensor, Tensor]] = {}

    def receive(self, factors: Factors) -> None:
        """Take factors as they come in the backward pass, the last layer first, and compare them with those kept."""
        layer = factors.projections[0].layer
        self._kept = {place: kept for place, kept in self._kept.items() if abs(place[0] - layer) <= 1}
        for projection, y in zip(factors.projections, factors.output_gradients, strict=True):
            here = (layer, projection.name)
            self._kept[here] = (factors.inputs, y)
            for _, one, other in _pairs({here, *self._kept}):
                if here in (one, other) and _same_shape(self._kept[one], self._kept[other]):
                    self.products[one, other] = inner_product(*self._kept[one], *self._kept[other])

    def rows(self, norms: dict[Projection, float]) -> list[dict]:
        """One row of the similarity table a pair, without its key; ``norms`` are Frobenius norms of all gradients.

        A pair within a layer stands under its first projection, one of neighbouring layers under the lower layer.
        """
        by_place = {(p.layer, p.name): p for p in norms}
        rows = []
        for kind, one, other in _pairs(set(by_place)):
            reason, cosine = _why_none(by_place[one], by_place[other], norms), None
            if reason is None:
                cosine = self.products[one, other] / (norms[by_place[one]] * norms[by_place[other]])
            rows.append(
                {"kind": kind, "layer": one[0], "projection": one[1], "cosine": cosine, "cosine_reason": reason}
            )
        return rows


def inner_product(x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor) -> float:
    """Sum over all entries of G1 * G2, with G = Yᵀ X of one shape, in float64.

    That is the sum of (Y1 Y2ᵀ) * (X1 X2ᵀ), T x T, which takes fewer operations than both G where T (O + I) < 2 O I;
    otherwise both are formed a block of rows at a time.
    """
    if y1.device.type == "mps":  # it has no float64
        x1, y1, x2, y2 = (factor.cpu() for factor in (x1, y1, x2, y2))
    x1, y1, x2, y2 = (factor.double() for factor in (x1, y1, x2, y2))
    (rows, outputs), inputs = y1.shape, x1.shape[1]
    if rows * (outputs + inputs) < 2 * outputs * inputs:
        return ((y1 @ y2.T) * (x1 @ x2.T)).sum().item()
    blocks = torch.arange(outputs, device=y1.device).split(max(1, _BLOCK // inputs))
    return sum(((y1[:, block].T @ x1) * (y2[:, block].T @ x2)).sum().item() for block in blocks)


def _pairs(places: set[Place]) -> Iterator[tuple[str, Place, Place]]:
    """Kind and both members of every pair that is compared."""
    for layer, name in sorted(places):
        if (layer + 1, name) in places:
            yield "adjacent", (layer, name), (layer + 1, name)
        for kind, (first, second) in WITHIN_A_LAYER.items():
            if name == first and (layer, second) in places:
                yield kind, (layer, first), (layer, second)


def _same_shape(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return all(a.shape == b.shape for a, b in zip(one, other, strict=True))


def _why_none(one: Projection, other: Projection, norms: dict[Projection, float]) -> str | None:
    """Gradients of different shapes have no cosine, nor has one that is zero."""
    shapes = [f"{p.d_out} x {p.d_in}" for p in (one, other)]
    if shapes[0] != shapes[1]:
        return f"shapes differ: {shapes[0]} and {shapes[1]}"
    return None if norms[one] and norms[other] else "a gradient is zero"
