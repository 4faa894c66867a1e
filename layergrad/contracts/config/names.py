"""Names that files, folders and wildcards are made of."""

from typing import Annotated

from pydantic import Field

SafeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""A name that stays in its folder and is no option of a command."""
