"""From a task's file to its samples: templates, selection, and what depends on what."""

import json
import runpy
from types import SimpleNamespace

import pandas as pd
import pytest
from snakemake.iocontainers import InputFiles, OutputFiles

from layergrad.contracts import tables
from layergrad.contracts.config.load import load_study
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256
from layergrad.contracts.keys import sample_id
from layergrad.contracts.tables import read_facts, read_table, write_table
from layergrad.data.build import build_task
from layergrad.data.select import select
from layergrad.data.sources import fetch_sources
from layergrad.data.templates import Templates

TEMPLATES = {
    "question.j2": "{{ question }}\n",
    "answer.j2": "{{ answer }}",
    "short.j2": "{{ steps | join(' ') }}\nThe final answer is {{ answer }}",
    "long.j2": "{% for step in steps %}{{ loop.index }}. {{ step }}\n{% endfor %}",
    "wrong.j2": "{{ wrong }}",
}
VARIANTS = {
    "none": {"correct": "answer.j2", "tokens": 10},
    "simplified": {"correct": "short.j2", "tokens": 10},
    "detailed": {"correct": "long.j2", "incorrect": "wrong.j2", "provenance": "{{ author }}", "tokens": 10},
}
SAMPLES = {"none": 12, "simplified": 6, "detailed": {"correct": 5, "irrelevant": 3, "incorrect": 4}}


def make_task(**changes):
    values = {
        "name": "towns",
        "title": "Towns",
        "family": "math",
        "licence": "MIT",
        "attribution": "nobody",
        "sources": {"rows": {"file": "rows.json"}},
        "instruction": "question.j2",
        "answer": "answer.j2",
        "group": "town",
        "variants": VARIANTS,
        "samples": SAMPLES,
    }
    return TaskSpec(**(values | changes))


def make_row(number):
    """Two rows a town; every third has a wrong answer."""
    steps = [f"Row{number} step {step} adds {'one and ' * (step + number % 5)}stops." for step in range(3 + number % 3)]
    return {
        "question": f"What is {number}?",
        "answer": str(100 + number),
        "town": f"town{number // 2}",
        "steps": steps,
        "wrong": f"Row{number} is wrong. It adds nothing." if number % 3 == 0 else None,
        "author": f"model{number % 2}",
    }


@pytest.fixture
def listing(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([make_row(number) for number in range(24)]))
    fetch_sources({"rows": {"file": str(tmp_path / "rows.json")}}, tmp_path / "towns" / "SOURCES.json")
    return tmp_path / "towns" / "SOURCES.json"


@pytest.fixture
def build(listing, root):
    """Build the task, changed as given; the text of every response by its key."""

    def built(seed=0, method="length_matched", **changes):
        tokenizer = root / "tests/data/tokenizer/tokenizer.json"
        return build_task(make_task(**changes), TEMPLATES, listing, tokenizer, seed, method).samples

    return built


def test_what_is_made_by_length_needs_a_tokenizer(listing):
    with pytest.raises(UserError, match="no length_tokenizer is given"):
        build_task(make_task(), TEMPLATES, listing, None, 0, "length_matched")


def by_key(frame):
    return frame.set_index(["variant", "response", "sample_id"])["output"].to_dict()


def test_every_response_is_what_its_templates_make_of_its_row(build):
    rows = {sample_id("towns", row["question"]): row for row in map(make_row, range(24))}
    frame = build()
    assert len(frame) == 12 * 2 + 6 * 2 + 5 + 3 + 4
    for response in frame.itertuples():
        row = rows[response.sample_id]
        expected = {
            ("none", "correct"): row["answer"],
            ("simplified", "correct"): " ".join(row["steps"]) + f"\nThe final answer is {row['answer']}",
            ("detailed", "correct"): "\n".join(f"{n}. {step}" for n, step in enumerate(row["steps"], 1)),
            ("detailed", "incorrect"): row["wrong"],
        }
        assert (response.instruction, response.answer, response.licence) == (row["question"], row["answer"], "MIT")
        if response.response == "irrelevant":
            town = int(row["town"].removeprefix("town"))
            assert not {f"Row{town * 2} ", f"Row{town * 2 + 1} "} & set(response.output.replace("\n", " ").split(" "))
            assert response.provenance == "shuffle"
        else:
            assert response.output == expected[response.variant, response.response]
            assert response.provenance == (row["author"] if response.variant == "detailed" else "human")


@pytest.mark.parametrize("method", ["length_matched", "shuffled"])
def test_counts_change_no_text_and_samples_nest(build, method):
    many = build(method=method)
    few = build(method=method, samples={"none": 3, "simplified": 2, "detailed": {"correct": 1, "irrelevant": 1}})
    assert by_key(few).items() <= by_key(many).items()
    cells = many.groupby(["variant", "response"])["sample_id"].agg(set)
    assert cells["detailed", "irrelevant"] < cells["detailed", "correct"] < cells["simplified", "correct"]
    assert cells["simplified", "correct"] == cells["simplified", "irrelevant"] < cells["none", "correct"]


def test_the_seed_changes_the_choice(build):
    assert by_key(build()) == by_key(build())
    assert by_key(build()) != by_key(build(seed=1))


@pytest.mark.parametrize("seed", range(8))
def test_order_of_rows(seed):
    """Against sorting by hand: fuller rows first, one of each group before any second."""
    task = make_task(variants={"none": VARIANTS["none"]}, samples={"none": {"correct": 6, "irrelevant": 6}})
    rows = pd.DataFrame(
        {
            "sample_id": [f"id{n}" for n in range(12)],
            "group": [f"g{n // 3}" for n in range(12)],
            "none.correct": ["text"] * 12,
            "none.irrelevant": ["text" if n % 3 else "" for n in range(12)],
        }
    )
    chosen = select(rows, task, seed)
    full = [f"id{n}" for n in range(12) if n % 3]
    ids = chosen["none", "correct"]["sample_id"].tolist()
    assert set(ids) <= set(full)
    assert {rows.set_index("sample_id").loc[i, "group"] for i in ids[:4]} == {"g0", "g1", "g2", "g3"}
    assert chosen["none", "irrelevant"]["sample_id"].tolist() == ids


def test_too_few_rows(build):
    with pytest.raises(UserError, match=r"towns: samples\.detailed: 9 incorrect responses asked for, 8 available"):
        build(samples=SAMPLES | {"detailed": {"correct": 9, "irrelevant": 1, "incorrect": 9}})


def test_identical_questions_keep_ids_of_their_own(tmp_path, root):
    """And they lend each other nothing: what answers one answers the other."""
    rows = [{"question": "Same?", "answer": answer} for answer in ("1", "2", "3")]
    rows.append({"question": "Other?", "answer": "1"})
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    fetch_sources({"rows": {"file": str(tmp_path / "rows.json")}}, tmp_path / "towns" / "SOURCES.json")
    task = make_task(variants={"none": VARIANTS["none"]}, samples={"none": {"correct": 4, "irrelevant": 3}}, group=None)
    tokenizer = root / "tests/data/tokenizer/tokenizer.json"
    frame = build_task(task, TEMPLATES, tmp_path / "towns" / "SOURCES.json", tokenizer, 0, "length_matched").samples
    correct = frame[frame["response"] == "correct"].set_index("sample_id")["output"].to_dict()
    same = {sample_id("towns", "Same?", n): str(n + 1) for n in range(3)}
    other = sample_id("towns", "Other?", 0)
    assert correct == same | {other: "1"}
    lent = frame[frame["response"] == "irrelevant"].set_index("sample_id")["output"].to_dict()
    assert lent.pop(other) in ("2", "3")
    assert lent == {sample_id("towns", "Same?", n): "1" for n in (1, 2)}  # to the first, "1" would be the true answer


@pytest.mark.parametrize("method", ["length_matched", "shuffled"])
def test_rows_of_one_question_do_not_lend_each_other_the_true_answer(tmp_path, root, method):
    true = "It is the red one, since two and two make four."
    rows = [{"question": "Same?", "answer": "x", "steps": [true]} for _ in range(2)]
    rows.append({"question": "Other?", "answer": "y", "steps": ["Nobody ever saw a blue one here."]})
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    fetch_sources({"rows": {"file": str(tmp_path / "rows.json")}}, tmp_path / "towns" / "SOURCES.json")
    task = make_task(
        variants={"detailed": VARIANTS["detailed"] | {"provenance": "human", "incorrect": None}},
        samples={"detailed": 3},
        group=None,
    )
    tokenizer = root / "tests/data/tokenizer/tokenizer.json"
    frame = build_task(task, TEMPLATES, tmp_path / "towns" / "SOURCES.json", tokenizer, 0, method).samples
    texts = frame.pivot(index="sample_id", columns="response", values="output")
    assert len(texts) == 3
    assert not any(true in row.irrelevant for row in texts.itertuples() if true in row.correct)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ nothing }}", r"template question\.j2: 'nothing' is undefined; fields of a row are: answer, question"),
        ("{{ question", r"template question\.j2:1: unexpected end"),
        ("{{ question + 1 }}", r"template question\.j2: can only concatenate"),
        ("{{ question.__class__.__mro__ }}", r"template question\.j2: .*unsafe"),
        (" ", r"question\.j2 gives an empty prompt"),
    ],
)
def test_template_errors_name_file_and_field(template, message):
    task = make_task(variants={"none": VARIANTS["none"]}, samples={"none": 1})
    with pytest.raises(UserError, match=message):
        Templates(task, TEMPLATES | {"question.j2": template}).render({"question": "x", "answer": "1"})


def test_provenance_errors_name_the_key():
    task = make_task(variants={"none": VARIANTS["none"] | {"provenance": "{{ who }}"}}, samples={"none": 1})
    with pytest.raises(UserError, match=r"variants\.none\.provenance: 'who' is undefined"):
        Templates(task, TEMPLATES).render({"question": "x", "answer": "1"})


def test_unknown_group_and_bad_tokenizer(build, listing, tmp_path):
    with pytest.raises(UserError, match="group: 'city' given"):
        build(group="city")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"cannot be read as a tokenizer\.json"):
        build_task(make_task(), TEMPLATES, listing, tmp_path / "tokenizer.json", 0, "length_matched")


def set_tokens(tokens):
    return {name: variant | {"tokens": tokens} for name, variant in VARIANTS.items()}


def test_the_table_and_its_facts(listing, root, tmp_path):
    """What only the report or the estimate of time reads changes no byte."""
    tokenizer = root / "tests/data/tokenizer/tokenizer.json"
    for name in ("one.parquet", "another.parquet"):
        task = make_task(title=name, note=name, attribution=name, variants=set_tokens(len(name)))
        frame, _, facts = build_task(task.content(), TEMPLATES, listing, tokenizer, 0, "length_matched")
        write_table(frame, tmp_path / name, tables.SAMPLES, facts)
    assert file_sha256(tmp_path / "one.parquet") == file_sha256(tmp_path / "another.parquet")
    facts = read_facts(tmp_path / "one.parquet")
    assert facts["task"]["samples"]["none"] == 12
    assert facts["templates"].keys() == TEMPLATES.keys()
    assert facts["sources"]["rows"][0]["sha256"] == file_sha256(tmp_path / "rows.json")


def test_scripts_build_the_miniature_tasks(root, in_root, tmp_path):
    """The scripts of the two rules, called as Snakemake calls them."""
    study = load_study("config/test.yaml")
    for task in study.tasks:
        sources = tmp_path / task.name / "SOURCES.json"
        log = [str(tmp_path / f"{task.name}.log")]
        dumped = task.model_dump(mode="json")
        fetch = SimpleNamespace(
            rule="fetch_sources", log=log, output=[str(sources)], params=SimpleNamespace(sources=dumped["sources"])
        )
        runpy.run_path(str(root / "scripts/fetch_sources.py"), {"snakemake": fetch})
        params = SimpleNamespace(
            task=task.content().model_dump(mode="json"),
            templates=study.template_texts(task),
            seed=study.seed,
            irrelevant=study.irrelevant,
            controls=study.controls,
            max_length=study.max_length,
        )
        inputs = {"sources": str(sources), "tokenizer": "tests/data/tokenizer/tokenizer.json"}
        output = {name: str(tmp_path / f"{task.name}.{name}.parquet") for name in ("samples", "pool")}
        build = SimpleNamespace(
            rule="build_task",
            log=log,
            input=InputFiles(fromdict=inputs),
            output=OutputFiles(fromdict=output),
            params=params,
        )
        runpy.run_path(str(root / "scripts/build_task.py"), {"snakemake": build})
        samples, pool = (read_table(path) for path in output.values())
        plain = samples[samples["control"] == "none"]
        assert len(plain.merge(pool)) == len(plain)  # every column the same in both
        counts = samples.groupby(["variant", "response"]).size().to_dict()
        for variant in task.variants:
            for response, count in task.samples_of(variant).model_dump().items():
                assert counts.get((variant, response), 0) == count
    build.params.seed = study.seed
    build.input.tokenizer = "nowhere.json"
    with pytest.raises(SystemExit) as error:
        runpy.run_path(str(root / "scripts/build_task.py"), {"snakemake": build})
    assert error.value.code == 2
    assert "nowhere.json" in (tmp_path / f"{task.name}.log").read_text()
