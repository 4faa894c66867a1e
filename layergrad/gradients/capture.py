"""Catch the factors of every projection's gradient while autograd passes by, and hand them on at once."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from torch import Tensor, nn

from layergrad.models.projections import Projection


@dataclass(frozen=True, eq=False)
class Factors:
    """The gradients of all projections that read one and the same input, such as q, k and v of a layer, as factors.

    ``inputs`` is X (batch x T x d_in); ``output_gradients`` has Y (batch x T x d_out) for each of ``projections``. The
    gradient of one sample is G = Yᵀ X (d_out x d_in) of its own rows.
    """

    inputs: Tensor
    projections: list[Projection] = field(default_factory=list)
    output_gradients: list[Tensor] = field(default_factory=list)

    def sample(self, index: int, length: int) -> "Factors":
        """X (T x d_in) and every Y (T x d_out) of one sample of the batch, without its padding."""
        return Factors(
            self.inputs[index, :length], self.projections, [y[index, :length] for y in self.output_gradients]
        )

    @property
    def nbytes(self) -> int:
        """Memory that the factors hold."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.inputs, *self.output_gradients))


@dataclass(eq=False)
class _Group:
    """Modules called with the same input in one forward pass, while their output gradients come in."""

    inputs: Tensor
    batch_size: int
    modules: list[list[Projection]] = field(default_factory=list)
    caught: list[tuple[list[Projection], Tensor]] = field(default_factory=list)

    def factors(self) -> Factors:
        split = [(p, gradient[..., p.rows]) for projections, gradient in self.caught for p in projections]
        return Factors(
            _in_batch(self.inputs, self.batch_size),
            [projection for projection, _ in split],
            [_in_batch(gradient, self.batch_size) for _, gradient in split],
        )


@contextlib.contextmanager
def captured_factors(projections: list[Projection], receive: Callable[[Factors], None]) -> Iterator[None]:
    """Within the block, call ``receive`` for every group of factors as soon as a backward pass has completed it."""
    group: _Group | None = None
    batch_size = 1

    def on_forward(
        of_module: list[Projection], module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor
    ) -> None:
        nonlocal group, batch_size
        if not output.requires_grad:
            return  # the first of the two forward passes of gradient checkpointing
        inputs = arguments[0].detach()
        if inputs.ndim == 3:
            batch_size = len(inputs)
        if group is None or not _same_memory(group.inputs, inputs):
            group = _Group(inputs, batch_size)
        group.modules.append(of_module)
        output.register_hook(partial(on_backward, group, of_module))

    def on_backward(group: _Group, of_module: list[Projection], gradient: Tensor) -> None:
        group.caught.append((of_module, gradient))
        if len(group.caught) == len(group.modules):
            receive(group.factors())
            group.caught.clear()
            group.inputs = group.inputs.new_empty(0)  # the hook keeps the group, and with it would keep the inputs

    by_module = [list(same) for _, same in groupby(projections, key=lambda p: p.module)]
    handles = [same[0].module.register_forward_hook(partial(on_forward, same)) for same in by_module]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _same_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same values in the same place: modules that were called with one input."""
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape


def _in_batch(tensor: Tensor, batch_size: int) -> Tensor:
    """(batch x T x d), also where a model flattens the batch before it calls a module, as OPT does for its MLP."""
    return tensor if tensor.ndim == 3 else tensor.unflatten(0, (batch_size, -1))
