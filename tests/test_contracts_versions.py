"""The version of code changes with what it does, and with nothing else."""

import pytest

from layergrad.contracts import versions

CODE = '"""A floor."""\n\nSIZE = 2\n"""Metres."""\n\n\ndef area(side):\n    """Square metres."""\n    return side**2\n'


@pytest.fixture
def version_of(tmp_path, monkeypatch):
    """The code version of a floor that is this text."""
    monkeypatch.setattr(versions, "_PACKAGE", tmp_path)

    def version(text):
        (tmp_path / "floor.py").write_text(text)
        return versions.code_version("floor.py")

    return version


def test_words_about_code_do_not_change_its_version(version_of):
    said_otherwise = '# Geometry.\n\n"""Floors."""\nSIZE = 2\n"""In m."""\ndef area(side):\n    return side**2  # m²\n'
    assert version_of(CODE) == version_of(said_otherwise)


@pytest.mark.parametrize(("what", "instead"), [("SIZE = 2", "SIZE = 3"), ("side**2", "side**3"), ("area", "square")])
def test_code_changes_its_version(version_of, what, instead):
    assert version_of(CODE) != version_of(CODE.replace(what, instead))


def test_every_file_of_the_measurement_is_there():
    assert all((versions._PACKAGE / name).is_file() for name in (*versions.MEASUREMENT, *versions.PREPARATION))
