"""Singular values of a weight gradient G = Yᵀ X from its factors, without forming G where its rank is small.

Letters in the docstrings: T rows (token positions), O = d_out, I = d_in. X (T x I) holds a projection's inputs,
Y (T x O) the gradients at its outputs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import entr
from torch import Tensor

from layergrad.gradients.lapack import symmetric_eigenvalues

_BLOCK = 2**20  # entries of G that are formed at a time where only the extreme ones are wanted: 4 MB


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What is measured of one gradient: its singular values (float64, largest first), the mean of its entries, and
    the largest and smallest entry where they were asked for."""

    values: np.ndarray
    mean: float
    largest: float | None
    smallest: float | None


class NotFiniteError(Exception):
    """A loss or a gradient that is infinite or not a number."""


def spectra(x: Tensor, ys: list[Tensor], extremes: bool) -> list[Spectrum]:
    """Spectrum of Yᵀ X for every Y that goes with one X, whose triangular factor they share.

    Rows before the first and after the last in which a Y has a gradient are left out. Raises ``NotFiniteError``.
    """
    used = _rows_with_gradient(ys)
    x, ys = _at_least_float32(x[used]), [_at_least_float32(y[used]) for y in ys]
    r = triangular_factor(x) if any(len(x) < min(y.shape[1], x.shape[1]) for y in ys) else None
    x_sum = x.sum(1, dtype=torch.float64)
    return [_spectrum(x, y, r, x_sum, extremes) for y in ys]


def _spectrum(x: Tensor, y: Tensor, r: Tensor | None, x_sum: Tensor, extremes: bool) -> Spectrum:
    factor = small_factor(x, y, r)
    values = singular_values(factor) if len(x) else np.zeros(1)
    mean = (y.sum(1, dtype=torch.float64) @ x_sum).item() / (y.shape[1] * x.shape[1])
    if not extremes:
        return Spectrum(values, mean, None, None)
    whole = factor.shape == (y.shape[1], x.shape[1])
    smallest, largest = torch.aminmax(factor) if whole else extreme_entries(x, y)
    return Spectrum(values, mean, largest.item(), smallest.item())


def triangular_factor(x: Tensor) -> Tensor:
    """R (T x T) with Xᵀ = Q R and Q orthonormal, for T <= I. Shared by all projections that read the same X."""
    return torch.linalg.qr(x.T, mode="r").R


def small_factor(x: Tensor, y: Tensor, r: Tensor | None) -> Tensor:
    """A matrix with the same non-zero singular values as Yᵀ X, its smaller side as small as the factors allow.

    For T < min(O, I) that is R Y (T x O) with R = ``triangular_factor(x)``, since G = (R Y)ᵀ Qᵀ; otherwise G itself
    (O x I).
    """
    return r @ y if r is not None and len(x) < min(y.shape[1], x.shape[1]) else y.T @ x


def singular_values(matrix: Tensor) -> np.ndarray:
    """All singular values of a matrix, largest first, in float64. Raises ``NotFiniteError``.

    A float64 matrix is decomposed as it is. For lower precisions the Gram matrix of the smaller side is accumulated in
    float64, whose error, about 1e-8 of the largest value, lies below that of the matrix itself; in float32 the Gram
    matrix would lose the small values.
    """
    if matrix.dtype == torch.float64:
        _refuse_not_finite(matrix.sum().item())
        return torch.linalg.svdvals(matrix).cpu().numpy()
    gram = _gram(matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T)
    _refuse_not_finite(gram.trace())
    return np.sqrt(symmetric_eigenvalues(gram)[::-1].clip(0))


def _gram(matrix: Tensor) -> np.ndarray:
    """M Mᵀ in float64: by NumPy on the CPU, which forms one half and mirrors it, or on a GPU that has float64."""
    if matrix.device.type == "cuda":
        on_gpu = matrix.double()
        return (on_gpu @ on_gpu.T).cpu().numpy()
    wide = matrix.cpu().double().numpy()
    return wide @ wide.T


def extreme_entries(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest entry of Yᵀ X, formed a block of rows at a time."""
    blocks = [torch.aminmax(rows @ x) for rows in y.T.split(max(1, _BLOCK // x.shape[1]))]
    return torch.stack([b.min for b in blocks]).min(), torch.stack([b.max for b in blocks]).max()


def effective_rank(values: np.ndarray) -> float | None:
    """exp of the entropy of the normalised singular values (Roy and Vetterli 2007); null for a zero gradient."""
    total = values.sum()
    return float(np.exp(entr(values / total).sum())) if total > 0 else None


def stable_rank(values: np.ndarray) -> float | None:
    """Squared Frobenius norm over squared spectral norm; null for a zero gradient."""
    return float(np.square(values / values[0]).sum()) if values[0] > 0 else None


def spectrum_statistics(spectrum: Spectrum) -> dict[str, float | None]:
    """What a spectrum says, under the names of the gradient table."""
    values = spectrum.values
    return {
        "nuclear_norm": float(values.sum()),
        "frobenius_norm": float(np.linalg.norm(values)),
        "spectral_norm": float(values[0]),
        "effective_rank": effective_rank(values),
        "stable_rank": stable_rank(values),
        "grad_mean": spectrum.mean,
        "grad_max": spectrum.largest,
        "grad_min": spectrum.smallest,
    }


def rank_statistics(spectrum: Spectrum, rank_bound: int, full_rank: int) -> dict[str, float | int]:
    """The structural bound on the rank, and the smallest of min(O, I) = ``full_rank`` singular values.

    Below full rank that is 0 by structure, whatever rounding leaves there.
    """
    full = rank_bound == full_rank == len(spectrum.values)
    return {"rank_bound": rank_bound, "s_min": float(spectrum.values[-1]) if full else 0.0}


def _rows_with_gradient(ys: list[Tensor]) -> slice:
    """From the first row to the last in which any Y has an entry that is not zero."""
    rows = torch.stack([y.abs().amax(1) for y in ys]).any(0).nonzero()
    return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0)


def _at_least_float32(factor: Tensor) -> Tensor:
    """Spectra are never made in half precision; the factors of half-precision models are exact in float32."""
    return factor if factor.dtype == torch.float64 else factor.float()


def _refuse_not_finite(value: float) -> None:
    if not np.isfinite(value):
        raise NotFiniteError("the gradient is not finite")
