"""Early, mid and last layers: the paper's table, the rule for every other model, and a model's own."""

import numpy as np
import pytest

from layergrad.contracts.errors import UserError
from layergrad.statistics.curves import _mads
from layergrad.statistics.segments import segments


@pytest.mark.parametrize(
    ("n_layers", "bounds", "steps"),
    [
        (26, [(0, 6), (7, 19), (20, 25)], [6, 12, 5]),
        (28, [(0, 6), (7, 20), (21, 27)], [6, 13, 6]),
        (32, [(0, 9), (10, 19), (20, 31)], [9, 9, 11]),
        (42, [(0, 11), (12, 29), (30, 41)], [11, 17, 11]),
        (30, [(0, 9), (10, 19), (20, 29)], [9, 9, 9]),
        (18, [(0, 5), (6, 11), (12, 17)], [5, 5, 5]),
        (7, [(0, 1), (2, 3), (4, 6)], [1, 1, 2]),
        (4, [(0, 0), (1, 1), (2, 3)], [0, 0, 1]),
    ],
)
def test_segments_of_models(n_layers, bounds, steps):
    parts = segments(n_layers)
    assert parts["all"] == range(n_layers)
    assert [(parts[name][0], parts[name][-1]) for name in ("early", "mid", "last")] == bounds
    assert [len(parts[name]) - 1 for name in ("early", "mid", "last")] == steps


@pytest.mark.parametrize("n_layers", range(1, 60))
def test_segments_cover_every_layer_once(n_layers):
    parts = segments(n_layers)
    assert [*parts["early"], *parts["mid"], *parts["last"]] == list(range(n_layers))


def test_a_models_own_segments_come_first():
    parts = segments(28, {"early": (0, 3), "mid": (4, 20), "last": (21, 27)})
    assert parts["early"] == range(4)


@pytest.mark.parametrize("wrong", [{"early": (0, 28)}, {"early": (5, 4)}, {"early": (-1, 3)}])
def test_segments_that_the_model_has_not_are_an_error(wrong):
    with pytest.raises(UserError, match="allowed are layers 0 to 27"):
        segments(28, {"mid": (7, 20), "last": (21, 27)} | wrong)


def mads_of(samples):
    """First layer, last layer and MAD of every segment."""
    samples = np.array(samples)
    return {name: _mads(samples, layers)[1:4] for name, layers in segments(samples.shape[1]).items()}


def test_mad_by_hand():
    samples = [[0.0, 2, 2, 8, 4, 4], [2.0, 2, 4, 8, 4, 6]]  # the mean curve is 1 2 3 8 4 5
    assert mads_of(samples) == {
        "all": (0, 5, pytest.approx((1 + 1 + 5 + 4 + 1) / 5)),
        "early": (0, 1, 1.0),
        "mid": (2, 3, 5.0),
        "last": (4, 5, 1.0),
    }


def test_a_segment_without_a_step_has_no_mad():
    found = mads_of([[1.0, 2], [3, 4]])
    assert found["early"][:2] == (None, None)
    assert found["mid"][:2] == (0, 0)
    assert np.isnan([found["early"][2], found["mid"][2], found["last"][2]]).all()
    assert found["all"][2] == 1.0
