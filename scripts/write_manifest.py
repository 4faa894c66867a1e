"""List the files of a finished phase with their checksums, and remove those of models and tasks that are gone."""

from pathlib import Path

from layergrad.contracts.files import write_manifest
from layergrad.contracts.jobs import rule

with rule(snakemake):
    folder = Path(snakemake.output[0]).parent
    write_manifest(folder, [str(Path(path).relative_to(folder)) for path in snakemake.input])
