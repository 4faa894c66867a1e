"""Sources that would do harm: names that leave their folder, archives and files that are not what they say."""

import bz2
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError

from layergrad.contracts import sources
from layergrad.contracts.config.load import load_study
from layergrad.contracts.config.models import ModelSpec
from layergrad.contracts.config.names import SafeName
from layergrad.contracts.config.options import RowsOptions
from layergrad.contracts.config.sources import JoinSource, PypiSource, Source, UrlSource
from layergrad.contracts.config.tasks import TaskName, TemplateName
from layergrad.contracts.errors import UserError
from layergrad.data.readers import rows
from layergrad.data.readers.wikipedia import plain_articles

TEXT = b"six words are in this file\n"
SHA256 = hashlib.sha256(TEXT).hexdigest()
OUTSIDE = [
    "..",
    "../x",
    "a/../../x",
    "/etc/passwd",
    "a\\..\\x",
    "~",
    ".hidden",
    "-o",
    "",
    " ",
    "a\n",
    "a\0b",
    "x" * 300,
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", [SafeName, TaskName, TemplateName], ids=["name", "task", "template"])
def test_a_name_stays_in_its_folder(kind, name):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(name)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..", "x" * 300, "a\0b", "-rf", "{model}"])
@pytest.mark.parametrize("kind", ["models", "tasks"])
def test_a_study_names_no_file_outside_its_folders(root, tmp_path, kind, name):
    """Not even one that is there, and that says itself what it is called."""
    (tmp_path / "evil.yaml").write_text("name: tiny-llama\n" + (root / "config/models/tiny-llama.yaml").read_text())
    (tmp_path / "config/sub").mkdir(parents=True)
    study = {"name": "x", "title": "x", "models": ["tiny-llama"], "tasks": ["mini_math"], kind: [name]}
    (tmp_path / "config/x.yaml").write_text(json.dumps(study))
    for folder in ("models", "tasks", "templates"):
        (tmp_path / "config" / folder).symlink_to(root / "config" / folder)
    with pytest.raises(UserError, match=rf"config/x\.yaml: {kind}: String should .* given\)$"):
        load_study(tmp_path / "config/x.yaml")


@pytest.mark.parametrize(
    "source",
    [
        {"pypi": "--log==x", "members": {"a": SHA256}},
        {"pypi": "-r==x", "members": {"a": SHA256}},
        {"pypi": "a==1; import os", "members": {"a": SHA256}},
        {"pypi": "a @ https://example.org/a.whl", "members": {"a": SHA256}},
        {"pypi": "a==1", "members": {"../a": SHA256}},
        {"pypi": "a==1", "members": {"a/../../b": SHA256}},
        {"pypi": "a==1", "members": {"/a": SHA256}},
        {"url": "https://example.org/a b", "sha256": SHA256},
        {"url": "https://example.org/a\nb", "sha256": SHA256},
        {"url": "-o /etc/passwd", "sha256": SHA256},
        {"hub": "../folder", "revision": "0" * 40},
        {"hub": "/etc", "revision": "0" * 40},
        {"hub": "a/b", "revision": "main"},
        {"file": "a\0b"},
        {"file": "x" * 300},
        {"join": [{"url": "https://example.org/a", "sha256": SHA256}], "name": "../a", "sha256": SHA256},
    ],
    ids=str,
)
def test_a_source_that_means_something_else_is_refused(source):
    with pytest.raises(ValidationError):
        TypeAdapter(Source).validate_python(source)


@pytest.mark.parametrize(
    "url",
    [
        "https://somebody:s3cr3t-word@example.org/rows.json",
        "https://s3cr3t-word@example.org/rows.json",
        "https://example.org/rows.json?token=s3cr3t-word",
        "https://example.org/rows.json?a=1&X-Amz-Signature=s3cr3t-word",
    ],
)
def test_an_address_with_a_token_is_refused_and_not_repeated(root, tmp_path, url):
    """It would be kept with the results: in the provenance, in a model's card and in the report."""
    (tmp_path / "tasks").mkdir()
    task = (root / "config/tasks/mini_math.yaml").read_text()
    task = task.replace("rows: {file: tests/data/mini_math.jsonl}", f"rows: {{url: '{url}', sha256: '{SHA256}'}}")
    (tmp_path / "tasks/mini_math.yaml").write_text(task)
    (tmp_path / "models").symlink_to(root / "config/models")
    (tmp_path / "x.yaml").write_text('{"name": "x", "title": "x", "models": ["tiny-llama"], "tasks": ["mini_math"]}')
    with pytest.raises(UserError, match=r"sources\.rows\.url: a password or a token in an address") as caught:
        load_study(tmp_path / "x.yaml")
    assert "s3cr3t-word" not in str(caught.value)


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of packages that pip takes instead of an index."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(folder, members):
    """A package whose wheel has these members, and what wheels have."""
    with zipfile.ZipFile(folder / "words-1.0-py3-none-any.whl", "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr("words-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
        archive.writestr("words-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("words-1.0.dist-info/RECORD", "")


def symlink(name):
    """A member that is a link."""
    member = zipfile.ZipInfo(name)
    member.create_system = 3
    member.external_attr = 0o120777 << 16
    return member


def test_hostile_members_of_a_wheel_go_nowhere(packages, tmp_path):
    wheel(packages, {"../up.txt": TEXT, "/abs.txt": TEXT, symlink("words/link"): b"../../secret", "words/a": TEXT})
    (tmp_path / "secret").write_bytes(b"a file of the user's own")
    source = PypiSource(pypi="words==1.0", members={"words/a": SHA256})
    assert sources.fetch(source, tmp_path / "got/here") == [tmp_path / "got/here/words/a"]
    before = sorted(tmp_path.rglob("*"))
    link = PypiSource(
        pypi="words==1.0", members={"words/link": hashlib.sha256(b"a file of the user's own").hexdigest()}
    )
    with pytest.raises(UserError, match="nothing was kept"):
        sources.fetch(link, tmp_path / "got/link")
    assert sorted(tmp_path.rglob("*")) == before
    assert {path.name for path in (tmp_path / "got").rglob("*")} == {"here", "words", "a"}


def test_a_source_distribution_is_never_built(packages, tmp_path):
    """To build one would run its code."""
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'harm')!r}).touch()\n".encode()
    with tarfile.open(packages / "words-1.0.tar.gz", "w:gz") as archive:
        for name, content in (("words-1.0/setup.py", code), ("words-1.0/PKG-INFO", b"Name: words\nVersion: 1.0\n")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(UserError, match=r"source pypi words==1\.0: pip could not download a wheel"):
        sources.fetch(PypiSource(pypi="words==1.0", members={"a": SHA256}), tmp_path / "got")
    assert not (tmp_path / "harm").exists()
    assert not (tmp_path / "got").exists()


def test_a_password_of_the_package_index_is_not_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://somebody:s3cr3t-word@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(UserError) as caught:
        sources.fetch(PypiSource(pypi="words==1.0", members={"a": SHA256}), tmp_path / "got")
    assert "s3cr3t-word" not in str(caught.value)


class Liar(http.server.BaseHTTPRequestHandler):
    """Gives less than it promises, something else, or sends the client to a file of its own machine."""

    def do_GET(self):
        """Answer by the path."""
        if self.path == "/file":
            self.send_response(302)
            self.send_header("Location", f"file://{__file__}")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT[:-5] if self.path == "/short" else TEXT.upper() if self.path == "/other" else TEXT)

    def log_message(self, *_):
        """Keep the output of the tests clean."""


@pytest.fixture
def liar():
    """Its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_download_is_used_only_if_it_is_what_was_asked_for(liar, tmp_path):
    (path,) = sources.fetch(UrlSource(url=f"{liar}/right", sha256=SHA256), tmp_path / "right")
    assert path.read_bytes() == TEXT
    for place in ("short", "other", "file", "%2e%2e", ".."):
        (tmp_path / "right").rename(tmp_path / place) if place == "other" else None
        before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
        with pytest.raises(UserError, match=r"^source url http://127"):
            sources.fetch(UrlSource(url=f"{liar}/{place}", sha256=SHA256), tmp_path / "other")
        assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before
    whole = JoinSource(
        join=[UrlSource(url=f"{liar}/right", sha256=SHA256), UrlSource(url=f"{liar}/other", sha256=SHA256)],
        name="both",
        sha256=hashlib.sha256(TEXT + TEXT.upper()).hexdigest(),
    )
    with pytest.raises(UserError, match="sha256"):
        sources.fetch(whole, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_what_a_file_says_of_itself_opens_no_other(tmp_path):
    """A table of texts whose metadata call them images, which the library would open as files."""
    (tmp_path / "secret.png").write_text("a file of the user's own")
    features = {"question": {"_type": "Image"}, "answer": {"_type": "Value", "dtype": "string"}}
    table = pa.table({"question": [str(tmp_path / "secret.png")], "answer": ["4"]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "rows.parquet")
    (row,) = rows.read({"rows": [tmp_path / "rows.parquet"]}, RowsOptions(), 0, len)
    assert row == {"question": str(tmp_path / "secret.png"), "answer": "4"}


def test_a_pickled_table_is_no_table(tmp_path):
    for name in ("rows.pkl", "rows.bin", "rows.npy"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch harm'\ntR.")
        with pytest.raises(UserError, match=rf"{name}: cannot be read as rows; allowed are \.json, "):
            rows.read({"rows": [tmp_path / name]}, RowsOptions(), 0, len)


@pytest.mark.parametrize("entity", ["<!ENTITY a SYSTEM 'file:///etc/passwd'>", "<!ENTITY a '&b;&b;'>"])
def test_a_dump_takes_in_no_other_file(tmp_path, entity):
    page = "<page><title>&a;</title><ns>0</ns><revision><text>Some text.</text></revision></page>"
    bombs = "".join(f"<!ENTITY {x} '{f'&{y};' * 50}'>" for x, y in zip("bcdefghi", "cdefghij", strict=True))
    dump = f"<!DOCTYPE d [{entity}{bombs}<!ENTITY j 'boom'>]><d xmlns='m'>{page}</d>"
    (tmp_path / "articles.bz2").write_bytes(bz2.compress(dump.encode()))
    with pytest.raises(UserError, match="cannot be read as a bz2 dump of MediaWiki pages"):
        plain_articles(tmp_path / "articles.bz2")


def test_no_shell_sees_what_a_configuration_says(root, tmp_path):
    """A file whose name is a command is a name; pip gets a list of words."""
    name = "$(touch harm); `touch harm` & touch harm.jsonl"
    (tmp_path / name).write_bytes((root / "tests/data/mini_math.jsonl").read_bytes())
    code = (
        "import sys; from layergrad.data.sources import fetch_sources; fetch_sources({'r': {'file': sys.argv[1]}}, 'S')"
    )
    environment = os.environ | {"PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, name], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "r" / name).is_file()
    assert not list(tmp_path.glob("harm*"))


def test_model_files_take_no_code_by_default():
    assert ModelSpec.model_fields["trust_remote_code"].default is False
    named = [
        path.name for path in Path(__file__).parents[1].glob("config/models/*.yaml") if "trust" in path.read_text()
    ]
    assert named == []
