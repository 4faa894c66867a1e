"""A study whose Snakemake is killed, whose disk is full, whose files are damaged, or that runs twice at once."""

import random
import shutil
import signal
import time

import pyarrow.parquet as pq
import pytest
from project import Copy, Project, wait_for, wait_for_end

from layergrad.contracts.files import read_json

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A project whose miniature study has run once, undisturbed."""
    project = Project(root, tmp_path_factory.mktemp("finished"))
    project.snakemake()
    return project


AGAIN = ("sh", "-c", "snakemake --unlock && exec snakemake --cores 2")
"""The command of docs/cluster.md after a crash."""


def unmeasured(finished, folder):
    """A copy of the finished project without its gradients."""
    project = Copy(finished, folder)
    for phase in ("shards", "gradients"):
        shutil.rmtree(project.result(phase))
    return project


def manifests(project):
    """Checksums of every result, by phase."""
    found = {path.parent.name: read_json(path) for path in project.result("").glob("*/MANIFEST.json")}
    assert len(found) > 5
    return found


def check_finished(project, undisturbed):
    """Everything is there with the same bytes, nothing else is left, and there is nothing more to do."""
    assert manifests(project) == manifests(undisturbed)
    assert not [path for path in project.result("").rglob("*") if path.name.startswith(".") or path.suffix == ".lock"]
    assert not list(project.result("parts").rglob("*.parquet"))
    assert "Nothing to be done" in project.snakemake()


RULES = {
    "fetch_sources": False,
    "diagnose_model": True,
    "extract_gradients": False,
    "compute_statistics": True,
    "draw_figures": False,
}
"""At which rules it is killed, and whether its jobs are too, as in a power cut."""


def test_snakemake_killed_again_and_again_and_one_command_afterwards(root, tmp_path, finished):
    project = Project(root, tmp_path)
    moments = random.Random(0)
    orphans = []
    for rule, power_cut in RULES.items():
        process = project.start(*AGAIN)
        wait_for(project.result(f"logs/{rule}").is_dir, process, pause=0.01)
        time.sleep(moments.uniform(0, 1))
        orphans += project.kill(process, jobs=signal.SIGKILL if power_cut else None)
    done = project.run(*AGAIN)
    assert done.returncode == 0, done.stderr
    wait_for_end(orphans)
    check_finished(project, finished)


def test_a_job_that_a_killed_run_left_behind_is_waited_for_and_writes_nothing(tmp_path, finished):
    project = unmeasured(finished, tmp_path)
    process = project.start("snakemake", "--cores", "2", "gradients", "--config", "gradients={batch_tokens: 1}")
    wait_for(lambda: list(project.result("parts").rglob("batch-*.parquet")), process, pause=0.001)
    orphans = project.kill(process, jobs=signal.SIGSTOP)
    assert list(project.result("parts").rglob("batch-*.parquet"))
    process = project.start(*AGAIN)
    log = project.result("logs/extract_gradients")
    wait_for(
        lambda: any("waiting for a job of an earlier run" in path.read_text() for path in log.rglob("*.log")), process
    )
    for orphan in orphans:
        orphan.send_signal(signal.SIGCONT)
    assert process.wait() == 0, project.said()
    wait_for_end(orphans)
    check_finished(project, finished)


def test_a_second_snakemake_stops_and_the_first_goes_on(tmp_path, finished):
    project = unmeasured(finished, tmp_path)
    first = project.start("snakemake", "--cores", "2")
    wait_for(lambda: list(project.folder.glob(".snakemake/locks/*")), first, pause=0.01)
    second = project.run("snakemake", "--cores", "2")
    assert second.returncode != 0
    assert "LockException" in second.stderr
    assert first.wait() == 0, project.said()
    check_finished(project, finished)


def test_a_study_on_a_read_only_disk_and_on_a_full_one(root, tmp_path, finished, small_disk):
    project = Project(root, tmp_path)
    small = small_disk(project.folder / "results", "400k")
    small.remount("ro")
    refused = project.run("snakemake", "--cores", "2")
    assert refused.returncode != 0
    assert "results/default: the results cannot be written: Read-only file system" in refused.stderr
    small.remount("rw")
    full = project.run("snakemake", "--cores", "2")
    assert full.returncode != 0
    assert "No space left on device; what was finished before is kept" in full.stderr
    small.remount("size=100m")
    project.snakemake()
    check_finished(project, finished)


def damage(path, column=None):
    """Flip one byte in the middle of a file, or in the values of a column of a table."""
    place = path.stat().st_size // 2
    if column:
        group = pq.ParquetFile(path).metadata.row_group(0)
        found = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == column)
        place = found.data_page_offset + found.total_compressed_size // 2
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def refused(project, **logs):
    """Run a study that must fail, each of these rules' jobs with one line in its log that is told on stderr as well."""
    done = project.run("snakemake", "--cores", "2")
    assert done.returncode != 0
    for rule, (job, line) in logs.items():
        (said,) = project.result(f"logs/{rule}{job}.log").read_text().splitlines()
        assert line in said
        assert said in done.stderr


def test_damaged_files_in_the_middle_of_a_study_are_one_line_each(tmp_path, finished):
    project = Copy(finished, tmp_path)
    result = project.result
    listing = result("sources/mini_knowledge/SOURCES.json")
    next(path for path in listing.parent.rglob("*.jsonl")).unlink()
    result("data/mini_knowledge.parquet").unlink()
    damage(result("models/tiny-llama/model.safetensors"))
    for path in result("shards/tiny-llama").glob("mini_math.*"):
        path.unlink()
    damage(result("data/mini_math.pool.parquet"), "output")
    refused(
        project,
        build_task=(
            "/mini_knowledge",
            f"gone or changed since it was fetched; remove {listing.relative_to(project.folder)}",
        ),
        extract_gradients=("/tiny-llama/mini_math.1", "its weights are not those that"),
        audit_task=("/tiny-llama/mini_math", "mini_math.pool.parquet: cannot be read as Parquet"),
    )
    for path in (listing, result("models/tiny-llama/card.json"), result("data/mini_math.pool.parquet")):
        path.unlink()
    project.snakemake()
    check_finished(project, finished)


def test_a_damaged_table_of_statistics_is_one_line(tmp_path, finished):
    project = Copy(finished, tmp_path)
    curves = project.result("statistics/tiny-llama/mini_math/curves.parquet")
    damage(curves, "mean")
    refused(project, collect_statistics=("", "curves.parquet: cannot be read as Parquet"))
    curves.unlink()
    project.snakemake()
    check_finished(project, finished)


def test_a_vanished_source_of_a_study_is_named_where_it_is_needed(tmp_path, finished):
    project = Copy(finished, tmp_path)
    source = project.folder / "tests/data/mini_math.jsonl"
    source.rename(tmp_path / "away")
    check_finished(project, finished)  # its copy among the results is enough
    for gone in ("sources/mini_math", "data"):
        shutil.rmtree(project.result(gone))
    done = project.run("snakemake", "--cores", "2")
    assert done.returncode != 0
    assert "Missing input files" in done.stderr
    assert "tests/data/mini_math.jsonl" in done.stderr
    (tmp_path / "away").rename(source)
    project.snakemake()
    check_finished(project, finished)
