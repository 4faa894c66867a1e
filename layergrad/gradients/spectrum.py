"""Singular values of a weight gradient G = Yᵀ X from its factors, without forming G where its rank is small.

Letters in the docstrings: T rows (token positions), O = d_out, I = d_in. X (T x I) holds a projection's inputs,
Y (T x O) the gradients at its outputs.
"""

import torch
from torch import Tensor


def triangular_factor(x: Tensor) -> Tensor:
    """R (T x T) with Xᵀ = Q R and Q orthonormal, for T <= I. Shared by all projections that read the same X."""
    return torch.linalg.qr(x.T, mode="r").R


def small_factor(x: Tensor, y: Tensor, r: Tensor | None = None) -> Tensor:
    """A matrix with the same non-zero singular values as Yᵀ X, its smaller side as small as the factors allow.

    For T < min(O, I) that is R Y (T x O), since G = (R Y)ᵀ Qᵀ; otherwise G itself (O x I). ``r`` is
    ``triangular_factor(x)`` where it is known already.
    """
    t, (o, i) = len(x), (y.shape[1], x.shape[1])
    if t >= min(o, i):
        return y.T @ x
    return (triangular_factor(x) if r is None else r) @ y


def singular_values(matrix: Tensor) -> Tensor:
    """All singular values of a matrix, largest first, in float64.

    A float64 matrix is decomposed as it is. For lower precisions the Gram matrix of the smaller side is accumulated in
    float64, whose error, about 1e-8 of the largest value, lies below that of the matrix itself; in float32 the Gram
    matrix would lose the small values.
    """
    if matrix.dtype == torch.float64:
        return torch.linalg.svdvals(matrix)
    matrix = matrix.double()
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return torch.linalg.eigvalsh(gram).flip(0).clamp_min(0).sqrt()


def effective_rank(values: Tensor) -> float | None:
    """exp of the entropy of the normalised singular values (PAPER, section 5); null for a zero gradient."""
    total = values.sum()
    if total == 0:
        return None
    p = values / total
    return torch.special.entr(p).sum().exp().item()


def stable_rank(values: Tensor) -> float | None:
    """Squared Frobenius norm over squared spectral norm; null for a zero gradient."""
    return (values.square().sum() / values[0].square()).item() if values[0] > 0 else None


def spectrum_statistics(values: Tensor, rank_bound: int, full_rank: int) -> dict[str, float | int | None]:
    """Everything that one vector of singular values says, under the names of the gradient table.

    ``full_rank`` is min(O, I). Below it the smallest singular value is 0 by structure, whatever rounding leaves there.
    """
    return {
        "nuclear_norm": values.sum().item(),
        "frobenius_norm": values.square().sum().sqrt().item(),
        "spectral_norm": values[0].item(),
        "s_min": values[-1].item() if rank_bound == full_rank == len(values) else 0.0,
        "rank_bound": rank_bound,
        "effective_rank": effective_rank(values),
        "stable_rank": stable_rank(values),
    }


def entry_statistics(x: Tensor, y: Tensor, extremes: bool) -> dict[str, float | None]:
    """Mean of G's entries, from the sums of the factors, and with ``extremes`` its largest and smallest entry."""
    mean = (y.double().sum(1) @ x.double().sum(1)).item() / (y.shape[1] * x.shape[1])
    if not extremes:
        return {"grad_mean": mean, "grad_max": None, "grad_min": None}
    low, high = torch.aminmax(y.T @ x)
    return {"grad_mean": mean, "grad_max": high.item(), "grad_min": low.item()}
