"""DVC beside Snakemake on the miniature study: what runs again, what is pruned, what a clone gets, what is shown."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from layergrad.contracts.files import file_sha256, read_json

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "results", ".snakemake", "__pycache__", ".*_cache", "*.egg-info", "tmp", "dvc.lock"
)
RESULTS = "results/default"
MATH = {
    "Building the samples of mini_math",
    "Auditing the rows of mini_math for tiny-llama",
    "Measuring the gradients of mini_math on tiny-llama, shard 1",
    "Joining the gradients of mini_math on tiny-llama",
    "Computing the statistics of mini_math on tiny-llama",
    "Drawing the figures of mini_math on tiny-llama",
}
"""Jobs of one task on one model after its sources."""
STUDY = {
    "Collecting the statistics of the study",
    "Evaluating the claims of the paper",
    "Writing the tables of the study",
    "Writing the report of the study",
}


class Project:
    """A git repository with the project, whose default study is the miniature in one shard, kept by DVC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = {f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | names | {"PATH": path, "PYTHONPATH": str(folder)}

    @classmethod
    def copied(cls, source: Path, folder: Path) -> "Project":
        """A copy of the project's files as the first commit of a new repository."""
        shutil.copytree(source, folder, ignore=LEFT_OUT)
        project = cls(folder)
        study = (folder / "config/test.yaml").read_text().replace("name: test", "name: default")
        (folder / "config/config.yaml").write_text(study.replace("shards: 2", "shards: 1") + "noisy_above: 0.15\n")
        project.must("git", "init", "-q")
        project.commit("start")
        return project

    def run(self, *command):
        """Run a command of the environment in the project."""
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def must(self, *command):
        """What a command says, which has to succeed."""
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def jobs(self, *command):
        """Run a command, which has to succeed; what Snakemake did, but for the manifests."""
        found = re.findall(r"^Job \d+: (.*)$", self.must(*command), re.MULTILINE)
        return {job for job in found if not job.startswith("Closing the phase")}

    def snakemake(self):
        return self.jobs("snakemake", "--cores", "2")

    def repro(self):
        return self.jobs("dvc", "repro")

    def settled(self):
        """Whether neither tool has anything to do."""
        done = self.must("snakemake", "-n", "--cores", "2")
        return "Nothing to be done" in done and "up to date" in self.must("dvc", "status")

    def commit(self, message):
        self.must("git", "add", "--all")
        self.must("git", "commit", "-qm", message)

    def change(self, file, text, new):
        """Replace a text in a file of the project."""
        content = (self.folder / file).read_text()
        assert text in content
        (self.folder / file).write_text(content.replace(text, new))

    def checksums(self, *below):
        """sha256 of every file of the results by name, or of those below some of its folders."""
        root = self.folder / RESULTS
        files = [file for name in below or ("",) for file in (root / name).rglob("*") if file.is_file()]
        return {str(file.relative_to(root)): file_sha256(file) for file in files}

    def tracked(self):
        """Files that DVC keeps, below the results folder."""
        return {
            entry["path"] for entry in json.loads(self.must("dvc", "ls", ".", RESULTS, "-R", "--dvc-only", "--json"))
        }


def outs():
    """Outs of dvc.yaml with their options, by path."""
    stages = yaml.safe_load((Path(__file__).parents[1] / "dvc.yaml").read_text())["stages"]
    kinds = ("outs", "plots", "metrics")
    return {
        path: options
        for stage in stages.values()
        for kind in kinds
        for out in stage.get(kind, [])
        for path, options in out.items()
    }


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A project that DVC has brought about once and pushed to a remote, with all of it committed."""
    folder = tmp_path_factory.mktemp("dvc")
    project = Project.copied(root, folder / "project")
    project.first = project.repro()
    project.must("dvc", "remote", "add", "-q", "--default", "store", str(folder / "store"))
    project.commit("results")
    project.must("dvc", "push")
    return project


@pytest.fixture
def project(finished):
    """The same, put back afterwards as it was, times of files included."""
    kept = finished.folder.parent / "kept"
    shutil.copytree(finished.folder, kept, symlinks=True)
    yield finished
    shutil.rmtree(finished.folder)
    kept.rename(finished.folder)


def test_every_out_persists_and_the_cache_copies(root):
    """With links in the cache Snakemake took changed settings for unchanged; without persist nothing is resumed."""
    assert outs()
    assert all(options == {"persist": True} for options in outs().values())
    assert re.search(r"\[cache\]\s*type = copy\s", (root / ".dvc/config").read_text())


@pytest.mark.slow
def test_the_first_run_makes_everything_and_then_neither_tool_has_work(finished):
    assert finished.first > MATH | STUDY
    assert finished.settled()
    assert finished.repro() == finished.snakemake() == set()


@pytest.mark.slow
def test_every_out_is_closed_by_a_manifest_of_what_is_in_it(finished):
    folders = [path for path in outs() if not Path(path).suffix]
    assert f"{RESULTS}/shards" in folders
    for folder in folders:
        manifest = read_json(finished.folder / folder / "MANIFEST.json")
        found = finished.checksums(Path(folder).name)
        found.pop(f"{Path(folder).name}/MANIFEST.json")
        assert {f"{Path(folder).name}/{name}": entry["sha256"] for name, entry in manifest.items()} == found
    assert not [
        file
        for file in (finished.folder / RESULTS).rglob("*")
        if file.is_symlink() or (file.stat().st_nlink > 1 and file.is_file())
    ]


@pytest.mark.slow
def test_more_samples_of_a_task_run_that_task_and_snakemake_first_is_as_good(project):
    before = project.checksums("gradients", "shards", "models", "sources")
    project.change("config/tasks/mini_math.yaml", "none: 6", "none: 7")
    assert project.snakemake() == MATH | STUDY
    assert project.repro() == set()
    assert project.settled()
    after = project.checksums("gradients", "shards", "models", "sources")
    assert {name for name in after if after[name] != before.get(name)} == {
        f"{folder}/{name}"
        for folder, name in [
            ("gradients", "MANIFEST.json"),
            ("gradients", "tiny-llama/mini_math.parquet"),
            ("gradients", "tiny-llama/mini_math.samples.parquet"),
            ("shards", "MANIFEST.json"),
            ("shards", "tiny-llama/mini_math.shard-1-of-1.parquet"),
            ("shards", "tiny-llama/mini_math.shard-1-of-1.samples.parquet"),
        ]
    }
    changes = json.loads(project.must("dvc", "metrics", "diff", "--json", "--targets", f"{RESULTS}/metrics.json"))
    (changed,) = changes.values()
    assert {key.split(".")[1] for key in changed} == {"mini_math"}
    new = read_json(project.folder / RESULTS / "metrics.json")["tiny-llama"]["mini_math"]["none"]["nuclear_norm"]
    old = read_json(project.folder.parent / "kept" / RESULTS / "metrics.json")
    for projection, value in new.items():
        difference = changed[f"tiny-llama.mini_math.none.nuclear_norm.{projection}"]
        assert difference["new"] == value
        assert difference["old"] == old["tiny-llama"]["mini_math"]["none"]["nuclear_norm"][projection]


@pytest.mark.slow
def test_a_template_runs_its_task_and_the_code_of_the_figures_draws(project):
    project.change("config/templates/mini/rare.j2", "{{ rare }}", "Note: {{ rare }}")
    assert project.repro() == {job.replace("mini_math", "mini_knowledge") for job in MATH} | STUDY
    project.change("layergrad/report/figures.py", '"font.size": 9,', '"font.size": 8,')
    figures = {f"Drawing the figures of {task} on tiny-llama" for task in ("mini_math", "mini_knowledge")}
    assert project.repro() == figures | {"Writing the report of the study"}
    assert project.settled()


@pytest.mark.slow
def test_what_is_added_runs_alone_and_what_is_removed_is_pruned(project):
    before = project.checksums("gradients/tiny-llama")
    shutil.copy(project.folder / "config/models/tiny-llama.yaml", project.folder / "config/models/another.yaml")
    project.change("config/models/another.yaml", "seed: 1", "seed: 2")
    project.change("config/config.yaml", "[tiny-llama]", "[tiny-llama, another]")
    ran = project.repro()
    assert {job for job in ran if "tiny-llama" in job} == set()
    assert {"Preparing another", "Diagnosing the measurement of another"} < ran
    assert project.checksums("gradients/tiny-llama") == before
    assert {name.split("/")[0] for name in project.tracked() if "another" in name} == {
        *("models", "diagnostics", "shards", "gradients", "audit", "statistics", "figures", "report")
    }
    project.change("config/config.yaml", "[tiny-llama, another]", "[tiny-llama]")
    project.change("config/config.yaml", "[mini_math, mini_knowledge]", "[mini_math]")
    assert project.repro() == STUDY
    assert project.settled()
    left = project.tracked()
    assert {f"{name}/MANIFEST.json" for name in ("data", "models", "shards")} < left
    assert not [name for name in left if "another" in name or "mini_knowledge" in name]
    assert project.checksums("gradients/tiny-llama") == {name: sha for name, sha in before.items() if "math" in name}
    verdicts = f"{RESULTS}/claims/verdicts.json"
    (changed,) = json.loads(project.must("dvc", "metrics", "diff", "--json", "--targets", verdicts)).values()
    then, now = (
        read_json(folder / verdicts)["verdicts"] for folder in (project.folder.parent / "kept", project.folder)
    )
    told = {name.removeprefix("verdicts."): change for name, change in changed.items() if name.startswith("verdicts.")}
    assert {name.split(".")[0] for name in told} == {claim for claim in then if now[claim] != then[claim]} != set()
    for claim, control in [name.split(".") for name in told]:
        change = told[f"{claim}.{control}"]
        assert (change.get("old"), change.get("new")) == (then[claim].get(control), now[claim].get(control))


@pytest.mark.slow
def test_a_comparison_is_made_and_drawn_alone_and_pruned_when_it_is_asked_for_no_more(project):
    shutil.copy(project.folder / "config/tasks/mini_math.yaml", project.folder / "config/tasks/mini_more.yaml")
    project.change("config/config.yaml", "[mini_math, mini_knowledge]", "[mini_math, mini_more]")
    project.repro()
    before = project.checksums("statistics", "figures")
    study = (project.folder / "config/config.yaml").read_text()
    project.change("config/config.yaml", study, f"{study}compare: [[mini_math, mini_more]]\n")
    place = "mini_math/mini_more/tiny-llama"
    report = {"Writing the report of the study"}
    assert project.repro() == {f"Comparing {place}", f"Drawing {place}"} | report
    assert project.settled()
    files = {"statistics": [".csv", ".parquet"], "figures": ["/ratio.png", "/ratio.svg"]}
    files["figures"] += ["/side_by_side.png", "/side_by_side.svg"]
    made = {f"{folder}/comparisons/{place}{end}" for folder, ends in files.items() for end in ends}
    assert {name for name in project.tracked() if "comparisons/" in name and "report" not in name} == made
    assert "report/comparisons.html" in project.tracked()
    project.change("config/config.yaml", f"{study}compare: [[mini_math, mini_more]]\n", study)
    assert project.repro() == report
    assert project.settled()
    assert not [name for name in project.tracked() if "comparisons" in name]
    assert project.checksums("statistics", "figures") == before


@pytest.mark.slow
def test_outs_that_are_gone_are_made_again(project):
    """Also the manifest of a folder that nobody but the next rule reads, whose own result is still there."""
    before = project.checksums("tables", "shards", "gradients")
    shutil.rmtree(project.folder / RESULTS / "tables")
    (project.folder / RESULTS / "shards/MANIFEST.json").unlink()
    assert project.repro() == {"Writing the tables of the study"}
    assert project.checksums("tables", "shards", "gradients") == before
    assert project.settled()


@pytest.mark.slow
def test_a_stage_that_fails_leaves_what_was_there(project):
    lock = (project.folder / "dvc.lock").read_bytes()
    before = project.checksums("data", "gradients", "report")
    project.change("config/templates/mini/rare.j2", "{{ rare }}", "{{ no_such_field }}")
    failed = project.run("dvc", "repro")
    assert failed.returncode != 0
    assert "no_such_field" in failed.stdout + failed.stderr
    after = project.checksums("data", "gradients", "report")
    assert not {
        name for name in before if name.startswith(("gradients/", "report/")) and after.get(name) != before[name]
    }
    assert (project.folder / "dvc.lock").read_bytes() == lock
    project.change("config/templates/mini/rare.j2", "{{ no_such_field }}", "{{ rare }}")
    assert not [job for job in project.repro() if "mini_math" in job]
    assert project.checksums("data", "gradients") == {name: sha for name, sha in before.items() if "report" not in name}


@pytest.mark.slow
def test_dvc_stops_at_a_running_snakemake(project):
    """It changes nothing, and finds all of it done when that has ended."""
    lock = (project.folder / "dvc.lock").read_bytes()
    project.change("config/templates/mini/rare.j2", "{{ rare }}", "Note: {{ rare }}")
    # The model comes before the samples, so that these are still to be made when DVC gets there.
    command = ["snakemake", "--cores", "1", "--forcerun", "prepare_model"]
    running = subprocess.Popen(
        command, cwd=project.folder, env=project.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not list((project.folder / ".snakemake/locks").glob("*")):
        assert running.poll() is None
        time.sleep(0.05)
    refused = project.run("dvc", "repro")
    assert refused.returncode == 255
    assert "LockException" in refused.stdout + refused.stderr
    assert (project.folder / "dvc.lock").read_bytes() == lock
    assert running.wait() == 0
    assert project.repro() == set()
    assert project.settled()


@pytest.mark.slow
def test_an_experiment_in_the_workspace(project):
    done = project.must("dvc", "exp", "run", "-S", "config/config.yaml:noisy_above=0.05")
    assert "Ran experiment" in done
    assert "Computing the statistics of mini_math on tiny-llama" in done
    assert "Measuring" not in done
    assert yaml.safe_load((project.folder / "config/config.yaml").read_text())["noisy_above"] == 0.05
    assert project.settled()


@pytest.mark.slow
def test_metrics_and_plots_are_of_the_studys_own_numbers(finished):
    shown = json.loads(finished.must("dvc", "metrics", "show", "--json"))
    assert shown[""]["data"][f"{RESULTS}/metrics.json"]["data"] == read_json(finished.folder / RESULTS / "metrics.json")
    plots = json.loads(
        finished.run("dvc", "plots", "show", "--json", "-o", str(finished.folder.parent / "plots")).stdout
    )["data"]
    numbers = plots["nuclear norm by variant"][0]["content"]["data"]["values"]
    table = (finished.folder / RESULTS / "tables/nuclear_norm.csv").read_text().splitlines()
    assert len(numbers) == 4 * (len(table) - 1)
    assert {(row["variant"], row["q"]) for row in numbers} == {
        (line.split(",")[2], line.split(",")[5]) for line in table[1:]
    }
    assert f"{RESULTS}/figures/tiny-llama/mini_math/nuclear_norm.svg" in plots


@pytest.mark.slow
def test_a_clone_pulls_the_results_and_goes_on_from_there(finished, tmp_path):
    finished.must("git", "clone", "-q", str(finished.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    (clone.folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    clone.must("make", "--old-file", ".venv/.ready", "pull")
    kept = finished.tracked()
    assert kept
    assert {name: sha for name, sha in clone.checksums().items() if name in kept} == {
        name: sha for name, sha in finished.checksums().items() if name in kept
    }
    assert clone.settled()
    assert clone.repro() == set()
    clone.change("config/tasks/mini_math.yaml", "none: 6", "none: 7")
    assert clone.repro() == MATH | STUDY
    assert clone.settled()
    assert clone.must("git", "diff", "--name-only", "dvc.lock").split() == ["dvc.lock"]
    clone.must("make", "--old-file", ".venv/.ready", "push")
    clone.change("config/tasks/mini_math.yaml", "none: 7", "none: 6")
    refused = clone.run("make", "--old-file", ".venv/.ready", "pull")
    assert refused.returncode == 2
    assert "results/ is not what dvc.lock and the configuration say; make it so with: dvc repro" in refused.stdout
    clone.must("git", "checkout", "-q", "dvc.lock", "config")
    clone.must("make", "--old-file", ".venv/.ready", "pull")
    assert clone.settled()
    assert clone.checksums("gradients") == finished.checksums("gradients")
