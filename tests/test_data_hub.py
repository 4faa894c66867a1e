"""Data sets from the hub: asked of a small server that answers as the hub does, of nobody, and of the hub's cache."""

import hashlib
import json
import os
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pandas as pd
import pytest
from local_server import Quiet, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "somebody/sums"
SUMS = pd.DataFrame({"question": ["1 + 1", "2 + 2"], "answer": ["2", "4"]})
CARD = b"""---
configs:
- config_name: main
  data_files:
  - {split: train, path: main/train-*}
  - {split: test, path: main/test-*}
---
"""
FILES = {
    "README.md": CARD,
    "main/train-00000-of-00002.parquet": SUMS[:1].to_parquet(),
    "main/train-00001-of-00002.parquet": SUMS[1:].to_parquet(),
    "main/test-00000-of-00001.parquet": SUMS[:1].to_parquet(),
}
# The rule's script, as Snakemake calls it, for a source and a folder.
RUN = """
import json, runpy, sys
from types import SimpleNamespace

root, folder, source = sys.argv[1:]
rule = SimpleNamespace(
    rule="fetch_sources", log=[], output=[f"{folder}/SOURCES.json"],
    params=SimpleNamespace(sources={"original": json.loads(source)}),
)
runpy.run_path(f"{root}/scripts/fetch_sources.py", {"snakemake": rule})
"""


class Hub(Quiet):
    """One repository at one commit: what it is, which files it has, and the files."""

    def answer(self):
        """Answer by the path of the request."""
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        if path == f"/api/datasets/{NAME}/revision/{COMMIT}":
            return self.give(json.dumps({"id": NAME, "sha": COMMIT}).encode())
        if path == f"/api/datasets/{NAME}/tree/{COMMIT}":
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in FILES.items()
            ]
            return self.give(json.dumps(listed).encode())
        name = path.removeprefix(f"/datasets/{NAME}/resolve/{COMMIT}/")
        return self.give(FILES[name]) if name in FILES else self.give(b"", 404)

    do_GET = do_HEAD = answer

    def give(self, content, status=200):
        """Send it with the headers that the hub gives; a HEAD asks for these alone."""
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub():
    """A server on this machine."""
    with serving(Hub) as server:
        yield server


@pytest.fixture
def fetched(tmp_path, root):
    """Fetch a source in a process of its own, with a cache of the test's own: how it ended, and the seconds it took."""

    def fetch(folder, port, offline="0", **source):
        environment = {
            "HF_ENDPOINT": f"http://127.0.0.1:{port}",
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": offline,
            "NO_PROXY": "127.0.0.1",
        }
        given = {"hub": NAME, "revision": COMMIT, "subset": "main"} | source
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(root), str(tmp_path / folder), json.dumps(given)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        return done, time.monotonic() - started

    return fetch


def rows(folder):
    """What was fetched."""
    return pd.read_parquet(folder / "original/rows.parquet")


def test_a_split_is_fetched_whole_and_the_cache_serves_the_next(hub, fetched, tmp_path):
    done, _ = fetched("train", hub.server_port)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(rows(tmp_path / "train"), SUMS)
    assert sorted(path.name for path in (tmp_path / "train/original").iterdir()) == ["rows.parquet"]
    (entry,) = json.loads((tmp_path / "train/SOURCES.json").read_text())["original"]
    assert (entry["hub"], entry["revision"]) == (NAME, COMMIT)
    asked = len([path for path in hub.asked if "/resolve/" in path])
    assert asked
    done, _ = fetched("test", hub.server_port, split="test")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(rows(tmp_path / "test"), SUMS[:1])
    assert len([path for path in hub.asked if "/resolve/" in path]) == asked
    for folder, offline in (("again", "0"), ("offline", "1")):  # nothing answers at this port, and nobody is asked
        done, _ = fetched(folder, 9, offline)
        assert done.returncode == 0, done.stderr
        pd.testing.assert_frame_equal(rows(tmp_path / folder), SUMS)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"hub": "somebody/nothing"}, "404 Client Error"),
        ({"subset": "nowhere"}, "BuilderConfig 'nowhere' not found"),
        ({"split": "nowhere"}, 'Unknown split "nowhere"'),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(hub, fetched, tmp_path, source, reason):
    done, _ = fetched("new", hub.server_port, **source)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"source hub {source.get('hub', NAME)}, subset" in line
    assert reason in line
    assert not (tmp_path / "new").exists() or not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize(("offline", "reason"), [("0", "Connection refused"), ("1", "offline mode is enabled")])
def test_a_hub_out_of_reach_is_told_in_one_line_and_soon(fetched, tmp_path, offline, reason):
    """Nothing answers at this port."""
    done, seconds = fetched("new", 9, offline)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"source hub {NAME}, subset main, split train, revision {COMMIT}: cannot be loaded from" in line
    assert reason in line
    assert line.endswith("check the network or HF_ENDPOINT, or download it by hand and name it as a file source")
    assert seconds < 20  # the libraries are loaded too; by itself the hub's library would ask for 23 seconds more
    assert not list(tmp_path.rglob("*rows*"))
    assert not list((tmp_path / "new").iterdir())
