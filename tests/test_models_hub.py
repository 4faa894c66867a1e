"""Models that the hub gives to nobody but those it knows, asked of a small server that answers as the hub does."""

import json
import os
import subprocess
import sys

import pytest
from local_server import Quiet, serving

GATED, ABSENT = "somebody/gated-1b", "somebody/no-such-model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# By the token, what the hub says: status, error code, message. The fine-grained token may not read gated repositories.
ANSWERS = {
    None: (401, "GatedRepo", f"Access to model {GATED} is restricted. You must have access to it and be authenticated"),
    "hf_notOnTheList": (403, "GatedRepo", f"Access to model {GATED} is restricted and you are not in the list"),
    "hf_fineGrained": (403, None, "Please enable access to public gated repositories in your token settings"),
    "hf_noSuchToken": (401, None, "Invalid credentials in Authorization header"),
}
# A study prepares its models, and the command line loads the one it is given.
RUN = """
import os, sys
from layergrad.cli import main
from layergrad.contracts.config.models import ModelWeights
from layergrad.contracts.config.sources import HubSource
from layergrad.contracts.errors import UserError
from layergrad.models.prepare import prepare_model

gated, absent, commit, folder, *tokens = sys.argv[1:]

def prepare(name):
    try:
        prepare_model(ModelWeights(name="it", source=HubSource(hub=name, revision=commit)), f"{folder}/model")
    except UserError as error:
        print(error)

for token in tokens:
    os.environ["HF_TOKEN"] = token
    prepare(gated)
    print(main(["extract", "--model", gated, "--data", f"{folder}/rows.json", "--out", f"{folder}/gradients"]))
del os.environ["HF_TOKEN"]
prepare(absent)
"""


class Hub(Quiet):
    """Refuses everything, with the status and the headers that the hub gives."""

    def refuse(self):
        """Answer by the token of the request."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.server.asked.append(self.path)
        status, code, message = (401, "RepoNotFound", "") if ABSENT in self.path else ANSWERS[token]
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = refuse


@pytest.fixture
def hub():
    """A server on this machine."""
    with serving(Hub) as server:
        yield server


def test_a_refusal_is_one_line_that_names_the_model_and_what_to_do(hub, tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([{"instruction": "What is 2 + 2?", "output": "4"}]))
    tokens = [token or "" for token in ANSWERS]
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-c", RUN, GATED, ABSENT, COMMIT, str(tmp_path), *tokens]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    line = (
        f"{GATED}: the hub refuses access to it; accept its licence at https://huggingface.co/{GATED}, then log in "
        "with hf auth login or set HF_TOKEN (a token must be valid and allowed to read gated repositories)"
    )
    *refused, absent = done.stdout.splitlines()
    assert refused == [line, "2"] * len(tokens)
    assert absent.startswith(f"{ABSENT}: no tokenizer can be loaded from it: {ABSENT} is not a local folder and is not")
    assert done.stderr.splitlines() == [f"layergrad extract: {line}"] * len(tokens)
    assert not any(token in done.stdout + done.stderr for token in tokens if token)
    assert any(COMMIT in path for path in hub.asked)
    assert not (tmp_path / "model").exists()
