"""Means, tests, false discovery, lengths and noise floors against plain loops and scipy's own tests."""

import itertools
import math
import statistics

import numpy as np
import pytest
from scipy import stats

from layergrad.statistics.inference import (
    Estimate,
    Resamples,
    equivalence,
    false_discovery,
    length_law,
    noise_floor,
    paired_log_ratio,
    paired_mean,
    paired_means,
    unpaired_log_ratio,
    unpaired_mean,
    unpaired_means,
)
from layergrad.statistics.inference.resamples import BOOTSTRAP_DRAWS, DRAWS


@pytest.fixture
def generator():
    return np.random.default_rng(7)


def exact_sign_flip(d):
    """Slow truth: the share of all 2^n flips with a sum at least as far from zero."""
    observed = abs(sum(d))
    sums = [
        abs(sum(s * x for s, x in zip(signs, d, strict=True))) for signs in itertools.product((1, -1), repeat=len(d))
    ]
    return sum(one >= observed - 1e-12 for one in sums) / len(sums)


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.8])
def test_sign_flip_p_is_that_of_all_flips(generator, shift):
    d = generator.standard_normal(12) + shift
    exact = exact_sign_flip(d.tolist())
    found = paired_mean(d, Resamples(3, 12)).p
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / DRAWS) + 1 / DRAWS)


def test_the_paired_mean_has_the_interval_of_student_and_the_effect_of_cohen(generator):
    d = generator.standard_normal(20) + 0.4
    found, truth = paired_mean(d, Resamples(0, 20)), stats.ttest_1samp(d, 0)
    interval = truth.confidence_interval(0.95)
    assert (found.n, found.dof) == (20, 19)
    assert [found.estimate, found.low, found.high] == pytest.approx([statistics.mean(d), interval.low, interval.high])
    assert found.effect_size == pytest.approx(statistics.mean(d) / statistics.stdev(d))
    assert found.standard_error == pytest.approx(statistics.stdev(d) / math.sqrt(20))


def test_a_log_ratio_is_the_mean_of_the_logs_of_the_ratios_that_there_are():
    a, b = np.array([2.0, 3.0, 0.0, 5.0, 0.0]), np.array([1.0, 4.0, 2.0, np.nan, 0.0])
    found = paired_log_ratio(a, b, Resamples(0, 5))
    assert (found.n, found.estimate) == (2, pytest.approx((math.log(2) + math.log(0.75)) / 2))


def test_columns_with_nulls_are_each_as_if_alone(generator):
    d = generator.standard_normal((15, 3)) + 0.5
    d[[0, 4, 9], 1] = [np.nan, np.inf, np.nan]
    resamples, kept = Resamples(1, 15), [unit for unit in range(15) if unit not in (0, 4, 9)]
    together = paired_means(d, resamples)
    assert together[0] == paired_mean(d[:, 0], resamples)
    assert together[1].n == 12
    alone = paired_mean(d[kept, 1], resamples.of(kept))
    assert vars(together[1]) == pytest.approx(vars(alone))


def test_one_unit_has_no_interval_and_none_no_mean():
    with np.errstate(all="raise"):
        one, none = paired_mean([0.3], Resamples(0, 1)), paired_mean([np.nan], Resamples(0, 1))
    assert (one.n, one.estimate) == (1, 0.3)
    assert np.isnan([one.low, one.high, one.p, one.effect_size]).all()
    assert none.n == 0
    assert math.isnan(none.estimate)


def test_the_unpaired_mean_is_welchs(generator):
    a, b = generator.lognormal(0.5, 0.3, 14), generator.lognormal(0.0, 0.9, 9)
    found, x, y = unpaired_log_ratio(a, np.append(b, np.nan)), np.log(a).tolist(), np.log(b).tolist()
    variances = statistics.variance(x) / 14, statistics.variance(y) / 9
    error = math.sqrt(sum(variances))
    dof = sum(variances) ** 2 / (variances[0] ** 2 / 13 + variances[1] ** 2 / 8)
    estimate = statistics.mean(x) - statistics.mean(y)
    reach = stats.t.ppf(0.975, dof) * error
    assert (found.n, found.dof) == (9, pytest.approx(dof))
    assert [found.low, found.estimate, found.high] == pytest.approx([estimate - reach, estimate, estimate + reach])
    assert found.p == pytest.approx(2 * stats.t.sf(abs(estimate) / error, dof))
    pooled = math.sqrt((13 * statistics.variance(x) + 8 * statistics.variance(y)) / 21)
    assert found.effect_size == pytest.approx(estimate / pooled * (1 - 3 / (4 * 21 - 1)))


def test_a_side_of_one_unit_has_an_estimate_and_no_more():
    found = unpaired_mean([1.0], [3.0, 4.0])
    assert (found.n, found.estimate) == (1, -2.5)
    assert np.isnan([found.low, found.high, found.p]).all()


def test_unpaired_means_are_welchs_test_of_every_column(generator):
    a, b = generator.normal(0, 1, (30, 3)), generator.normal(0.5, 2, (20, 3))
    a[:4, 1], b[7, 2] = np.nan, -np.inf
    for i, found in enumerate(unpaired_means(a, b)):
        x, y = (side[np.isfinite(side[:, i]), i] for side in (a, b))
        test = stats.ttest_ind(x, y, equal_var=False)
        assert (found.n, found.p, found.dof) == (len(y), pytest.approx(test.pvalue), pytest.approx(test.df))
        assert [found.low, found.high] == pytest.approx(test.confidence_interval(0.95))


def test_sides_without_scatter_have_an_interval_of_no_width():
    with np.errstate(all="raise"):
        apart, same = (unpaired_mean([2.0, 2.0], [end] * 3) for end in (1.0, 2.0))
    assert (apart.low, apart.estimate, apart.high, apart.p, apart.standard_error) == (1, 1, 1, 0, 0)
    assert (same.low, same.high) == (0, 0)
    assert np.isnan([same.p, same.effect_size]).all()


def test_sign_flips_reject_at_their_level_and_find_a_real_effect(generator):
    noise = generator.standard_normal((16, 2000))
    rate = np.mean([one.p < 0.05 for one in paired_means(noise, Resamples(0, 16))])
    assert 0.035 < rate < 0.065
    assert np.mean([one.p < 0.05 for one in paired_means(noise + 1, Resamples(0, 16))]) > 0.9


@pytest.mark.parametrize("shift", [0.0, 0.05, -0.08, 0.15])
def test_equivalence_is_the_larger_of_two_one_sided_tests(generator, shift):
    d = 0.1 * generator.standard_normal(24) + shift
    estimate = paired_mean(d, Resamples(0, 24))
    above = stats.ttest_1samp(d, -0.1, alternative="greater").pvalue
    below = stats.ttest_1samp(d, 0.1, alternative="less").pvalue
    found = equivalence(estimate, 0.1)
    assert found == pytest.approx(max(above, below))
    interval = stats.ttest_1samp(d, 0).confidence_interval(0.90)
    assert (found < 0.05) == (interval.low > -0.1 and interval.high < 0.1)


def test_what_is_not_known_is_not_equivalent():
    unbounded = Estimate(16, 0.0, -math.inf, math.inf, math.nan, 1.0, math.inf, 15)
    assert equivalence(unbounded, 0.1) == 0.5
    exact = Estimate(16, 0.05, 0.05, 0.05, math.nan, 0.0, 0.0, 15)
    assert (equivalence(exact, 0.1), equivalence(exact, 0.01)) == (0.0, 1.0)


def test_absence_of_significance_is_not_equivalence(generator):
    noisy = paired_mean(generator.standard_normal(16), Resamples(0, 16))
    assert noisy.p > 0.05
    assert equivalence(noisy, 0.1) > 0.05


def test_false_discovery_is_benjamini_and_hochbergs_step_up():
    p = [0.01, math.nan, 0.04, 0.03, 0.5, 0.009]
    there = sorted(one for one in p if not math.isnan(one))
    truth = [min(len(there) * q / (there.index(q) + 1) for q in there if q >= one) for one in p if not math.isnan(one)]
    q = false_discovery(p)
    assert math.isnan(q[1])
    assert q[[0, 2, 3, 4, 5]] == pytest.approx(truth)
    assert np.isnan(false_discovery([math.nan])).all()


def test_the_length_law_is_least_squares_with_an_intercept_for_each_group(generator):
    groups, x = np.repeat(["q", "k", "v"], 20), generator.uniform(0, 6, 60)
    y = np.select([groups == "q", groups == "k"], [2.0, -1.0], 0.5) - 0.7 * x + 0.1 * generator.standard_normal(60)
    x[3], y[30] = -np.inf, np.nan
    found, there = length_law(y, x, groups), np.isfinite(x) & np.isfinite(y)
    design = np.column_stack([x, groups == "k", groups == "q", groups == "v"])[there].astype(float)
    truth, *_ = np.linalg.lstsq(design, y[there])
    assert found.slope == pytest.approx(truth[0])
    assert found.intercepts == pytest.approx(dict(zip("kqv", truth[1:], strict=True)))
    left = y[there] - design @ truth
    assert found.residuals[there] == pytest.approx(left)
    assert np.isnan(found.residuals[[3, 30]]).all()
    apart = np.concatenate([y[there & (groups == one)] - y[there & (groups == one)].mean() for one in "qkv"])
    assert found.r_squared == pytest.approx(1 - (left**2).sum() / (apart**2).sum())


def test_the_length_law_without_groups_is_a_regression_line(generator):
    x = generator.uniform(0, 6, 30)
    y = 1.5 - 0.4 * x + generator.standard_normal(30)
    found, truth = length_law(y, x), stats.linregress(x, y)
    assert [found.slope, *found.intercepts.values()] == pytest.approx([truth.slope, truth.intercept])
    assert found.r_squared == pytest.approx(truth.rvalue**2)
    assert math.isnan(length_law(y, np.ones(30)).slope)


def test_units_keep_their_draws_whatever_else_is_compared():
    whole = Resamples(5, 9)
    assert whole.flips.shape == (DRAWS, 9)
    assert set(np.unique(whole.flips)) == {-1.0, 1.0}
    assert (whole.weights.sum(axis=1) == 9).all()
    some = whole.of([7, 2, 4])
    assert np.array_equal(some.flips, whole.flips[:, [7, 2, 4]])
    assert np.array_equal(some.of([1]).weights, whole.weights[:, [2]])
    assert np.array_equal(Resamples(5, 9).flips, whole.flips)
    assert not np.array_equal(Resamples(6, 9).flips, whole.flips)


def test_the_noise_floor_swaps_the_sides_of_each_unit(generator):
    a, b = generator.lognormal(0, 0.6, (2, 16, 30))
    resamples, truth = Resamples(2, 16), []
    for flips in resamples.flips[:BOOTSTRAP_DRAWS]:
        left = np.mean([x if sign > 0 else y for x, y, sign in zip(a, b, flips, strict=True)], axis=0)
        right = np.mean([y if sign > 0 else x for x, y, sign in zip(a, b, flips, strict=True)], axis=0)
        truth.append(np.mean(np.abs(left - right) / left))
    assert noise_floor(a, b, resamples) == pytest.approx((np.mean(truth), np.quantile(truth, 0.95)))
    assert noise_floor(a, b, resamples)[0] > 0.1  # with no effect at all
