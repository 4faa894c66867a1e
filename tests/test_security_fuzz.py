"""Whatever is thrown at the loaders, the outcome is a result or one clear line."""

import copy
import json
import re
import unicodedata

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layergrad.contracts.config.load import load_modules, load_study
from layergrad.contracts.config.options import RowsOptions
from layergrad.contracts.config.study import Study
from layergrad.contracts.errors import UserError
from layergrad.data.readers import rows
from layergrad.data.user_data import read_user_data

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=20) | st.sampled_from(
    [
        "../x",
        "/etc/passwd",
        "a\nb",
        "{x}",
        "$(x)",
        "x" * 300,
        "\0",
        "\ud800",
        "<<",
        "*a",
        "&a",
        "!!int x",
        "2024-13-45",
        "~",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from([10**30, -(2**63)]) | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
TAGS = ["!!int", "!!bool", "!!float", "!!timestamp", "!!map", "!!seq", "!!set", "!!omap", "!!binary", "!!null", "!x"]
SNIPPETS = st.sampled_from(
    [
        *TAGS,
        *"[]{}'\"|#%@`\n\t ",
        "!!python/object/apply:os.system [ls]",
        "&a",
        "*a",
        "<<: *a",
        "- ",
        ": ",
        "? ",
        "---",
        "...",
    ]
)
LONG = st.sampled_from(["9" * 5000, "[" * 500, "[" * 5000, "\\uD800", ".inf", "0x", "1_0", "name", "models"])


def outcome(load):
    """What is loaded, or else what is told."""
    try:
        return load(), None
    except UserError as error:
        return None, str(error)


def one_line(load):
    """What is loaded, or nothing where one clear line was told; any other error fails the test."""
    found, told = outcome(load)
    if told is not None:
        assert len(told.splitlines()) == 1
        assert not [mark for mark in told if unicodedata.category(mark) in ("Cc", "Cs")]
    return found


@pytest.fixture(scope="module")
def config(root, tmp_path_factory):
    """A folder with a study, a model and a task that are valid, and what each file says."""
    folder = tmp_path_factory.mktemp("config")
    for name in ("models", "tasks"):
        (folder / name).mkdir()
    (folder / "templates").symlink_to(root / "config/templates")
    files = {
        "study.yaml": root / "config/test.yaml",
        "models/tiny-llama.yaml": root / "config/models/tiny-llama.yaml",
        "tasks/mini_math.yaml": root / "config/tasks/mini_math.yaml",
        "tasks/mini_knowledge.yaml": root / "config/tasks/mini_knowledge.yaml",
    }
    texts = {name: path.read_text() for name, path in files.items()}
    for name, text in texts.items():
        (folder / name).write_text(text)
    assert isinstance(load_study(folder / "study.yaml"), Study)
    return folder, texts


def thrown(config, name, content):
    """Load the study with other content in one of its files."""
    folder, texts = config
    (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    try:
        return one_line(lambda: load_study(folder / "study.yaml"))
    finally:
        (folder / name).write_text(texts[name])


def places(node, so_far=()):
    """Where a value can be put into nested mappings and lists."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [so_far, *(place for key, value in inner for place in places(value, (*so_far, key)))]


NAMES = st.sampled_from(["study.yaml", "models/tiny-llama.yaml", "tasks/mini_math.yaml"])


@SETTINGS
@given(st.data())
def test_a_configuration_with_any_value_anywhere(config, data):
    name = data.draw(NAMES)
    values = copy.deepcopy(yaml.safe_load(config[1][name]))
    place = data.draw(st.sampled_from(places(values)[1:]))
    node = values
    for key in place[:-1]:
        node = node[key]
    node[data.draw(st.just(place[-1]) | TEXTS) if isinstance(node, dict) else place[-1]] = data.draw(VALUES)
    thrown(config, name, json.dumps(values))


@SETTINGS
@given(NAMES, st.lists(SNIPPETS | LONG | TEXTS, max_size=12), st.integers(min_value=0))
def test_a_configuration_with_any_text_anywhere(config, name, parts, place):
    text = config[1][name]
    place %= len(text) + 1
    thrown(config, name, text[:place] + "".join(parts) + text[place:])
    thrown(config, name, "".join(parts))


@SETTINGS
@given(
    st.lists(st.sampled_from(["{{", "}}", "{%", "%}", "(", "[", "for x in y", "if", "include 'x'", "9" * 5000]) | TEXTS)
)
def test_a_template_with_any_text(config, parts):
    text = config[1]["tasks/mini_math.yaml"]
    provenance = json.dumps(" ".join(parts))
    thrown(config, "tasks/mini_math.yaml", text.replace("provenance: template", f"provenance: {provenance}"))


@SETTINGS
@given(VALUES)
def test_modules_with_any_value(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "modules.yaml"
    path.write_text(json.dumps({"modules": value}))
    one_line(lambda: load_modules(path))


def read_both(path):
    """As a task's rows and as a user's own data: what is kept is text, or can be kept in a table."""
    found = one_line(lambda: rows.read({"rows": [path]}, RowsOptions(), 0, len))
    assert found is None or found.to_list()
    samples = one_line(lambda: read_user_data(path))
    if samples is not None:
        assert (
            samples[["instruction", "output"]].map(lambda text: isinstance(text, str) and bool(text.encode())).all(None)
        )
        assert samples["sample_id"].is_unique
        pa.Table.from_pandas(samples)


FIELDS = st.sampled_from(["instruction", "input", "output"]) | TEXTS
RECORDS = st.dictionaries(FIELDS, TEXTS | VALUES, max_size=4)
GOOD = st.fixed_dictionaries({"instruction": TEXTS, "output": TEXTS}, optional={"input": TEXTS, "more": VALUES})


@SETTINGS
@given(st.lists(GOOD | RECORDS | VALUES, max_size=4), st.sampled_from(["json", "jsonl"]))
def test_json_with_any_rows(tmp_path_factory, records, kind):
    path = tmp_path_factory.getbasetemp() / f"rows.{kind}"
    path.write_text(json.dumps(records) if kind == "json" else "".join(json.dumps(record) + "\n" for record in records))
    read_both(path)


@SETTINGS
@given(
    st.lists(
        st.sampled_from([*'{}[]",:\\\n\r', "[" * 2000, '{"instruction": "a", "output": ', "9" * 5000, "NaN", "\\ud800"])
        | TEXTS
    ),
    st.sampled_from(["json", "jsonl", "csv", "parquet"]),
)
def test_a_file_with_any_bytes(tmp_path_factory, parts, kind):
    path = tmp_path_factory.getbasetemp() / f"bytes.{kind}"
    path.write_bytes("".join(parts).encode("utf-8", "surrogatepass"))
    read_both(path)


@SETTINGS
@given(
    st.lists(st.lists(TEXTS | st.sampled_from(["instruction", "output", 'a"b', "a,b", "a\rb"]), max_size=4), max_size=4)
)
def test_csv_with_any_cells(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    path.write_bytes("\n".join(map(",".join, [["instruction", "output"], *lines])).encode("utf-8", "surrogatepass"))
    read_both(path)


COLUMNS = [
    pa.array(["a"]),
    pa.array([None], pa.string()),
    pa.array([b"\xff"]),
    pa.array([[1, None]]),
    pa.array([{"a": "b"}]),
    pa.array(["a"]).dictionary_encode(),
    pa.array([2**55], pa.timestamp("us")),
    pa.array([1.5]),
    pa.nulls(1),
]


@SETTINGS
@given(
    st.lists(st.tuples(FIELDS, st.sampled_from(COLUMNS)), max_size=4),
    st.sampled_from(["", "{", "[]", '{"info": 1}', '{"info": {"features": {"instruction": {"_type": "Image"}}}}']),
)
def test_parquet_with_any_columns(tmp_path_factory, columns, metadata):
    path = tmp_path_factory.getbasetemp() / "columns.parquet"
    names = [re.sub("[\ud800-\udfff]", "", name) for name, _ in columns]
    table = pa.table([column for _, column in columns], names=names)
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), path)
    read_both(path)


def test_what_spreadsheets_would_guess_is_taken_as_it_stands(tmp_path):
    """The fuzz would not find a wrong value: cells that look like numbers, dates and nothing stay texts."""
    cells = pd.DataFrame({"instruction": ["007", "NA", "1e5", "=1+1"], "output": ["null", "2024-01-01", "TRUE", " x "]})
    cells.to_csv(tmp_path / "cells.csv", index=False)
    assert read_user_data(tmp_path / "cells.csv")[["instruction", "output"]].equals(cells)
