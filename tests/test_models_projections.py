"""Every projection of every architecture, entry by entry, against dense autograd and against what attention does."""

import contextlib

import numpy as np
import pytest
import torch
import yaml
from architectures import DECODERS, DENSE, EXPERTS, make
from oracle import dense_gradients
from transformers import AutoConfig, AutoModelForCausalLM

from layergrad.contracts.errors import UserError
from layergrad.contracts.modules import Modules
from layergrad.models.projections import find_projections, fused_rows, module_names

IDS = [5, 17, 5, 200, 31, 8, 8, 99, 310, 42]


@contextlib.contextmanager
def factors(projections):
    """Inputs X and output gradients Y of each projection's module, by hooks of this test's own."""
    x, y, hooks = {}, {}, []
    for p in projections:

        def forward(module, args, output, key=(p.layer, p.name)):
            # OPT's MLP sees the positions of all texts in one row of rows.
            x[key] = args[0].detach().flatten(0, -2)
            output.register_hook(lambda gradient: y.update({key: gradient.flatten(0, -2)}))

        hooks.append(p.module.register_forward_hook(forward))
    yield x, y
    for hook in hooks:
        hook.remove()


def factor_gradients(model, projections, ids, start):
    """Dense gradients, and those that the rows and factors of each projection give."""
    with factors(projections) as (x, y):
        _, truth = dense_gradients(model, ids, start, mlp=any(p.name == "down" for p in projections))
    keys = {(p.layer, p.name): p for p in projections}
    return truth, {key: (y[key][:, p.rows].T @ x[key]).numpy() for key, p in keys.items()}


def assert_same(found, truth):
    assert list(found) == list(truth)
    for key, gradient in truth.items():
        assert found[key].shape == gradient.shape, key
        atol = 1e-9 * np.abs(gradient).max()
        np.testing.assert_allclose(found[key], gradient, rtol=0, atol=atol, err_msg=str(key))


def output_gradients(model, projections, ids, start):
    """Loss at the positions from ``start - 1`` on; the gradients at each projection's own outputs."""
    with factors(projections) as (_, y):
        dense_gradients(model, ids, start)
    return [(p.name, y[p.layer, p.name][:, p.rows]) for p in projections if p.name in "qkv"]


def assert_roles(model, projections):
    """With one key a query has no choice: the gradient is v's alone. With two, k has one at position 0 and q has none."""
    for name, y in output_gradients(model, projections, IDS[:2], start=1):
        assert (y[0] != 0).all() if name == "v" else (y[0] == 0).all(), f"one key: {name}"
    for name, y in output_gradients(model, projections, IDS[:3], start=2):
        assert (y[0] == 0).all() if name == "q" else (y[0] != 0).all(), f"two keys, position 0: {name}"
        assert (y[1] != 0).all(), f"two keys, position 1: {name}"


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_projection_entry_by_entry(tiny_model, decoder):
    model = make(tiny_model, decoder)
    projections = find_projections(model, "attention+mlp" if decoder in DENSE else "attention")
    truth, found = factor_gradients(model, projections, IDS, 4)
    assert_same(found, truth)
    assert [found[p.layer, p.name].shape for p in projections] == [(p.d_out, p.d_in) for p in projections]
    assert all(np.abs(gradient).max() > 1e-6 for gradient in truth.values())


@pytest.mark.parametrize("decoder", [decoder for decoder in DECODERS if decoder != "gpt_oss"])
def test_each_part_plays_its_role_in_the_attention(tiny_model, decoder):
    """gpt_oss is left out: its sinks give a query a choice even with one key."""
    model = make(tiny_model, decoder)
    assert_roles(model, find_projections(model))
