"""The JSON Schemas that editors read agree with the models that validate."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from layergrad.contracts.config.load import load_study
from layergrad.contracts.config.models import ModelSpec
from layergrad.contracts.config.reference import reference
from layergrad.contracts.config.schemas import schemas
from layergrad.contracts.config.study import Study
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json

CONFIG = Path(__file__).parents[1] / "config"
FILES = {
    kind: sorted(CONFIG.glob(pattern))
    for kind, pattern in (("study", "*.yaml"), ("model", "models/*.yaml"), ("task", "tasks/*.yaml"))
}
EACH = [(kind, path) for kind, paths in FILES.items() for path in paths]
# What is put in the place of every value, none of which pydantic would convert to another kind.
WRONG = [[], {}, {"no such key": 1}, "../x", "a b c", -1.5, None, "x" * 5000]


def validator(kind):
    return jsonschema.Draft202012Validator(schemas()[kind])


def mistakes(kind, values):
    """The kinds of mistakes that pydantic finds in a model or task file."""
    spec = {"model": ModelSpec, "task": TaskSpec}[kind]
    try:
        spec.model_validate({"name": "x", **values})
    except ValidationError as error:
        return {mistake["type"] for mistake in error.errors()}
    return set()


def places(node, so_far=()):
    """Where in nested mappings and lists there is a value."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [so_far, *(place for key, value in inner for place in places(value, (*so_far, key)))]


def changed(values, place, *new):
    """The values with another one at a place, or without it."""
    values = copy.deepcopy(values)
    node = values
    for key in place[:-1]:
        node = node[key]
    if new:
        node[place[-1]] = new[0]
    else:
        del node[place[-1]]
    return values


@pytest.mark.parametrize("kind", FILES)
def test_the_written_schemas_are_those_of_the_models(kind):
    """If not: make schema."""
    schema = read_json(CONFIG / f"schema/{kind}.schema.json")
    assert schema == json.loads(json.dumps(schemas()[kind]))
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("kind", "path"), EACH, ids=lambda value: getattr(value, "stem", value))
def test_the_files_of_the_project_fit(kind, path):
    assert [error.message for error in validator(kind).iter_errors(yaml.safe_load(path.read_text()))] == []


@pytest.mark.parametrize("kind", ["model", "task"])
def test_schema_and_validation_refuse_the_same(kind):
    """A wrong value in the place of each, and each left out, in files that use most keys between them."""
    check = validator(kind)
    names = (
        ("tiny-llama", "gemma-3-270m", "smollm2-135m-instruct") if kind == "model" else ("mini_math", "champ", "gsm8k")
    )
    for path in (path for path in FILES[kind] if path.stem in names):
        values = yaml.safe_load(path.read_text())
        for place in places(values)[1:]:
            for other in [changed(values, place), *(changed(values, place, wrong) for wrong in WRONG)]:
                found = mistakes(kind, other)
                if found != {"value_error"}:
                    assert check.is_valid(other) == (not found), (path.name, place, found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": 1},
        {"max_length": 0},
        {"models": "tiny-llama"},
        {"tasks": []},
        {"gradients": {"thread": 1}},
        {"seed": -1},
    ],
    ids=str,
)
def test_a_study_that_the_schema_refuses_is_refused(tmp_path, wrong):
    values = yaml.safe_load((CONFIG / "test.yaml").read_text()) | wrong
    assert not validator("study").is_valid(values)
    for folder in ("models", "tasks", "templates"):
        (tmp_path / folder).symlink_to(CONFIG / folder)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError):
        load_study(tmp_path / "study.yaml")


def test_the_written_reference_is_that_of_the_models_and_leaves_no_key_out():
    """If not: make schema."""
    assert (CONFIG.parent / "docs/configuration.md").read_text(encoding="utf-8") == reference()
    rows = [[cell.strip() for cell in row.split(" | ")] for row in reference().splitlines() if row.startswith("| `")]
    keys = {row[0].strip("|` ") for row in rows}
    assert keys >= set(Study.model_fields) - {"directory"} | set(ModelSpec.model_fields) - {"name"}
    assert all(len(row) == 4 and row[3].strip("|") for row in rows if row[0] != "| `layout`")
