"""Small disks for the tests of what happens when one is full or read-only: permissions do not stop root."""

import shutil
import subprocess

import pytest


class Disk:
    """A disk of a few kilobytes at a new folder; where none can be mounted, the test is skipped."""

    def __init__(self, folder, size):
        folder.mkdir(parents=True)
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "layergrad-test", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a small disk cannot be mounted here (it takes root on Linux)")

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def unmount(self):
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
