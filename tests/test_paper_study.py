"""The studies of the paper's ten tasks: their files, and the whole graph of them, known without a network."""

import os
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT
from transformers import AutoConfig, AutoModelForCausalLM

from layergrad.contracts.config.load import load_study
from layergrad.models.load import resolve_attention
from layergrad.models.memory import needed_bytes
from layergrad.models.projections import find_projections
from layergrad.statistics.segments import PAPER

# The shapes that memory depends on, as the models' own config.json has them.
ARCHITECTURES = {
    "qwen2-1.5b": ("qwen2", 28, 1536, 8960, 12, 2, 128, 151936, True),
    "gemma-2-2b": ("gemma2", 26, 2304, 9216, 8, 4, 256, 256000, True),
    "gemma-2-9b": ("gemma2", 42, 3584, 14336, 16, 8, 256, 256000, True),
    "llama-3.1-8b": ("llama", 32, 4096, 14336, 32, 8, 128, 128256, False),
    "llama-2-7b": ("llama", 32, 4096, 11008, 32, 32, 128, 32000, False),
}
SHAPE = (
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "tie_word_embeddings",
)
# Python runs this by itself when it starts: what reaches for a network or another program is written down.
WATCH = """
import sys

def note(line):
    with open({file!r}, "a") as file:
        print(line, file=file)

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect"):
        note(f"{{event}} {{arguments}}")
    elif event == "subprocess.Popen":
        note(f"program {{arguments[0]}}")

note("watching")
sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def paper():
    """The study of the paper."""
    return load_study(ROOT / "config/paper.yaml")


def skeleton_of(name):
    model_type, *shape = ARCHITECTURES[name]
    config = AutoConfig.for_model(model_type, **dict(zip(SHAPE, shape, strict=True)))
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def test_ten_models_in_five_pairs(paper):
    trained = [model for model in paper.models if not model.untrained_of]
    assert len(trained) == 10
    tuned = [model for model in paper.models if model.base]
    assert {model.base for model in tuned} == set(ARCHITECTURES)
    for model in tuned:
        base = paper.model(model.base)
        assert (base.base, base.prompt, model.prompt) == (None, "plain", "chat")
        assert model.released_as == f"{base.released_as}_it_new"
        assert (base.segments, base.licence) == (model.segments, model.licence)
    assert {model.dtype for model in paper.models} == {"float32"}
    assert len({(model.source.hub, model.source.revision) for model in trained}) == 10


def test_every_base_has_an_untrained_twin(paper):
    twins = {model.untrained_of: model for model in paper.models if model.untrained_of}
    assert set(twins) == set(ARCHITECTURES)
    for name, twin in twins.items():
        same = {"source", "dtype", "prompt", "segments", "memory_mb", "seconds_per_1000_tokens"}
        assert twin.model_dump(include=same) == paper.model(name).model_dump(include=same)
        assert twin.weights == "random"


def test_segments_are_those_of_the_paper(paper):
    for name, (_, layers, *_) in ARCHITECTURES.items():
        assert paper.model(name).segments.model_dump() == PAPER[layers]


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_declared_memory_covers_the_longest_response_and_little_more(paper, name):
    skeleton = skeleton_of(name)
    attention = resolve_attention(skeleton, "auto")
    assert paper.gradients.batch_tokens == paper.max_length == 1024
    needed = needed_bytes(skeleton, find_projections(skeleton), "float32", attention, 1024, 1024) / 1e6
    for model in paper.models:
        if name in (model.name, model.base, model.untrained_of):
            assert needed + 800 < model.memory_mb < 1.1 * needed + 800
            assert model.memory_mb < 80_000


def test_tasks_are_the_56_cells(paper):
    small = load_study(ROOT / "config/paper-smollm2.yaml")
    for study, rows in ((paper, 54 * 500 + 2 * 454), (small, 56 * 4)):
        counts = [task.samples_of(variant) for task in study.tasks for variant in task.variants]
        assert len(study.tasks) == 10
        assert len(counts) == 28
        assert sum(count.correct + count.irrelevant for count in counts) == rows
        assert study.paper_compat
    assert small.model("smollm2-135m-instruct-chat").prompt == "chat"


def test_a_dry_run_lists_the_whole_graph_quickly_and_reaches_for_nothing(paper, tmp_path):
    """In an empty folder, so that nothing is there yet."""
    (tmp_path / "start").mkdir()
    (tmp_path / "start/sitecustomize.py").write_text(WATCH.format(file=str(tmp_path / "reached")))
    (tmp_path / "empty").mkdir()
    files = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config/paper.yaml")]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--cores", "2", *files, "--directory", str(tmp_path / "empty")],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "start")},
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - started
    print(f"{seconds:.1f} s")
    assert done.returncode == 0, done.stderr
    jobs = dict(line.rsplit(None, 1) for line in (done.stdout + done.stderr).splitlines() if len(line.split()) == 2)
    measured = len(paper.models) * len(paper.tasks)
    for rule, count in {
        "fetch_sources": len(paper.tasks),
        "build_task": len(paper.tasks),
        "prepare_model": len(paper.models),
        "diagnose_model": len(paper.models),
        "extract_gradients": measured * paper.gradients.shards,
        "merge_gradients": measured,
        "audit_task": measured,
        "compute_statistics": measured,
    }.items():
        assert jobs[rule] == str(count)
    assert seconds < 30
    reached = set((tmp_path / "reached").read_text().splitlines())
    assert "watching" in reached
    # Which executors there are, on what machine, and where SLURM is installed its version.
    assert reached <= {"watching", "program which", "program uname", "program scontrol"}
    assert not (tmp_path / "empty/results").exists()
