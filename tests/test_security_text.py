"""Texts of anyone's: they stand for themselves in what is written, and no token is told in a log, a line or a note."""

import ast
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from layergrad.cli import main
from layergrad.contracts.config.load import load_study
from layergrad.contracts.errors import UserError
from layergrad.contracts.jobs import rule
from layergrad.contracts.provenance import note_run
from layergrad.contracts.secrets import without_secrets
from layergrad.report.tables import latex, markdown

ROOT = Path(__file__).parents[1]
FORBIDDEN = (
    r"torch\.load|(pd|pandas)\.read_(pickle|hdf)|eval|exec|os\.(system|popen)|yaml\.(unsafe_|full_)load|.*\.extractall"
)
RUNS_KNOWN_CODE = "layergrad/data/readers/gsm_symbolic.py"
"""The one module that runs files: those whose checksums stand in it."""
TOKEN = "hf_" + "aBcDeFgHiJ" * 3
LATEX = {rf"\{mark}": mark for mark in "&%$#_{}"} | {
    rf"\text{name}{end}": mark + (" " if "space" in end else "")
    for name, mark in (("backslash", "\\"), ("asciitilde", "~"), ("asciicircum", "^"))
    for end in (" ", r"\space ", r" \space ")
}
"""What a special character is written as; pandas keeps a space after one."""


def words(text):
    """The text with runs of white space as one space, as a browser shows it."""
    return " ".join(text.split())


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])) | st.sampled_from(["<script>", "a|b", "![x](y)"]),
        min_size=2,
        max_size=2,
    )
)
def test_a_text_is_the_same_text_in_markdown(cells):
    """What a reader of Markdown shows is a table of these cells and nothing else: no tag, no link, no image."""
    tokens = (
        MarkdownIt("commonmark").enable("table").parse(markdown(pd.DataFrame([["head", *cells]], columns=[*"abc"])))
    )
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
    assert kinds == {"table", "thead", "tbody", "tr", "th", "td", "inline"}
    inline = [token for token in tokens if token.type == "inline"][3:]
    assert {child.type for token in inline for child in token.children} <= {"text", "text_special"}
    shown = ["".join(child.content for child in token.children) for token in inline]
    assert [words(text) for text in shown] == [words(text) for text in ["head", *cells]]


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])) | st.sampled_from([r"\input{x}", r"a\\b", "%~ ^ {"])
)
def test_a_text_is_the_same_text_in_latex(cell):
    """Read back with the few commands that stand for a character; there is no other command and no special one."""
    body = latex(pd.DataFrame([["x", cell, "y"]], columns=[*"abc"])).split(r"\endlastfoot")[1]
    row = body[: body.index(r"\end{longtable}")].strip().removesuffix(r"\\").replace(r"$\pm$", "±")
    _, written, _ = re.split(r"(?<!\\)&", row)
    pieces = re.split("(" + "|".join(map(re.escape, sorted(LATEX, key=len, reverse=True))) + ")", written)
    assert not set("".join(pieces[::2])) & set("\\&%$#_{}~^")
    assert words("".join(LATEX.get(piece, piece) for piece in pieces)) == words(cell)


@pytest.mark.parametrize(
    "text",
    ["two\nlines", "a\r\n\tb", "red \x1b[31m", "a \u2028 b", "bell \a, null \0, high \x9b", "half a pair \ud800"],
)
def test_an_error_is_one_line_whatever_it_quotes(text, capsys):
    line = str(UserError(f"rows.json: the field {text} is missing"))
    assert len(line.splitlines()) == 1
    assert all(mark.isprintable() for mark in line)
    assert line.encode("utf-8")
    assert str(UserError("söme   'quoted' text, unchanged")) == "söme   'quoted' text, unchanged"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"login with {TOKEN} failed", "login with *** failed"),
        ("at https://me:s3cr3t@example.org/x?y=1", "at https://***@example.org/x?y=1"),
        ("https://example.org/x?token=abc&b=1#c", "https://example.org/x?token=***&b=1#c"),
        (
            "'https://s3/x?X-Amz-Credential=abc&X-Amz-Signature=def'",
            "'https://s3/x?X-Amz-Credential=***&X-Amz-Signature=***'",
        ),
        ("ghp_0123456789abcdefghij and pypi-AgEIcHlwaS5vcmc012345", "*** and ***"),
        ("my-own-password of the environment", "*** of the environment"),
        ("https://example.org/a@b, hf_hub, 5 tokens, false", "https://example.org/a@b, hf_hub, 5 tokens, false"),
    ],
)
def test_secrets_are_found(text, told, monkeypatch):
    monkeypatch.setenv("MY_REGISTRY_PASSWORD", "my-own-password")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("OTHER_TOKEN", "no")
    assert without_secrets(text) == told


def test_a_token_is_not_in_the_note_of_a_run(root, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    command = ["snakemake", "--config", f"mirror=https://me:{TOKEN}@example.org", "title=my-own-secret-title"]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setenv("SOME_SECRET", "my-own-secret-title")
    note = note_run(load_study(root / "config/test.yaml", {"title": f"With {TOKEN}"}), tmp_path)
    text = note.read_text()
    assert TOKEN not in text
    assert "my-own-secret-title" not in text
    facts = json.loads(text)
    assert facts["command"] == ["snakemake", "--config", "mirror=https://***@example.org", "title=***"]
    assert facts["study"]["title"] == "With ***"
    assert facts["study"]["models"][0]["memory_mb"] == 800


@pytest.mark.parametrize("error", [UserError, RuntimeError], ids=["a user's", "any other"])
def test_a_token_is_not_in_the_log_of_a_rule(tmp_path, monkeypatch, capsys, error):
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    def script():
        with rule(SimpleNamespace(log=[tmp_path / "log"], output=[], rule="x")):
            logging.getLogger("layergrad").info("asked with %s", TOKEN)
            logging.getLogger("urllib3").warning("https://me:%s@example.org", "s3cr3t-word")
            raise error(f"https://me:s3cr3t-word@example.org: {TOKEN} was refused")

    with pytest.raises(SystemExit) as ended:
        script()
    assert ended.value.code == (2 if error is UserError else 1)
    for text in ((tmp_path / "log").read_text(), capsys.readouterr().err):
        assert "asked with ***" in text
        assert "https://***@example.org: *** was refused" in text
        assert TOKEN not in text
        assert "s3cr3t-word" not in text
        assert ("Traceback" in text) == (error is RuntimeError)


def test_a_token_is_not_in_an_error_of_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "x.yaml").write_text(f"name: x\ntitle: x\nmodels: ['{TOKEN}']\ntasks: []\n")
    assert main(["estimate", str(tmp_path / "x.yaml")]) == 2
    line = capsys.readouterr().err
    assert line.startswith("layergrad estimate: ")
    assert TOKEN not in line
    assert "'***' given" in line


def calls(tree):
    """Every call in a module as (name, call), such as ``subprocess.run``."""
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def modules():
    return [path for folder in ("layergrad", "scripts", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_opens_a_pickle_runs_a_text_or_starts_a_shell(path):
    tree = ast.parse(path.read_text())
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not names & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "tarfile"}
    for name, call in calls(tree):
        allowed = (name, str(path.relative_to(ROOT))) == ("exec", RUNS_KNOWN_CODE)
        assert allowed or not re.fullmatch(FORBIDDEN, name), f"line {call.lineno}: {name}"
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("shell", "False") == "False", f"line {call.lineno}"
        assert given.get("allow_pickle", "False") == "False", f"line {call.lineno}"
        if name == "yaml.load":
            assert given["Loader"] == "_Loader", f"line {call.lineno}"


def test_no_rule_has_a_shell_command():
    """So no text of a configuration can be one. The only commands are those of dvc.yaml, which are fixed."""
    for path in (ROOT / "Snakefile", *ROOT.glob("rules/*.smk")):
        assert not re.search(r"^\s*(shell|run|wrapper|notebook)\s*:|\bshell\(", path.read_text(), re.MULTILINE), path
    commands = re.findall(r"cmd: (.*)", (ROOT / "dvc.yaml").read_text())
    assert commands
    assert all(re.fullmatch(r"snakemake --cores all \w+( \w+)*", command) for command in commands)


@pytest.mark.slow
def test_a_hostile_title_passes_through_the_workflow(root, tmp_path):
    """Snakemake formats some texts and gives others to a shell; titles, notes and names of files are none of them."""
    for name in ("Snakefile", "rules", "scripts", "layergrad", "tests", "profiles"):
        (tmp_path / name).symlink_to(root / name)
    title = "{wildcards.model} {evil} $(touch harm) `touch harm`; touch harm ' \" <script>"
    (tmp_path / "config").mkdir()
    for name in ("models", "tasks", "templates"):
        (tmp_path / "config" / name).symlink_to(root / "config" / name)
    study = {"name": "default", "title": title, "models": ["tiny-llama"], "tasks": ["mini_math"]}
    (tmp_path / "config/config.yaml").write_text(json.dumps(study | {"length_tokenizer": "tiny-llama"}))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["snakemake", "--cores", "1", "data"],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("harm*"))
