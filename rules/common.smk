"""The study's configuration, and where things lie; the rules take both from here."""

import os
import sys
from pathlib import Path

from layergrad.contracts import estimate
from layergrad.contracts.config.models import ModelWeights
from layergrad.contracts.config.sources import FileSource
from layergrad.contracts.errors import UserError
from layergrad.contracts.provenance import note_run
from layergrad.contracts.runs import begin_run, check_run
from layergrad.contracts.sources import MIRROR
from layergrad.contracts.config.load import load_study
from layergrad.contracts.paths import (
    ASSETS,
    CLAIM_NAMES,
    CLAIMS,
    CLAIMS_PAGE,
    COMPARISON_FIGURES,
    COMPARISONS_PAGE,
    FIGURES,
    STATISTICS,
    TABLES,
    StudyPaths,
    claim_page,
    task_page,
)
from layergrad.contracts.versions import MEASUREMENT, PREPARATION, code_version
from layergrad.released.layout import present

# The default file is read only where no --configfile is given, so nothing of it leaks into another study.
STUDY_FILE = str(workflow.configfiles[0]) if workflow.configfiles else "config/config.yaml"

try:
    check_run()
    STUDY = load_study(STUDY_FILE, overrides=config)
    RELEASED = present(STUDY)
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(2)

# Jobs inherit it. It is no parameter of theirs: a file is the same wherever it comes from, by its checksum.
if STUDY.mirror:
    os.environ.setdefault(MIRROR, STUDY.mirror)

CODE = Path(os.path.relpath(workflow.basedir), "layergrad")
"""Relative, so that the files of a project that was moved are the same to Snakemake."""

PATHS = StudyPaths(STUDY.name)
MODELS = [model.name for model in STUDY.models]
TASKS = [task.name for task in STUDY.tasks]
SHARDS = range(1, STUDY.gradients.shards + 1)
GRADIENTS = PATHS.gradients / "{model}" / "{task}"


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    task="|".join(map(re.escape, TASKS)),
    shard=r"\d+",


def start_run():
    """From here on the jobs of this run write and no others, and a note says who made what when."""
    begin_run(PATHS.run)
    note_run(STUDY, PATHS.provenance)


def local_files(*sources):
    """Files of a user's own that sources name: a change of theirs makes everything after it anew."""
    places = [Path(source.file) for source in sources if isinstance(source, FileSource)]
    return [file for place in places for file in (sorted(place.rglob("*")) if place.is_dir() else [place])]


def tables(prefix):
    """The tables of gradients under a prefix, by name."""
    ends = {"gradients": ".parquet", "samples": ".samples.parquet"}
    if STUDY.similarity:
        ends["similarity"] = ".similarity.parquet"
    return {name: f"{prefix}{end}" for name, end in ends.items()}


SOON = 10**6
"""Priority of the short jobs that gradient jobs wait for, above that of any gradient job."""


def growing(amount):
    """Memory or time that a job asks for, as much again with every attempt; ``amount`` may depend on the wildcards."""
    return lambda wildcards, attempt: attempt * (amount(wildcards) if callable(amount) else amount)


def model_memory(wildcards):
    """Megabytes that a job with the model in memory takes, as the model's file declares them."""
    return STUDY.model(wildcards.model).memory_mb


def model_gpus(wildcards):
    """GPUs that such a job takes."""
    return STUDY.model(wildcards.model).gpus


def each(*patterns):
    """Paths of the patterns for every model and task of the study, where they have these wildcards."""
    values = {"model": MODELS, "task": TASKS}
    return [
        path
        for pattern in map(str, patterns)
        for path in expand(pattern, **{name: values[name] for name in values if f"{{{name}}}" in pattern})
    ]
