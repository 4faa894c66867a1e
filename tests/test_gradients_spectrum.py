"""Singular values from factors against NumPy's decomposition of the dense product in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layergrad.gradients.lapack import symmetric_eigenvalues
from layergrad.gradients.spectrum import (
    NotFiniteError,
    Spectrum,
    effective_rank,
    extreme_entries,
    rank_statistics,
    singular_values,
    spectra,
    stable_rank,
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
    [spectrum] = spectra(x, [y], extremes=False)
    assert spectrum.values.sum() == pytest.approx(truth.sum(), rel=tolerance)
    assert spectrum.values[0] == pytest.approx(truth[0], rel=tolerance)


@settings(max_examples=60, deadline=None)
@given(t=st.integers(1, 40), o=st.integers(1, 30), i=st.integers(1, 30), seed=st.integers(0, 10**6))
def test_every_shape_gives_all_values_that_can_differ_from_zero(t, o, i, seed):
    x, y = factors(t, o, i, seed=seed)
    values = spectra(x, [y], extremes=False)[0].values
    truth = dense_values(x, y)
    assert len(values) == min(t, o, i)
    np.testing.assert_allclose(values, truth[: len(values)], atol=1e-9 * truth[0])


def test_projections_that_share_their_input_agree_with_each_alone():
    """One of them has fewer outputs than rows, one has no gradient in half of the rows."""
    x, y = factors(9, 12, 20)
    ys = [y, y[:, :5].clone(), y.roll(3, 0)]
    ys[2][:5] = 0
    for spectrum, alone in zip(spectra(x, ys, extremes=False), ys, strict=True):
        truth = dense_values(x, alone)
        np.testing.assert_allclose(spectrum.values[: len(truth)], truth[: len(spectrum.values)], atol=1e-12 * truth[0])


def test_rows_without_a_gradient_at_the_ends_are_dropped():
    """A row counts also if its first column is zero and another is not."""
    x, y = factors(10, 12, 20)
    y[[0, 1, 5, 8, 9]] = 0
    y[1, 7] = 1.0
    [spectrum] = spectra(x, [y], extremes=False)
    assert len(spectrum.values) == 7
    np.testing.assert_allclose(spectrum.values, dense_values(x, y)[:7], atol=1e-12)


def test_a_gradient_of_zeros():
    x, y = factors(4, 12, 20)
    [spectrum] = spectra(x, [y * 0], extremes=True)
    assert (spectrum.values.tolist(), spectrum.mean, spectrum.largest, spectrum.smallest) == ([0.0], 0.0, 0.0, 0.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_factor_that_is_not_finite_is_refused(dtype, value):
    x, y = factors(4, 12, 20, dtype=dtype)
    y[2, 3] = value
    with pytest.raises(NotFiniteError):
        spectra(x, [y], extremes=True)


def test_small_values_survive_the_gram_matrix():
    """Graded factors, where a float32 Gram matrix is off by 6e-4."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(96, 384, generator=generator)
    y = torch.randn(96, 320, generator=generator) * torch.logspace(0, -8, 96)[:, None]
    assert spectra(x, [y], extremes=False)[0].values.sum() == pytest.approx(dense_values(x, y).sum(), rel=1e-6)


def test_half_precision_factors_are_taken_as_they_are():
    x, y = factors(15, 12, 20, dtype=torch.bfloat16)
    assert spectra(x, [y], extremes=False)[0].values.sum() == pytest.approx(dense_values(x, y).sum(), rel=1e-6)


def test_ranks_of_known_spectra():
    equal = np.ones(5)
    assert effective_rank(equal) == pytest.approx(5)
    assert stable_rank(equal) == pytest.approx(5)
    one = np.array([3.0, 0.0, 0.0])
    assert effective_rank(one) == pytest.approx(1)
    assert stable_rank(one) == pytest.approx(1)
    zero = np.zeros(3)
    assert effective_rank(zero) is None
    assert stable_rank(zero) is None


def test_smallest_value_is_zero_below_full_rank():
    spectrum = Spectrum(np.array([2.0, 1.0, 1e-9]), 0.0, None, None)
    assert rank_statistics(spectrum, rank_bound=2, full_rank=3)["s_min"] == 0
    assert rank_statistics(spectrum, rank_bound=3, full_rank=3)["s_min"] == pytest.approx(1e-9)


@pytest.mark.parametrize("t", [5, 15])
def test_entries_against_the_dense_product(t):
    """With fewer rows than the smaller side, and with more, where the gradient is formed whole."""
    x, y = factors(t, 12, 20)
    dense = y.T.numpy() @ x.numpy()
    [spectrum] = spectra(x, [y], extremes=True)
    assert spectrum.mean == pytest.approx(dense.mean(), rel=1e-12)
    assert spectrum.largest == pytest.approx(dense.max(), rel=1e-12)
    assert spectrum.smallest == pytest.approx(dense.min(), rel=1e-12)
    assert spectra(x, [y], extremes=False)[0].largest is None


def test_extreme_entries_are_found_in_every_block(monkeypatch):
    monkeypatch.setattr("layergrad.gradients.spectrum._BLOCK", 60)
    x, y = factors(5, 12, 20)
    dense = y.T.numpy() @ x.numpy()
    assert [entry.item() for entry in extreme_entries(x, y)] == pytest.approx([dense.min(), dense.max()], rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 17, 130])
def test_eigenvalues_are_those_of_numpy(order):
    half = np.random.default_rng(0).normal(size=(order, order + 3))
    truth = np.linalg.eigvalsh(half @ half.T)
    np.testing.assert_allclose(symmetric_eigenvalues(half @ half.T), truth, rtol=0, atol=1e-13 * truth[-1])


@pytest.mark.parametrize("bad", [np.ones((3, 4)), np.ones((3, 3), dtype=np.float32), np.ones((6, 6))[::2, ::2]])
def test_only_a_matrix_that_lapack_can_read_is_given_to_it(bad):
    with pytest.raises(ValueError, match="a square float64 matrix in one block is needed"):
        symmetric_eigenvalues(bad)


def test_singular_values_of_a_matrix_with_more_rows_than_columns():
    matrix = torch.randn(30, 7, generator=torch.Generator().manual_seed(0))
    truth = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(singular_values(matrix), truth, rtol=1e-9)
