"""layergrad init: from a user's rows and model to files that make a study, which runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from local_server import Quiet, serving
from row_files import write_rows

from layergrad.cli import main
from layergrad.contracts.config.load import load_study
from layergrad.contracts.tables import read_table
from layergrad.models.tokens import encode

ROWS = [
    {"instruction": "How many pens are in 3 boxes of 4?", "output": "There are 12."},
    {"instruction": "Add.", "input": "2 and 3", "output": "2 + 3 = 5. So the sum is 5."},
    {"instruction": "Name a colour of the sky.", "output": "Blue. At sunset it is red."},
    {"instruction": "Why do leaves fall?", "output": "Trees lose water by their leaves. In winter they drop them."},
    {"instruction": "Is 7 prime?", "output": " Yes. It has no divisor but 1 and itself.\n"},
    {"instruction": "Translate: chat.", "output": "A cat."},
]
PAIRS = [("\n".join(filter(None, (row["instruction"], row.get("input")))), row["output"]) for row in ROWS]
CHATS = [{"messages": [{"role": "user", "content": a}, {"role": "assistant", "content": b}]} for a, b in PAIRS]
COMMIT, HUB = "0123456789abcdef0123456789abcdef01234567", "somebody/sums"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder that passes for the project's, with a file of rows."""
    (tmp_path / "Snakefile").touch()
    monkeypatch.chdir(tmp_path)
    write_rows(Path("mine.jsonl"), ROWS)
    return tmp_path


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.yaml")}


@pytest.fixture
def named_model(tiny_model_folder, project):
    """A model in a folder of a plain name."""
    shutil.copytree(tiny_model_folder, project / "Tiny Model")
    return "Tiny Model"


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
@pytest.mark.parametrize("rows", [ROWS, CHATS], ids=["fields", "chats"])
def test_files_that_make_a_study(project, named_model, tokenizer, capsys, rows, suffix):
    if rows is CHATS and suffix == ".csv":
        suffix = ".jsonl"  # a cell of CSV is text, and holds no turns
    data = Path(f"2024{suffix}")
    write_rows(data, rows)
    assert main(["init", str(data), "--model", named_model]) == 0
    study = load_study("config/2024.yaml")
    (model,), (task,) = study.models, study.tasks
    assert (study.name, task.name, model.name, model.title) == ("2024", "2024", "tiny-model", "Tiny Model")
    assert model.source.file == named_model
    assert model.prompt == "plain"
    assert task.samples_of("detailed").model_dump() == {"correct": 6, "irrelevant": 6, "incorrect": 0}
    lengths = [len(encode(tokenizer, *pair).ids) for pair in PAIRS]
    assert task.variants["detailed"].tokens == -(-sum(lengths) // len(lengths))
    out = capsys.readouterr().out
    assert f"{data}: 6 rows; fields: {', '.join(dict.fromkeys(name for row in rows for name in row))}" in out
    assert f"{min(lengths)} to {max(lengths)}" in out
    assert out.endswith("  snakemake --cores all --configfile config/2024.yaml\n")


def test_what_the_model_sees_is_shown(project, named_model, capsys):
    assert main(["init", "mine.jsonl", "--model", named_model]) == 0
    assert "How many pens are in 3 boxes of 4?" in capsys.readouterr().out.replace("│", "")


def test_a_chat_template_makes_a_chat_prompt(project, named_model):
    configuration = Path(named_model) / "tokenizer_config.json"
    values = json.loads(configuration.read_text())
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    configuration.write_text(json.dumps(values | {"chat_template": template}))
    assert main(["init", "mine.jsonl", "--model", named_model]) == 0
    assert load_study("config/mine.yaml").models[0].prompt == "chat"


def test_nothing_is_overwritten_unless_told(project, named_model, capsys):
    assert main(["init", "mine.jsonl", "--model", named_model]) == 0
    before = tree(project)
    capsys.readouterr()
    assert main(["init", "mine.jsonl", "--model", named_model]) == 2
    expected = "config/mine.yaml: is there already; choose another --name, or give --overwrite to replace it"
    assert capsys.readouterr().err == f"layergrad init: {expected}\n"
    assert tree(project) == before
    Path("config/mine.yaml").write_text("name: other\n")
    assert main(["init", "mine.jsonl", "--model", named_model, "--overwrite"]) == 0
    assert tree(project) == before


def test_a_model_file_serves_a_second_study_as_it_is(project, named_model, capsys):
    assert main(["init", "mine.jsonl", "--model", named_model]) == 0
    file = Path("config/models/tiny-model.yaml")
    edited = file.read_text().replace("licence: unknown ", "licence: MIT ")
    file.write_text(edited)
    assert main(["init", "mine.jsonl", "--model", named_model, "--name", "again"]) == 0
    assert "As it was: config/models/tiny-model.yaml" in capsys.readouterr().out
    assert file.read_text() == edited
    assert load_study("config/again.yaml").models[0].licence == "MIT"
    file.write_text(edited.replace("file: Tiny Model", "file: elsewhere"))
    assert main(["init", "mine.jsonl", "--model", named_model, "--name", "third"]) == 2
    assert "is there already with another source" in capsys.readouterr().err
    assert not Path("config/third.yaml").exists()


def test_rows_beyond_the_most_that_are_taken_are_left_to_choose_from(project, named_model):
    write_rows(
        Path("many.jsonl"), [{"instruction": f"Say {n}.", "output": f"I say {n}. So there."} for n in range(130)]
    )
    assert main(["init", "many.jsonl", "--model", named_model]) == 0
    samples = yaml.safe_load(Path("config/tasks/many.yaml").read_text())["samples"]
    assert samples == {"detailed": {"correct": 100, "irrelevant": 100}}
    assert "at most 130 and 130" in Path("config/tasks/many.yaml").read_text()


LONG = CHATS[0]["messages"] * 2
BAD = {
    "a single row": ([ROWS[0]], "no irrelevant response can be made"),
    "turns": (
        [CHATS[0], {"messages": LONG}],
        "row 2: messages has the turns user, assistant, user, assistant;",
    ),
    "no turns": ([{"messages": "hello"}], "row 1: messages is 'hello'; it must be a list of turns"),
    "an empty turn": ([{"messages": [LONG[0], LONG[1] | {"content": ""}]}], "row 1: messages: content of assistant is"),
    "other fields": ([{"question": "a", "answer": "b"}], "field instruction is missing; found are question, answer"),
}


@pytest.mark.parametrize(("rows", "line"), BAD.values(), ids=BAD.keys())
def test_rows_that_make_no_study_are_one_line_and_no_file(project, named_model, rows, line, capsys):
    write_rows(Path("bad.jsonl"), rows)
    assert main(["init", "bad.jsonl", "--model", named_model]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert line in error
    assert not Path("config").exists()


def test_what_cannot_be_asked_for(project, named_model, capsys):
    for arguments, line in (
        (["none.jsonl", "--model", named_model], "none.jsonl: there is no such file"),
        (["mine.jsonl", "--model", "./none"], "./none: no such model"),
        (
            ["mine.jsonl", "--model", named_model, "--split", "test"],
            "--subset and --split are for data sets on",
        ),
        (["somebody/nothing", "--model", named_model], "somebody/nothing: the hub cannot be reached"),
    ):
        assert main(["init", *arguments]) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert line in error
    Path("Snakefile").unlink()
    assert main(["init", "mine.jsonl", "--model", named_model]) == 2
    assert "there is no Snakefile in this folder" in capsys.readouterr().err
    assert not Path("config").exists()


class Hub(Quiet):
    """One repository, whose newest commit is asked for first."""

    def answer(self):
        """Answer by the path of the request."""
        path = self.path.partition("?")[0]
        if path in (f"/api/datasets/{HUB}", f"/api/datasets/{HUB}/revision/{COMMIT}"):
            return self.give(json.dumps({"id": HUB, "sha": COMMIT}).encode())
        if path == f"/api/datasets/{HUB}/tree/{COMMIT}":
            size = len(self.server.rows)
            return self.give(json.dumps([{"type": "file", "path": "test.parquet", "size": size, "oid": "1"}]).encode())
        return self.give(self.server.rows) if path.endswith(f"{COMMIT}/test.parquet") else self.give(b"", 404)

    do_GET = do_HEAD = answer

    def give(self, content, status=200):
        """Answer with these bytes."""
        self.send_response(status)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


def test_a_data_set_on_the_hub_is_pinned_to_its_newest_commit(project, named_model, root):
    with serving(Hub) as server:
        server.rows = pd.DataFrame(CHATS).to_parquet()
        environment = os.environ | {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(project / "home"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(root),
        }
        command = [sys.executable, "-m", "layergrad.cli", "init", HUB, "--split", "test", "--model", named_model]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    source = load_study("config/sums.yaml").tasks[0].sources["rows"]
    assert source.model_dump(exclude_none=True) == {"hub": HUB, "revision": COMMIT, "split": "test"}
    assert f"{HUB}: 6 rows; fields: messages" in done.stdout


@pytest.mark.slow
def test_the_printed_command_runs_the_study_and_its_numbers_are_those_of_extract(root, tmp_path, tiny_model_folder):
    folder = tmp_path / "project"
    for name in ("config", "layergrad", "profiles", "rules", "scripts"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "Snakefile", folder)
    shutil.copytree(tiny_model_folder, folder / "tiny")
    write_rows(folder / "mine.jsonl", ROWS)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(*command):
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    layergrad = (sys.executable, "-m", "layergrad.cli")
    printed = run(*layergrad, "init", "mine.jsonl", "--model", "tiny")
    run(*re.search(r"^  (snakemake .*)$", printed, re.MULTILINE)[1].split())
    run(*layergrad, "extract", "--model", "tiny", "--data", "mine.jsonl", "--out", "alone")
    study = read_table(folder / "results/mine/gradients/tiny/mine.parquet")
    correct = study[study["response"] == "correct"]
    assert set(study["response"]) == {"correct", "irrelevant"}
    key = ["sample_id", "layer", "projection"]
    both = correct.merge(read_table(folder / "alone.parquet"), on=key, validate="one_to_one")
    assert len(both) == len(ROWS) * 3 * 4 == len(correct)
    assert both["nuclear_norm_x"].tolist() == pytest.approx(both["nuclear_norm_y"].tolist(), rel=1e-4)
    data = read_table(folder / "results/mine/data/mine.parquet").query("response == 'correct'")
    assert set(zip(data["instruction"], data["output"], strict=True)) == set(PAIRS)
    assert "<html" in (folder / "results/mine/report/index.html").read_text()
