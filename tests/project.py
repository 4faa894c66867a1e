"""A copy of the project for tests that run its commands."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "results", ".snakemake", "__pycache__", ".*_cache", "*.egg-info", "tmp"
)
RESULTS = "results/default"


def wait_for(condition, process=None, seconds=600, pause=0.2):
    """Wait until something is true, and give it back; a process meanwhile must not end."""
    began = time.monotonic()
    while not (value := condition()):
        assert process is None or process.poll() is None, "it ended too early"
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(pause)
    return value


def wait_for_end(processes):
    """Wait until all of the processes have ended."""
    wait_for(lambda: all(map(_ended, processes)))


def _ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # ended, but nobody has asked how
    except psutil.NoSuchProcess:
        return True


def _can_be_interrupted():
    """Tests in the background of a shell ignore SIGINT, and what they start would as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Project:
    """A copy of the project whose default study is the miniature one."""

    def __init__(self, source: Path, folder: Path, **environment: str) -> None:
        self.folder = folder / "project"
        self.environment = environment
        shutil.copytree(source, self.folder, ignore=LEFT_OUT)
        study = (self.folder / "config/test.yaml").read_text().replace("name: test", "name: default")
        (self.folder / "config/config.yaml").write_text(study)
        self.run("git", "init", "-q")

    def run(self, *command):
        """Run a command of the environment in the project; its output and exit code."""
        return subprocess.run(command, **self.place(), capture_output=True, text=True)

    def start(self, *command):
        """The same without waiting for its end; what it says goes to a file."""
        with (self.folder / "said.txt").open("w") as said:
            return subprocess.Popen(command, **self.place(), stdout=said, stderr=said, preexec_fn=_can_be_interrupted)

    def kill(self, process, jobs=None):
        """Kill a command that was started and give the processes that it leaves behind, to which a signal may go."""
        process.send_signal(signal.SIGSTOP)  # it starts no more of them
        left = psutil.Process(process.pid).children(recursive=True)
        for job in left if jobs else ():
            job.send_signal(jobs)
        process.kill()
        assert process.wait() == -signal.SIGKILL, self.said()
        return left

    def said(self):
        """What the command that was started last has said so far."""
        return (self.folder / "said.txt").read_text()

    def place(self):
        """Folder and environment of every command."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.environment.get('PATH', os.environ['PATH'])}"
        return {"cwd": self.folder, "env": os.environ | self.environment | {"PATH": path}}

    def snakemake(self, *arguments):
        """Run snakemake, which must succeed."""
        done = self.run("snakemake", "--cores", "2", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr + done.stdout

    def pending(self):
        """Outputs that a run would make, below the results folder."""
        summary = self.snakemake("--summary")
        rows = [line.split("\t") for line in summary.splitlines() if line.startswith(f"{RESULTS}/")]
        return {row[0].removeprefix(f"{RESULTS}/") for row in rows if row[-1] == "update pending"}

    def change(self, file, text, new):
        """Replace a text in a file of the project."""
        path = self.folder / file
        content = path.read_text()
        assert text in content
        path.write_text(content.replace(text, new))

    def result(self, name):
        """A file of the results."""
        return self.folder / RESULTS / name


class Copy(Project):
    """A copy of a project with its results and all that Snakemake knows of them."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.folder = folder / "project"
        self.environment = project.environment
        shutil.copytree(project.folder, self.folder)
