"""Catch the factors of every projection's gradient while autograd passes by, and hand them on at once."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor, nn

from layergrad.models.projections import Projection


@dataclass(eq=False)
class FactorGroup:
    """The factors of all projections that read one and the same input, such as q, k and v of a layer.

    ``inputs`` is X (T x d_in), ``output_gradients`` holds Y (T x d_out) by projection, both of one sample.
    """

    inputs: Tensor | None
    projections: list[Projection] = field(default_factory=list)
    output_gradients: dict[str, Tensor] = field(default_factory=dict)


@contextlib.contextmanager
def captured_factors(projections: list[Projection], receive: Callable[[FactorGroup], None]) -> Iterator[None]:
    """Within the block, call ``receive`` for every group as soon as a backward pass has completed it.

    Batches of one sample only. A group's factors are let go once ``receive`` returns, so that a pass never holds the
    gradients of more than one layer.
    """
    group = None

    def on_forward(projection: Projection, _: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal group
        inputs = arguments[0].detach()[0]
        if group is None or group.inputs is None or not _same_memory(group.inputs, inputs):
            group = FactorGroup(inputs)
        group.projections.append(projection)
        output.register_hook(partial(on_backward, group, projection))

    def on_backward(group: FactorGroup, projection: Projection, gradient: Tensor) -> None:
        group.output_gradients[projection.name] = gradient[0]
        if len(group.output_gradients) == len(group.projections):
            receive(group)
            group.inputs = None
            group.output_gradients.clear()

    handles = [p.module.register_forward_hook(partial(on_forward, p)) for p in projections]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _same_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same values in the same place: modules that were called with one input."""
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape
