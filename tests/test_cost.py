"""What the paper's study would cost: counts against real modules and by hand, and the pages that are in docs."""

import pandas as pd
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.cost import MEASURED, SHAPES, bytes_a_row, job_table, makespan, scaling, shape_of
from layergrad.contracts.config.load import load_study
from layergrad.contracts.estimate import job_minutes, job_seconds, task_tokens


@pytest.fixture(scope="module")
def paper(root):
    """The paper's study."""
    return load_study(root / "config/paper.yaml")


def test_weights_are_counted_as_the_architecture_has_them():
    config = LlamaConfig(
        hidden_size=4096,
        num_attention_heads=32,
        num_key_value_heads=8,
        intermediate_size=14336,
        vocab_size=128256,
        num_hidden_layers=32,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    matrices = sum(weight.numel() for weight in model.model.layers.parameters() if weight.ndim == 2)
    shape = SHAPES["llama-3.1-8b"]
    assert shape.layer_weights() == matrices
    assert shape.floor(tokens=10, response_tokens=3) == 4 * (10 * matrices + 3 * model.lm_head.weight.numel())
    projections = [module for name, module in model.named_modules() if name.rpartition(".")[2] in SEPARATE]
    inputs = sum(module.in_features for module in projections if module.out_features != 1024)  # q, k and v share one
    assert shape.entries(10) == 10 * (inputs + sum(module.out_features for module in projections))


SEPARATE = ("q_proj", "k_proj", "v_proj", "o_proj")


def test_gpus_take_the_next_job_that_is_left():
    assert makespan([3, 2, 2], 1) == 7
    assert makespan([3, 2, 2], 2) == 4
    assert makespan([1] * 10, 64) == 1


def test_every_gradient_job_is_counted(paper):
    jobs = job_table(paper, 1e-8)
    assert len(jobs) == len(paper.models) * len(paper.tasks) * paper.gradients.shards
    assert jobs["tokens"].sum() == sum(task_tokens(paper, m, t) for m in paper.models for t in paper.tasks)
    assert {shape_of(model.name) for model in paper.models} == set(SHAPES.values())
    assert job_table(paper, 2e-8)["spectra"].sum() == pytest.approx(2 * jobs["spectra"].sum())


def test_what_was_measured_scales_as_it_is_counted(root):
    measured = scaling(pd.read_csv(root / "docs/benchmark/benchmark.csv"))
    assert len(measured) == 5
    assert set(measured["model"]) == set(MEASURED)
    for column in ("floor", "spectra"):
        assert measured[column].max() / measured[column].min() < 4, column


def test_a_row_takes_about_its_numbers():
    sizes = bytes_a_row()
    assert 72 < sizes["gradients"] < 120
    assert 8 < sizes["similarity"] < 20


def test_jobs_with_a_gpu_ask_for_the_whole_estimate(paper):
    model, task = paper.model("llama-3.1-8b"), paper.task("aqua")
    assert model.gpus == 1
    assert job_minutes(paper, model, task) == pytest.approx(job_seconds(paper, model, task) / 60, abs=1)
    without = model.model_copy(update={"gpus": 0})
    assert job_minutes(paper, without, task) == pytest.approx(3 / 8 * job_seconds(paper, model, task) / 60, abs=1)
    assert all(model.gpus == 1 for model in paper.models)


def test_jobs_ask_for_more_time_than_they_should_take(paper, root):
    measured = scaling(pd.read_csv(root / "docs/benchmark/benchmark.csv"))
    jobs = job_table(paper, 2 * measured["spectra"].median()).groupby(["model", "task"])["hours"].first()
    for model in paper.models:
        for task in paper.tasks:
            assert job_minutes(paper, model, task) / 60 > 1.2 * jobs[model.name, task.name], (model.name, task.name)
