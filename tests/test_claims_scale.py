"""What the ledger of the paper's whole study costs: 15 models, 10 tasks, 500 samples a cell, controls and cosines."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_paper import keys_of, write_paper

from layergrad.contracts.config.load import load_study
from layergrad.contracts.tables import read_table

STUDY = load_study(Path(__file__).parents[1] / "config/paper.yaml")
ONE_CORE = """
import json, os, resource, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from layergrad.statistics.claims.write import write_claims
write_claims(**json.load(sys.stdin))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1024}))
"""
"""Seconds of the core, not of the clock: others may be at work on it."""


def test_the_study_has_the_papers_56_cells_and_those_of_the_controls():
    cells = [keys_of(task).groupby(["variant", "response", "control"]).size() for task in STUDY.tasks]
    assert sum((part.index.get_level_values("control") == "none").sum() for part in cells) == 56
    assert sum(part.sum() for part in cells) == 84_770


@pytest.mark.slow
def test_the_ledger_of_the_whole_paper_study_takes_less_than_two_minutes_on_one_core(tmp_path):
    files = write_paper(tmp_path, STUDY)
    models = [model.model_dump(mode="json", include={"name", "base", "untrained_of"}) for model in STUDY.models]
    asked = {name: [str(path) for path in paths] for name, paths in files.items()}
    asked |= {"folder": str(tmp_path / "claims"), "models": models, "title": STUDY.title, "similarity": True}
    done = subprocess.run([sys.executable, "-c", ONE_CORE], input=json.dumps(asked), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    used = json.loads(done.stdout.splitlines()[-1])
    assert used["seconds"] < 120
    assert used["megabytes"] < 1000 + 50 * len(STUDY.models) * len(STUDY.tasks)  # what the rule asks for
    table = read_table(tmp_path / "claims" / "claims.parquet")
    trained = [model.name for model in STUDY.models if not model.untrained_of]
    assert set(table.query("level == 'model'")["model"]) == set(trained)
    plain = table.query("claim == 'C1' and control == 'none' and level == 'cell' and n > 0")
    assert len(plain) == len(trained) * 4 * (6 * 2 + 3)  # both contrasts of six tasks, one of the three without none
