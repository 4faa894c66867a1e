"""Models that would do harm: pickles wherever they hide, and code of a repository that nobody asked to run."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

# Everything in one process that notes each pickle that is opened or read, since to import torch takes seconds.
RUN = """
import json, logging, sys
from pathlib import Path

from layergrad.cli import main
from layergrad.contracts.config.models import ModelWeights
from layergrad.contracts.config.sources import FileSource
from layergrad.contracts.errors import UserError
from layergrad.gradients.extract import extract
from layergrad.models.prepare import prepare_model, read_card
from transformers import AutoModelForCausalLM

folder, *names = sys.argv[1:]
logging.basicConfig(filename=f"{folder}/log", format="%(message)s")
opened = []

def watch(event, arguments):
    if event == "pickle.find_class":
        opened.append(str(arguments[1:]))
    if event == "open" and Path(str(arguments[0])).suffix in (".bin", ".pkl", ".pt"):
        opened.append(str(arguments[0]))

def prepare(name, **options):
    spec = ModelWeights(name="it", source=FileSource(file=f"{folder}/{name}"), **options)
    try:
        prepare_model(spec, f"{folder}/prepared")
    except UserError as error:
        return str(error)
    return read_card(f"{folder}/prepared/card.json")[0]["trust_remote_code"]

sys.addaudithook(watch)
for name in names:
    opened.clear()
    files = ["--model", f"{folder}/{name}", "--data", f"{folder}/rows.json", "--out", f"{folder}/out/{name}"]
    code = main(["extract", *files])
    print(json.dumps([name, code, prepare(name), opened, Path(folder, "harm").exists()]))
print(json.dumps(["trusted", 0, prepare("code", trust_remote_code=True), opened, Path(folder, "harm").exists()]))
"""


class Harm:
    """An object that writes a file when its pickle is opened."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def change(path, **values):
    """Set keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def index(folder, shard):
    """Let an index name a file for all weights."""
    names = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    text = json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, shard)})
    (folder / "model.safetensors.index.json").write_text(text)


def a_pickle(folder, mark):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harm(mark)))


def an_index_of_pickles(folder, mark):
    torch.save(load_file(folder / "model.safetensors"), folder / "part.bin")
    shutil.copy(folder / "model.safetensors", folder / "spare.safetensors")
    index(folder, "part.bin")


def an_index_that_leaves(folder, mark):
    (folder.parent / "outside").mkdir()
    shutil.copy(folder / "model.safetensors", folder.parent / "outside")
    index(folder, "../outside/model.safetensors")


def a_chosen_pickle(folder, mark):
    torch.save(load_file(folder / "model.safetensors"), folder / "adapter_model.bin")
    change(folder / "config.json", transformers_weights="adapter_model.bin")


def an_adapter(folder, mark):
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "somebody/else"}')


def code(folder, mark):
    (folder / "own.py").write_text(
        f"import pathlib\nfrom transformers import LlamaConfig, LlamaForCausalLM\npathlib.Path({str(mark)!r}).touch()\n"
        "class Config(LlamaConfig):\n    model_type = 'own'\n"
        "class Model(LlamaForCausalLM):\n    config_class = Config\n"
    )
    classes = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    change(folder / "config.json", model_type="own", auto_map=classes)


def beside_safetensors(folder, mark):
    (folder / "training_args.bin").write_bytes(pickle.dumps(Harm(mark)))


# By the folder, what makes it, and what is told of it; an empty text where the model is measured.
FOLDERS = {
    "good": (beside_safetensors, ""),
    "pickle": (a_pickle, r"pytorch_model.bin: a pickle, which can run code"),
    "index": (an_index_of_pickles, r"model.safetensors.index.json names the weights 'part.bin'; allowed are"),
    "leaving": (an_index_that_leaves, r"names the weights '../outside/model.safetensors'; allowed are"),
    "chosen": (a_chosen_pickle, r"config.json names the weights 'adapter_model.bin'; allowed are"),
    "adapter": (an_adapter, r"adapter_config.json: an adapter on another model; merge it"),
    "code": (code, r"contains custom code which must be executed"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, tiny_model_folder):
    """By the folder: exit code of extract, what preparing it told, pickles that were opened, harm that was done."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "rows.json").write_text(json.dumps([{"instruction": "What is 2 + 2?", "output": "4"}]))
    for name, (make, _) in FOLDERS.items():
        shutil.copytree(tiny_model_folder, folder / name)
        make(folder / name, folder / "harm")
    environment = os.environ | {"HF_HOME": str(folder / "home")}
    command = [sys.executable, "-c", RUN, str(folder), *FOLDERS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    return found | {"log": (folder / "log").read_text(), "errors": done.stderr}


@pytest.mark.parametrize("name", [name for name, (_, told) in FOLDERS.items() if told])
def test_it_is_refused_by_name_before_anything_is_opened(outcomes, name):
    exit_code, told, opened, harm = outcomes[name]
    assert exit_code == 2
    assert FOLDERS[name][1] in told
    assert "\n" not in told
    assert opened == []
    assert not harm
    assert FOLDERS[name][1] in outcomes["errors"]


def test_a_pickle_beside_safetensors_is_left_alone(outcomes):
    assert outcomes["good"] == [0, False, [], False]


def test_code_of_a_repository_runs_only_where_the_models_file_says_so_and_the_log_shows_it(outcomes):
    _, trusted, opened, harm = outcomes["trusted"]
    assert trusted is True
    assert harm
    assert opened == []
    lines = [line for line in outcomes["log"].splitlines() if "trust_remote_code" in line]
    assert lines == ["it: its file says trust_remote_code: code of the model's repository is run"]
