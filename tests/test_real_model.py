"""The real model, through the command line, against dense float64 autograd and SVD. Slow."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from oracle import dense_gradients, dense_statistics
from transformers import AutoModelForCausalLM, AutoTokenizer

from layergrad.cli import main
from layergrad.contracts.study_files import load_study
from layergrad.contracts.tables import read_table
from layergrad.models.prepare import prepare_model

pytestmark = pytest.mark.slow

RELATIVE = ("nuclear_norm", "spectral_norm", "frobenius_norm", "grad_max", "grad_min")
OWN_ROWS = [
    {"instruction": "A farmer has 17 hens and buys 25 more. How many hens are there?", "output": "42"},
    {"instruction": "What is 12 * 12?", "output": "12 * 12 is 12 * 10 + 12 * 2 = 120 + 24 = 144."},
]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory, root):
    """SmolLM2-135M-Instruct from its package, converted once."""
    folder = tmp_path_factory.mktemp("models") / "smollm2"
    prepare_model(load_study(root / "config/config.yaml").models[0], folder)
    return folder


def paper_rows():
    """First two rows of the paper's GSM8K without chain of thought, from a copy that an environment variable names."""
    folder = Path(os.environ.get("LAYERGRAD_PAPER_DATA", ROOT.parent / "shared/paper_data"))
    if not folder.is_dir():
        pytest.skip(f"the authors' released data are not in {folder}; LAYERGRAD_PAPER_DATA may name another folder")
    return json.loads((folder / "cot_500/gsm8k_train_no_cot.json").read_text())[:2]


@pytest.mark.parametrize("rows", [OWN_ROWS, paper_rows], ids=["own rows", "the paper's rows"])
def test_extract_agrees_with_dense_float64(rows, smollm2, tmp_path):
    rows = rows() if callable(rows) else rows
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(rows))
    assert (
        main(["extract", "--model", str(smollm2), "--data", str(data), "--paper-compat", "--out", str(tmp_path / "g")])
        == 0
    )
    table = read_table(tmp_path / "g.parquet").set_index(["sample_index", "layer", "projection"])
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float64, attn_implementation="eager").eval()
    worst = dict.fromkeys((*RELATIVE, "grad_mean"), 0.0)
    for index, row in enumerate(rows):
        before = row["instruction"] + "\n"
        ids, start = tokenizer(before + row["output"]).input_ids, len(tokenizer(before).input_ids)
        _, gradients = dense_gradients(model, ids, start)
        for key, gradient in gradients.items():
            ours, truth = table.loc[(index, *key)], dense_statistics(gradient)
            for name in RELATIVE:
                worst[name] = max(worst[name], abs(ours[name] / truth[name] - 1))
            worst["grad_mean"] = max(
                worst["grad_mean"], abs(ours["grad_mean"] - truth["grad_mean"]) / np.abs(gradient).mean()
            )
    print({name: f"{value:.1e}" for name, value in worst.items()})
    assert max(worst[name] for name in RELATIVE) < 1e-4
    assert worst["grad_mean"] < 1e-5
