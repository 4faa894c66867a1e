"""Models made ready: random weights from a seed, a directory used in place, and weights that are not what they were."""

import shutil

import pytest
import torch
from conftest import TINY

from layergrad.contracts.config.models import ModelWeights
from layergrad.contracts.config.sources import FileSource, PypiSource
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json
from layergrad.models.load import ModelOrigin, load_model, load_tokenizer
from layergrad.models.prepare import prepare_model, read_card


@pytest.fixture
def random_weights(root):
    """A tiny model with random weights."""
    return ModelWeights(
        name="tiny",
        weights="random",
        seed=3,
        architecture={"model_type": "llama", **TINY},
        tokenizer=FileSource(file=str(root / "tests/data/tokenizer")),
    )


def test_random_weights_come_from_the_seed(random_weights, tmp_path):
    prepare_model(random_weights, tmp_path / "a")
    prepare_model(random_weights, tmp_path / "b")
    prepare_model(random_weights.model_copy(update={"seed": 4}), tmp_path / "c")
    a, b, c = (read_json(tmp_path / name / "card.json")["checksums"] for name in "abc")
    assert a == b != c
    assert (tmp_path / "a/model.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_prepared_model_loads_with_its_tokenizer(random_weights, tmp_path):
    prepare_model(random_weights, tmp_path / "tiny")
    card, origin = read_card(tmp_path / "tiny/card.json")
    assert (card["n_layers"], card["hidden_size"]) == (TINY["num_hidden_layers"], TINY["hidden_size"])
    model = load_model(origin, "float64")
    assert not any(weight.requires_grad for weight in model.parameters())
    assert model.lm_head.weight.dtype == torch.float64
    assert load_tokenizer(origin)("7 pens").input_ids


def test_a_directory_is_used_where_it_is(random_weights, tmp_path):
    prepare_model(random_weights, tmp_path / "mine")
    (tmp_path / "mine/card.json").unlink()
    prepare_model(ModelWeights(name="mine", source=FileSource(file=str(tmp_path / "mine"))), tmp_path / "prepared")
    card, origin = read_card(tmp_path / "prepared/card.json")
    assert origin.name_or_path == str(tmp_path / "mine")
    assert not list((tmp_path / "prepared").glob("*.safetensors"))
    assert (tmp_path / "prepared/tokenizer.json").is_file()
    assert card["checksums"]


def test_weights_without_a_tokenizer_are_read_with_the_one_given(random_weights, tmp_path, root):
    prepare_model(random_weights, tmp_path / "whole")
    (tmp_path / "weights").mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tmp_path / "whole" / name, tmp_path / "weights")
    tokenizer = FileSource(file=str(root / "tests/data/tokenizer"))
    prepare_model(
        ModelWeights(name="mine", source=FileSource(file=str(tmp_path / "weights")), tokenizer=tokenizer),
        tmp_path / "mine",
    )
    _, origin = read_card(tmp_path / "mine/card.json")
    assert load_model(origin).config.hidden_size == TINY["hidden_size"]
    assert load_tokenizer(origin).get_vocab() == load_tokenizer(ModelOrigin(tokenizer.file)).get_vocab()


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_weights_that_are_not_what_they_were_are_refused(random_weights, tmp_path, damage):
    prepare_model(random_weights, tmp_path / "tiny")
    weights = tmp_path / "tiny/model.safetensors"
    if damage == "gone":
        weights.unlink()
    else:
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    with pytest.raises(UserError, match=r"its weights are not those that .*card\.json describes; remove .*, run again"):
        read_card(tmp_path / "tiny/card.json")


def test_pickled_weights_are_refused(random_weights, tmp_path):
    prepare_model(random_weights, tmp_path / "tiny")
    _, origin = read_card(tmp_path / "tiny/card.json")
    torch.save(load_model(origin).state_dict(), tmp_path / "tiny/pytorch_model.bin")
    (tmp_path / "tiny/model.safetensors").unlink()
    with pytest.raises(UserError, match="no model can be loaded from it"):
        load_model(origin)


def test_nothing_is_left_of_a_model_that_could_not_be_prepared(random_weights, tmp_path, root):
    bad = random_weights.model_copy(update={"architecture": {"model_type": "llamma"}})
    with pytest.raises(UserError, match=r"model tiny: architecture: .*llamma"):
        prepare_model(bad, tmp_path / "tiny")
    shutil.copytree(root / "tests/data/tokenizer", tmp_path / "only_tokenizer")
    with pytest.raises(UserError, match="no model configuration can be loaded from it"):
        prepare_model(ModelWeights(name="x", source=FileSource(file=str(tmp_path / "only_tokenizer"))), tmp_path / "x")
    assert not (tmp_path / "tiny").exists()
    assert not (tmp_path / "x").exists()


def test_several_members_are_no_model(tmp_path):
    source = PypiSource(pypi="a==1", members={"a.gguf": "0" * 64, "b.gguf": "0" * 64})
    with pytest.raises(UserError, match="its source has 2 members; allowed is one GGUF file"):
        prepare_model(ModelWeights(name="x", source=source), tmp_path / "x")
