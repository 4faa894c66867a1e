"""The diagnosis: green on good models, red on planted faults of the engine and of what it is told about a model."""

import json

import numpy as np
import pytest
import torch
from architectures import EXPERTS, make
from test_workflow import Project

from layergrad.cli import main
from layergrad.contracts.config.load import load_study
from layergrad.contracts.config.modules import Modules
from layergrad.gradients import measure, spectrum
from layergrad.gradients.capture import Factors
from layergrad.gradients.diagnose import Diagnosis, built_in_samples, examine
from layergrad.gradients.measure import Measurer
from layergrad.models.prepare import prepare_model
from layergrad.models.registry import ARCHITECTURES

CHECKS = {"finite", "roles", "entries", "norms", "batches", "spectra"}


@pytest.fixture
def examined(tokenizer):
    """Checks of a model by name, in full width of the engine."""

    def run(model, which="attention", modules=None):
        found = examine(Measurer(model, which=which, modules=modules), built_in_samples(tokenizer))
        return {check.name: check for check in found}

    return run


def failed(checks):
    return {name for name, check in checks.items() if not check.passed}


def test_the_texts_are_as_told(tokenizer):
    samples = built_in_samples(tokenizer)
    lengths = [len(encoded.ids) for encoded in samples.values()]
    assert lengths[0] == max(lengths)
    assert len(set(lengths)) > 2
    assert samples["one token"].n_response == 1
    repeated = samples["repeated tokens"]
    assert len(set(repeated.ids[repeated.start :])) < repeated.n_response / 2
    assert all(encoded.start > 1 for encoded in samples.values())


@pytest.mark.parametrize(
    ("decoder", "which"),
    [
        ("llama", "attention+mlp"),
        ("gpt2", "attention+mlp"),
        ("gpt_neox", "attention+mlp"),
        ("falcon groups", "attention"),
        ("phi3", "attention+mlp"),
        ("gpt_oss", "attention"),
        ("qwen3_moe", "attention"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_good_models_are_green(tiny_model, examined, decoder, which, dtype):
    model = make(tiny_model, decoder, dtype=dtype)
    if decoder in EXPERTS and dtype == torch.float32:
        model.set_experts_implementation("grouped_mm")  # what a loaded model has
    checks = examined(model, which)
    assert failed(checks) == set()
    assert set(checks) == CHECKS | ({"float64"} if dtype == torch.float32 else set())


def test_bfloat16_is_green_within_its_own_tolerance(tiny_model, examined):
    checks = examined(make(tiny_model, "llama", dtype=torch.bfloat16))
    assert failed(checks) == set()
    assert checks["spectra"].worst.value < 1e-6 < checks["float64"].worst.value
    assert "half precision" in checks["batches"].meaning


@pytest.mark.parametrize(
    ("decoder", "layout"),
    [("gpt2", "heads"), ("mpt", "heads"), ("gpt_neox", "blocks"), ("bloom", "blocks"), ("falcon groups", "blocks")],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_wrong_layout_is_red(tiny_model, examined, decoder, layout, dtype):
    model = make(tiny_model, decoder, dtype=dtype)
    wrong = ARCHITECTURES[model.config.model_type].model_copy(update={"layout": layout})
    assert failed(examined(model, modules=wrong)) == {"roles"}


SWAPPED = {
    "q and k": {"q": "self_attn.k_proj", "k": "self_attn.q_proj", "v": "self_attn.v_proj"},
    "k and v": {"q": "self_attn.q_proj", "k": "self_attn.v_proj", "v": "self_attn.k_proj"},
}


@pytest.mark.parametrize("swapped", SWAPPED.values(), ids=SWAPPED.keys())
def test_exchanged_projections_are_red(tiny_model, examined, swapped):
    modules = Modules(**swapped, o="self_attn.o_proj")
    assert failed(examined(make(tiny_model, "llama", dtype=torch.float32), modules=modules)) == {"roles"}


def test_queries_and_keys_exchanged_are_red_even_with_sinks(tiny_model, examined):
    modules = Modules(**SWAPPED["q and k"], o="self_attn.o_proj")
    checks = examined(make(tiny_model, "gpt_oss", dtype=torch.float32), modules=modules)
    assert failed(checks) == {"roles"}
    assert checks["roles"].worst.layer == 1


@pytest.fixture(params=["llama", "gpt_neox"])
def model(request, tiny_model):
    """A good one in float32."""
    return make(tiny_model, request.param, dtype=torch.float32)


def test_output_gradients_off_by_one_row_are_red(model, examined, monkeypatch):
    def shifted(self, index, length):
        ys = [y[index, :length].roll(1, dims=0) for y in self.output_gradients]
        return Factors(self.inputs[index, :length], self.projections, ys)

    monkeypatch.setattr(Factors, "sample", shifted)
    assert {"entries", "norms"} <= failed(examined(model))


def test_the_mean_over_the_batch_is_red(model, examined, monkeypatch):
    losses = measure.response_losses
    monkeypatch.setattr(measure, "response_losses", lambda model, batch: losses(model, batch) / len(batch))
    checks = examined(model)
    assert failed(checks) == {"batches"}
    assert checks["batches"].worst.value == pytest.approx(0.75, rel=1e-3)


def test_a_model_that_mixes_its_batch_is_red(model, examined):
    _, layers = max(
        ((name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)),
        key=lambda item: sum(weight.numel() for weight in item[1].parameters()),
    )
    layers[0].register_forward_hook(lambda module, inputs, output: output + 1e-3 * output.mean(0, keepdim=True))
    assert failed(examined(model)) == {"batches"}


def test_a_sample_measured_as_its_neighbour_is_red(model, examined, monkeypatch):
    honest = Measurer.measure
    monkeypatch.setattr(Measurer, "measure", lambda self, batch: honest(self, batch[::-1]))
    assert failed(examined(model)) == {"batches"}


def test_a_gram_matrix_in_float32_is_red(model, examined, monkeypatch):
    def careless(matrix):
        narrow = matrix.float().numpy()
        return (narrow @ narrow.T).astype(np.float64)

    monkeypatch.setattr(spectrum, "_gram", careless)
    assert "spectra" in failed(examined(model))


def test_half_of_the_loss_is_red(model, examined, monkeypatch):
    losses = measure.response_losses
    monkeypatch.setattr(measure, "response_losses", lambda model, batch: losses(model, batch) / 2)
    assert failed(examined(model)) == {"norms"}


def test_a_gradient_that_is_not_finite_is_red_and_ends_the_diagnosis(model, examined):
    model.get_output_embeddings().register_forward_hook(lambda module, inputs, output: output * torch.inf)
    checks = examined(model)
    assert failed(checks) == set(checks) == {"finite"}
    diagnosis = Diagnosis({"settings": {"dtype": "float32"}}, list(checks.values()))
    assert diagnosis.verdict.startswith("FAILED: finite")
    assert json.loads(json.dumps(diagnosis.facts(), allow_nan=False))["checks"][0]["measured"] is None


def test_float64_where_memory_is_short(model, tokenizer, monkeypatch):
    monkeypatch.setattr("layergrad.gradients.checks.available_bytes", lambda *device: 1000)
    checks = examine(Measurer(model), built_in_samples(tokenizer))
    assert {check.name for check in checks} == CHECKS
    assert model.dtype == torch.float32
    assert Diagnosis({"settings": {"dtype": "float32"}}, checks).float64 == "the spectra of one layer's factors"


@pytest.fixture
def one_core(monkeypatch):
    """The command line takes all cores; where others work on them, tiny tensors are slow on more than one."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0})


@pytest.mark.usefixtures("one_core")
def test_the_command_line_tells_and_writes_the_verdict(tiny_model_folder, tmp_path, capsys):
    out = tmp_path / "diagnosis.json"
    given = ["diagnose", "--model", str(tiny_model_folder), "--out", str(out), "--projections", "attention+mlp"]
    assert main(given) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    facts = json.loads(out.read_text())
    assert lines[-1] == facts["verdict"]
    assert lines[-1].startswith("OK: finite 0.0e+00")
    assert [check["name"] for check in facts["checks"]] == [line.split()[0] for line in lines[1:-2:2]]
    assert facts["compared_with_float64"] == "the whole measurement"
    assert facts["settings"]["attention"] == "sdpa"
    first = out.read_bytes()
    assert main(given) == 0
    assert out.read_bytes() == first


@pytest.mark.usefixtures("one_core")
def test_the_command_line_ends_with_1_for_a_red_verdict(tiny_model_folder, tmp_path, capsys):
    swapped = tmp_path / "swapped.yaml"
    swapped.write_text(json.dumps({"modules": SWAPPED["q and k"] | {"o": "self_attn.o_proj"}}))
    assert main(["diagnose", "--model", str(tiny_model_folder), "--modules", str(swapped)]) == 1
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("FAILED: roles ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--model", "./nothing"], "./nothing: no such model"),
        (["--model", "MODEL", "--out", "FOLDER"], "a folder given"),
    ],
)
def test_bad_input_is_one_line(arguments, line, tiny_model_folder, tmp_path, capsys):
    given = [{"MODEL": str(tiny_model_folder), "FOLDER": str(tmp_path)}.get(word, word) for word in arguments]
    assert main(["diagnose", *given]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert line in error[0]


@pytest.mark.slow
def test_a_red_verdict_stops_the_workflow_before_any_gradients(root, tmp_path):
    project = Project(root, tmp_path)
    with (project.folder / "config/models/tiny-llama.yaml").open("a") as file:
        file.write(json.dumps({"modules": SWAPPED["q and k"] | {"o": "self_attn.o_proj"}})[1:-1] + "\n")
    done = project.run("snakemake", "gradients", "--cores", "2")
    assert done.returncode != 0
    log = project.result("logs/diagnose_model/tiny-llama.log").read_text().splitlines()
    assert log[-1].partition("ERROR ")[2].startswith("FAILED: roles ")
    assert any("float64  passed" in line for line in log)
    assert not project.result("diagnostics/tiny-llama.json").exists()
    assert not project.result("logs/extract_gradients").exists()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_real_model_is_green(root, tmp_path, dtype, capsys):
    folder = tmp_path / "smollm2"
    prepare_model(load_study(root / "config/config.yaml").models[0], folder)
    assert main(["diagnose", "--model", str(folder), "--dtype", dtype]) == 0, capsys.readouterr().out
