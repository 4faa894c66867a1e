"""Files of a new study: rendered, checked together, and only then written."""

import tempfile
from pathlib import Path
from typing import Any

import jinja2
import yaml

from layergrad.contracts.config.load import load_study
from layergrad.contracts.config.study import Study
from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_text, write_text

FOLDER = Path("config")


class StudyFiles:
    """Where the files of a study go, in the project that is the working directory."""

    def __init__(self, name: str, model: str, overwrite: bool) -> None:
        self.study = FOLDER / f"{name}.yaml"
        self.task = FOLDER / "tasks" / f"{name}.yaml"
        self.model = FOLDER / "models" / f"{model}.yaml"
        self._overwrite = overwrite

    def refuse_existing(self) -> None:
        """Raise ``UserError`` for a study or a task that is there already. A model file may serve many studies."""
        if not Path("Snakefile").is_file():
            raise UserError("there is no Snakefile in this folder; run it in the folder of the project")
        there = [str(path) for path in (self.study, self.task) if path.exists()]
        if there and not self._overwrite:
            raise UserError(f"{there[0]}: is there already; choose another --name, or give --overwrite to replace it")

    def keeps_model(self, source: dict[str, Any]) -> bool:
        """Whether the model's file is there and stays as it is. Raises ``UserError`` if it is of another source."""
        if self._overwrite or not self.model.exists():
            return False
        found = yaml.safe_load(read_text(self.model, "model"))
        if not isinstance(found, dict) or found.get("source") != source:
            raise UserError(
                f"{self.model}: is there already with another source than {source}; give --overwrite to replace it"
            )
        return True

    def write(self, values: dict[str, Any], keep_model: bool) -> tuple[Study, list[Path]]:
        """Render and write the files; the study, and what was written. Nothing is, if they do not make a study."""
        texts = {
            self.study: _render("study", values),
            self.task: _render("task", values),
            self.model: read_text(self.model, "model") if keep_model else _render("model", values),
        }
        with tempfile.TemporaryDirectory() as folder:
            for path, text in texts.items():
                write_text(folder / path, text)
            load_study(folder / self.study)
        written = [path for path in texts if not (keep_model and path == self.model)]
        for path in written:
            write_text(path, texts[path])
        return load_study(self.study), written


def _render(template: str, values: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("layergrad.cli"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = _yaml
    return environment.get_template(f"{template}.yaml.j2").render(values)


def _yaml(values: dict[str, Any]) -> str:
    """Keys and values as lines of YAML, quoted where they must be."""
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=10**6).rstrip("\n")
