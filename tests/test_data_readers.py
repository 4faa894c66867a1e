"""Readers: files as they come, and what is wrong with them in one line."""

import bz2
import json
import random
import re
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import pandas as pd
import pytest

from layergrad.contracts.config.options import ChampOptions, GsmSymbolicOptions, RowsOptions, WikipediaOptions
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256
from layergrad.data.readers import champ, gsm_symbolic, rows, wikipedia
from layergrad.data.wikitext import plain_text

RECORDS = [{"question": "How many?", "answer": "007"}, {"question": "When, at 2009-01-01?", "answer": "2009-01-01"}]


def count_words(text):
    return len(text.split())


def write_rows(path: Path, records) -> Path:
    """The records in the format that the path's suffix names."""
    frame = pd.DataFrame(records)
    writers = {
        ".json": lambda: path.write_text(json.dumps(records)),
        ".jsonl": lambda: path.write_text("".join(json.dumps(record) + "\n" for record in records)),
        ".csv": lambda: frame.to_csv(path, index=False),
        ".parquet": lambda: frame.to_parquet(path),
    }
    writers[path.suffix]()
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_rows_stand_as_they_are(tmp_path, suffix):
    path = write_rows(tmp_path / f"data{suffix}", RECORDS)
    assert rows.read({"rows": [path]}, RowsOptions(), 0, count_words).to_list() == RECORDS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "", "empty"),
        ("a.jsonl", "", "empty"),
        ("a.csv", "question,answer\n", "no rows"),
        ("a.json", "[]", "no rows"),
        ("a.json", '[{"question": ', "not valid JSON"),
        ("a.json", '{"question": "x"}', "list of objects"),
        ("a.jsonl", '{"question": "x"}\n{', "a.jsonl:2: not valid JSON"),
        ("a.jsonl", '{"question": "x", "answer": "1"}\n{"question": "y"}', "row 2: the field 'answer' is missing"),
        ("a.parquet", "nothing", "parquet"),
        ("a.txt", "nothing", "allowed are"),
    ],
)
def test_bad_rows_are_told_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        rows.read({"rows": [tmp_path / name]}, RowsOptions(), 0, count_words)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_files_with_different_fields(tmp_path):
    one = write_rows(tmp_path / "one.json", RECORDS)
    other = write_rows(tmp_path / "other.json", [{"question": "Why?"}])
    with pytest.raises(UserError, match="fields differ"):
        rows.read({"rows": [one, other]}, RowsOptions(), 0, count_words)


def problem(annotations, message="A worked answer."):
    return {
        "_text": "How many?",
        "_answer": "2",
        "category": "Counting",
        "solution": {"steps": [{"_text": "One."}, {"_text": "Two."}]},
        "fws_annotations": {
            setting: {"text": text, "author": author, "start_idx": start, "end_idx": start and start + 1}
            for setting, (author, text, start) in annotations.items()
        },
        "conversations": {
            "M|0-Shot": {
                "messages": [
                    {"role": "User", "text": "How many?"},
                    {"role": "Model.M", "text": message},
                    {"role": "Model.M", "text": "Summed up: 2."},
                ]
            }
        },
    }


def test_champ_takes_what_people_found_right(tmp_path):
    problems = {
        "both right": problem({"M|hint": ("M", "hinted", None), "M|plain": ("M", "plain", None)}),
        "pair": problem({"M|plain": ("M", "wrong", 2), "M|hint": ("M", "right", None)}),
        "another model": problem({"N|plain": ("N", "right", None)}, message=None),
    }
    path = tmp_path / "v0.json"
    path.write_text(json.dumps({"problems": problems}))
    options = ChampOptions(authors=["M"], pool="M|0-Shot", preferred_setting="plain")
    found = champ.read({"problems": [path]}, options, 0, count_words)
    assert found["solution"] == ["One. Two."] * 3
    assert found["detailed"] == ["plain", "right", ""]
    assert found["detailed_incorrect"] == ["", "wrong", ""]
    assert found["before_error"] == ["", "wr", ""]
    assert found["after_error"] == ["", "wro", ""]
    assert found["detailed_author"] == ["M", "M", ""]
    assert found["detailed_pool"] == ["A worked answer.", "A worked answer.", ""]


def test_champ_in_another_layout(tmp_path):
    (tmp_path / "v0.json").write_text('{"problems": {"one": {"_text": "?"}}}')
    options = ChampOptions(authors=["M"], pool="M|0-Shot", preferred_setting="plain")
    with pytest.raises(UserError, match="not laid out as CHAMP"):
        champ.read({"problems": [tmp_path / "v0.json"]}, options, 0, count_words)


GENERATORS = """
from reasoning_gym.utils import twice

def generate_{number}(rng, difficulty):
    n = rng.randint(1, 9)
    value = twice(n) / {divisor}
    cot = f"Let's see:\\n1. There are {{n}} cats.\\n2. So 2*{{n}} = {{value}} legs\\n#### {{value}}"
    answer = str(int(value)) if value == int(value) else str(value)
    return {{"question": f"Ann has {{n}} cats. How many?", "answer": answer,
            "metadata": {{"answer_cot": cot, "answer_value": value}}}}
"""


@pytest.fixture
def generators(tmp_path, monkeypatch):
    (tmp_path / "utils.py").write_text("def twice(n):\n    return 2 * n\n")
    (tmp_path / "generators_00_49.py").write_text(GENERATORS.format(number=0, divisor=1))
    (tmp_path / "generators_50_99.py").write_text(GENERATORS.format(number=50, divisor=3))
    files = sorted(tmp_path.iterdir())
    monkeypatch.setattr(gsm_symbolic, "KNOWN_CODE", {file_sha256(file) for file in files})
    return {"generators": files}


def test_gsm_symbolic_draws_clean_and_different_problems(generators):
    found = gsm_symbolic.read(generators, GsmSymbolicOptions(instances=3, leave_out=[]), 7, count_words)
    assert found["template"] == ["0"] * 3 + ["50"] * 3
    assert len(set(found["question"][:3])) == len(set(found["question"][3:])) == 3
    for row in found:
        cats = int(re.search(r"\d+", row["question"]).group())
        assert float(row["answer"]) == 2 * cats / (1 if row["template"] == "0" else 3)
        assert row["answer"].isdigit()  # thirds are noise, and a needless .0 goes
        assert row["rationale"].endswith(f"= {row['answer']} legs")
        assert row["steps"][1] == {"text": f"So 2*{cats} = {row['answer']} legs.", "result": row["answer"]}
        assert (row["given"], row["asked"]) == ([f"Ann has {cats} cats."], "How many?")


def test_gsm_symbolic_depends_on_template_and_instance_alone(generators):
    many = gsm_symbolic.read(generators, GsmSymbolicOptions(instances=3, leave_out=[]), 7, count_words)
    few = gsm_symbolic.read(generators, GsmSymbolicOptions(instances=2, leave_out=[0]), 7, count_words)
    assert few.to_list() == many.to_list()[3:5]
    assert "reasoning_gym" not in sys.modules
    assert sorted(generators["generators"][0].parent.iterdir()) == generators["generators"]  # nothing beside them


def test_gsm_symbolic_faults(generators):
    with pytest.raises(UserError, match="template 0: fewer than 10"):
        gsm_symbolic.read(generators, GsmSymbolicOptions(instances=10, leave_out=[]), 7, count_words)
    with pytest.raises(UserError, match=r"no templates \[99\]"):
        gsm_symbolic.read(generators, GsmSymbolicOptions(instances=1, leave_out=[99]), 7, count_words)
    with pytest.raises(UserError, match=r"one file \*/utils\.py"):
        gsm_symbolic.read({"generators": []}, GsmSymbolicOptions(instances=1, leave_out=[]), 7, count_words)


def test_gsm_symbolic_runs_no_other_code_than_the_packages(generators):
    (generators["generators"][0]).write_text("raise SystemExit('this code was run')\n")
    with pytest.raises(UserError, match="the only code that the reader gsm_symbolic runs"):
        gsm_symbolic.read(generators, GsmSymbolicOptions(instances=3, leave_out=[]), 7, count_words)


WIKITEXT = """{{Infobox|a=[[b]]|c={{nested|d}}}}
[[File:A.jpg|thumb|A [[link]] in a caption.]]
'''Mora''' ({{IPAc-en|m}}; {{lang-xx|Mōra}}) is a [[town]]<ref name="x">No.</ref> of {{convert|5|km2|sqmi}}
in [[Foo (land)|Foo]].<ref/>
Its rock is 10<sup>7</sup> years old. The area is <math>a</math> large. A {{mystery|x}} is lost.

== History ==
{{main|History of Mora}}
It was founded in 1200. Then came
* one
* two
{| class="x"
| cell
|}
It grew.

== References ==
{{reflist}}
Not this.
[[Category:Towns]]"""


def test_wikitext():
    text = "Mora (Mōra) is a town of 5 km² in Foo. Its rock is 10^7 years old.\nIt was founded in 1200.\nIt grew."
    assert plain_text("Mora", WIKITEXT) == text


@pytest.mark.parametrize(
    ("title", "wikitext"),
    [
        ("Mora", "{{mystery}} '''Mora''' {{mystery}} is a town. It is here."),  # the lead is lost
        ("Mora", "'''Mora''' is one of:\n* a town\n{{disambiguation}}"),
        ("Mora (disambiguation)", "'''Mora''' is a town. Mora is a lake."),
        ("Mora", "* '''Mora''' is a town."),
        ("Mora", ""),
    ],
)
def test_articles_that_are_left_out(title, wikitext):
    assert plain_text(title, wikitext) == ""


def article(rng, title, length):
    text = f"{title} is a thing."
    while count_words(text) < length:
        text += " Then " + " ".join(rng.choices(["it", "was", "seen", "there"], k=rng.randint(3, 30))) + "."
    return text


@pytest.fixture
def dump(tmp_path):
    """Thirty articles, even ones vital and odd ones not, the later the longer, and what is no article."""
    rng = random.Random(3)
    texts = {f"Thing{n}": article(rng, f"Thing{n}", 130 + 10 * n) for n in range(30)}
    pages = [(title, "0", "", text) for title, text in texts.items()]
    pages += [("Talk:Thing1", "1", "", texts["Thing1"]), ("Other", "0", '<redirect title="Thing1"/>', "#REDIRECT")]
    xml = "".join(
        f"<page><title>{title}</title><ns>{ns}</ns>{more}<text>{escape(text)}</text></page>"
        for title, ns, more, text in pages
    )
    (tmp_path / "dump.xml.bz2").write_bytes(bz2.compress(f'<mediawiki xmlns="x">{xml}</mediawiki>'.encode()))
    (tmp_path / "vital.json").write_text(json.dumps({f"Thing{n}": "Things" for n in range(0, 30, 2)}))
    return {"articles": [tmp_path / "dump.xml.bz2"], "vital": [tmp_path / "vital.json"]}, texts


def test_wikipedia_cuts_and_pairs(dump):
    files, texts = dump
    options = WikipediaOptions(lengths=[100, 200], unpopular=6, paired=(60, 100))
    found = wikipedia.read(files, options, 0, count_words).to_pandas().set_index("title")
    popular = found[found["popular_200"] != ""]
    unpopular = found[found["unpopular"] != ""]
    assert set(popular.index) == {f"Thing{n}" for n in range(0, 30, 2) if count_words(texts[f"Thing{n}"]) >= 200}
    off = sorted((f"Thing{n}" for n in range(1, 30, 2)), key=lambda title: count_words(texts[title]))
    assert set(unpopular.index) == set(off[:6])
    for title, cut in popular["popular_200"].items():
        ends = [end.end() for end in re.finditer(r"\.", texts[title]) if count_words(texts[title][: end.end()]) <= 200]
        assert cut == texts[title][: max(ends)]
    short = popular["popular_100"][popular["popular_100"] != ""]
    assert len(short) == len(unpopular) == 6
    assert all(60 <= count_words(text) <= 100 and text.endswith(".") for text in [*short, *unpopular["unpopular"]])
    assert abs(short.map(count_words).mean() - unpopular["unpopular"].map(count_words).mean()) <= 1


def test_wikipedia_damaged_dump(dump):
    files, _ = dump
    files["articles"][0].write_bytes(b"BZh no dump")
    with pytest.raises(UserError, match="cannot be read as a bz2 dump"):
        wikipedia.read(files, WikipediaOptions(lengths=[100], unpopular=6, paired=(60, 100)), 0, count_words)
