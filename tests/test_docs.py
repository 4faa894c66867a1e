"""The documentation: links lead somewhere, commands are such as the programs take, and all of them are run."""

import argparse
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT
from documents import PAGES, anchors, blocks, calls, command, links, name_of, spoken
from dvc.cli.parser import get_main_parser
from project import Project
from released_files import line
from snakemake.cli import get_argument_parser

from layergrad.cli import _parser
from layergrad.contracts.config.load import load_study
from layergrad.contracts.files import write_text
from layergrad.released.layout import files

LANGUAGES = {"sh", "text", "yaml", "jinja", "json", "python"}
PARSERS = {"layergrad": _parser, "snakemake": get_argument_parser, "dvc": get_main_parser}
OTHERS = {"cp", "python", "source"}
"""Programs that need no look at their arguments."""

GPUS = "needs GPUs and gated models"
CLUSTER = "needs a cluster and GPUs; tests/test_slurm.py runs the miniature study on a real SLURM"
NOT_RUN = {
    "make test": (None, "is the everyday part of this suite; continuous integration runs it on a clean clone"),
    "make test-all": (None, "is this suite"),
    "make benchmark": (None, "takes 25 to 40 minutes on a quiet machine; tests/test_benchmark.py runs its parts"),
    "snakemake --cores all --configfile config/controls.yaml": (
        "snakemake -n --configfile config/controls.yaml",
        "takes an hour and a half; tests/test_gradients_controls.py measures every control",
    ),
    "snakemake --cores all --configfile config/paper.yaml": (None, f"{GPUS}; its dry run stands beside it"),
    "snakemake --cores all --configfile config/paper-smollm2.yaml": (
        "snakemake -n --configfile config/paper-smollm2.yaml",
        "downloads the authors' data; tests/test_paper_data.py measures them",
    ),
    "snakemake --cores all --configfile config/originals.yaml": (
        "snakemake -n --configfile config/originals.yaml",
        "needs the hub; tests/test_data_originals.py builds these tasks from a hub of its own",
    ),
    "snakemake --cores all --configfile config/released.yaml": (
        "snakemake -n --configfile config/released.yaml",
        "needs all released files; tests/test_released_workflow.py runs a study of some",
    ),
    "snakemake --workflow-profile profiles/slurm --configfile config/paper.yaml": (
        "snakemake -n --workflow-profile profiles/slurm --configfile config/paper.yaml",
        CLUSTER,
    ),
    "HF_HUB_OFFLINE=1 snakemake --workflow-profile profiles/slurm --configfile config/paper.yaml": (None, CLUSTER),
    "snakemake --cores 2 prefetch --configfile config/paper.yaml": (
        "snakemake -n --cores 2 prefetch --configfile config/paper.yaml",
        "downloads ten models; tests/test_prefetch.py prefetches from a hub of its own",
    ),
}
"""Documented commands that cannot be run here: what is run instead, if anything, and why."""

DOCUMENTED = [block_line for page in PAGES for b in blocks(page) if b.language == "sh" for block_line in b.lines()]
WITH_CODE = [page for page in PAGES if any(block.language in ("sh", "python") for block in blocks(page))]
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in links(page):
        if re.match("https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_of_docs_is_in_the_index():
    index = {(ROOT / "docs" / link).resolve() for link in links(ROOT / "docs/README.md")}
    assert {page for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"} <= index


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_says_its_language_and_none_hides_a_command(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, block
        if block.language != "sh":
            assert not re.search(rf"^({'|'.join([*PARSERS, 'make'])}) ", block.text, re.MULTILINE), block


def targets():
    """What make can be asked for."""
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return set(phony.split())


@pytest.fixture(scope="module")
def parsers():
    return {program: make() for program, make in PARSERS.items()}


@pytest.mark.parametrize("documented", dict.fromkeys(DOCUMENTED), ids=command)
def test_the_programs_take_these_arguments(documented, parsers):
    for program, *arguments in calls(documented):
        if program in parsers:
            taken = vars(parsers[program].parse_args(arguments))
            # It takes whatever stands behind it up to the next option, targets too.
            assert all(file.suffix == ".yaml" for file in taken.get("configfile") or [])
        elif program == "make":
            assert set(arguments) <= targets()
        else:
            assert program in OTHERS


def commands_of(parser):
    """The parsers of a program's commands by name; none for a program that has no commands."""
    subparsers = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: inner for action in subparsers for name, inner in action.choices.items()}


def options(parser):
    """All options of a parser and of its commands."""
    return set(parser._option_string_actions).union(*map(options, commands_of(parser).values()))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_inside_of_text_are_there_and_so_are_their_options(page, parsers):
    for program, *arguments in spoken(page):
        given = {argument.partition("=")[0] for argument in arguments if re.match("--?[a-z]", argument)}
        if program in parsers:
            assert given <= options(parsers[program]), (program, arguments)
            there = commands_of(parsers[program])
            assert not there or arguments[0] in there, (program, arguments)
        if program == "make":
            assert {argument for argument in arguments if "=" not in argument} <= targets(), arguments


def test_what_is_not_run_is_documented():
    assert set(NOT_RUN) <= {command(documented) for documented in DOCUMENTED}


def test_all_say_the_same_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_what_the_workflow_catalog_asks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert (ROOT / "config/README.md").is_file()


@pytest.fixture(scope="module")
def reader(tmp_path_factory, tiny_model_folder):
    """A project as a reader has it, whose default study is the miniature one with the name of the real model.

    ``make`` finds the environment of these tests ready, so that it installs nothing.
    """
    folder = tmp_path_factory.mktemp("docs")
    names = {f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    project = Project(ROOT, folder, PYTHONPATH=str(folder / "project"), **names)
    tiny = (project.folder / "config/models/tiny-llama.yaml").read_text()
    write_text(project.folder / "config/models/smollm2-135m-instruct.yaml", tiny)
    for place in ("[tiny-llama]", "length_tokenizer: tiny-llama"):
        project.change("config/config.yaml", place, place.replace("tiny-llama", "smollm2-135m-instruct"))
    project.change("config/config.yaml", "[mini_math, mini_knowledge]", "[mini_math]")
    project.change("config/config.yaml", "shards: 2", "shards: 1")
    write_text(project.folder / "tests/data/tokenizer/chat_template.jinja", CHAT)
    shutil.copytree(tiny_model_folder, project.folder / "my-model")
    write_text(project.folder / "my-model/chat_template.jinja", CHAT)
    shutil.copy(project.folder / "examples/word_problems.jsonl", project.folder / "train.jsonl")
    put_environment(project.folder / ".venv")
    put_released(project.folder)
    must(project, "git", "add", "-A")
    must(project, "git", "commit", "-qm", "start")
    return project


def put_environment(folder):
    """The environment of these tests at another place, newer than what it is made from."""
    folder.mkdir()
    for name in ("bin", "lib"):
        (folder / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", folder)
    (folder / ".ready").touch()


def put_released(folder):
    """One file of released statistics for each model and task that the study of them names."""
    study, rng = load_study(folder / "config/released.yaml"), np.random.default_rng(0)
    for task in study.tasks:
        for model in study.models:
            path = folder / "released" / next(iter(files(task, model).values()))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(line({"instruction": "What?", "output": "That."}, rng)) + "\n")


def must(project, *words):
    done = project.run(*words)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def script(block):
    """A block ``sh`` for bash, with what stands in for commands that cannot be run."""
    lines = [NOT_RUN.get(command(documented), (documented, ""))[0] for documented in block.lines()]
    return "\n".join(filter(None, lines))


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_every_command_runs(page, reader):
    """A page from its beginning to its end, in a project whose configuration is as it was; results stay."""
    must(reader, "git", "checkout", "-q", ".")
    must(reader, "git", "clean", "-qfd", "config")
    if page.name == "tutorial.md":
        shutil.rmtree(reader.folder / "my-model")  # it makes one
    for block in blocks(page):
        if block.file():
            path, content = block.file()
            write_text(reader.folder / path, content)
        elif block.language == "sh":
            must(reader, "bash", "-euo", "pipefail", "-c", script(block))
        elif block.language == "python":
            must(reader, sys.executable, "-c", block.text)
