"""All that needs a network comes first: a study of a model on the hub goes on where there is no network any more."""

import hashlib
import http.server
import json
import threading

import pytest
from project import RESULTS, Project

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "somebody/tiny"
MODEL = f"""\
title: Tiny Llama of a hub
source:
  hub: {REPOSITORY}
  revision: {COMMIT}
licence: none
memory_mb: 800
seconds_per_1000_tokens: 1
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """One repository, as the hub serves it: a list of its files, and each of them with its commit and checksum."""

    def do_HEAD(self):
        """Headers of a file."""
        self.answer(body=False)

    def do_GET(self):
        """A file, or the list."""
        self.answer(body=True)

    def answer(self, body):
        """What there is at the path."""
        files = {path.name: path for path in self.server.folder.iterdir()}
        name = self.path.partition("?")[0].rpartition("/")[2]
        headers = {"X-Repo-Commit": COMMIT}
        if self.path.startswith(f"/api/models/{REPOSITORY}/tree/{COMMIT}?"):
            content = json.dumps(
                [
                    {"type": "file", "path": name, "size": path.stat().st_size, "oid": COMMIT}
                    for name, path in files.items()
                    if name not in self.server.hidden
                ]
            ).encode()
        elif "/resolve/" in self.path and name in files:
            content = files[name].read_bytes()
            headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        """Keep the output of the tests clean."""


@pytest.fixture
def hub(tiny_model_folder):
    """A server on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.hidden = tiny_model_folder, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def study_of_the_hub(root, hub, folder):
    """A project whose study has a model on the hub too."""
    project = Project(root, folder, HF_HOME=str(folder / "cache"), NO_PROXY="127.0.0.1", HF_HUB_OFFLINE="0")
    project.environment["HF_ENDPOINT"] = f"http://127.0.0.1:{hub.server_port}"
    (project.folder / "config/models/hub.yaml").write_text(MODEL)
    project.change("config/config.yaml", "models: [tiny-llama]", "models: [tiny-llama, hub]")
    return project


@pytest.mark.slow
def test_after_prefetch_a_study_needs_no_network(root, hub, tmp_path):
    project = study_of_the_hub(root, hub, tmp_path)
    project.snakemake("prefetch")
    listed = json.loads(project.result("weights/hub.json").read_text())
    assert listed["model.safetensors"] == (hub.folder / "model.safetensors").stat().st_size
    assert json.loads(project.result("weights/tiny-llama.json").read_text()) == {}
    assert project.result("sources/mini_math/SOURCES.json").is_file()
    hub.shutdown()
    hub.server_close()
    project.environment["HF_HUB_OFFLINE"] = "1"
    project.snakemake(f"{RESULTS}/shards/hub/mini_math.shard-1-of-2.parquet")


@pytest.mark.slow
def test_weights_that_cannot_be_had_are_told(root, hub, tmp_path):
    project = study_of_the_hub(root, hub, tmp_path)
    hub.hidden = ["model.safetensors"]
    listing, log = project.result("weights/hub.json"), project.result("logs/fetch_weights/hub.log")
    assert project.run("snakemake", "--cores", "1", str(listing.relative_to(project.folder))).returncode != 0
    assert (
        log.read_text()
        .splitlines()[-1]
        .endswith("somebody/tiny: model.safetensors could not be downloaded, or the repository has none")
    )
    hub.shutdown()
    hub.server_close()
    project.environment["HF_HOME"] = str(tmp_path / "another")
    assert project.run("snakemake", "--cores", "1", str(listing.relative_to(project.folder))).returncode != 0
    assert "somebody/tiny: its weights cannot be downloaded: " in log.read_text().splitlines()[-1]
    assert not listing.exists()
