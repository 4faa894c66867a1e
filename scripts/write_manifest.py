"""List the files of a finished phase with their checksums, and remove those of models and tasks that are gone."""

from pathlib import Path

from layergrad.contracts.files import files_below, write_manifest
from layergrad.contracts.jobs import rule

with rule(snakemake):
    folder = Path(snakemake.output[0]).parent
    names = [str(Path(path).relative_to(folder)) for path in snakemake.input]
    if snakemake.params.whole:
        names = files_below(folder, {name.partition("/")[0] for name in names})
    write_manifest(folder, names)
