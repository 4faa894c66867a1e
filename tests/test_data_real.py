"""The default study's tasks from the real packages. Counts are those that were counted when the packages were read."""

import re

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from layergrad.contracts.config.load import load_study
from layergrad.data.build import build_task, token_counter
from layergrad.data.readers import read_rows
from layergrad.data.sources import fetch_sources, fetched_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A tokenizer to which every word and every mark is a token."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="module")
def task(tmp_path_factory, root, words):
    """Fetch and build a task of the default study: its specification, rows and samples."""
    built = {}

    def make(name):
        if name not in built:
            study = load_study(root / "config/config.yaml")
            spec = study.task(name)
            listing = tmp_path_factory.mktemp(name) / "SOURCES.json"
            fetch_sources(spec.sources, listing)
            rows = read_rows(spec, fetched_files(listing), study.seed, token_counter(words)).to_pandas()
            frame = build_task(spec, study.template_texts(spec), listing, words, study.seed, "length_matched").samples
            built[name] = spec, rows, frame
        return built[name]

    return make


@pytest.mark.parametrize("name", ["champ", "gsm_symbolic", "wikipedia"])
def test_cells_and_lengths(task, words, name):
    spec, _, frame = task(name)
    count = token_counter(words)
    cells = frame.groupby(["variant", "response"]).size()
    tokens = frame.assign(tokens=frame["output"].map(count)).pivot_table(
        index=["variant", "sample_id"], columns="response", values="tokens"
    )
    for variant in spec.variants:
        for response, wanted in spec.samples_of(variant).model_dump().items():
            assert cells.get((variant, response), 0) == wanted
        pairs = tokens.loc[variant].dropna(subset=["correct", "irrelevant"])
        assert pairs["irrelevant"].mean() == pytest.approx(
            pairs["correct"].mean(), rel=0.1 if variant == "none" else 0.03
        )
    lines = frame[frame["response"] != "incorrect"].assign(lines=frame["output"].str.count("\n"))
    spread = lines.groupby(["variant", "sample_id"])["lines"].agg(lambda found: found.max() - found.min())
    assert (spread == 0).all()


def test_champ(task):
    _, rows, frame = task("champ")
    right, wrong = rows["detailed"] != "", rows["detailed_incorrect"] != ""
    assert (len(rows), right.sum(), (right & wrong).sum()) == (270, 56, 32)
    detailed = frame[(frame["variant"] == "detailed") & (frame["response"] != "irrelevant")]
    assert (detailed.groupby("sample_id")["provenance"].nunique() == 1).all()
    none = frame[frame["variant"] == "none"].pivot(index="sample_id", columns="response", values="output")
    assert (none["correct"] != none["irrelevant"]).all()


def test_gsm_symbolic(task):
    _, rows, frame = task("gsm_symbolic")
    assert rows["template"].nunique() == 85
    assert rows["question"].nunique() == len(rows) == 85 * 4
    texts = " ".join([*rows["question"], *rows["rationale"]])
    assert not re.search(r"####|\d\.\d{3}|\d\.0(?!\d)", texts)
    for row in rows.itertuples():
        numbers = re.findall(r"\d[\d,]*(?:\.\d+)?", row.rationale)
        assert row.answer.removesuffix(".0") in [number.replace(",", "") for number in numbers]
    chosen = frame[(frame["variant"] == "none") & (frame["response"] == "correct")]["instruction"]
    assert rows.set_index("question").loc[chosen, "template"].is_unique


def test_wikipedia(task, words):
    _, rows, frame = task("wikipedia")
    count = token_counter(words)
    assert (rows["popular_1000"] != "").sum() == 43  # of 46 vital articles of any length
    assert (rows["unpopular"] != "").sum() == (rows["popular_100"] != "").sum() == 24
    correct = frame[frame["response"] == "correct"]
    assert not correct["output"].str.contains(r"\[\[|\]\]|\{\{|\}\}|''|<ref|\ufffc|\( |\(\)|thumb\|", regex=True).any()
    assert correct["output"].str.contains(r"[.!?][\"”')]*$", regex=True).all()
    whole = (correct["instruction"] + "\n" + correct["output"]).map(count)
    assert whole.max() <= 1024
    means = correct.assign(tokens=correct["output"].map(count)).groupby("variant")["tokens"].mean()
    assert means["unpopular"] == pytest.approx(means["popular_100"], rel=0.02)
