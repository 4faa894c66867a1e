"""The audit of responses, against counts made by hand and tokens counted in a few lines here."""

import json
import runpy
from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import ROOT
from synthetic_report import Parts

from layergrad.audit.responses import Reading
from layergrad.audit.table import audit
from layergrad.audit.texts import contains, final_answer, has_literal_newline, is_glued
from layergrad.cli import main
from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import sample_id
from layergrad.contracts.tables import SAMPLES, read_facts, read_table, write_table

COLUMNS = [
    *("model", "task", "family", "variant", "response", "rows", "mean_words", "median_words", "mean_tokens"),
    *("median_tokens", "median_prompt_tokens", "n_truncated", "n_same_as_correct", "mean_newlines", "n_glued"),
    *("n_duplicated_instructions", "n_literal_newlines", "n_answer_missing", "warnings"),
]
PENS, PRICE, PAIR = "How many pens?\\nThink.", "What is the price?", "Is 2 \\neq 3?"
PROMPTS = [(PENS, 0, "4"), (PRICE, 0, "1,200"), (PAIR, 0, "yes"), (PRICE, 1, "7")]
OUTPUTS = {
    ("none", "correct"): ["4", "1,200", "yes", "7"],
    ("none", "irrelevant"): ["7", "1,200", "yes", "4"],
    ("simplified", "correct"): [
        "2 and 2\nThe final answer is 4",
        "Twice 600... So:\nThe final answer is 1200",
        "They differ.\nThe final answer is yes",
        "It costs 7.\nThe final answer is 7",
    ],
    ("simplified", "irrelevant"): ["They differ..", "2 and 2:. The final answer is 1200", "It costs yes.", "No... 17."],
    ("detailed", "correct"): ["4.00 pens", "$1200.", "Yes,\nthey differ", "It costs 7.5.\\nSo."],
}


def samples():
    """Rows of every kind above, and for each correct one its control, which would change every count."""
    rows = []
    for (variant, response), outputs in OUTPUTS.items():
        for (instruction, occurrence, answer), output in zip(PROMPTS, outputs, strict=True):
            key = {"task": "shop", "sample_id": sample_id("shop", instruction, occurrence)}
            texts = {"instruction": instruction, "output": output, "answer": answer}
            origin = {"family": "math", "provenance": "human", "licence": "none"}
            row = key | {"variant": variant, "response": response, "replicate": 0, "control": "none"} | texts | origin
            rows += [row, row | {"control": "equal_length"}] if response == "correct" else [row]
    return pd.DataFrame(rows)


@pytest.fixture
def data(tmp_path):
    """The rows as a study has them."""
    path = tmp_path / "shop.parquet"
    write_table(samples(), path, SAMPLES, {})
    return path


def slow_tokens(tokenizer, instruction, output, max_length):
    """Tokens before the output, tokens of it, and whether any are lost, from the spans of the whole text."""
    spans = tokenizer(f"{instruction}\n{output}", return_offsets_mapping=True).offset_mapping
    before = sum(end <= len(instruction) + 1 for _, end in spans)
    return min(before, max_length), max(0, min(len(spans), max_length) - before), len(spans) > max_length


@pytest.mark.parametrize(
    ("text", "glued"),
    [("One.. Two.", True), ("So:. Two.", True), ("Well... then.", False), ("A: b. c", False), ("....", False)],
)
def test_glued_punctuation_is_no_ellipsis(text, glued):
    assert is_glued(text) == glued


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("a\\nB", True),
        ("a\\n", True),
        ("a\\n(A) b", True),
        ("a\nB", False),
        ("2 \\neq 3, \\nu", False),
        ("\\\\n = 3", False),
    ],
)
def test_a_literal_newline_is_no_latex(text, literal):
    assert has_literal_newline(text) == literal


@pytest.mark.parametrize(
    ("text", "answer", "there"),
    [
        ("It is 5.", "5", True),
        ("It is 5.00 dollars", "5", True),
        ("It is 5.25 or 2.5 or 15", "5", False),
        ("It is $12,000,000.", "12000000", True),
        ("It is 1200", "1,200", True),
        ("YES, it does", "yes", True),
        ("Nothing is not", "no", False),
        ("So (E) it is", "(E)", True),
        ("So E it is", "(E)", False),
        ("x is a+b", "a+b", True),
    ],
)
def test_an_answer_stands_as_whole_words(text, answer, there):
    assert contains(text, answer) == there


def test_final_answer_is_what_follows_the_last_telling():
    assert final_answer("The final answer is 3. No.\nThe final answer is  4 ") == "4"
    assert final_answer("It is 4") is None


def test_counts_are_those_made_by_hand(tokenizer):
    table = audit(samples(), tokenizer, "tiny", Reading())
    assert list(table.columns) == COLUMNS
    assert list(zip(table["variant"], table["response"], strict=True)) == list(OUTPUTS)
    assert set(table["model"]) == {"tiny"}
    assert set(table["family"]) == {"math"}
    expected = {
        "rows": [4] * 5,
        "n_same_as_correct": [None, 2, None, 0, None],
        "n_glued": [0, 0, 0, 2, 0],
        "n_duplicated_instructions": [1] * 5,
        "n_literal_newlines": [1] * 5,
        "n_answer_missing": [None, None, 0, 2, 1],
        "n_truncated": [0] * 5,
        "mean_newlines": [0, 0, 1, 0, 0.25],
        "median_words": [1, 1, 8, 2.5, 2.5],
        "mean_words": [1, 1, 31 / 4, 15 / 4, 9 / 4],
    }
    for column, values in expected.items():
        assert [None if pd.isna(value) else value for value in table[column]] == values, column


@pytest.mark.parametrize("max_length", [1024, 28])
def test_tokens_are_those_that_are_measured(tokenizer, max_length):
    table = audit(samples(), tokenizer, "tiny", Reading(max_length=max_length))
    for (_, row), outputs in zip(table.iterrows(), OUTPUTS.values(), strict=True):
        pairs = [(instruction, output) for (instruction, _, _), output in zip(PROMPTS, outputs, strict=True)]
        before, tokens, lost = map(
            pd.Series, zip(*(slow_tokens(tokenizer, *pair, max_length) for pair in pairs), strict=True)
        )
        assert row["mean_tokens"] == tokens.mean()
        assert row["median_tokens"] == tokens.median()
        assert row["median_prompt_tokens"] == before.median()
        assert row["n_truncated"] == lost.sum()
    assert (table["n_truncated"].sum() > 0) == (max_length == 28)


def test_the_way_of_reading_reaches_the_tokens(tokenizer):
    plain = audit(samples(), tokenizer, "tiny", Reading())
    with pytest.raises(UserError, match="no chat template"):
        audit(samples(), tokenizer, "tiny", Reading(prompt="chat"))
    released = audit(samples(), tokenizer, "tiny", Reading(paper_compat=True))
    texts = [instruction + "\n" for instruction, _, _ in PROMPTS]
    apart = pd.Series([len(tokenizer(text).input_ids) for text in texts]).median()
    assert released["median_prompt_tokens"].iloc[0] == apart
    assert plain["mean_words"].equals(released["mean_words"])


def told(tokenizer, frame, variant, response, max_length=1024):
    """The warnings of one cell."""
    table = audit(frame, tokenizer, "tiny", Reading(max_length=max_length)).set_index(["variant", "response"])
    return table.loc[(variant, response), "warnings"].split("; ")


def test_warnings_are_plain_and_have_numbers(tokenizer):
    prompts = ["1 of 4 repeats the instruction of an earlier sample", "1 of 4 has a literal \\n in the instruction"]
    assert told(tokenizer, samples(), "none", "correct") == prompts
    assert told(tokenizer, samples(), "none", "irrelevant") == [
        "2 of 4 are the same as the correct response",
        *prompts,
    ]
    assert told(tokenizer, samples(), "detailed", "correct") == [
        "1 of 4 does not contain the answer as the task writes it",
        *prompts,
        "1 of 4 has a literal \\n in the response",
    ]
    irrelevant = told(tokenizer, samples(), "simplified", "irrelevant")
    assert irrelevant[:4] == [
        "1 of 4 ends in the correct final answer",
        '3 of 4 lack "The final answer is", which the correct response has',
        "line breaks fall from 1.0 to 0.0 a response",
        "2 of 4 have glued punctuation, against 0 of the correct responses",
    ]
    assert "tokens a response, against" in irrelevant[4]
    assert irrelevant[5:] == prompts


def test_no_fault_no_warning(tokenizer):
    frame = samples().query("variant == 'simplified' and response == 'correct'")
    frame = frame[frame["instruction"] == PAIR]
    assert told(tokenizer, frame, "simplified", "correct") == [""]


def test_pairs_are_of_the_same_samples(tokenizer):
    """A correct response whose sample has no irrelevant one changes nothing in what is said of irrelevant ones."""
    frame = samples()
    kept = (frame["response"] != "irrelevant") | (frame["instruction"] == PENS)
    warnings = told(tokenizer, frame[kept & (frame["variant"] == "none")], "none", "irrelevant")
    assert warnings == ["1 of 1 has a literal \\n in the instruction"]


def test_truncation_is_told(tokenizer):
    before = [slow_tokens(tokenizer, instruction, "x", 1024)[0] for instruction, _, _ in PROMPTS]
    warnings = told(tokenizer, samples(), "none", "correct", max_length=min(before))
    assert f"4 of 4 are truncated at {min(before)} tokens" in warnings
    assert f"4 of 4 have no response token within {min(before)} tokens" in warnings


def test_unpopular_articles_are_compared_with_the_shortest_popular_ones(tokenizer):
    rows = samples().query("variant == 'none' and response == 'correct'")
    lengths = {"unpopular": 3, "popular_100": 6, "popular_500": 30}
    frame = pd.concat(
        [rows.assign(variant=name, output="a " * n, answer="", family="knowledge") for name, n in lengths.items()]
    )
    tokens = {n: slow_tokens(tokenizer, PAIR, "a " * n, 1024)[1] for n in lengths.values()}
    assert told(tokenizer, frame, "unpopular", "correct")[0] == (
        f"a median of {tokens[3]} tokens, against {tokens[6]} of popular_100: popularity cannot be told from length"
    )
    assert "popularity" not in " ".join(told(tokenizer, frame, "popular_100", "correct"))


def test_only_rows_without_a_control(tokenizer):
    with pytest.raises(UserError, match="no row of control none"):
        audit(samples().query("control != 'none'"), tokenizer, "tiny", Reading())


def test_rule_and_command_make_the_same_table(data, tokenizer, tmp_path, capsys):
    inputs = Parts(pool=str(data), tokenizer=str(tmp_path / "prepared/tokenizer.json"))
    tokenizer.save_pretrained(tmp_path / "prepared")
    out = tmp_path / "audit/tiny/shop.parquet"
    job = SimpleNamespace(
        rule="audit_task",
        log=[],
        input=inputs,
        output=Parts([str(out)], table=str(out)),
        wildcards=SimpleNamespace(model="tiny", task="shop"),
        params=SimpleNamespace(
            reading={"prompt": "plain", "paper_compat": True, "max_length": 28}, trust_remote_code=False
        ),
    )
    runpy.run_path(str(ROOT / "scripts/audit_task.py"), init_globals={"snakemake": job})
    command = ["audit", "--model", str(tmp_path / "prepared"), "--data", str(data), "--out", str(tmp_path / "mine")]
    assert main([*command, "--paper-compat", "--max-length", "28"]) == 0
    shown = capsys.readouterr().out
    assert "none irrelevant: 2 of 4 are the same as the correct response" in shown
    ours, theirs = read_table(tmp_path / "mine.parquet"), read_table(out)
    pd.testing.assert_frame_equal(ours.drop(columns="model"), theirs.drop(columns="model"))
    assert read_facts(out) == read_facts(tmp_path / "mine.parquet")
    assert read_facts(out)["reading"] == {"prompt": "plain", "paper_compat": True, "max_length": 28}
    csv = pd.read_csv(out.with_suffix(".csv"), keep_default_na=False, na_values=[""])
    assert list(csv.columns) == COLUMNS
    assert list(csv["n_same_as_correct"].dropna()) == [2, 0]


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_a_users_own_data(suffix, tokenizer, tmp_path, capsys):
    rows = [
        {"instruction": "Add.\\nNow.", "input": "2 and 3", "output": "5.. So 5"},
        {"instruction": "Add.\\nNow.", "input": "2 and 3", "output": "2 + 3\n= 5"},
    ]
    path, frame = tmp_path / f"mine.{suffix}", pd.DataFrame(rows)
    {
        "json": lambda: path.write_text(json.dumps(rows)),
        "jsonl": lambda: path.write_text("\n".join(map(json.dumps, rows))),
        "csv": lambda: frame.to_csv(path, index=False),
        "parquet": lambda: frame.to_parquet(path),
    }[suffix]()
    tokenizer.save_pretrained(tmp_path / "model")
    out = str(tmp_path / "out/mine")
    assert main(["audit", "--model", str(tmp_path / "model"), "--data", str(path), "--out", out]) == 0
    (row,) = read_table(f"{out}.parquet").to_dict("records")
    tokens = [slow_tokens(tokenizer, "Add.\\nNow.\n2 and 3", given["output"], 1024)[1] for given in rows]
    assert (row["task"], row["response"], row["rows"]) == ("mine", "correct", 2)
    assert (row["mean_tokens"], row["mean_words"], row["mean_newlines"]) == (sum(tokens) / 2, 4, 0.5)
    assert (row["n_glued"], row["n_duplicated_instructions"], row["n_literal_newlines"]) == (1, 1, 2)
    assert all(pd.isna(row[name]) for name in ("family", "variant", "n_same_as_correct", "n_answer_missing"))
    shown = capsys.readouterr().out
    assert "correct: 1 of 2 repeats the instruction of an earlier sample" in shown
    assert "same as correct" not in shown


BAD = {
    "no such data": ("model", "nothing.jsonl", [], "nothing.jsonl: there is no such file"),
    "no output": ("model", '{"instruction": "a"}', [], "field output is missing"),
    "no such model": ("./no-model", '{"instruction": "a", "output": "b"}', [], "./no-model: no such model"),
    "no tokenizer": ("empty", '{"instruction": "a", "output": "b"}', [], "no tokenizer can be loaded"),
    "no chat template": ("model", '{"instruction": "a", "output": "b"}', ["--chat"], "no chat template"),
    "a folder": ("model", '{"instruction": "a", "output": "b"}', ["--out", "new/"], "--out new/: a folder given"),
}


@pytest.mark.parametrize(("model", "content", "options", "line"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line(model, content, options, line, tokenizer, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tokenizer.save_pretrained("model")
    (tmp_path / "empty").mkdir()
    if content.startswith("{"):
        (tmp_path / "rows.jsonl").write_text(content)
        content = "rows.jsonl"
    options = options or ["--out", "out"]
    assert main(["audit", "--model", model, "--data", content, *options]) == 2
    output = capsys.readouterr()
    assert output.err.strip().splitlines()[-1].startswith("layergrad audit: ")
    assert line in output.err.strip().splitlines()[-1]
    assert output.out == ""
    assert not list(tmp_path.glob("out*"))


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["audit", "--help"])
    assert "layergrad audit" in capsys.readouterr().out.partition("example:")[2]
