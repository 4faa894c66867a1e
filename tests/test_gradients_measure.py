"""Loss, factors and statistics of whole samples against dense float64 autograd."""

import architectures
import numpy as np
import pytest
import torch
from architectures import DECODERS, DENSE
from oracle import dense_gradients, dense_statistics

from layergrad.gradients.capture import captured_factors
from layergrad.gradients.loss import negative_log_likelihood, response_losses
from layergrad.gradients.measure import Measurer
from layergrad.models.load import resolve_attention
from layergrad.models.projections import find_projections
from layergrad.models.tokens import EncodedResponse

LENGTHS = {"short": 12, "as long as the smaller side": 17, "longer than both": 50}


def sample(length, start, vocabulary=400, seed=0):
    ids = np.random.default_rng(seed).integers(0, vocabulary, length)
    return EncodedResponse(tuple(int(i) for i in ids), start, truncated=False)


def measure(model, encoded, **options):
    """Measurement and rows of the gradient table of one sample."""
    measurer = Measurer(model, **options)
    [measured] = measurer.measure([encoded])
    return measured, measurer.rows(measured, encoded)


@pytest.fixture(params=["llama with biases", "qwen2", "one layer", "wider heads"])
def model(request, tiny_model):
    return {
        "llama with biases": lambda: tiny_model("llama", attention_bias=True, tie_word_embeddings=True),
        "qwen2": lambda: tiny_model("qwen2"),
        "one layer": lambda: tiny_model("llama", num_hidden_layers=1),
        "wider heads": lambda: tiny_model("llama", head_dim=24),
    }[request.param]()


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS.keys())
@pytest.mark.parametrize("start", [1, 7, -1], ids=["all is response", "some", "one response token"])
def test_statistics_agree_with_dense_autograd(model, length, start):
    encoded = sample(length, start if start > 0 else length - 1)
    loss, gradients = dense_gradients(model, list(encoded.ids), encoded.start)
    measured, rows = measure(model, encoded)
    assert measured.loss == pytest.approx(loss, rel=1e-12)
    assert [(row["layer"], row["projection"]) for row in rows] == list(gradients)
    for row in rows:
        gradient = gradients[row["layer"], row["projection"]]
        for name, truth in dense_statistics(gradient).items():
            assert row[name] == pytest.approx(truth, rel=1e-6, abs=1e-12 * np.abs(gradient).max()), (name, row)


def test_float32_agrees_with_dense_float64(tiny_model):
    encoded = sample(60, 20)
    _, gradients = dense_gradients(tiny_model(attention_bias=True), list(encoded.ids), encoded.start)
    _, rows = measure(tiny_model(attention_bias=True, dtype=torch.float32), encoded)
    for row in rows:
        truth = dense_statistics(gradients[row["layer"], row["projection"]])
        for name in ("nuclear_norm", "frobenius_norm", "spectral_norm", "grad_max", "grad_min"):
            assert row[name] == pytest.approx(truth[name], rel=1e-4), (name, row)


def test_factors_give_every_entry_of_the_gradient(model):
    encoded = sample(25, 10)
    _, gradients = dense_gradients(model, list(encoded.ids), encoded.start)
    caught = {}

    def receive(factors):
        for projection, y in zip(factors.projections, factors.output_gradients, strict=True):
            caught[projection.layer, projection.name] = (y[0].T @ factors.inputs[0]).numpy()

    with captured_factors(find_projections(model), receive):
        response_losses(model, [encoded]).sum().backward()
    assert set(caught) == set(gradients)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(caught[key], gradient, rtol=0, atol=1e-12 * np.abs(gradient).max(), err_msg=str(key))


@pytest.mark.parametrize("start", [1, 2, 5, 11])
def test_rank_bound_is_a_bound_and_is_reached(model, start):
    """Equal tokens among others; float64 rank with the usual tolerance."""
    ids = (5, 6, 5, 7, 5, 6, 8, 8, 9, 10, 5, 11)
    encoded = EncodedResponse(ids, start, truncated=False)
    _, gradients = dense_gradients(model, list(ids), start)
    reached = 0
    for row in measure(model, encoded)[1]:
        rank = np.linalg.matrix_rank(gradients[row["layer"], row["projection"]])
        assert rank <= row["rank_bound"], row
        reached += rank == row["rank_bound"]
    assert reached >= len(gradients) / 3


def test_hooks_are_gone_after_an_error(tiny_model):
    model = tiny_model()
    with (
        pytest.raises(RuntimeError, match="planted"),
        captured_factors(find_projections(model), lambda group: None),
    ):
        raise RuntimeError("planted")
    assert not any(projection.module._forward_hooks for projection in find_projections(model))


def test_a_gradient_that_is_not_finite_is_told(tiny_model):
    model = tiny_model()
    model.model.layers[2].register_full_backward_hook(lambda module, inputs, _: tuple(g * torch.inf for g in inputs))
    [measured] = Measurer(model).measure([sample(12, 6)])
    assert measured.failure == "the gradient is not finite"


def test_a_sample_that_is_not_finite_leaves_its_batch_alone(tiny_model):
    """One token's embedding is so large that its text overflows."""
    model = tiny_model("qwen2", dtype=torch.float32)
    model.model.embed_tokens.weight.data[399] = 3e38
    good, bad = sample(20, 8, vocabulary=300), EncodedResponse((5, 399, 6, 7), 2, truncated=False)
    measurer = Measurer(model)
    [alone] = measurer.measure([good])
    [failed, beside] = measurer.measure([bad, good])
    assert "not finite" in failed.failure
    assert beside.failure is None
    for row, truth in zip(measurer.rows(beside, good), measurer.rows(alone, good), strict=True):
        assert row["nuclear_norm"] == pytest.approx(truth["nuclear_norm"], rel=1e-4)


def test_samples_do_not_leak_into_each_other(tiny_model):
    measurer = Measurer(tiny_model(dtype=torch.float32))
    first, other = sample(30, 10, seed=1), sample(18, 4, seed=2)
    [alone] = measurer.measure([first])
    measurer.measure([other])
    [again] = measurer.measure([first])
    assert measurer.rows(again, first) == measurer.rows(alone, first)


def test_loss_and_its_gradient_in_float64():
    generator = torch.Generator().manual_seed(0)
    logits = (10 * torch.randn(200, 50, generator=generator)).requires_grad_()
    targets = torch.randint(0, 50, (200,), generator=generator)
    loss = negative_log_likelihood(logits, targets).mean()
    loss.backward()
    exact = logits.detach().double().requires_grad_()
    truth = -torch.stack([exact[i, t] - exact[i].exp().sum().log() for i, t in enumerate(targets)]).mean()
    truth.backward()
    assert loss.item() == pytest.approx(truth.item(), rel=1e-9)
    torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_give_exact_spectra_of_their_own_factors(tiny_model, dtype):
    """The forward pass is in half precision; 300 tokens, an integer that bfloat16 cannot hold, are averaged over."""
    model = tiny_model(dtype=dtype, max_position_embeddings=512)
    encoded = sample(310, 9)
    dense = {}

    def receive(factors):
        for p, y in zip(factors.projections, factors.output_gradients, strict=True):
            assert y.dtype == factors.inputs.dtype == dtype
            dense[p.layer, p.name] = dense_statistics((y[0].double().T @ factors.inputs[0].double()).numpy())

    with captured_factors(find_projections(model), receive):
        response_losses(model, [encoded]).sum().backward()
    measured, rows = measure(model, encoded)
    truth, _ = dense_gradients(tiny_model(max_position_embeddings=512), list(encoded.ids), encoded.start)
    assert measured.loss == pytest.approx(truth, rel=0.02)
    for row in rows:
        for name in ("nuclear_norm", "frobenius_norm", "spectral_norm", "grad_max", "grad_min"):
            assert row[name] == pytest.approx(dense[row["layer"], row["projection"]][name], rel=1e-4), (name, row)


def test_the_loss_keeps_its_balance_over_a_large_vocabulary():
    """The gradient over a row sums to zero; a float32 log-softmax is off by 4e-6, the same in every entry."""
    logits = (4 * torch.randn(2, 49_152, generator=torch.Generator().manual_seed(0)) - 15).requires_grad_()
    negative_log_likelihood(logits, torch.tensor([5, 6])).sum().backward()
    assert logits.grad.double().sum(1).abs().max() < 2e-7


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_padded_batch_agrees_with_dense_autograd(tiny_model, decoder):
    """Three texts of different lengths, one with a single response token, with the MLP where it is dense.

    Some eager attention is rounded to float32 whatever the model's dtype, differently in a batch.
    """
    model = architectures.make(tiny_model, decoder)
    model.set_attn_implementation(resolve_attention(model, "auto"))
    tolerance = 1e-9 if model.config._attn_implementation == "sdpa" else 1e-6
    batch = [sample(9, 4, seed=1), sample(40, 39, seed=2), sample(23, 1, seed=3)]
    measurer = Measurer(model, which="attention+mlp" if decoder in DENSE else "attention")
    for encoded, measured in zip(batch, measurer.measure(batch), strict=True):
        loss, gradients = dense_gradients(model, list(encoded.ids), encoded.start, mlp=decoder in DENSE)
        assert measured.loss == pytest.approx(loss, rel=tolerance)
        rows = measurer.rows(measured, encoded)
        assert {(row["layer"], row["projection"]) for row in rows} == set(gradients)
        for row in rows:
            gradient = gradients[row["layer"], row["projection"]]
            for name, truth in dense_statistics(gradient).items():
                allowed = tolerance * (np.abs(gradient).max() if name.startswith("grad_") else truth)
                assert row[name] == pytest.approx(truth, abs=allowed), (name, row)
