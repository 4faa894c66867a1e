"""Tiny models with weights large enough to matter, and the tokenizer of the miniature study."""

import os
from pathlib import Path

import pytest
import torch
from small_disks import Disk
from synthetic_report import make_report
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from layergrad.contracts.sources import MIRROR

ROOT = Path(__file__).parents[1]
TINY = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items):
    """What takes longest first, so that two workers end together: the workflow on one, and meanwhile all tests of the
    report on the other, which makes it once."""
    items.sort(key=lambda item: [not item.path.name.startswith(name) for name in ("test_workflow", "test_report")])


@pytest.fixture(scope="session")
def root():
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A synthetic study, taken by the scripts from gradients to the report: the folder and the study."""
    folder = tmp_path_factory.mktemp("synthetic")
    return folder, make_report(folder)


@pytest.fixture(scope="session")
def tokenizer():
    """The byte-level tokenizer of the miniature study, with 400 tokens."""
    return AutoTokenizer.from_pretrained(ROOT / "tests/data/tokenizer")


@pytest.fixture(scope="session")
def tiny_model():
    """Make a random model: weights of standard deviation 0.2, biases and norms that are not trivial."""

    def make(model_type="llama", dtype=torch.float64, seed=0, **changes):
        config = AutoConfig.for_model(model_type, **(TINY | changes))
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.normal_(0, 0.2)
                if "norm" in name:
                    weight.add_(1)
        return model.to(dtype).eval().requires_grad_(False)

    return make


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory, tiny_model, tokenizer):
    """A folder with a tiny model in float32 and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model().float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def released_data():
    """The folder of the authors' released data: no part of the project, so that what needs it may have to be left out.

    Rows of the tests' own go through the same comparisons wherever this is not there.
    """
    folder = Path(os.environ.get(MIRROR, ROOT.parent / "shared/paper_data"))
    if not folder.is_dir():
        pytest.skip(f"the authors' released data are not in {folder}; {MIRROR} may name another folder")
    return folder


@pytest.fixture
def in_root(monkeypatch):
    """Run from the project's folder, as its commands are."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def small_disk():
    """Make disks of a size at new folders, which are gone after the test."""
    disks = []

    def make(folder, size):
        disks.append(Disk(folder, size))
        return disks[-1]

    yield make
    for disk in disks:
        disk.unmount()
