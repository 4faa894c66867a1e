"""The miniature study on a real SLURM through its profile: bytes, retries, limits, cancelled and killed runs."""

import signal

import pytest
from project import RESULTS, Project, wait_for
from slurm.one_node import OneNode, missing_programs

from layergrad.contracts.files import file_sha256, read_json
from layergrad.contracts.tables import read_facts

pytestmark = pytest.mark.slow

PROFILE = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2")
PHASES = ("data", "gradients", "statistics", "figures", "tables", "report")
MATH = "gradients/tiny-llama/mini_math.parquet"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A SLURM of one node with two cores and something that looks like a GPU."""
    missing = missing_programs()
    if missing:
        pytest.skip(f"SLURM cannot be installed here (apt-get install slurm-wlm munge): no {', '.join(missing)}")
    node = OneNode(tmp_path_factory.mktemp("slurm") / "node", cores=2)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def local(root, tmp_path_factory):
    """The study as it comes out without SLURM."""
    project = Project(root, tmp_path_factory.mktemp("local"))
    project.snakemake()
    return project


@pytest.fixture(scope="module")
def cluster(root, tmp_path_factory, slurm):
    """The study as it comes out of SLURM."""
    project = Project(root, tmp_path_factory.mktemp("cluster"), **slurm.environment)
    submit(project)
    project.first_jobs = slurm.jobs("all")
    return project


def submit(project, *arguments):
    """Run on SLURM; it must succeed."""
    done = project.run("snakemake", *PROFILE, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


def ids(slurm, rule, states, after=0):
    """Ids of a rule's jobs in these states, those submitted after the job of an id."""
    found = [int(job) for job, _, comment in slurm.jobs(states) if comment.startswith(f"rule_{rule}_")]
    return sorted(job for job in found if job > after)


def last(slurm):
    """The id of the job that was submitted last."""
    return max(int(job) for job, _, _ in slurm.jobs("all"))


def described(slurm, job):
    """What SLURM knows of a job."""
    text = slurm.run("scontrol", "show", "job", str(job))
    return dict(pair.split("=", 1) for pair in text.split() if "=" in pair)


def batches(tokens):
    """Arguments for gradients in other batches, which only the gradient jobs have to do with."""
    return ("gradients", "--config", f"gradients={{batch_tokens: {tokens}}}")


def test_a_study_through_slurm_has_the_bytes_of_a_local_run(cluster, local):
    for phase in PHASES:
        name = f"{phase}/MANIFEST.json"
        assert read_json(cluster.result(name)) == read_json(local.result(name)), phase


def test_every_job_went_through_slurm_once_and_one_run_was_noted(cluster, root):
    rules = {path.stem for path in (root / "scripts").glob("*.py")}
    assert {state for _, state, _ in cluster.first_jobs} == {"COMPLETED"}
    submitted = [comment.removeprefix("rule_").partition("_wildcards_")[0] for _, _, comment in cluster.first_jobs]
    assert set(submitted) <= rules
    assert submitted.count("extract_gradients") == 2 * 2
    assert submitted.count("merge_gradients") == 2
    assert len(list(cluster.result("provenance").iterdir())) == 1
    assert "Nothing to be done" in submit(cluster)


def test_a_job_over_its_memory_limit_is_tried_again_with_more_of_all(cluster, slurm):
    cluster.change("config/models/tiny-llama.yaml", "memory_mb: 800", "memory_mb: 400\ngpus: 1")
    before = last(slurm)
    shard = f"{RESULTS}/shards/tiny-llama/mini_math.shard-1-of-2.parquet"
    try:
        submit(cluster, shard, *batches(50)[1:])
    finally:
        cluster.change("config/models/tiny-llama.yaml", "memory_mb: 400\ngpus: 1", "memory_mb: 800")
    first, *more = [described(slurm, job) for job in ids(slurm, "extract_gradients", "all", before)]
    assert first["JobState"] != "COMPLETED"
    assert (first["MinMemoryNode"], first["TimeLimit"]) == ("400M", "00:10:00")
    assert (more[0]["MinMemoryNode"], more[0]["TimeLimit"]) == ("800M", "00:20:00")
    assert more[-1]["JobState"] == "COMPLETED"
    assert {job["TresPerJob"] for job in (first, *more)} == {"gres:gpu:1"}
    assert any("exceeded memory limit" in path.read_text() for path in slurm_logs(cluster))
    assert read_facts(cluster.folder / shard)["settings"]["batch_tokens"] == 50


def slurm_logs(project):
    """What SLURM's own logs keep of failed jobs."""
    return list((project.folder / ".snakemake/slurm_logs").rglob("*.log"))


def test_a_failed_job_does_not_stop_the_others(cluster, slurm):
    cluster.change("config/tasks/mini_knowledge.yaml", "tests/data/mini_knowledge.jsonl", "tests/data/broken.jsonl")
    (cluster.folder / "tests/data/broken.jsonl").write_text('{"torn')
    try:
        before = last(slurm)
        done = cluster.run("snakemake", *PROFILE, "--retries", "1", *batches(55))
        assert done.returncode != 0
        assert [described(slurm, job)["JobState"] for job in ids(slurm, "build_task", "all", before)] == ["FAILED"] * 2
        assert "broken.jsonl" in cluster.result("logs/build_task/mini_knowledge.log").read_text()
        assert read_facts(cluster.result(MATH))["settings"]["batch_tokens"] == 55
    finally:
        cluster.change("config/tasks/mini_knowledge.yaml", "tests/data/broken.jsonl", "tests/data/mini_knowledge.jsonl")


def test_a_job_that_fails_once_and_one_that_is_cancelled_are_tried_again(cluster, local, slurm):
    before = last(slurm)
    weights = cluster.result("models/tiny-llama/model.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    process = cluster.start("snakemake", *PROFILE, *batches(60))
    wait_for(lambda: ids(slurm, "extract_gradients", "FAILED", before), process)
    weights.write_bytes(whole)
    cancelled = wait_for(lambda: ids(slurm, "extract_gradients", "RUNNING", before), process)[0]
    slurm.run("scancel", str(cancelled))
    assert process.wait() == 0, cluster.said()
    wait_for(lambda: described(slurm, cancelled)["JobState"] in ("CANCELLED", "FAILED"))
    local.snakemake(*batches(60))
    assert file_sha256(cluster.result(MATH)) == file_sha256(local.result(MATH))


def test_a_cancelled_submission_is_picked_up_again(cluster, local, slurm):
    before = last(slurm)
    process = cluster.start("snakemake", *PROFILE, *batches(65))
    wait_for(lambda: ids(slurm, "extract_gradients", "RUNNING", before), process)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    wait_for(lambda: not slurm.jobs("PENDING,RUNNING"))
    submit(cluster, *batches(65))
    local.snakemake(*batches(65))
    assert file_sha256(cluster.result(MATH)) == file_sha256(local.result(MATH))


def test_jobs_of_a_killed_run_write_nothing_into_the_next_one(cluster, local, slurm):
    before = last(slurm)
    process = cluster.start("snakemake", *PROFILE, *batches(70))
    wait_for(lambda: ids(slurm, "extract_gradients", "RUNNING", before), process)
    waiting = wait_for(lambda: ids(slurm, "extract_gradients", "PENDING", before), process)
    slurm.run("scontrol", "hold", *map(str, waiting))
    process.kill()
    process.wait()
    cluster.snakemake("--unlock")
    submit(cluster, *batches(75))
    local.snakemake(*batches(75))
    kept = {path: file_sha256(path) for path in cluster.result("gradients").rglob("*.*")}
    assert kept[cluster.result(MATH)] == file_sha256(local.result(MATH))
    shards = {path: file_sha256(path) for path in cluster.result("shards").rglob("*.parquet")}
    slurm.run("scontrol", "release", *map(str, waiting))
    wait_for(lambda: not slurm.jobs("PENDING,RUNNING"))
    assert {described(slurm, job)["JobState"] for job in waiting} == {"FAILED"}
    assert any("a newer run of this study has begun" in path.read_text() for path in slurm_logs(cluster))
    assert {path: file_sha256(path) for path in cluster.result("gradients").rglob("*.*")} == kept
    assert {path: file_sha256(path) for path in cluster.result("shards").rglob("*.parquet")} == shards
    assert "Nothing to be done" in submit(cluster, *batches(75))
