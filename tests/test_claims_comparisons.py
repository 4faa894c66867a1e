"""Comparisons and controls against plain loops over the same responses."""

import itertools
import math
from statistics import mean, stdev

import numpy as np
import pytest
from scipy import stats
from synthetic_claims import PROJECTIONS, Truth, study_of, table_of

from layergrad.statistics.claims.comparisons import farther
from layergrad.statistics.claims.controls import CONTROLS
from layergrad.statistics.claims.cosines import farthest_from_zero
from layergrad.statistics.claims.curves import family_name
from layergrad.statistics.claims.descriptive import peaks, rank_correlation
from layergrad.statistics.claims.evidence import Case, Group, MissingDataError
from layergrad.statistics.claims.expectations import REFUTES, SUPPORTS
from layergrad.statistics.inference import paired_mean

BOTH = tuple((v, r) for v in ("none", "simplified", "detailed") for r in ("correct", "irrelevant"))
KNOWN = tuple((v, "correct") for v in ("unpopular", "popular_100", "popular_500", "popular_1000"))


@pytest.fixture(scope="module")
def evidence():
    """A study with an effect of length and one of the variant, whose samples do not all have every response."""
    rng = np.random.default_rng(7)
    truth = Truth(BOTH, n=10, layers=7, power=-0.4, scale={("none", "correct"): 1.3})
    study = study_of(rng, a=truth, w=Truth(KNOWN, n=8, layers=7, family="knowledge", power=-0.3))
    groups = study.responses["tiny", "a"].groups
    for key, kept in {
        ("simplified", "correct", "none"): slice(0, 8),
        ("none", "irrelevant", "none"): slice(3, 10),
    }.items():
        groups[key] = cut(groups[key], kept)
    return study


def cut(samples, kept):
    return type(samples)(
        *(getattr(samples, name)[kept] for name in ("units", "tokens", "loss", "distinct")),
        {name: values[kept] for name, values in samples.values.items()},
        {},
    )


def group_of(evidence, variant, response="correct"):
    return evidence.responses["tiny", "a"].groups[variant, response, "none"]


def change_of(evidence, control):
    """Plain truth: what one value of a sample, layer and projection becomes under a control of stored numbers."""

    def changed(samples, i, p, layer):
        value = float(samples.values["nuclear_norm"][i, p, layer])
        bound = float(samples.values["rank_bound"][i, p, layer])
        frobenius = float(samples.values["frobenius_norm"][i, p, layer])
        own = mean(samples.values["nuclear_norm"][i, p].tolist())
        return {
            "none": lambda: value,
            "loss_scale": lambda: value * samples.tokens[i],
            "sqrt_loss_scale": lambda: value * math.sqrt(samples.tokens[i]),
            "over_loss": lambda: value / samples.loss[i],
            "rank": lambda: value / (math.sqrt(bound) * frobenius),
            "own_size": lambda: value / own,
            "length_law": lambda: value / samples.tokens[i] ** slope_of(evidence, p, ("a", "w")),
            "length_law_knowledge": lambda: value / samples.tokens[i] ** slope_of(evidence, p, ("w",)),
        }[control]()

    return changed


def slope_of(evidence, p, tasks):
    x, y = [], []
    for (_, task), found in evidence.responses.items():
        for samples in found.groups.values() if task in tasks else []:
            x += np.log(samples.tokens).tolist()
            y += [math.log(mean(row.tolist())) for row in samples.values["nuclear_norm"][:, p]]
    return stats.linregress(x, y).slope


def sizes_of(evidence, control, samples, p):
    """By unit, log of the mean over layers."""
    changed = change_of(evidence, control)
    return {
        int(unit): math.log(mean(changed(samples, i, p, layer) for layer in range(7)))
        for i, unit in enumerate(samples.units)
    }


@pytest.mark.parametrize(
    "control", ["none", "loss_scale", "sqrt_loss_scale", "over_loss", "rank", "length_law", "length_law_knowledge"]
)
def test_a_size_ratio_is_the_mean_log_ratio_of_shared_samples_under_every_stored_control(evidence, control):
    table = table_of(evidence, "C1").query("control == @control and level == 'cell'")
    for row in table.query("contrast == 'none over simplified'").itertuples():
        p = PROJECTIONS.index(row.projection)
        over, under = (sizes_of(evidence, control, group_of(evidence, v), p) for v in ("none", "simplified"))
        differences = [over[unit] - under[unit] for unit in sorted(set(over) & set(under))]
        assert row.n == len(differences) == 8
        assert row.estimate == pytest.approx(mean(differences), abs=1e-6)
        assert row.effect_size == pytest.approx(mean(differences) / stdev(differences), rel=1e-4)
        if not control.startswith("length"):
            exact = [
                abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= abs(sum(differences)) - 1e-9
                for signs in itertools.product([-1, 1], repeat=8)
            ]
            assert row.p == pytest.approx(mean(exact), abs=0.02)


def test_a_fitted_law_says_what_it_explains_and_is_in_doubt(evidence):
    narrow = table_of(evidence, "C1").query("contrast == 'none over simplified'").set_index(["control", "projection"])
    for p, projection in enumerate(PROJECTIONS):
        law = evidence.laws("tiny", "all", "nuclear_norm")[p]
        assert law.slope == pytest.approx(slope_of(evidence, p, ("a", "w")), rel=1e-5)
        row = narrow.loc[("length_law", projection)]
        case = Case(evidence, "tiny", "a", next(c for c in CONTROLS if c.name == "length_law"))
        doubt = case.length_doubt([Group("none")], [Group("simplified")], "nuclear_norm")[p]
        assert doubt == pytest.approx(law.standard_error * mean_log_length(evidence), rel=1e-6)
        spread = abs(row["estimate"] / row["effect_size"]) / math.sqrt(8)
        half = stats.t.ppf(0.975, 7) * math.hypot(spread, doubt)
        assert (row["low"], row["high"]) == pytest.approx((row["estimate"] - half, row["estimate"] + half), rel=1e-4)
    told = table_of(evidence, "C1").query("control == 'length_law' and level == 'model'")["reason"].item()
    assert "explains" in told
    assert "% of the variance" in told


def mean_log_length(evidence):
    over, under = (np.log(group_of(evidence, variant).tokens[:8]).mean() for variant in ("none", "simplified"))
    return abs(over - under)


def test_the_error_of_a_fitted_power_is_the_scatter_of_repeated_studies():
    slopes, errors = [], []
    for seed in range(60):
        study = study_of(np.random.default_rng(seed), a=Truth(BOTH, n=16, power=-0.5))
        law = study.laws("tiny", "all", "nuclear_norm")[0]
        slopes.append(law.slope)
        errors.append(law.standard_error)
    assert mean(errors) == pytest.approx(stdev(slopes), rel=0.3)
    assert mean(slopes) == pytest.approx(-0.5, abs=3 * stdev(slopes) / math.sqrt(60))


def test_own_size_leaves_the_roughness_of_the_shape_alone(evidence):
    changed = change_of(evidence, "own_size")
    case = Case(evidence, "tiny", "a", next(control for control in CONTROLS if control.name == "own_size"))
    units, (values,) = case.values([Group("simplified")], "nuclear_norm")
    told = [[changed(group_of(evidence, "simplified"), i, 2, layer) for layer in range(7)] for i in range(len(units))]
    assert values[:, 2] == pytest.approx(np.array(told), rel=1e-5)


def test_distinct_rows_leaves_out_samples_whose_two_texts_are_the_same(evidence):
    group_of(evidence, "none", "irrelevant").distinct[:4] = False
    try:
        table = table_of(evidence, "C6").query("level == 'cell' and contrast == 'irrelevant over correct, none'")
    finally:
        group_of(evidence, "none", "irrelevant").distinct[:] = True
    assert set(table.query("control == 'none'")["n"]) == {7}
    assert set(table.query("control == 'distinct_rows'")["n"]) == {3}


def test_the_absolute_difference_stands_beside_what_noise_makes_of_it(evidence):
    table = table_of(evidence, "C5").query("control == 'none' and level == 'cell'")
    for row in table.query("contrast == 'irrelevant over correct, detailed'").itertuples():
        p = PROJECTIONS.index(row.projection)
        b, a = (
            group_of(evidence, "detailed", r).values["nuclear_norm"][:, p].mean(axis=0)
            for r in ("irrelevant", "correct")
        )
        assert row.absolute_difference == pytest.approx(
            mean(abs(x - y) / x for x, y in zip(a, b, strict=True)), rel=1e-5
        )
        assert 0 < row.noise_floor < 1


def test_early_over_last_is_of_each_samples_own_curve(evidence):
    table = table_of(evidence, "C3").query("control == 'none' and level == 'cell' and projection == 'v'")
    norms = group_of(evidence, "none").values["nuclear_norm"][:, 2]
    logs = [math.log(mean(row[:2].tolist()) / mean(row[4:].tolist())) for row in norms]
    row = table.set_index("contrast").loc["early over last, none"]
    assert row["estimate"] == pytest.approx(mean(logs), rel=1e-5)


@pytest.mark.parametrize(("x", "y", "side"), [(0.5, 0.1, 1), (-0.5, 0.1, 1), (0.1, -0.5, -1), (-0.1, -0.5, -1)])
def test_farther_is_the_difference_of_the_distances_from_zero(x, y, side):
    rng = np.random.default_rng(3)
    evidence = study_of(rng, a=Truth(n=40))
    case = Case(evidence, "tiny", "a", CONTROLS[0])
    xs, ys = (rng.normal(value, 0.05, 40) for value in (x, y))
    result = farther("q", paired_mean(xs - ys, case.draws()), paired_mean(xs + ys, case.draws()))
    assert result.estimate.estimate == pytest.approx(abs(xs.mean()) - abs(ys.mean()))
    assert result.side == (SUPPORTS if side > 0 else REFUTES)
    assert result.estimate.low < abs(x) - abs(y) < result.estimate.high
    assert result.p < 0.001


def test_equal_distances_on_both_sides_of_zero_are_not_farther():
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        xs, ys = rng.normal(0.3, 0.3, 20), rng.normal(-0.3, 0.3, 20)
        draws = Case(study_of(rng, a=Truth(n=20)), "tiny", "a", CONTROLS[0]).draws()
        wrong += farther("q", paired_mean(xs - ys, draws), paired_mean(xs + ys, draws)).p < 0.05
    assert wrong <= 18  # 10 expected of 200 at 5 %


def test_cosines_are_near_zero_only_if_they_are_at_every_layer():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.02, (30, 8))
    estimate, p, side = farthest_from_zero(values)
    farthest = max(values.mean(axis=0), key=abs)
    assert estimate.estimate == pytest.approx(farthest)
    assert (side, p < 0.001) == (SUPPORTS, True)
    values[:, 5] += 0.2
    estimate, p, side = farthest_from_zero(values)
    assert estimate.estimate == pytest.approx(values[:, 5].mean())
    assert (side, p < 0.001) == (REFUTES, True)


def test_largest_layers_are_found_where_they_are():
    groups = (("detailed", "correct"), ("detailed", "irrelevant"))
    early = study_of(np.random.default_rng(0), a=Truth(groups, n=20, layers=12, spread=0.05))
    late = study_of(np.random.default_rng(0), a=Truth(groups, n=20, layers=12, spread=0.05))
    for study, layers in ((early, slice(0, 5)), (late, slice(7, 12))):
        study.responses["tiny", "a"].groups[(*groups[1], "none")].values["nuclear_norm"][:, :, layers] *= 1.5
    verdicts = [
        table_of(study, "C7").query("level == 'overall' and control == 'none'")["verdict"].item()
        for study in (early, late)
    ]
    assert verdicts == ["supported", "refuted"]


def test_families_are_names_without_their_size():
    assert family_name("gemma-2-2b-it") == family_name("gemma-2-9b-it") != family_name("gemma-2-9b")
    assert family_name("smollm2-135m-instruct") != family_name("smollm2-135m-untrained")
    assert family_name("llama-2-7b") != family_name("llama-3.1-8b")


def test_curves_of_one_family_agree_and_those_of_two_do_not():
    models = {"one-1b": {}, "one-3b": {}, "two-1b": {}}
    evidence = study_of(np.random.default_rng(2), models, a=Truth(n=20, layers=10, spread=0.1, bumps=0))
    rising = Truth(n=20, layers=14, spread=0.1, bumps=0).draw(np.random.default_rng(3))
    for samples in rising.groups.values():
        samples.values["nuclear_norm"][:] = samples.values["nuclear_norm"][:, :, ::-1].copy()
    evidence.responses["two-1b", "a"] = rising
    table = table_of(evidence, "B5")
    assert table.query("level == 'overall'")["verdict"].item() == "supported"
    cells = table.query("level == 'cell'")
    assert (cells.loc[cells["contrast"].str.contains("one family"), "estimate"] > 0.9).all()
    assert (cells.loc[cells["contrast"].str.contains("two families"), "estimate"] < 0).all()


def test_peaks_are_between_the_ends_and_above_their_noise():
    curve = np.array([5.0, 1, 1, 4, 1, 1, 1.2, 1, 6])
    assert peaks(curve, np.full(9, 0.01)).tolist() == [3]
    assert peaks(curve, np.full(9, 2.0)).tolist() == []


def test_a_rank_correlation_is_that_of_the_ranks():
    x, y = np.array([3.0, 1, 2, 5, 4, np.nan]), np.array([1.0, 2, 3, 4, 5, 6])
    estimate = rank_correlation(x, y)
    assert estimate.estimate == pytest.approx(np.corrcoef([3, 1, 2, 5, 4], [1, 2, 3, 4, 5])[0, 1])
    assert (estimate.n, estimate.low < estimate.estimate < estimate.high) == (5, True)
    assert math.isnan(rank_correlation(x, np.ones(6)).estimate)


def test_what_is_not_there_is_told(evidence):
    case = Case(evidence, "tiny", "a", next(control for control in CONTROLS if control.name == "equal_length"))
    with pytest.raises(
        MissingDataError, match="no correct responses of none were measured under the control equal_length"
    ):
        case.values([Group("none")], "nuclear_norm")
