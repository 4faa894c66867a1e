"""Memory: the estimate against what a process really takes, and what its limits leave."""

import json
import logging
import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from layergrad.contracts.errors import UserError
from layergrad.models.load import ModelOrigin, load_skeleton
from layergrad.models.memory import available_bytes, cgroup_bytes, check_memory, needed_bytes
from layergrad.models.projections import find_projections
from layergrad.models.tokens import encode

# Peak memory of a whole run over that of its imports, in bytes. Linux hands a process's ru_maxrss on through exec, so
# that a child says how large its parent has been where that was larger; the kernel's own VmHWM begins anew.
RUN = """
import pathlib, resource, sys, psutil
import layergrad.cli, layergrad.gradients.extract
imported = psutil.Process().memory_info().rss
assert layergrad.cli.main(sys.argv[1:]) == 0
status = pathlib.Path("/proc/self/status")
if status.exists():
    peak = next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak - imported)
"""
WIDE = {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 4, "num_attention_heads": 16}


@pytest.fixture(scope="module")
def wide(tmp_path_factory, tokenizer):
    """A random model of a real width, 150 MB of weights."""
    folder = tmp_path_factory.mktemp("wide")
    config = AutoConfig.for_model("llama", vocab_size=400, num_key_value_heads=4, **WIDE)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_the_estimate_is_near_the_real_peak(wide, tokenizer, tmp_path):
    row = {"instruction": "How many pens are there?", "output": "There are 12 pens, 7 of them red. " * 40}
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    sample = encode(tokenizer, **row)
    assert 600 < len(sample.ids) <= 1024
    skeleton = load_skeleton(ModelOrigin(str(wide)))
    projections = find_projections(skeleton)
    estimate = needed_bytes(skeleton, projections, "float32", "sdpa", len(sample.ids), sample.n_response)
    options = ["--model", str(wide), "--data", str(tmp_path / "rows.json"), "--out", str(tmp_path / "gradients")]
    run = subprocess.run([sys.executable, "-c", RUN, "extract", *options], capture_output=True, text=True, check=True)
    peak = int(run.stdout.splitlines()[-1])
    print(f"estimate {estimate / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB")
    assert 0.9 < estimate / peak < 1.4


def kept_bytes(model, tokens, dtype):
    """What autograd really keeps of a forward pass, besides the weights."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    embedded = torch.zeros(1, tokens, model.config.hidden_size, dtype=dtype, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(inputs_embeds=embedded, use_cache=False)
    for weight in (*model.parameters(), *model.buffers()):
        kept.pop(weight.untyped_storage().data_ptr(), None)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("model_type", "changes"),
    [("llama", {}), ("gemma3_text", {"head_dim": 8}), ("gpt2", {}), ("mixtral", {"num_local_experts": 4})],
)
def test_growth_with_tokens_follows_what_autograd_keeps(tiny_model, model_type, changes, dtype):
    """From 200 to 400 tokens, with attention's whole matrices. Experts in float32 are bounded: twice bfloat16."""
    model = tiny_model(model_type, getattr(torch, dtype), **changes)
    projections = find_projections(model)
    few, many = (needed_bytes(model, projections, dtype, "eager", tokens, 1) for tokens in (200, 400))
    truth = kept_bytes(model, 400, getattr(torch, dtype)) - kept_bytes(model, 200, getattr(torch, dtype))
    assert 1.2 < (many - few) / truth < (5 if model_type == "mixtral" and dtype == "float32" else 2)


def test_too_little_memory_is_told_before_the_weights_are_loaded(caplog):
    caplog.set_level(logging.INFO, logger="layergrad")
    check_memory("small", 10**6, torch.device("cpu"))
    assert caplog.messages[0].startswith("small needs about 0.0 GB; have ")
    with pytest.raises(
        UserError,
        match=r"^large needs about 1000000\.0 GB; have [\d.]+ GB \(cpu\); lower --max-length, choose bfloat16, or a "
        "machine with more memory$",
    ):
        check_memory("large", 10**15, torch.device("cpu"))
    assert 0 < available_bytes(torch.device("cpu")) < 10**15


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/jobs/one", "jobs", ("memory.max", "memory.current", "inactive_file")),
        (
            "4:memory:/jobs/one",
            "memory/jobs",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_limits_of_control_groups(tmp_path, line, folder, names):
    """The group above the process's own has the limit; an idle cache of files does not count."""
    (tmp_path / "membership").write_text(f"9:cpu:/x\n{line}\n")
    place = tmp_path / "root" / folder
    (place / "one").mkdir(parents=True)
    if names[0] == "memory.max":
        (place / "one" / names[0]).write_text("max\n")
    assert cgroup_bytes(tmp_path / "root", tmp_path / "membership") == []
    (place / names[0]).write_text("1000\n")
    (place / names[1]).write_text("700\n")
    (place / "memory.stat").write_text(f"anon 500\n{names[2]} 150\n")
    assert cgroup_bytes(tmp_path / "root", tmp_path / "membership") == [450]
    assert cgroup_bytes(tmp_path / "root", tmp_path / "nowhere") == []


# A block of 10 MB between others that stay, freed: what the process holds before and after, in bytes.
FREED = """
import sys, psutil, torch
from layergrad.models.memory import give_large_blocks_back
if sys.argv[1] == "back":
    give_large_blocks_back()
torch.zeros(4_000_000)  # lets glibc raise its limit to 16 MB
blocks = [torch.zeros(2_500_000) for _ in range(20)]
before = psutil.Process().memory_info().rss
del blocks[::2]
print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.slow
def test_large_blocks_are_given_back():
    freed = {
        how: int(subprocess.run([sys.executable, "-c", FREED, how], capture_output=True, text=True, check=True).stdout)
        for how in ("kept", "back")
    }
    assert freed["kept"] < 10e6
    assert freed["back"] > 90e6
