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


USER, ASSISTANT = {"role": "user", "content": "Add.\n2 and 3"}, {"role": "assistant", "content": " 5\n"}
SYSTEM = {"role": "system", "content": "Be short."}


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_chats_of_one_question_and_one_answer(tmp_path, suffix):
    rows = [{"messages": [USER, ASSISTANT], "id": 1}, {"messages": [SYSTEM, USER, ASSISTANT], "id": 2}]
    found = read_user_data(write(tmp_path / f"own{suffix}", rows))
    assert found["instruction"].tolist() == ["Add.\n2 and 3", "Be short.\nAdd.\n2 and 3"]
    assert found["output"].tolist() == [" 5\n", " 5\n"]


def test_fields_come_before_messages(tmp_path):
    rows = [row | {"messages": [USER, ASSISTANT]} for row in ROWS]
    assert read_user_data(write(tmp_path / "own.json", rows))["output"].tolist() == ["5", "é"]


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([USER, ASSISTANT, USER, ASSISTANT], "messages has the turns user, assistant, user, assistant; allowed are"),
        ([USER], "messages has the turns user; allowed are user, assistant or system, user, assistant"),
        ([], "messages has the turns none"),
        ([{"role": "tool", "content": "x"}, ASSISTANT], "messages has the turns tool, assistant"),
        ([{"from": "human"}, {"from": "gpt"}], "messages has the turns None, None"),
        (["hello"], "messages is ['hello']; it must be a list of turns, each with role and content"),
        (None, "messages is None; it must be a list of turns, each with role and content"),
        ([USER, {"role": "assistant"}], "messages: content of assistant is missing"),
        ([USER, {"role": "assistant", "content": [{"type": "text"}]}], "messages: content of assistant is [{'type'"),
    ],
    ids=str,
)
def test_chats_that_are_no_prompt_and_response(tmp_path, turns, message):
    path = write(tmp_path / "own.jsonl", [{"messages": [USER, ASSISTANT]}, {"messages": turns}])
    with pytest.raises(UserError, match=re.escape(f"{path}: row 2: {message}")):
        read_user_data(path)
