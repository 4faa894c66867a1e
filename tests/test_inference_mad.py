"""The noise-corrected MAD: its parts against slow truths, its intervals against simulated ones with a known MAD."""

import math
import statistics

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from benchmarks.coverage import Structure, covers, draw_pair, log_ratio, pairs, percentile_bootstrap, structures
from layergrad.statistics.curves import roughness
from layergrad.statistics.inference import mad_estimate, mad_log_ratio, noise_corrected_mad, over_mean
from layergrad.statistics.inference.mad import PART, SHORTFALL, mad_bounds, signed_steps

pytestmark = pytest.mark.slow  # some 13,000 simulated studies
REPLICATIONS = 200
PHI = statistics.NormalDist().cdf


def chosen_and_measured(mean, error):
    """Slow truth: the expectation over the added noise of the sign of one part times the other."""

    def integrand(e):
        return math.copysign(1, mean + PART * error * e) * (mean - error * e / PART) * stats.norm.pdf(e)

    turn = -mean / (PART * error)
    return sum(integrate.quad(integrand, *ends)[0] for ends in ((-12, turn), (turn, 12)))


@pytest.mark.parametrize(("mean", "error"), [(0.3, 0.2), (-0.3, 0.2), (0.0, 1.0), (0.1, 0.5), (2.0, 0.5)])
def test_signed_steps_are_the_expectation_over_all_splits(mean, error):
    assert signed_steps(np.array([mean]), np.array([error])) == pytest.approx(chosen_and_measured(mean, error))


@pytest.mark.parametrize("step", [0.0, 0.4, 0.84, 1.5, 4.0])
def test_signed_steps_never_overstate_on_average_and_fall_short_by_a_known_bound(step):
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    mean = weights @ signed_steps(step + nodes, np.ones(200)) / weights.sum()
    short = 2 * step * PHI(-step / math.sqrt(1 + PART**2))
    assert mean == pytest.approx(step - short, abs=1e-3)
    assert 0 <= short <= SHORTFALL + 1e-9


def test_the_shortfall_is_the_largest():
    assert max(2 * x * PHI(-x / math.sqrt(1.25)) for x in np.linspace(0, 4, 4001)) == pytest.approx(SHORTFALL, abs=1e-6)


def test_a_step_without_noise_is_its_own_length():
    assert signed_steps(np.array([0.0, -2.0, 3.0]), np.zeros(3)).tolist() == [0, 2, 3]


def slow_bounds(samples):
    """Slow truth: the three estimates, step by step."""
    below, errors, plain = [], [], []
    for left, right in zip(samples.T[:-1], samples.T[1:], strict=True):
        steps = (right - left).tolist()
        mean, error = statistics.mean(steps), statistics.stdev(steps) / math.sqrt(len(steps))
        below.append(chosen_and_measured(mean, error))
        errors.append(error)
        plain.append(abs(mean))
    low = statistics.mean(below)
    return [low, low + SHORTFALL * statistics.mean(errors), statistics.mean(plain)]


@pytest.fixture
def two():
    generator = np.random.default_rng(3)
    curve = np.array([4.0, 2.5, 1.8, 2.6, 1.0])
    return draw_pair((Structure(curve, 0.3, 0.4), Structure(curve[::-1], 0.1, 0.4)), 8, generator)


def test_influence_is_the_jackknifes(two):
    samples, _ = two
    found = mad_bounds(samples)
    assert found.values == pytest.approx(slow_bounds(samples))
    n = len(samples)
    without = [np.array(slow_bounds(np.delete(samples, unit, axis=0))) for unit in range(n)]
    influence = (n - 1) * (np.mean(without, axis=0) - without)
    assert found.influence == pytest.approx(influence)


def test_the_interval_of_a_ratio_is_fiellers(two):
    a, b = two
    found, first, second = mad_log_ratio(a, b), mad_bounds(a), mad_bounds(b)
    t, n = stats.t.ppf(0.975, 7), 8

    def end(top, bottom):
        """The least ratio at which ``top`` is no longer above: by bisection of the t statistic of each pair."""
        ends = []
        for above in (1, 2):

            def beyond(ratio, above=above):
                d = top.influence[:, 0] - ratio * bottom.influence[:, above]
                return top.values[0] - ratio * bottom.values[above] - t * math.sqrt((d @ d) / (n * (n - 1)))

            ends.append(optimize.brentq(beyond, 1e-9, 1e3) if beyond(1e-9) > 0 else 0)
        return max(ends)

    assert math.exp(found.low) == pytest.approx(end(first, second))
    assert math.exp(-found.high) == pytest.approx(end(second, first))
    assert found.low < found.estimate < found.high < math.inf


def test_p_and_interval_agree_and_a_scaled_side_moves_both():
    generator = np.random.default_rng(5)
    a, b = pairs()["falling, own 0.3 against 0.1, common 0.6"]
    left, right = draw_pair((a.times(4), b), 48, generator)
    plain, scaled, swapped = mad_log_ratio(left, right), mad_log_ratio(left, 1.5 * right), mad_log_ratio(right, left)
    moved = np.subtract([plain.estimate, plain.low, plain.high], math.log(1.5))
    assert [scaled.estimate, scaled.low, scaled.high] == pytest.approx(moved)
    assert [-swapped.estimate, -swapped.high, -swapped.low] == pytest.approx([plain.estimate, plain.low, plain.high])
    assert swapped.p == pytest.approx(plain.p)
    at_the_end = mad_log_ratio(left, math.exp(plain.low) * right)
    assert at_the_end.p == pytest.approx(0.05)
    against = mad_log_ratio(left, right, against=math.exp(plain.low))
    assert against.p == pytest.approx(0.05)
    assert (against.estimate, against.low, against.high) == (plain.estimate, plain.low, plain.high)
    assert plain.p < 0.05
    assert plain.low > 0


def test_sharing_units_is_used_and_may_be_left():
    generator = np.random.default_rng(6)
    a, b = pairs()["common 0.6, own 0.2 in both"]
    left, right = draw_pair((a.times(3), b), 200, generator)
    paired, unpaired = mad_log_ratio(left, right), mad_log_ratio(left, right[:120], paired=False)
    assert unpaired.n == 120
    assert unpaired.high - unpaired.low > 1.1 * (paired.high - paired.low)


def test_rows_with_a_null_are_left_out_of_both_sides(two):
    a, b = (side.copy() for side in two)
    a[2, 1], b[5, 3] = np.nan, np.inf
    kept = [0, 1, 3, 4, 6, 7]
    assert mad_log_ratio(a, b) == mad_log_ratio(a[kept], b[kept])
    assert mad_estimate(a) == mad_estimate(np.delete(a, 2, axis=0))


def test_too_few_units_or_layers_give_nulls():
    for samples in (np.ones((2, 5)), np.ones((9, 1)), np.full((9, 5), np.nan)):
        assert np.isnan([mad_estimate(samples).estimate, mad_log_ratio(samples, samples).p]).all()


def test_without_noise_it_is_the_plain_mad():
    samples = np.tile([1.0, 3.0, 2.5, 2.5], (6, 1))
    found = mad_estimate(samples)
    assert [found.low, found.estimate, found.high] == pytest.approx([2.5 / 3] * 3)
    flat = mad_log_ratio(samples, np.ones((6, 4)))
    assert math.isnan(flat.estimate)
    assert (flat.low, flat.high, flat.p) == (-math.inf, math.inf, 1.0)


@pytest.mark.parametrize("n", [16, 64])
@pytest.mark.parametrize("name", list(structures(16)))
def test_the_interval_covers_the_true_mad(name, n):
    structure, generator = structures(n)[name], np.random.default_rng(11)
    found = [covers(mad_estimate(structure.draw(generator, n)), structure.mad) for _ in range(REPLICATIONS)]
    assert np.mean(found) >= {16: 0.90, 64: 0.93}[n]


@pytest.mark.parametrize("n", [16, 64])
def test_a_percentile_bootstrap_of_the_plain_mad_fails_the_same_test(n):
    structure, generator = structures(n)["independent noise 0.6"], np.random.default_rng(11)
    covered = []
    for _ in range(50):
        low, high = percentile_bootstrap(structure.draw(generator, n), generator)
        covered.append(low <= structure.mad <= high)
    assert np.mean(covered) < 0.1


def test_the_correction_takes_most_of_the_bias_away():
    generator = np.random.default_rng(12)
    for name in ("independent noise 0.6", "common noise 0.6, own 0.2", "nearly flat, common 0.6, own 0.2"):
        structure = structures(16)[name]
        drawn = [structure.draw(generator, 16) for _ in range(REPLICATIONS)]
        plain = np.mean([roughness(one.mean(axis=0)) for one in drawn]) - structure.mad
        corrected = np.mean([noise_corrected_mad(one) for one in drawn]) - structure.mad
        assert abs(corrected) < plain / 2.5


def test_samples_over_their_mean_are_those_whose_mean_is_the_quotient(two):
    samples, _ = two
    found = over_mean(samples)
    assert found.mean(axis=0) == pytest.approx(samples.mean(axis=0) / samples.mean())
    nudged = samples.copy()
    nudged[2] += 1e-6 * (samples[2] - samples.mean(axis=0))  # what one sample more of its kind does to the quotient
    change = nudged.mean(axis=0) / nudged.mean() - samples.mean(axis=0) / samples.mean()
    assert (found[2] - found.mean(axis=0)) / len(samples) == pytest.approx(change * 1e6, rel=1e-4)
    assert np.isnan(over_mean(np.zeros((4, 3)))).all()


@pytest.mark.parametrize("n", [16, 48])
@pytest.mark.parametrize("noise", ["of the level", "common"])
def test_the_interval_over_the_mean_has_the_errors_of_the_mean_in_it(noise, n):
    curves = 4 * np.exp(-np.arange(30) / 5) + 0.3, 2 * np.exp(-np.arange(30) / 12) + 0.5
    truth = math.log(roughness(curves[0]) / curves[0].mean()) - math.log(roughness(curves[1]) / curves[1].mean())
    generator, found, fixed = np.random.default_rng(15), [], []
    for _ in range(REPLICATIONS):
        if noise == "common":
            sides = [Structure(curve, 0.1, 0.6).draw(generator, n) for curve in curves]
        else:
            sides = [curve + generator.normal(0, 0.6, (n, 1)) + generator.normal(0, 0.02, (n, 30)) for curve in curves]
        found.append(mad_log_ratio(*map(over_mean, sides)))
        fixed.append(mad_log_ratio(*(side / side.mean() for side in sides)))
    assert np.mean([covers(one, truth) for one in found]) >= 0.93
    if noise == "common":
        assert np.median([one.high - one.low for one in found]) < np.median([one.high - one.low for one in fixed])
    else:
        assert np.mean([covers(one, truth) for one in fixed]) < 0.3  # as if the mean were known


@pytest.mark.parametrize("n", [16, 64])
@pytest.mark.parametrize("name", list(pairs()))
def test_noise_alone_does_not_make_one_curve_rougher(name, n):
    pair, generator, found, plain = pairs()[name], np.random.default_rng(13), [], []
    a, b = pair[0].times(math.exp(-log_ratio(pair))), pair[1]
    for _ in range(REPLICATIONS):
        left, right = draw_pair((a, b), n, generator)
        found.append(mad_log_ratio(left, right))
        plain.append(roughness(left.mean(axis=0)) > roughness(right.mean(axis=0)))
    assert np.mean([one.p < 0.05 for one in found]) <= 0.05
    if a.mad:
        assert np.mean([covers(one, 0.0) for one in found]) >= 0.95
    else:
        assert np.mean([np.isinf([one.low, one.high]).all() for one in found]) > 0.9
    if a.own > 5 * b.own:
        assert np.mean(plain) > 0.9  # what the plain MADs would have it


@pytest.mark.parametrize(
    ("name", "n", "ratio"),
    [
        ("falling, own 0.3 against 0.1, common 0.6", 48, 2),
        ("its first 7 layers", 64, 2),
        ("common 0.6, own 0.2 in both", 64, 4),
        ("noise 0.6 against 0.6, independent", 500, 4),
    ],
)
def test_a_real_difference_is_found_and_measured(name, n, ratio):
    (a, b), generator = pairs()[name], np.random.default_rng(14)
    found = [mad_log_ratio(*draw_pair((a.times(ratio), b), n, generator)) for _ in range(100)]
    assert np.mean([one.p < 0.05 and one.estimate > 0 for one in found]) >= 0.8
    assert np.median([one.estimate for one in found]) == pytest.approx(math.log(ratio), abs=0.2)
    assert np.mean([covers(one, math.log(ratio)) for one in found]) >= 0.93
