"""A study of released statistics, from the authors' files to the report: no model, no torch, not all files sound."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT
from released_files import LAYERS, MODELS, ROWS, Layout

from layergrad.contracts.files import read_json
from layergrad.contracts.sources import MIRROR
from layergrad.contracts.tables import read_table

# Python runs this by itself when it starts: whoever imports torch is written down.
WATCH = """
import sys

def note(line):
    with open({file!r}, "a") as file:
        print(line, file=file)

def watch(event, arguments):
    if event == "import" and arguments[0] in ("torch", "layergrad.statistics.compute"):
        note(f"{{arguments[0]}} by {{sys.argv}}")

sys.addaudithook(watch)
"""
pytestmark = pytest.mark.slow

MISSING = "wiki_popularity_wrong_answer_shuffle/small_1b_it_new/grads_long_tail_wikipedia.jsonl"
TORN = "cot_500/small_1b/grads_puzzles_train_with_cot.jsonl"


class Run:
    """A study in the authors' layout, in a folder of its own, and Snakemake runs of it."""

    def __init__(self, folder):
        self.layout = Layout(folder / "study").write()
        self.imports = folder / "imports"
        (folder / "start").mkdir()
        (folder / "start/sitecustomize.py").write_text(WATCH.format(file=str(self.imports)))
        self.results = self.layout.folder / "results/small"
        without_mirror = {name: value for name, value in os.environ.items() if name != MIRROR}
        self.environment = without_mirror | {"PYTHONPATH": f"{folder / 'start'}{os.pathsep}{ROOT}"}

    def snakemake(self, *arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--configfile", "config/small.yaml", *arguments]
        return subprocess.run(
            command, cwd=self.layout.folder, env=self.environment, capture_output=True, text=True, errors="replace"
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A study that has run once; of its files one is missing, and one is torn."""
    run = Run(tmp_path_factory.mktemp("released"))
    (run.layout.released / MISSING).unlink()
    torn = run.layout.released / TORN
    torn.write_bytes(torn.read_bytes()[:-100])
    done = run.snakemake()
    assert done.returncode == 0, done.stderr
    return run


def test_everything_is_there_and_no_model_was_prepared(run):
    for name in ("report/index.html", "tables/mad.tex", "metrics.json", "figures/small/puzzles/effective_rank.svg"):
        assert (run.results / name).stat().st_size > 0, name
    for name in ("models", "diagnostics", "shards", "parts"):
        assert not (run.results / name).exists()
    metrics = read_json(run.results / "metrics.json")
    assert set(metrics) == set(MODELS)
    assert set(read_json(run.results / "gradients/MANIFEST.json")) == {
        f"{model}/{task}{end}"
        for model in MODELS
        for task in ("puzzles", "titles")
        for end in (".parquet", ".samples.parquet", ".import.parquet", ".import.csv")
    }


def test_no_job_imported_torch(run):
    imports = run.imports.read_text().splitlines()
    assert sum(line.startswith("layergrad.statistics.compute by") for line in imports) >= 4  # the watch does watch
    assert not [line for line in imports if line.startswith("torch")]


def test_the_numbers_are_those_of_the_files(run):
    means = read_table(run.results / "statistics/layer_means.parquet").query(
        "quantity == 'nuclear_norm' and segment == 'all' and control == 'none'"
    )
    lines = run.layout.lines["cot_500/small_1b/grads_puzzles_train_no_cot.jsonl"]
    for projection in "qkvo":
        names = [f"model.layers.{layer}.self_attn.{projection}_proj.weight" for layer in range(LAYERS)]
        expected = sum(line[name]["S_sum"] for line in lines for name in names) / len(lines) / LAYERS
        row = means.query(
            "model == 'small' and task == 'puzzles' and variant == 'none' and response == 'correct' "
            f"and projection == '{projection}'"
        )
        assert row["mean"].tolist() == [pytest.approx(expected, rel=1e-12)]
        assert row["n"].tolist() == [ROWS]


def test_what_is_wrong_or_not_there_is_counted_and_told(run):
    cells = read_table(run.results / "statistics/cells.parquet").set_index(["model", "task", "variant", "response"])
    assert ("small-it", "titles", "unpopular", "irrelevant") not in cells.index
    assert cells.loc[("small", "puzzles", "simplified", "correct"), ["n", "n_failed"]].tolist() == [ROWS - 1, 1]
    assert (cells["n"] == ROWS).sum() == len(cells) - 1 == 26
    assert cells[["n_truncated", "median_response_tokens", "mean_rank_bound"]].isna().all(axis=None)
    problems = read_table(run.results / "gradients/small/puzzles.import.parquet")
    assert problems["file"].tolist() == [TORN, TORN]
    assert problems["line"].tolist()[0] == ROWS
    assert f"{TORN}:{ROWS}: not valid JSON" in (run.results / "logs/import_released/small/puzzles.log").read_text()
    assert MISSING in (run.results / "gradients/small-it/titles.import.csv").read_text()
    page = (run.results / "report/index.html").read_text()
    for words in ("What is not there?", "the effective rank and the stable rank"):
        assert words in page
    assert "Nothing was measured here" in (run.results / "report/method.html").read_text()
    assert "nan tokens" not in page


def test_a_second_run_has_nothing_to_do_and_a_changed_file_remakes_its_own(run):
    assert "Nothing to be done" in run.snakemake().stderr
    torn = run.layout.released / TORN
    torn.write_bytes(torn.read_bytes()[:-100])
    pending = run.snakemake("--summary").stdout
    rows = [line.split("\t") for line in pending.splitlines() if line.startswith("results/small/")]
    remade = {row[0].removeprefix("results/small/") for row in rows if row[-1] == "update pending"}
    assert "gradients/small/puzzles.parquet" in remade
    assert not {name for name in remade if name.startswith(("data/", "gradients/small-it", "gradients/small/titles"))}


def test_a_folder_without_them_is_one_line_before_any_job(run):
    done = run.snakemake("-n", "--config", "released=config")
    assert done.returncode == 2
    assert "released: config has none of the 6 files of puzzles on small, the first of which is config/" in done.stderr
    assert "Traceback" not in done.stderr
