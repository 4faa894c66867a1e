"""Gradient controls: where the loss of a controlled response is and where it ends, against dense float64 autograd."""

import pandas as pd
import pytest
import torch
from oracle import dense_gradients

from layergrad.contracts.config.load import load_study
from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import KEYS
from layergrad.contracts.tables import read_table
from layergrad.gradients.extract import encode_samples, extract
from layergrad.gradients.settings import Settings
from layergrad.models.load import ModelOrigin, load_model, load_tokenizer, origin_facts
from layergrad.models.prepare import prepare_model, read_card


def table(*rows):
    """Rows of (sample_id, response, control, output), all with the answer 42."""
    frame = pd.DataFrame(rows, columns=["sample_id", "response", "control", "output"])
    frame = frame.assign(task="t", variant="detailed", replicate=0, instruction="How many hens?", answer="42")
    return frame[[*KEYS, "instruction", "output", "answer"]]


REASONING = "There are 17 hens, and 25 more are bought.\nThe final answer is 42"


def test_the_responses_of_a_sample_are_cut_to_the_shortest(tokenizer):
    outputs = {"correct": "one two three four five six seven", "irrelevant": "red green", "incorrect": "a b c d e f"}
    controlled = [("a", response, "equal_length", output) for response, output in outputs.items()]
    alone = [("a", response, "none", output) for response, output in outputs.items()]
    other = [("b", "correct", "equal_length", outputs["correct"]), ("b", "irrelevant", "equal_length", REASONING)]
    encoded = encode_samples(table(*controlled, *alone, *other), tokenizer, Settings())
    shortest = min(one.n_response for one in encoded[3:6])
    assert [one.n_response for one in encoded[:3]] == [shortest] * 3
    for cut, whole in zip(encoded[:3], encoded[3:6], strict=True):
        assert cut.ids == whole.ids[: whole.start + shortest]
    assert encoded[6].n_response == encoded[7].n_response > shortest


@pytest.mark.parametrize("paper_compat", [False, True])
def test_only_the_answers_tokens_bear_loss(tokenizer, paper_compat):
    settings = Settings(paper_compat=paper_compat)
    whole, answer = encode_samples(
        table(("a", "correct", "none", REASONING), ("a", "correct", "answer_only", REASONING)), tokenizer, settings
    )
    assert whole.ids == answer.ids
    assert "42" in tokenizer.decode(answer.ids[answer.start :])
    assert "answer" not in tokenizer.decode(answer.ids[answer.start :])
    assert "42" not in tokenizer.decode(answer.ids[whole.start : answer.start])


def test_an_output_without_its_answer_is_refused(tokenizer):
    with pytest.raises(UserError, match="sample a: its answer_only output does not end with its answer '42'"):
        encode_samples(table(("a", "correct", "answer_only", "There are 43")), tokenizer, Settings())


def test_the_job_measures_what_the_controls_say(tiny_model, tiny_model_folder, tokenizer, tmp_path):
    samples = table(
        ("a", "correct", "none", REASONING),
        ("a", "irrelevant", "none", "Blue."),
        ("a", "correct", "equal_length", REASONING),
        ("a", "irrelevant", "equal_length", "Blue."),
        ("a", "correct", "answer_only", REASONING),
    )
    origin = ModelOrigin.of(str(tiny_model_folder))
    extract(samples, origin, origin_facts(origin), Settings(dtype="float64"), tmp_path / "g", tmp_path / "parts")
    measured = read_table(tmp_path / "g.parquet").set_index(["response", "control", "layer", "projection"])
    lengths = read_table(tmp_path / "g.samples.parquet").set_index(["response", "control"])["n_response_tokens"]
    model = tiny_model().float().double()
    before = tokenizer("How many hens?\n").input_ids
    blue = len(tokenizer("How many hens?\nBlue.").input_ids) - len(before)
    ids = tokenizer("How many hens?\n" + REASONING).input_ids
    answer = next(
        i for i in range(len(ids)) if len(tokenizer.decode(ids[: i + 1])) > len("How many hens?\n" + REASONING) - 2
    )
    expected = {
        "none": (ids, len(before)),
        "equal_length": (ids[: len(before) + blue], len(before)),
        "answer_only": (ids, answer),
    }
    for control, (text, start) in expected.items():
        assert lengths["correct", control] == len(text) - start
        _, gradients = dense_gradients(model, text, start)
        for (layer, name), gradient in gradients.items():
            nuclear = torch.linalg.svdvals(torch.from_numpy(gradient)).sum().item()
            row = measured.loc[("correct", control, layer, name)]
            assert row["nuclear_norm"] == pytest.approx(nuclear, rel=1e-5, abs=1e-12)
    pd.testing.assert_series_equal(
        measured.loc[("irrelevant", "none")]["nuclear_norm"],
        measured.loc[("irrelevant", "equal_length")]["nuclear_norm"],
        rtol=1e-5,
    )


@pytest.mark.slow
def test_the_untrained_model_is_the_trained_one_but_for_its_weights(root, tmp_path):
    """Its source is a GGUF file, of which only the configuration and the tokenizer are taken."""
    models, cards = {}, {}
    for spec in load_study(root / "config/controls.yaml").models:
        prepare_model(spec, tmp_path / spec.name)
        cards[spec.name], origin = read_card(tmp_path / spec.name / "card.json")
        models[spec.name] = load_model(origin), load_tokenizer(origin)
    (trained, tokenizer), (untrained, other_tokenizer) = models.values()
    ignored = {"_name_or_path", "torch_dtype", "dtype"}
    configs = [
        {key: value for key, value in model.config.to_dict().items() if key not in ignored}
        for model in (trained, untrained)
    ]
    assert configs[0] == configs[1]
    assert tokenizer.get_vocab() == other_tokenizer.get_vocab()
    assert [card["weights"] for card in cards.values()] == ["pretrained", "random"]
    weights = dict(untrained.named_parameters())
    for name, weight in trained.named_parameters():
        assert weight.shape == weights[name].shape
        assert not torch.equal(weight, weights[name])
    assert untrained.model.layers[0].self_attn.q_proj.weight.std().item() == pytest.approx(
        untrained.config.initializer_range, rel=0.02
    )
