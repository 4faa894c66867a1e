"""The whole graph on the miniature study, in a copy of the project: run, run again, change one thing, DVC, mistakes."""

import json
import shutil

import pytest
import yaml
from project import RESULTS, Project

from layergrad.contracts.files import file_sha256
from layergrad.contracts.tables import read_table


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A project whose study has run once."""
    project = Project(root, tmp_path_factory.mktemp("workflow"))
    project.output = project.snakemake()
    return project


@pytest.fixture
def project(finished):
    """The same, with its configuration as it was at the end of the test."""
    kept = finished.folder.parent / "kept"
    shutil.copytree(finished.folder / "config", kept)
    yield finished
    shutil.rmtree(finished.folder / "config")
    shutil.move(kept, finished.folder / "config")


def test_everything_is_there(finished):
    for name in (
        "report/index.html",
        "report/assets/vega.js",
        "report/figures/tiny-llama/mini_math/nuclear_norm.csv",
        "tables/mad.tex",
        "metrics.json",
        "figures/tiny-llama/mini_math/nuclear_norm.svg",
    ):
        assert finished.result(name).stat().st_size > 0, name
    gradients = read_table(finished.result("gradients/tiny-llama/mini_math.parquet"))
    assert len(gradients) == (6 * 2 + 4 * 2 + 4 * 3) * 3 * 4
    for phase in ("data", "gradients", "audit", "statistics", "claims", "figures", "tables", "report"):
        manifest = json.loads(finished.result(f"{phase}/MANIFEST.json").read_text())
        for name, entry in manifest.items():
            assert file_sha256(finished.result(f"{phase}/{name}")) == entry["sha256"]


def test_every_rule_leaves_a_log_and_a_benchmark(finished):
    rules = {path.stem for path in (finished.folder / "scripts").glob("*.py")}
    rules -= {"import_released", "compare_pair", "draw_comparison"}  # the miniature measures, and has no pair
    for folder in ("logs", "benchmarks"):
        assert {path.stem for path in finished.result(folder).iterdir()} == rules


def test_a_tuned_model_is_drawn_against_its_base(project):
    model = (project.folder / "config/models/tiny-llama.yaml").read_text()
    tuned = model.replace("seed: 1", "seed: 2") + "base: tiny-llama\n"
    (project.folder / "config/models/tiny-tuned.yaml").write_text(tuned)
    project.change("config/config.yaml", "[tiny-llama]", "[tiny-llama, tiny-tuned]")
    pending = project.pending()
    compared = {name for name in pending if "comparisons/" in name and name.endswith((".parquet", "ratio.svg"))}
    pairs = [f"comparisons/tiny-llama/tiny-tuned/{task}" for task in ("mini_math", "mini_knowledge")]
    assert compared == {
        *(f"statistics/{pair}.parquet" for pair in pairs),
        *(f"{folder}/{pair}/ratio.svg" for pair in pairs for folder in ("figures", "report/figures")),
    }
    assert not {name for name in pending if name.startswith(("figures/tiny-llama", "gradients/tiny-llama"))}


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake()
    assert finished.pending() == set()


def test_more_samples_of_one_task_leave_the_other_alone(project):
    project.change("config/tasks/mini_math.yaml", "none: 6", "none: 7")
    pending = project.pending()
    assert "data/mini_math.parquet" in pending
    assert "gradients/tiny-llama/mini_math.parquet" in pending
    assert "report/index.html" in pending
    beside = {name for name in pending if not name.startswith("report/")}  # one job writes all pages
    assert not {name for name in beside if "mini_knowledge" in name or name.startswith(("models/", "sources/"))}


def test_a_changed_template_remakes_what_it_is_in(project):
    project.change("config/templates/mini/rare.j2", "{{ rare }}", "Note: {{ rare }}")
    pending = project.pending()
    assert "data/mini_knowledge.parquet" in pending
    beside = {name for name in pending if not name.startswith("report/")}
    assert not {name for name in beside if "mini_math" in name or name.startswith(("models/", "sources/"))}


def test_titles_and_estimates_measure_nothing_again(project):
    project.change("config/models/tiny-llama.yaml", "Tiny Llama with random weights", "Tiny")
    project.change("config/models/tiny-llama.yaml", "seconds_per_1000_tokens: 1", "seconds_per_1000_tokens: 2")
    project.change("config/tasks/mini_math.yaml", "Miniature arithmetic", "Arithmetic")
    project.change("config/tasks/mini_math.yaml", "tokens: 50", "tokens: 60")
    pending = project.pending()
    assert "report/index.html" in pending
    assert not {name for name in pending if name.startswith(("models/", "sources/", "data/", "shards/", "statistics/"))}


def test_a_setting_that_the_diagnosis_has_too_measures_again(project):
    path = project.folder / "config/models/tiny-llama.yaml"
    path.write_text(path.read_text() + "dtype: bfloat16\n")
    pending = project.pending()
    assert "diagnostics/tiny-llama.json" in pending
    assert "shards/tiny-llama/mini_math.shard-1-of-2.parquet" in pending
    assert "gradients/tiny-llama/mini_math.parquet" in pending


def test_a_setting_of_the_statistics_measures_nothing_again(project):
    project.change("config/config.yaml", "gradients:", "noisy_above: 0.1\ngradients:")
    pending = project.pending()
    assert "statistics/tiny-llama/mini_math/layer_means.parquet" in pending
    assert not {name for name in pending if name.startswith(("data/", "shards/", "gradients/", "models/"))}


@pytest.mark.slow
def test_a_removed_task_is_pruned_and_an_added_one_measured_alone(project):
    before = project.result("gradients/tiny-llama/mini_math.parquet").read_bytes()
    project.change("config/config.yaml", "[mini_math, mini_knowledge]", "[mini_math]")
    pending = project.pending()
    assert "report/index.html" in pending
    assert not {name for name in pending if name.startswith(("shards/tiny-llama", "statistics/tiny-llama"))}
    project.snakemake()
    assert not [
        path
        for phase in ("sources", "data", "shards", "gradients", "audit", "statistics", "figures")
        for path in project.result(phase).rglob("*mini_knowledge*")
    ]
    assert "mini_knowledge" not in project.result("gradients/MANIFEST.json").read_text()
    project.change("config/config.yaml", "[mini_math]", "[mini_math, mini_knowledge]")
    assert not {
        name for name in project.pending() if name.startswith(("shards/", "gradients/")) and "mini_math" in name
    }
    project.snakemake()
    assert project.result("gradients/tiny-llama/mini_math.parquet").read_bytes() == before
    assert "Nothing to be done" in project.snakemake()


def test_a_mistake_is_one_line_and_exit_code_2(project):
    project.change("config/config.yaml", "name: default", "name: default\nseeds: 1")
    done = project.run("snakemake", "-n")
    assert done.returncode == 2
    assert next(line for line in done.stderr.splitlines() if "seeds" in line).startswith(
        "config/config.yaml: seeds: unknown key"
    )
    assert "Traceback" not in done.stderr


def test_nothing_of_the_default_study_leaks_into_another(project):
    study = yaml.safe_load((project.folder / "config/config.yaml").read_text())
    (project.folder / "config/other.yaml").write_text(yaml.safe_dump(study | {"name": "other"}))
    project.change("config/config.yaml", "name: default", "name: default\nseeds: 1")
    done = project.run("snakemake", "-n", "--cores", "2", "--configfile", "config/other.yaml")
    assert done.returncode == 0, done.stderr
    assert "results/other/" in done.stdout + done.stderr


def test_bad_input_of_a_rule_is_one_line(root, tmp_path):
    project = Project(root, tmp_path)
    (project.folder / "tests/data/mini_math.jsonl").write_text("")
    done = project.run("snakemake", "--cores", "2", f"{RESULTS}/data/mini_math.parquet")
    assert done.returncode != 0
    log = project.result("logs/build_task/mini_math.log").read_text().splitlines()
    assert len(log) == 1
    assert log[0].endswith("mini_math.jsonl: the file is empty")


def test_snakemakes_own_report_works(finished):
    finished.snakemake("--report", "report.html")
    assert "nuclear norm" in (finished.folder / "report.html").read_text()


def test_dvc_and_snakemake_do_not_repeat_each_other(finished):
    first = finished.run("dvc", "repro")
    assert first.returncode == 0, first.stderr + first.stdout
    assert "Running stage" in first.stdout
    assert first.stdout.count("Nothing to be done") + first.stderr.count("Nothing to be done") == 5
    second = finished.run("dvc", "repro")
    assert "Running stage" not in second.stdout
    assert "up to date" in second.stdout
    shown = finished.run("dvc", "metrics", "show")
    assert "nuclear_norm" in shown.stdout
    assert "verdicts.C1.none" in shown.stdout
