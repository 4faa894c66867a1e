"""A command that is killed, out of disk, without its files or started twice: one line, nothing lost, the same bytes."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from project import wait_for
from row_files import write_rows

from layergrad.cli import main
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import file_sha256
from layergrad.contracts.locks import only_writer
from layergrad.contracts.runs import TOKEN, begin_run
from layergrad.gradients.parts import Parts

TABLES = ("g.parquet", "g.samples.parquet")


class Extract:
    """``layergrad extract`` of rows that make a batch each, with its tables in a folder ``out``."""

    def __init__(self, root, model, folder, batches):
        self.root = root
        self.said = folder / "said.txt"
        self.out = folder / "out"
        self.data = write_rows(folder / "mine.jsonl", [row(n) for n in range(batches)])
        self.options = ["--model", str(model), "--data", str(self.data)]

    def main(self, *options):
        """Run it in this process; its exit code."""
        return main(["extract", *self.options, "--out", str(self.out / "g"), *options])

    def start(self, code=None):
        """Start the command, of the code in a folder if it is not this project's; what it says goes to a file."""
        command = [sys.executable, "-m", "layergrad.cli", "extract", *self.options, "--out", str(self.out / "g")]
        with self.said.open("w") as said:
            return subprocess.Popen(command, cwd=code or self.root, stdout=said, stderr=said)

    def finish(self):
        """Run the command to its end."""
        assert self.start().wait() == 0, self.said.read_text()

    def parts(self):
        """The finished batches, by name, and when each was written."""
        found = {}
        for path in self.out.glob("g.parts/*/batch-*.parquet"):
            with contextlib.suppress(FileNotFoundError):  # the job has just ended
                found[path.name] = path.stat().st_mtime_ns
        return found

    def kill_at(self, count, delay=0.0):
        """Start the command and kill it when it has so many finished batches, or seconds later."""
        process = self.start()
        wait_for(lambda: len(self.parts()) >= count, process, pause=0.001)
        time.sleep(delay)
        process.kill()
        assert process.wait() == -signal.SIGKILL, self.said.read_text()

    def tables(self):
        """Checksums of the tables, beside which nothing else is left."""
        assert {path.name for path in self.out.rglob("*")} == set(TABLES)
        return {name: file_sha256(self.out / name) for name in TABLES}


def row(number):
    pens = f"{number} pens and {number + 1} pens and {number**2} pens. "
    return {"instruction": f"How many pens are {number} times {number}?", "output": pens * 8}


@pytest.fixture(scope="module", autouse=True)
def one_core():
    """One thread for each run: where other work keeps the cores busy, two wait for each other most of the time."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module")
def undisturbed(one_core, root, tiny_model_folder, tmp_path_factory):
    """The checksums of the tables of a long run that nothing happened to."""
    job = Extract(root, tiny_model_folder, tmp_path_factory.mktemp("undisturbed"), batches=24)
    assert job.main() == 0
    return job.tables()


@pytest.fixture
def long_job(root, tiny_model_folder, tmp_path):
    return Extract(root, tiny_model_folder, tmp_path, batches=24)


@pytest.fixture
def short_job(root, tiny_model_folder, tmp_path):
    return Extract(root, tiny_model_folder, tmp_path, batches=6)


def one_line(capsys):
    """What a command that ended with 2 said of it."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    (line,) = [line for line in error.splitlines() if line.startswith("layergrad ")]
    return line


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_five_kills_at_random_moments_lose_no_finished_batch(long_job, undisturbed, seed):
    moments = random.Random(seed)
    kept = {}
    for count in sorted(moments.sample(range(1, 22), 5)):
        long_job.kill_at(max(count, len(kept) + 1), delay=moments.uniform(0, 0.05))
        parts = long_job.parts()
        assert {name: parts.get(name) for name in kept} == kept, "a finished batch was lost or measured again"
        kept = parts
    long_job.finish()
    assert long_job.tables() == undisturbed


@pytest.mark.slow
def test_kills_while_the_tables_are_written(long_job, undisturbed):
    for moment in (".g.parquet.*", "g.parquet", ".g.samples.parquet.*", "g.samples.parquet"):
        process = long_job.start()
        while not list(long_job.out.glob(moment)) and process.poll() is None:
            time.sleep(0.0001)
        process.kill()
        process.wait()
    long_job.finish()
    assert long_job.tables() == undisturbed


@pytest.mark.slow
def test_parts_of_older_code_are_never_used(long_job, undisturbed, root, tmp_path):
    shutil.copytree(root / "layergrad", tmp_path / "layergrad")
    with (tmp_path / "layergrad/gradients/batches.py").open("a") as file:
        file.write("\n\nnow = batch_table\n\n\ndef batch_table(*given):\n    return now(*given).assign(loss=0.0)\n")
    process = long_job.start(code=tmp_path)
    wait_for(lambda: len(long_job.parts()) >= 3, process, pause=0.001)
    process.kill()
    process.wait()
    older = next(long_job.out.glob("g.parts/*/batch-*.parquet"))
    assert (pd.read_parquet(older)["loss"] == 0).all()
    long_job.finish()
    assert long_job.tables() == undisturbed


def test_a_part_under_the_name_of_another_fingerprint_is_not_used(tmp_path):
    frame = pd.DataFrame({"loss": [1.0]})
    ours, foreign = Parts(tmp_path / "ours", {"code": "new"}), Parts(tmp_path / "foreign", {"code": "old"})
    foreign.save(0, frame)
    assert foreign.load(0).equals(frame)
    shutil.copytree(foreign.folder, ours.folder)
    assert ours.load(0) is None
    ours.save(0, frame)
    assert ours.load(0).equals(frame)


def test_shards_of_which_some_tables_are_new_and_some_old_are_not_merged(short_job, capsys):
    """As a kill between the tables leaves them, with other settings than before."""
    for shard in ("1/2", "2/2"):
        assert short_job.main("--shard", shard) == 0
    samples = short_job.out / "g.shard-2-of-2.samples.parquet"
    old = samples.read_bytes()
    assert short_job.main("--shard", "2/2", "--max-length", "60") == 0
    samples.write_bytes(old)
    capsys.readouterr()
    assert main(["merge", str(short_job.out / "g")]) == 2
    assert "g.shard-2-of-2.parquet: made from another model, samples, settings" in one_line(capsys)


@pytest.mark.parametrize("command", ["extract", "score", "merge"])
def test_a_second_run_of_the_same_output_is_refused(short_job, capsys, command):
    out = short_job.out / "g"
    arguments, prefix = {
        "extract": ([*short_job.options, "--out", str(out)], out),
        "score": ([str(short_job.data), *short_job.options[:2]], short_job.data.with_name("mine.scored.gradients")),
        "merge": ([str(out)], out),
    }[command]
    with only_writer(prefix):
        assert main([command, *arguments]) == 2
        assert one_line(capsys).startswith(f"layergrad {command}: {prefix}: another run is writing it")
    assert not list(prefix.parent.glob("*.parquet"))


@pytest.mark.slow
def test_a_run_that_is_at_work_is_not_disturbed_by_a_second_one(long_job, undisturbed, capsys):
    process = long_job.start()
    wait_for(long_job.parts, process, pause=0.001)
    process.send_signal(signal.SIGSTOP)
    try:
        before = long_job.parts()
        assert long_job.main() == 2
        assert "g: another run is writing it" in one_line(capsys)
        assert long_job.parts() == before
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.wait() == 0
    assert long_job.tables() == undisturbed


JOB = """
import sys, time
from layergrad.contracts.files import write_text
from layergrad.contracts.locks import only_writer
with only_writer("job", wait=True):
    for batch in range(3):
        write_text("table.txt", sys.argv[1])
        open("at-work", "a").close()
        time.sleep(float(sys.argv[2]))
"""


def test_a_job_waits_for_that_of_a_killed_run_which_writes_nothing_any_more(root, tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, "")
    monkeypatch.setenv("PYTHONPATH", str(root))

    def start(text, pause):
        begin_run(tmp_path / "run")
        command = [sys.executable, "-c", JOB, text, str(pause)]
        return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    old = start("old", 0.2)
    wait_for((tmp_path / "at-work").exists, old, pause=0.01)
    old.send_signal(signal.SIGSTOP)
    new = start("new", 0)
    assert new.stderr.readline() == "job: waiting for a job of an earlier run, which is still at work\n"
    assert (tmp_path / "table.txt").read_text() == "old"
    old.send_signal(signal.SIGCONT)
    assert new.wait() == 0
    assert "a newer run of this study has begun" in old.communicate()[1]
    assert (tmp_path / "table.txt").read_text() == "new"
    assert not (tmp_path / "job.lock").exists()


def test_a_lock_makes_no_folder_and_is_gone_afterwards(tmp_path):
    for _ in range(2):
        with only_writer(tmp_path / "new/folder/g"):
            assert (tmp_path / "new/folder/g.lock").exists()
        assert not list(tmp_path.iterdir())


def test_a_folder_without_permission_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match="g: cannot be written: Permission denied"), only_writer(tmp_path / "g"):
            pass
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o700)


def test_a_full_disk_and_a_read_only_one(short_job, tmp_path, capsys, small_disk):
    assert short_job.main() == 0
    undisturbed = short_job.tables()
    short_job.out = tmp_path / "small"
    small = small_disk(short_job.out, "64k")
    capsys.readouterr()
    assert short_job.main() == 2
    assert one_line(capsys).endswith("No space left on device; what was finished before is kept")
    kept = short_job.parts()
    assert 0 < len(kept) < 6
    small.remount("ro")
    assert short_job.main() == 2
    assert one_line(capsys).endswith("small/g: cannot be written: Read-only file system")
    assert short_job.parts() == kept
    small.remount("rw,size=1m")
    assert short_job.main() == 0
    assert short_job.tables() == undisturbed


@pytest.mark.slow
def test_files_that_vanish_or_break_while_a_run_is_down(long_job, undisturbed, tiny_model_folder, capsys):
    long_job.kill_at(3)
    kept = long_job.parts()
    weights = tiny_model_folder / "model.safetensors"
    for path, broken, line in (
        (long_job.data, None, "mine.jsonl: there is no such file"),
        (weights, b"torn", f"{tiny_model_folder}: no model can be loaded"),
    ):
        whole = path.read_bytes()
        path.unlink() if broken is None else path.write_bytes(broken)
        try:
            assert long_job.main() == 2
            assert line in one_line(capsys)
            assert long_job.parts() == kept
        finally:
            path.write_bytes(whole)
    long_job.finish()
    assert long_job.tables() == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("change", ["gone", "changed"])
def test_rows_that_change_while_they_are_scored_get_no_scores_of_others(root, long_job, change):
    command = [sys.executable, "-m", "layergrad.cli", "score", str(long_job.data), *long_job.options[:2]]
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(long_job.data.parent.glob("*.parts/*/batch-*")), process, pause=0.001)
    before = long_job.data.read_bytes()
    long_job.data.unlink()
    if change == "changed":
        long_job.data.write_bytes(b"".join(reversed(before.splitlines(keepends=True))))
    _, said = process.communicate()
    assert process.returncode == 2
    assert said.splitlines()[-1].endswith(
        "mine.jsonl: gone or changed while it was measured; what is measured is kept: run again"
    )
    long_job.data.write_bytes(before)
    for more in ([], ["--out", str(long_job.data.with_name("fresh.jsonl"))]):
        assert main([*command[3:], *more]) == 0
    scored, fresh = (long_job.data.with_name(name) for name in ("mine.scored.jsonl", "fresh.jsonl"))
    assert scored.read_bytes() == fresh.read_bytes()
