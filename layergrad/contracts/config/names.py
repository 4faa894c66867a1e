"""Names that files, folders and wildcards are made of."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

SafeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
"""A name that stays in its folder and is no option of a command."""


def _can_be_a_path(text: str) -> str:
    if "\0" in text or any(len(part.encode("utf-8")) > 255 for part in Path(text).parts):
        raise ValueError("no file can have this path: a part is longer than 255 bytes, or it has a zero byte")
    return text


LocalPath = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_can_be_a_path)]
"""A file or a folder of the user's own, anywhere."""
