"""The paper's reasoning data sets from their originals, in repositories laid out as on the hub, in the hub's cache."""

import hashlib
import json
import re
import shutil

import huggingface_hub
import pandas as pd
import pytest
import yaml
from conftest import ROOT

from layergrad.contracts import tables
from layergrad.contracts.config.load import load_study
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json
from layergrad.contracts.tables import read_facts, write_table
from layergrad.data.build import build_task
from layergrad.data.filters import boxed, sentence, without
from layergrad.data.sentences import sentences
from layergrad.data.sources import fetch_sources
from layergrad.data.templates import Templates

STUDY = load_study(ROOT / "config/originals.yaml")
TOKENIZER = ROOT / "tests/data/tokenizer/tokenizer.json"
END = "\nThe final answer is "
ROWS = 8
WORDS = ["apple", "boat", "cloud", "drum", "eagle", "fence", "grape", "house"]


def gsm8k(n):
    """As the repository has it, with marks for a calculator, and a thousand with a comma."""
    steps = f"{WORDS[n]}s are {n}+1=<<{n}+1={n + 1}>>{n + 1}\nSo that makes 1000+{n}=$<<1000+{n}={1000 + n}>>1,00{n}."
    return {"question": f"How many {WORDS[n]}s?  Count them. ", "answer": f"{steps}\n#### 1,00{n}"}


def aqua(n):
    correct = "ABCDE"[n % 5]
    options = [f"{letter}){n + place} {WORDS[n]}s" for place, letter in enumerate("ABCDE")]
    last = ["Answer: {}", "The answer is {}.", "ANSWER:{}", "Hence, the correct answer is option ({}).", "So it is {}"]
    rationale = f"Take {n} {WORDS[n]}s.\n{n} + 2 = {n + 2}\n{last[n % 5].format(correct)}"
    return {"question": f"How many {WORDS[n]}s?", "options": options, "rationale": rationale, "correct": correct}


def math(n):
    solution = f"Since $x_{n} = \\boxed{{0}}$ is no {WORDS[n]}, it is $\\boxed{{\\frac{{{n}}}{{7}}}}$."
    return {"problem": f" What is {WORDS[n]}?\n", "level": "Level 1", "type": "Algebra", "solution": solution}


def strategyqa(n):
    facts = f"A {WORDS[n]} is small. It has {n} legs."
    question = f"Can a {WORDS[n]} walk?"
    return {"qid": str(n), "term": WORDS[n], "question": question, "answer": n % 2 == 0, "facts": facts}


def ecqa(n):
    options = {f"q_op{place}": f"{WORDS[n]} {word}" for place, word in enumerate(WORDS[:5], start=1)}
    given = {"taskA_pos": f"{WORDS[n]} two is best\nIt is.", "taskA_neg": "No.", "taskB": "Free."}
    return {"q_no": str(n), "q_text": f"Which {WORDS[n]}?", **options, "q_ans": f"{WORDS[n]} boat", **given}


def creak(n):
    claim = {"ex_id": f"train_{n}", "sentence": f'A "{WORDS[n]}" flies.', "explanation": f"no {WORDS[n]} has wings"}
    return claim | {"label": ["false", "true"][n % 2], "entity": WORDS[n], "entity_mention_loc": [[2, 5]]}


def sensemaking(n):
    pair = {"id": str(n), "sentence0": f"I ate a {WORDS[n]}", "sentence1": f"I saw a {WORDS[n]}", "false": n % 2}
    return pair | {"A": "no", "B": f"a {WORDS[n]} is no food", "C": "never", "reason": "B"}


ORIGINALS = {
    "gsm8k_original": gsm8k,
    "aqua_original": aqua,
    "math_algebra_original": math,
    "math_counting_original": math,
    "math_geometry_original": math,
    "strategyqa_original": strategyqa,
    "ecqa_original": ecqa,
    "creak_original": creak,
    "sensemaking_original": sensemaking,
}
YES_NO = ["yes", "no"]
# By task, what the paper's style makes of row n: prompt, bare answer, rationale with its answer.
EXPECTED = {
    "gsm8k_original": lambda n: (
        f"How many {WORDS[n]}s?  Count them. ",
        f"100{n}",
        f"{WORDS[n]}s are {n}+1={n + 1}. So that makes 1000+{n}=$1,00{n}.{END}100{n}",
    ),
    "aqua_original": lambda n: (
        f"How many {WORDS[n]}s?\nOptions:\n(A) {n} {WORDS[n]}s\n(B) {n + 1} {WORDS[n]}s\n(C) {n + 2} {WORDS[n]}s\n"
        f"(D) {n + 3} {WORDS[n]}s\n(E) {n + 4} {WORDS[n]}s",
        f"({'ABCDE'[n % 5]})",
        f"Take {n} {WORDS[n]}s.\n{n} + 2 = {n + 2}"
        + ("\nSo it is E" if n % 5 == 4 else "")
        + f"{END}({'ABCDE'[n % 5]})",
    ),
    "math": lambda n: (f" What is {WORDS[n]}?\n", f"\\frac{{{n}}}{{7}}", math(n)["solution"]),
    "strategyqa_original": lambda n: (
        f"Can a {WORDS[n]} walk?",
        YES_NO[n % 2],
        f"A {WORDS[n]} is small. It has {n} legs.{END}{YES_NO[n % 2]}",
    ),
    "ecqa_original": lambda n: (
        f"Which {WORDS[n]}?\nOptions:" + "".join(f"\n- {WORDS[n]} {word}" for word in WORDS[:5]),
        f"{WORDS[n]} boat",
        f"{WORDS[n].capitalize()} two is best. It is.{END}{WORDS[n]} boat",
    ),
    "creak_original": lambda n: (
        f'Claim: "A "{WORDS[n]}" flies."\nIs the claim above correct, and can it be verified by human common sense and '
        "without a web search?\nOptions:\n- yes\n- no",
        YES_NO[1 - n % 2],
        f"No {WORDS[n]} has wings.{END}{YES_NO[1 - n % 2]}",
    ),
    "sensemaking_original": lambda n: (
        f'Which of the following two sentences does not make sense?\nOptions:\n- Sentence A: "I ate a {WORDS[n]}"\n'
        f'- Sentence B: "I saw a {WORDS[n]}"',
        f"Sentence {'AB'[n % 2]}",
        f"A {WORDS[n]} is no food.{END}Sentence {'AB'[n % 2]}",
    ),
}


def put(folder, name, rows):
    """A file in the cache as the hub's library lays it out: a link in the snapshot to a blob."""
    content = rows if isinstance(rows, bytes) else "".join(json.dumps(row) + "\n" for row in rows).encode()
    blob = folder.parents[1] / "blobs" / hashlib.sha256(content).hexdigest()
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(blob)


def parquet(rows):
    """The bytes of a Parquet file."""
    return pd.DataFrame(rows).to_parquet()


def card(subsets):
    """What a repository's README says of its subsets."""
    configs = [{"config_name": name, "data_files": [{"split": "train", "path": f"{name}/train-*"}]} for name in subsets]
    return f"---\n{yaml.safe_dump({'configs': configs})}---\n".encode()


def fill(cache):
    """All repositories, each with the files, folders and card that it has on the hub."""
    sources = {task.name: task.sources["original"] for task in STUDY.tasks}
    for name, source in sources.items():
        folder = cache / f"datasets--{source.hub.replace('/', '--')}" / "snapshots" / source.revision
        rows = [ORIGINALS[name](n) for n in range(ROWS)]
        match source.hub:
            case "tasksource/sen-making":
                put(folder, "dataset.jsonl", rows)
            case "amydeng2000/CREAK":
                put(folder, "README.md", b"Home page & Original source: somewhere")
                for file in ("train.json", "dev.json", "contrast_set.json"):
                    put(folder, file, rows if file == "train.json" else rows[:2])
            case "ChilleD/StrategyQA":
                put(folder, "data/train-00000-of-00001-506370352f622815.parquet", parquet(rows))
                put(folder, "data/test-00000-of-00001-bae602f3ee37f4ca.parquet", parquet(rows[:2]))
                put(folder, "train.json", rows[:3])
            case "tasksource/ecqa":
                for split in ("train", "validation", "test"):
                    put(folder, f"data/{split}-00000-of-00001.parquet", parquet(rows if split == "train" else rows[:2]))
            case _:
                put(folder, f"{source.subset}/train-00000-of-00001.parquet", parquet(rows))
                subsets = [other.subset for other in sources.values() if other.hub == source.hub]
                if source.subset == subsets[-1]:
                    put(folder, "README.md", card(subsets))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The hub's cache on a machine without a network."""
    folder = tmp_path_factory.mktemp("hub")
    fill(folder)
    return folder


@pytest.fixture(autouse=True)
def offline(cache, monkeypatch):
    """The tests are offline as a whole (conftest); the cache is the one above."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))


def built(task, folder, seed=0, study=STUDY):
    """What the task's rules make, from its sources on."""
    listing = folder / task.name / "SOURCES.json"
    fetch_sources(task.model_dump(mode="json")["sources"], listing)
    return build_task(task.content(), study.template_texts(task), listing, TOKENIZER, seed, "length_matched")


def original(name, **counts):
    """The task as it is shipped, with fewer samples."""
    task = STUDY.task(name)
    return task.model_copy(update={"samples": counts or dict.fromkeys(task.variants, ROWS)})


@pytest.mark.parametrize("name", ORIGINALS)
def test_every_row_is_told_in_the_papers_style(name, tmp_path):
    frame = built(original(name), tmp_path).samples
    expected = [EXPECTED.get(name, EXPECTED["math"])(n) for n in range(ROWS)]
    assert set(frame["instruction"]) == {prompt for prompt, _, _ in expected}
    correct = frame[frame["response"] == "correct"].set_index(["instruction", "variant"])["output"].to_dict()
    for prompt, answer, worked in expected:
        assert correct.pop((prompt, "none")) == answer
        assert correct.pop((prompt, "simplified")) == worked
    assert not correct
    assert (frame["answer"] == frame["instruction"].map({prompt: answer for prompt, answer, _ in expected})).all()
    assert set(frame["provenance"]) == {"human", "shuffle"}


@pytest.mark.parametrize("name", ["gsm8k_original", "strategyqa_original", "math_geometry_original"])
def test_irrelevant_responses_are_what_other_rows_say(name, tmp_path):
    texts = built(original(name), tmp_path).samples.pivot(
        index=["variant", "instruction"], columns="response", values="output"
    )
    assert len(texts) == 2 * ROWS
    for (variant, _), row in texts.iterrows():
        assert row["irrelevant"] != row["correct"]
        if variant == "none":
            assert row["irrelevant"] in set(texts.loc["none"]["correct"])
            continue
        assert row["irrelevant"].count("\n") == row["correct"].count("\n")
        others = [s for text in texts.loc[variant]["correct"] if text != row["correct"] for s in sentences(text)]
        assert set(sentences(row["irrelevant"])) <= set(others)


def test_samples_are_nested_and_drawn_by_seed(tmp_path):
    def drawn(seed, count):
        frame = built(original("gsm8k_original", none=count, simplified=2), tmp_path, seed).samples
        return frame.query("variant == 'none' and response == 'correct'")["sample_id"].tolist()

    assert drawn(0, 6)[:3] == drawn(0, 3)
    assert len({tuple(drawn(seed, 3)) for seed in range(4)}) > 1


def test_the_repository_and_its_commit_stand_in_the_table(tmp_path):
    task = original("math_counting_original")
    frame, _, facts = built(task, tmp_path)
    write_table(frame, tmp_path / "samples.parquet", tables.SAMPLES, facts)
    (entry,) = read_facts(tmp_path / "samples.parquet")["sources"]["original"]
    assert entry == read_json(tmp_path / task.name / "SOURCES.json")["original"][0]
    assert entry.keys() == {"path", "sha256", "hub", "revision"}
    assert entry["hub"] == "EleutherAI/hendrycks_math"
    assert entry["revision"] == task.sources["original"].revision


@pytest.fixture
def own_study(tmp_path):
    """A copy of the configuration in which each task has the three lines that its comment tells to add."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    for path in (tmp_path / "config/tasks").glob("*_original.yaml"):
        text = path.read_text()
        told = re.findall(r"^#   under (\w+): +(.*)$", text, re.MULTILINE)
        assert [key for key, _ in told] == ["sources", "variants", "samples"]
        for key, line in told:
            text = text.replace(f"\n{key}:\n", f"\n{key}:\n  {line}\n")
        path.write_text(text.replace("file: detailed.jsonl", f"file: {tmp_path / 'detailed.jsonl'}"))
    return tmp_path


@pytest.mark.parametrize("name", ORIGINALS)
def test_detailed_responses_are_the_users_own(name, own_study):
    """Five of eight prompts have one; the bytes are the user's; a row of another prompt does not matter."""
    study = load_study(own_study / "config/originals.yaml")
    prompts = [EXPECTED.get(name, EXPECTED["math"])(n)[0] for n in range(ROWS)]
    own = {prompt: f"Step one is {n}.\n\n**So** it is done by {n}.  " for n, prompt in enumerate(prompts[:5])}
    rows = [{"instruction": p, "output": o} for p, o in [*own.items(), ("Another prompt", "Not this.")]]
    (own_study / "detailed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = study.task(name).model_copy(update={"samples": {"none": 6, "simplified": 6, "detailed": 5}})
    frame = built(task, own_study, study=study).samples
    correct = frame[frame["response"] == "correct"]
    detailed = correct[correct["variant"] == "detailed"]
    assert detailed.set_index("instruction")["output"].to_dict() == own
    assert set(detailed["provenance"]) == {"GPT-4o"}
    assert set(own) < set(correct[correct["variant"] == "none"]["instruction"])
    lent = frame[(frame["variant"] == "detailed") & (frame["response"] == "irrelevant")]
    assert len(lent) == 5
    assert not any(row.output == own[row.instruction] for row in lent.itertuples())
    with pytest.raises(UserError, match=r"samples\.detailed: 6 correct responses asked for, 5 available"):
        built(task.model_copy(update={"samples": task.samples | {"detailed": 6}}), own_study, study=study)


def test_without_such_a_file_there_is_no_such_variant():
    assert all(set(task.variants) == {"none", "simplified"} for task in STUDY.tasks)
    assert all(task.samples_of(variant).correct == STUDY.limit for task in STUDY.tasks for variant in task.variants)


# How many of the authors' 500 prompts are made byte for byte, where not all: most of CREAK's and Sensemaking's ask in
# other words, and three of AQuA's end in a blank, which is layout here.
PROMPTS = {"aqua": 497, "creak": 77, "sensemaking": 76}
MATH = {"math_algebra": "algebra", "math_counting": "counting_probability", "math_geometry": "geometry"}
ESCAPED = ("aqua", "ecqa", "creak", "sensemaking")


def rebuilt(task, prompt, answer, rationale):
    """The fields of the original that an authors' row is made of."""
    asked, _, options = prompt.partition("\nOptions:\n")
    options = options.strip("\n").split("\n")
    match task:
        case "gsm8k":
            return {"question": prompt, "answer": f"{rationale}\n#### {answer}"}
        case "aqua":
            options = [option[1:3] + option[4:] for option in options]
            return {"question": asked, "options": options, "rationale": rationale, "correct": answer[1]}
        case "strategyqa":
            return {"question": prompt, "answer": answer == "yes", "facts": [rationale]}
        case "ecqa":
            texts = {f"q_op{place}": option[2:] for place, option in enumerate(options, start=1)}
            return {"q_text": asked, **texts, "q_ans": answer, "taskA_pos": rationale}
        case "creak":
            quoted = re.search(r'"(.*)"', prompt)
            claim = quoted[1] if quoted else asked.split("\n")[0]
            return {"sentence": claim, "label": "true" if answer == "yes" else "false", "explanation": rationale}
        case "sensemaking":
            pair = [option.partition(': "')[2][:-1] for option in options]
            fields = {"sentence0": pair[0], "sentence1": pair[1], "false": "AB".index(answer[-1])}
            return fields | {"A": "", "B": rationale, "C": "", "reason": "B"}


@pytest.mark.parametrize("task", STUDY.tasks, ids=lambda task: task.name)
def test_templates_make_the_authors_rows(task, released_data):
    """All 500 responses of each variant, with line breaks where the authors' prompts have the characters for them."""
    name = task.name.removesuffix("_original")
    templates = Templates(task, STUDY.template_texts(task))

    def released(file):
        text = (released_data / file).read_text()
        return json.loads(text.replace(r"\\n", r"\n") if name in ESCAPED else text)

    if name in MATH:
        rows = released(f"lighteval_math/{MATH[name]}_with_cot.json")
        fields = [{"problem": row["instruction"], "solution": row["output"]} for row in rows]
        answers = [{"output": boxed(row["output"]).strip()} for row in rows]
    else:
        answers, rows = (released(f"cot_500/{name}_train_{kind}.json") for kind in ("no_cot", "with_cot"))
        fields = [
            rebuilt(name, row["instruction"], bare["output"], row["output"].rpartition(END)[0])
            for bare, row in zip(answers, rows, strict=True)
        ]
    made = [templates.render(row) for row in fields]
    prompts = [row["instruction"].removesuffix("\n") if name in ESCAPED else row["instruction"] for row in rows]
    assert len(rows) == 500
    assert sum(m["instruction"] == prompt for m, prompt in zip(made, prompts, strict=True)) == PROMPTS.get(name, 500)
    assert [m["none.correct"] for m in made] == [row["output"] for row in answers]
    assert [m["simplified.correct"] for m in made] == [row["output"] for row in rows]
    assert all(m["answer"] for m in made)


def test_filters():
    assert without("2+3=<<2+3=5>>5 and <<x>>y", "<<[^<>]*>>") == "2+3=5 and y"
    assert [sentence(text) for text in (" so it is ", "Is it?", "x!", "", "é")] == [
        "So it is.",
        "Is it?",
        "X!",
        "",
        "É.",
    ]
    assert boxed(r"$\boxed{1}$, so $\boxed{\frac{a}{b^{2}}}$.") == r"\frac{a}{b^{2}}"
    assert [boxed(text) for text in ("none", r"\boxed{open {", r"\boxed{}")] == ["", "", ""]


def test_a_pattern_that_is_none_is_told():
    task = original("gsm8k_original")
    texts = STUDY.template_texts(task) | {"gsm8k/none.j2": '{{ answer | without("(") }}'}
    with pytest.raises(UserError, match=r"template gsm8k/none\.j2: missing \), unterminated subpattern"):
        Templates(task, texts).render(gsm8k(0))
