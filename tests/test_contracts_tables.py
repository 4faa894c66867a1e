"""Tables: what is written is read again, and a damaged file is one line, wherever the damage is."""

import random
import re

import pandas as pd
import pytest

from layergrad.contracts.errors import UserError
from layergrad.contracts.tables import read_facts, read_table, write_statistics

FACTS = {"seed": 1, "model": "größer"}
FRAME = pd.DataFrame({"task": ["one", "two"] * 50, "mean": [n / 7 for n in range(100)]})


@pytest.fixture
def path(tmp_path):
    write_statistics(FRAME, tmp_path / "t.parquet", FACTS)
    return tmp_path / "t.parquet"


def test_rows_and_facts_come_back(path):
    pd.testing.assert_frame_equal(read_table(path), FRAME, check_dtype=False)
    assert read_facts(path) == FACTS
    assert len(pd.read_csv(path.with_suffix(".csv"))) == len(FRAME)


def test_damage_in_the_footer_is_noticed_in_one_line_or_does_not_matter(path):
    whole, places = path.read_bytes(), random.Random(0)
    told = []
    for _ in range(100):
        content = bytearray(whole)
        content[places.randrange(len(whole) - 700, len(whole))] ^= 1 << places.randrange(8)
        path.write_bytes(content)
        try:
            read_facts(path)
        except UserError as error:
            told.append(str(error))
    assert len(told) > 30
    line = re.compile(r".*t.parquet: cannot be read as Parquet \(.+\); remove it and run again to make it anew")
    assert all(map(line.fullmatch, told))


@pytest.mark.parametrize("read", [read_table, read_facts])
def test_a_torn_file_and_a_missing_one_are_one_line(path, read):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read(path)
    path.unlink()
    with pytest.raises(UserError, match="there is no such file"):
        read(path)


def test_a_changed_value_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_table(path)
