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
    """The parts of one job, below a folder that no other job uses.

    ``identity`` holds all that the numbers depend on: model, samples, settings and code. Its fingerprint names the
    folder of the parts, so that what the same job left under another identity is never taken for its own.
    """

    def __init__(self, job_folder: str | Path, identity: dict[str, Any]) -> None:
        self.fingerprint = text_sha256(json.dumps(identity, sort_keys=True))
        self.job_folder = Path(job_folder)
        self.folder = self.job_folder / self.fingerprint[:16]

    def load(self, batch: int) -> pd.DataFrame | None:
        """A finished part, or none if it is missing, torn or of another job."""
        try:
            table = pq.read_table(self._path(batch), page_checksum_verification=True)
        except (OSError, pa.ArrowException):
            return None
        if (table.schema.metadata or {}).get(b"fingerprint") != self.fingerprint.encode():
            return None
        return table.to_pandas()

    def save(self, batch: int, frame: pd.DataFrame) -> None:
        """Write a part: to a temporary name, to the disk, then to its name."""
        table = pa.Table.from_pandas(frame, preserve_index=False)
        with whole_file(self._path(batch)) as temporary:
            pq.write_table(
                table.replace_schema_metadata({"fingerprint": self.fingerprint}), temporary, write_page_checksum=True
            )

    def remove(self) -> None:
        """Remove the job's folder, with what it left under other identities, once its tables are written."""
        if self.job_folder.exists():
            shutil.rmtree(self.job_folder)

    def _path(self, batch: int) -> Path:
        return self.folder / f"batch-{batch:06d}.parquet"
