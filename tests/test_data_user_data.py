"""A user's own rows: what is read, and what is told of a bad one."""

import json
import re

import pandas as pd
import pytest

from layergrad.contracts.errors import UserError
from layergrad.data.user_data import read_user_data

ROWS = [{"instruction": "Add.", "input": "2 and 3", "output": "5"}, {"instruction": "Say é.", "output": "é"}]


def write(path, records):
    """In the format of the suffix; in Parquet and CSV a field that a row lacks is null or empty."""
    if path.suffix == ".parquet":
        pd.DataFrame(records).to_parquet(path)
    elif path.suffix == ".csv":
        pd.DataFrame(records).to_csv(path, index=False)
    else:
        path.write_text(json.dumps(records) if path.suffix == ".json" else "\n".join(map(json.dumps, records)))
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("more", [{}, {"input": None}, {"input": ""}, {"note": "seen"}, {"note": 3}], ids=str)
def test_only_three_fields_matter_and_null_is_empty(tmp_path, suffix, more):
    found = read_user_data(write(tmp_path / f"own{suffix}", [ROWS[0], ROWS[1] | more]))
    assert found["instruction"].tolist() == ["Add.\n2 and 3", "Say é."]
    assert found["output"].tolist() == ["5", "é"]
    assert found["sample_index"].tolist() == [0, 1]
    assert set(found["task"]) == {"own"}


@pytest.mark.parametrize("value", [None, float("nan")], ids=str)
@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_field_of_nothing_but_nulls(tmp_path, suffix, value):
    path = write(tmp_path / f"own{suffix}", [row | {"input": value} for row in ROWS])
    assert read_user_data(path)["instruction"].tolist() == ["Add.", "Say é."]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_byte_order_mark(tmp_path, suffix):
    path = write(tmp_path / f"own{suffix}", ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_user_data(path)["output"].tolist() == ["5", "é"]


def test_limit_and_identical_rows(tmp_path):
    path = write(tmp_path / "own.json", [ROWS[1], ROWS[1], ROWS[0], {"output": 3}])
    found = read_user_data(path, limit=3)
    assert len(found) == found["sample_id"].nunique() == 3


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"instruction": "a", "input": 3, "output": "b"}, "row 3: input is 3; it must be text"),
        ({"instruction": "a", "input": ["x"], "output": "b"}, "row 3: input is ['x']; it must be text"),
        ({"instruction": "a", "output": {"b": 1}}, "row 3: output is {'b': 1}; it must be text"),
        ({"instruction": "a", "output": True}, "row 3: output is True; it must be text"),
        ({"instruction": "a", "output": ""}, "row 3: output is ''; it must be text that is not empty"),
        ({"instruction": "a"}, "row 3: output is missing"),
        ({"instruction": None, "output": "b"}, "row 3: instruction is missing"),
    ],
    ids=str,
)
def test_a_bad_row_is_told_by_file_row_and_field(tmp_path, suffix, row, message):
    path = write(tmp_path / f"own{suffix}", [*ROWS, row])
    with pytest.raises(UserError, match=re.escape(f"{path}: {message}")):
        read_user_data(path)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet"])
def test_a_field_that_no_row_has(tmp_path, suffix):
    path = write(tmp_path / f"own{suffix}", [{"instruction": "a", "answer": "b"}])
    with pytest.raises(UserError, match="field output is missing; found are instruction, answer"):
        read_user_data(path)


def test_a_bad_value_in_parquet(tmp_path):
    path = write(tmp_path / "own.parquet", [{"instruction": "a", "input": 3, "output": "b"}])
    with pytest.raises(UserError, match="row 1: input is 3; it must be text"):
        read_user_data(path)
