"""On the data that the paper's authors released, the audit finds what was counted in them beforehand."""

import json

import pandas as pd
import pytest
from conftest import ROOT
from test_paper_data import file_of
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from layergrad.audit.responses import Reading
from layergrad.audit.table import audit
from layergrad.contracts.config.load import load_study
from layergrad.contracts.sources import MIRROR, fetch
from layergrad.data.build import build_task
from layergrad.data.sources import fetch_sources
from layergrad.models.load import ModelOrigin, load_tokenizer

STUDY = load_study(ROOT / "config/paper.yaml")
# Median and mean of white-space words of correct responses, without, with short and with detailed reasoning; of
# articles in the order popular 100, 500, 1000, unpopular.
WORDS = {
    "aqua": [(1, 1.0), (24, 28.2), (257, 269.7)],
    "gsm8k": [(1, 1.0), (54, 60.0), (211, 215.7)],
    "strategyqa": [(1, 1.0), (32, 35.0), (384, 384.5)],
    "ecqa": [(1, 1.6), (25, 26.5), (287, 294.2)],
    "creak": [(1, 1.0), (17, 18.6), (250, 254.7)],
    "sensemaking": [(2, 2.0), (16, 17.1), (275, 274.0)],
    "math_algebra": [(67, 80.3), (315, 328.5)],
    "math_counting": [(97, 114.6), (372, 375.6)],
    "math_geometry": [(121, 142.5), (369, 370.0)],
    "wiki": [(68, 72.7), (320, 315.7), (634, 618.0), (30, 52.0)],
}
# From here on, what came of making irrelevant responses: rows that are the same without reasoning, rows of simplified
# reasoning whose final answer is the same, and such rows without "The final answer is".
SAME = {"strategyqa": 250, "creak": 249, "sensemaking": 241, "aqua": 64, "gsm8k": 4, "ecqa": 0}
SAME_FINAL = {"strategyqa": 239, "creak": 249, "sensemaking": 241, "aqua": 64, "gsm8k": 5, "ecqa": 0}
NO_FINAL = {"gsm8k": 61, "strategyqa": 23}
# Rows with glued punctuation, of correct and of irrelevant responses; 0 in all other cells with reasoning.
GLUED = {
    ("aqua", "simplified"): (1, 143),
    ("aqua", "detailed"): (1, 5),
    ("gsm8k", "simplified"): (1, 1),
    ("gsm8k", "detailed"): (1, 0),
    ("strategyqa", "simplified"): (1, 0),
    ("ecqa", "simplified"): (0, 500),
    ("ecqa", "detailed"): (0, 499),
    ("creak", "simplified"): (1, 500),
    ("creak", "detailed"): (0, 500),
    ("sensemaking", "detailed"): (1, 0),
    ("math_algebra", "simplified"): (6, 1),
    ("math_algebra", "detailed"): (2, 2),
    ("math_counting", "simplified"): (2, 2),
    ("math_counting", "detailed"): (3, 3),
    ("math_geometry", "simplified"): (17, 0),
    ("math_geometry", "detailed"): (2, 500),
}
# Line breaks a response, and to how many digits they are given.
NEWLINES = {
    ("aqua", "simplified"): (1.00, 0.00, 2),
    ("ecqa", "simplified"): (1.00, 0.00, 2),
    ("creak", "simplified"): (1.00, 0.00, 2),
    ("sensemaking", "simplified"): (1.00, 0.00, 2),
    ("gsm8k", "simplified"): (1.00, 0.28, 2),
    ("strategyqa", "simplified"): (1.00, 0.09, 2),
    ("ecqa", "detailed"): (21.9, 0, 1),
    ("creak", "detailed"): (20.8, 0, 1),
    ("math_geometry", "detailed"): (55.6, 0, 1),
    ("sensemaking", "detailed"): (24.3, 9.4, 1),
    ("strategyqa", "detailed"): (27.9, 12.0, 1),
    ("aqua", "detailed"): (41.2, 33.8, 1),
    ("gsm8k", "detailed"): (33.1, 27.0, 1),
    ("math_algebra", "detailed"): (60.8, 54.9, 1),
    ("math_counting", "detailed"): (50.8, 40.4, 1),
    ("wiki", "popular_1000"): (5.14, 1.40, 2),
}
LITERAL_IN_PROMPTS = {"aqua", "ecqa", "creak", "sensemaking"}
LITERAL_IN_RESPONSES = {("aqua", "simplified", "correct"): 304}
TASKS = pytest.mark.parametrize("task", STUDY.tasks, ids=lambda task: task.name)


@pytest.fixture(scope="module")
def words():
    """A tokenizer whose tokens are words between white space, so that all numbers of tokens are known."""
    backend = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    backend.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.fixture(scope="module")
def audited(released_data, words, tmp_path_factory):
    """The audit of a task by variant and response, with a context that nothing fills."""
    made = {}

    def load(task):
        if task.name not in made:
            made[task.name] = audit(
                samples(task, released_data, tmp_path_factory), words, "words", Reading(max_length=10**6)
            )
        return made[task.name].set_index(["variant", "response"])

    return load


def samples(task, folder, tmp_path_factory):
    """The task's table, its sources taken from the folder."""
    listing = tmp_path_factory.mktemp("sources") / task.name / "SOURCES.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MIRROR, str(folder))
        fetch_sources(task.model_dump(mode="json")["sources"], listing)
    return build_task(task.content(), STUDY.template_texts(task), listing, None, 0, "length_matched").samples


def pairs(table):
    """Every variant with its correct and its irrelevant row."""
    for variant, part in table.groupby(level=0, sort=False):
        yield variant, part.loc[(variant, "correct")], part.loc[(variant, "irrelevant")]


@TASKS
def test_lengths(task, audited):
    table = audited(task)
    assert table["rows"].tolist() == [454 if variant == "unpopular" else 500 for variant, _ in table.index]
    for variant, (median, mean) in zip(task.variants, in_order(task), strict=True):
        correct = table.loc[(variant, "correct")]
        assert abs(correct["median_words"] - median) <= 0.5
        assert abs(correct["mean_words"] - mean) <= 0.051
    assert table["mean_tokens"].equals(table["mean_words"])
    assert table["median_tokens"].equals(table["median_words"])
    assert table["n_truncated"].sum() == 0


def in_order(task):
    """WORDS in the order of the task's variants."""
    variants = ["popular_100", "popular_500", "popular_1000", "unpopular"]
    if task.name != "wiki":
        variants = ["none", "simplified", "detailed"][-len(task.variants) :]
    by_variant = dict(zip(variants, WORDS[task.name], strict=True))
    return [by_variant[variant] for variant in task.variants]


@TASKS
def test_rows_that_are_the_same(task, audited):
    for variant, correct, irrelevant in pairs(audited(task)):
        same = SAME[task.name] if variant == "none" else 0
        assert irrelevant["n_same_as_correct"] == same
        assert pd.isna(correct["n_same_as_correct"])
        warning = f"{same} of 500 are the same as the correct response"
        assert (warning in irrelevant["warnings"].split("; ")) == (same > 0)


@TASKS
def test_final_answers(task, audited):
    """Where the sentence is usual, who lacks it; and everywhere who ends in the correct one's."""
    for variant, _, irrelevant in pairs(audited(task)):
        told = irrelevant["warnings"].split("; ")
        same = SAME_FINAL.get(task.name, 0) if variant == "simplified" else 0
        lack = NO_FINAL.get(task.name, 0) if variant == "simplified" else 0
        assert [line for line in told if "final answer" in line] == [
            *([f"{same} of 500 end in the correct final answer"] if same else []),
            *([f'{lack} of 500 lack "The final answer is", which the correct response has'] if lack else []),
        ]


@TASKS
def test_glued_punctuation(task, audited):
    for variant, correct, irrelevant in pairs(audited(task)):
        if variant in ("simplified", "detailed"):
            found = (correct["n_glued"], irrelevant["n_glued"])
            assert found == GLUED.get((task.name, variant), (0, 0))
            told = f"{found[1]} of 500 have glued punctuation, against {found[0]} of the correct responses"
            assert (told in irrelevant["warnings"]) == (found[1] - found[0] > 100)


@TASKS
def test_line_breaks(task, audited):
    for variant, correct, irrelevant in pairs(audited(task)):
        if (task.name, variant) in NEWLINES:
            old, new, digits = NEWLINES[(task.name, variant)]
            assert round(correct["mean_newlines"], digits) == old
            assert round(irrelevant["mean_newlines"], digits) == new
            assert f"line breaks fall from {old:.1f} to {new:.1f} a response" in irrelevant["warnings"].split("; ")


@TASKS
def test_literal_line_breaks(task, audited):
    table = audited(task)
    expected = 500 if task.name in LITERAL_IN_PROMPTS else 0
    assert set(table["n_literal_newlines"]) == {expected}
    for (variant, response), warnings in table["warnings"].items():
        told = [line for line in warnings.split("; ") if "literal" in line]
        in_responses = LITERAL_IN_RESPONSES.get((task.name, variant, response))
        assert told == [
            *(["500 of 500 have a literal \\n in the instruction"] if expected else []),
            *([f"{in_responses} of 500 have a literal \\n in the response"] if in_responses else []),
        ]


@TASKS
def test_one_duplicated_instruction(task, audited):
    assert set(audited(task)["n_duplicated_instructions"]) == {1 if task.name == "strategyqa" else 0}


def test_unpopular_articles_are_shorter(audited):
    wiki = audited(STUDY.task("wiki"))
    assert (
        "a median of 30 tokens, against 68 of popular_100: popularity cannot be told from length"
        in wiki.loc[("unpopular", "correct"), "warnings"]
    )


@TASKS
def test_answers_are_where_the_data_put_them(task, audited):
    """Simplified reasoning of the released data ends in the answer; the articles and MATH come without one."""
    missing = audited(task)["n_answer_missing"].dropna()
    if task.name == "wiki" or task.name.startswith("math"):
        assert missing.empty
    else:
        assert {variant for variant, _ in missing.index} == {"simplified", "detailed"}
        assert missing[("simplified", "correct")] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["math_geometry", "wiki"])
def test_truncation_with_a_real_tokenizer(name, released_data, tmp_path_factory):
    """Tokens, and rows beyond 1024 of them, are those of the plain text of the authors' files."""
    model = load_study(ROOT / "config/config.yaml").models[0]
    (file,) = fetch(model.source, tmp_path_factory.mktemp("model") / model.name)
    tokenizer = load_tokenizer(ModelOrigin.of(str(file)))
    task = STUDY.task(name)
    table = audit(samples(task, released_data, tmp_path_factory), tokenizer, model.name, Reading(paper_compat=True))
    for row in table.itertuples():
        rows = json.loads((released_data / file_of(name, row.variant, row.response)).read_bytes())
        prompts = [len(tokenizer(given["instruction"] + "\n").input_ids) for given in rows]
        whole = [len(tokenizer(given["instruction"] + "\n" + given["output"]).input_ids) for given in rows]
        assert row.n_truncated == sum(length > 1024 for length in whole)
        kept = [max(0, min(length, 1024) - prompt) for prompt, length in zip(prompts, whole, strict=True)]
        assert row.mean_tokens == pytest.approx(sum(kept) / len(kept), rel=1e-12)
    assert table["n_truncated"].sum() > 100
