"""How alike two gradients of one response are: their cosines within a layer and from one layer to the next."""

from collections.abc import Iterator

import torch
from torch import Tensor

from layergrad.gradients.capture import Factors
from layergrad.models.projections import Projection

WITHIN_A_LAYER = {"qo": ("q", "o"), "kv": ("k", "v")}

Place = tuple[int, str]
"""Layer and name of a projection."""


class Similarity:
    """Inner products of the gradients of one response, of which at most two layers' are kept at a time."""

    def __init__(self) -> None:
        self.products: dict[tuple[Place, Place], float] = {}
        self._kept: dict[Place, tuple[Tensor, ...]] = {}

    def receive(self, factors: Factors) -> None:
        """Take factors as the backward pass gives them, the last layer first, and compare the gradients kept."""
        layer = factors.projections[0].layer
        self._kept = {place: kept for place, kept in self._kept.items() if abs(place[0] - layer) <= 1}
        for projection, y in zip(factors.projections, factors.output_gradients, strict=True):
            here = (layer, projection.name)
            self._kept[here] = comparable(factors.inputs, y)
            for _, one, other in _pairs({here, *self._kept}):
                if here in (one, other) and _same_shape(self._kept[one], self._kept[other]):
                    self.products[one, other] = inner_product(self._kept[one], self._kept[other])

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


def comparable(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """In float64, what a gradient G = Yᵀ X is compared by: its factors, or where that takes more work G itself.

    With T rows an inner product of factors takes 2 T² (O + I) operations. To form G takes 2 T O I, once for the two or
    three that it is compared with, so that there is less than one to form an inner product.
    """
    if y.device.type == "mps":  # it has no float64
        x, y = x.cpu(), y.cpu()
    x, y = x.double(), y.double()
    (rows, outputs), inputs = y.shape, x.shape[1]
    return (x, y) if rows * (outputs + inputs) < outputs * inputs else (y.T @ x,)


def inner_product(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> float:
    """Sum over all entries of G1 * G2; of factors that is the sum over all of (X1 X2ᵀ) * (Y1 Y2ᵀ), T x T."""
    if len(one) == 1:
        return torch.dot(one[0].ravel(), other[0].ravel()).item()
    (x1, y1), (x2, y2) = one, other
    return torch.dot((x1 @ x2.T).ravel(), (y1 @ y2.T).ravel()).item()


def _pairs(places: set[Place]) -> Iterator[tuple[str, Place, Place]]:
    """Kind and both members of every pair that is compared."""
    for layer, name in sorted(places):
        if (layer + 1, name) in places:
            yield "adjacent", (layer, name), (layer + 1, name)
        for kind, (first, second) in WITHIN_A_LAYER.items():
            if name == first and (layer, second) in places:
                yield kind, (layer, first), (layer, second)


def _same_shape(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return [tensor.shape for tensor in one] == [tensor.shape for tensor in other]


def _why_none(one: Projection, other: Projection, norms: dict[Projection, float]) -> str | None:
    """Gradients of different shapes have no cosine, nor has one that is zero."""
    shapes = [f"{p.d_out} x {p.d_in}" for p in (one, other)]
    if shapes[0] != shapes[1]:
        return f"shapes differ: {shapes[0]} and {shapes[1]}"
    return None if norms[one] and norms[other] else "a gradient is zero"
