"""The structural bound against the rank of dense float64 gradients, and what a model's structure is found to be."""

import numpy as np
import pytest
import torch
from architectures import DECODERS, DENSE, make
from oracle import dense_gradients

from layergrad.gradients.rank_bound import Structure, rank_bound
from layergrad.models.projections import Projection, find_projections
from layergrad.models.tokens import EncodedResponse

QKV = {"q", "k", "v"}
MLP = {"gate", "up", "down"}
LEARNED_POSITIONS = {"gpt2", "opt", "gpt_bigcode multi-query", "gpt_bigcode heads", "openai-gpt", "gpt_neo"}
PARALLEL_MLP = {"gpt_neox", "falcon multi-query", "falcon groups", "gptj", "cohere", "phi"}
TEXTS = {
    "all is response": ([5, 6, 5, 7, 5, 6, 8, 8, 9, 10, 5, 11], 1),
    "one response token": ([5, 6, 5, 7, 5, 6, 8, 8, 9, 10, 5, 11], 11),
    "one token again and again": ([5] * 9 + [6], 4),
    "one prediction": ([5, 6], 1),
    "longer than a side": ([i % 30 for i in range(70)], 5),
}


def structure(token_alone=frozenset(QKV), sinks=False):
    return Structure(n_layers=3, token_alone=frozenset(token_alone), sinks=sinks)


def test_bound_by_projection_and_layer():
    """Eight tokens, the first five the prompt; predictions are made at positions 4, 5 and 6."""
    encoded = EncodedResponse((3, 3, 4, 3, 5, 6, 6, 7), start=5, truncated=False)

    def bounds(layer, names="qkvo", size=100, **facts):
        made = [Projection(layer, n, n, torch.nn.Linear(size, size), slice(None), size, size) for n in names]
        return [rank_bound(projection, encoded, structure(**facts)) for projection in made]

    assert bounds(1) == [6, 7, 7, 7]
    assert bounds(2) == [3, 7, 7, 3]
    assert bounds(0) == [4, 4, 4, 7]
    assert bounds(0, token_alone=()) == [6, 7, 7, 7]
    assert bounds(1, sinks=True) == [7, 7, 7, 7]
    assert bounds(1, ["gate", "up", "down"]) == [7, 7, 7]
    assert bounds(2, ["gate", "up", "down"]) == [3, 3, 3]
    assert bounds(0, ["gate", "up", "down"], token_alone=QKV | MLP) == [4, 4, 4]
    assert bounds(1, "k", size=5) == [5]


def ranks_and_bounds(tiny_model, decoder, ids, start):
    """Of every projection: key, rank of its dense float64 gradient, bound."""
    model = make(tiny_model, decoder)
    projections = find_projections(model, "attention+mlp" if decoder in DENSE else "attention")
    found = Structure.of(model, projections)
    encoded = EncodedResponse(tuple(ids), start, truncated=False)
    _, gradients = dense_gradients(model, ids, start, mlp=decoder in DENSE)
    for p in projections:
        key = p.layer, p.name
        yield key, np.linalg.matrix_rank(gradients[key]), rank_bound(p, encoded, found)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("decoder", DECODERS)
def test_no_gradient_has_more_rank_than_its_bound(tiny_model, decoder, text):
    for key, rank, bound in ranks_and_bounds(tiny_model, decoder, *text):
        assert rank <= bound, key


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_bound_is_reached(tiny_model, decoder):
    """But for k without rotary positions: a shift of all keys changes nothing, so the rows of its Y sum to zero."""
    for key, rank, bound in ranks_and_bounds(tiny_model, decoder, *TEXTS["all is response"]):
        assert bound - (key[1] == "k") <= rank, key


@pytest.mark.parametrize("decoder", DECODERS)
def test_structure_of_each_architecture(tiny_model, decoder):
    model = make(tiny_model, decoder)
    projections = find_projections(model, "attention+mlp" if decoder in DENSE else "attention")
    found = Structure.of(model, projections)
    names = {projection.name for projection in projections}
    expected = set() if decoder in LEARNED_POSITIONS else names - {"o"} if decoder in PARALLEL_MLP else QKV
    assert found == Structure(n_layers=2, token_alone=frozenset(expected), sinks=decoder == "gpt_oss")
    assert not any(projection.module._forward_pre_hooks for projection in projections)


def test_sinusoidal_positions_are_seen_though_no_embedding_learns_them(tiny_model):
    model = tiny_model("xglm", ffn_dim=48, dtype=torch.float32)
    assert Structure.of(model, find_projections(model)).token_alone == frozenset()


def test_rounding_to_bfloat16_hides_no_position(tiny_model):
    model = tiny_model("gpt2", dtype=torch.bfloat16)
    assert Structure.of(model, find_projections(model)).token_alone == frozenset()
    model = tiny_model("llama", dtype=torch.bfloat16)
    assert Structure.of(model, find_projections(model, "attention+mlp")).token_alone == frozenset(QKV)
