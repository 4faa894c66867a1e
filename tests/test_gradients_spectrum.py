"""Singular values from factors against NumPy's decomposition of the dense product in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layergrad.gradients.spectrum import (
    effective_rank,
    entry_statistics,
    singular_values,
    small_factor,
    spectrum_statistics,
    stable_rank,
    triangular_factor,
)


def dense_values(x, y):
    return np.linalg.svd(y.double().numpy().T @ x.double().numpy(), compute_uv=False)


def factors(t, o, i, kind="plain", dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(t, i, generator=generator, dtype=torch.float64)
    y = torch.randn(t, o, generator=generator, dtype=torch.float64) * torch.logspace(0, -4, t).double()[:, None]
    if kind == "repeated":
        x = x[torch.arange(t) // 3]
    if kind == "sink":
        x[0] *= 1000
    return x.to(dtype), y.to(dtype)


@pytest.mark.parametrize("kind", ["plain", "repeated", "sink"])
@pytest.mark.parametrize("t", [1, 2, 11, 12, 13, 20, 21, 60])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_nuclear_norm_agrees_with_the_dense_decomposition(t, kind, dtype, tolerance):
    x, y = factors(t, 12, 20, kind, dtype)
    truth = dense_values(x, y)
    assert singular_values(small_factor(x, y)).sum().item() == pytest.approx(truth.sum(), rel=tolerance)
    assert singular_values(small_factor(x, y)).max().item() == pytest.approx(truth[0], rel=tolerance)


@settings(max_examples=60, deadline=None)
@given(t=st.integers(1, 40), o=st.integers(1, 30), i=st.integers(1, 30), seed=st.integers(0, 10**6))
def test_every_shape_gives_all_values_that_can_differ_from_zero(t, o, i, seed):
    x, y = factors(t, o, i, seed=seed)
    values = singular_values(small_factor(x, y)).numpy()
    truth = dense_values(x, y)
    assert len(values) == min(t, o, i)
    np.testing.assert_allclose(values, truth[: len(values)], atol=1e-9 * truth[0])


def test_a_shared_triangular_factor_gives_the_same_values():
    x, y = factors(9, 12, 20)
    alone = singular_values(small_factor(x, y))
    shared = singular_values(small_factor(x, y, triangular_factor(x)))
    torch.testing.assert_close(alone, shared, rtol=0, atol=0)


def test_small_values_survive_the_gram_matrix():
    """Graded factors, where a float32 Gram matrix is off by 6e-4."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(96, 384, generator=generator)
    y = torch.randn(96, 320, generator=generator) * torch.logspace(0, -8, 96)[:, None]
    assert singular_values(small_factor(x, y)).sum().item() == pytest.approx(dense_values(x, y).sum(), rel=1e-6)


def test_ranks_of_known_spectra():
    equal = torch.ones(5, dtype=torch.float64)
    assert effective_rank(equal) == pytest.approx(5)
    assert stable_rank(equal) == pytest.approx(5)
    one = torch.tensor([3.0, 0.0, 0.0], dtype=torch.float64)
    assert effective_rank(one) == pytest.approx(1)
    assert stable_rank(one) == pytest.approx(1)
    zero = torch.zeros(3, dtype=torch.float64)
    assert effective_rank(zero) is None
    assert stable_rank(zero) is None


def test_smallest_value_is_zero_below_full_rank():
    values = torch.tensor([2.0, 1.0, 1e-9], dtype=torch.float64)
    assert spectrum_statistics(values, rank_bound=2, full_rank=3)["s_min"] == 0
    assert spectrum_statistics(values, rank_bound=3, full_rank=3)["s_min"] == pytest.approx(1e-9)


def test_entries_against_the_dense_product():
    x, y = factors(15, 12, 20)
    dense = y.T.numpy() @ x.numpy()
    entries = entry_statistics(x, y, extremes=True)
    assert entries["grad_mean"] == pytest.approx(dense.mean(), rel=1e-12)
    assert entries["grad_max"] == pytest.approx(dense.max(), rel=1e-12)
    assert entries["grad_min"] == pytest.approx(dense.min(), rel=1e-12)
    assert entry_statistics(x, y, extremes=False)["grad_max"] is None
