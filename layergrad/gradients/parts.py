"""Durable parts of an unfinished job: one Parquet file a batch, keyed by everything that its numbers depend on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layergrad.contracts.files import text_sha256, whole_file


class Parts:
    """The parts of one job, in a folder of its own that is named after the job's fingerprint.

    ``identity`` holds all that the numbers depend on: model, samples, settings and code. A job with another identity
    has another folder, so parts of different jobs never meet.
    """

    def __init__(self, folder: str | Path, identity: dict[str, Any]) -> None:
        self.fingerprint = text_sha256(json.dumps(identity, sort_keys=True))
        self.folder = Path(folder) / self.fingerprint[:16]

    def load(self, batch: int) -> pd.DataFrame | None:
        """A finished part, or none if it is missing, torn or of another job."""
        try:
            table = pq.read_table(self._path(batch))
        except (FileNotFoundError, pa.ArrowInvalid):
            return None
        if (table.schema.metadata or {}).get(b"fingerprint") != self.fingerprint.encode():
            return None
        return table.to_pandas()

    def save(self, batch: int, frame: pd.DataFrame) -> None:
        """Write a part: to a temporary name, to the disk, then to its name."""
        table = pa.Table.from_pandas(frame, preserve_index=False)
        with whole_file(self._path(batch)) as temporary:
            pq.write_table(table.replace_schema_metadata({"fingerprint": self.fingerprint}), temporary)

    def remove(self) -> None:
        """Remove the folder once the job's tables are written, and the one above it if it is left empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()

    def _path(self, batch: int) -> Path:
        return self.folder / f"batch-{batch:06d}.parquet"
