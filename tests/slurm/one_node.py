"""A real SLURM on this machine alone, started by hand in a folder: munge, slurmctld, slurmd."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"


def missing_programs():
    """Which of SLURM's programs are not there, once it has been tried to install them."""
    if _missing() and os.getuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update"], **quiet)
        packages = ["slurm-wlm", "munge"]
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], env=environment, **quiet)
    return _missing()


def _missing():
    return [program for program in PROGRAMS if not shutil.which(program, path=PATH)]


class OneNode:
    """SLURM whose configuration, key, state and logs lie in one folder, so that nothing else on the machine changes."""

    def __init__(self, folder: Path, cores: int) -> None:
        self.folder = folder
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder}/bin{os.pathsep}{PATH}",
        }
        self.host = socket.gethostname().partition(".")[0]
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir(parents=True)
        values = {
            "folder": folder,
            "host": self.host,
            "user": getpass.getuser(),
            "cores": cores,
            "memory_mb": int(psutil.virtual_memory().total / 2**20 * 0.9),
            "controller_port": _free_port(),
            "worker_port": _free_port(),
        }
        template = (Path(__file__).parent / "slurm.conf.in").read_text()
        (folder / "slurm.conf").write_text(template.format(**values))
        (folder / "gres.conf").write_text(f"NodeName={self.host} Name=gpu Type=test File=/dev/null\n")
        self._tell_srun_where()

    def _tell_srun_where(self):
        """Snakemake's executor strips SLURM_CONF inside a job; a cluster has its configuration at the usual place."""
        srun = self.folder / "bin/srun"
        config, program = self.environment["SLURM_CONF"], shutil.which("srun", path=PATH)
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={config} exec {program} "$@"\n')
        srun.chmod(0o755)

    def start(self):
        """Start the three daemons and wait until the node takes jobs."""
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = {"key-file": key.name, "socket": "munge.socket", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "munged.seed"}
        self.run("munged", "--force", *(f"--{option}={self.folder / name}" for option, name in files.items()))
        self.run("slurmctld")
        self._wait("ping", lambda: "is UP" in self.run("scontrol", "ping", check=False))
        self.run("slurmd", "-N", self.host)
        self._wait("sinfo", lambda: set(self.run("sinfo", "-h", "-o", "%t", check=False).split()) == {"idle"})

    def stop(self):
        """Cancel every job and end the daemons."""
        self.run("scancel", "--user", getpass.getuser(), check=False)
        self._wait("jobs to end", lambda: not self.jobs("PENDING,RUNNING,COMPLETING"))
        for name in ("slurmd", "slurmctld", "munged"):
            pid = self.folder / f"{name}.pid"
            if pid.exists():
                os.kill(int(pid.read_text()), 15)

    def jobs(self, states):
        """Jobs in these states: their id, state and comment, in which the executor writes rule and wildcards."""
        lines = self.run("squeue", "-h", "-t", states, "-o", "%i|%T|%k").splitlines()
        return [tuple(line.split("|")) for line in lines]

    def run(self, *command, check=True):
        """Run one of SLURM's programs; what it says."""
        program = shutil.which(command[0], path=self.environment["PATH"])
        done = subprocess.run(
            [program, *command[1:]], env=os.environ | self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def _wait(self, what, condition):
        for _ in range(300):
            if condition():
                return
            time.sleep(0.1)
        logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))
        raise TimeoutError(f"SLURM: waited in vain for {what}\n{logs}")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
