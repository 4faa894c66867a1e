"""What each reader of the data floor needs to be told, validated with the rest of a task file."""

from typing import Literal

from pydantic import Field

from layergrad.contracts.config.strict import PositiveInt, Strict


class RowsOptions(Strict):
    """Files of rows, whose fields the templates name."""

    optional: tuple[str, ...] = Field(default=(), description="fields that a row may lack; they are empty there")


class PairsOptions(Strict):
    """Files of a prompt and a response a row; there is nothing to choose."""


class ChampOptions(Strict):
    """Which models' annotated answers are taken, and whose answer to every problem lends irrelevant sentences."""

    authors: list[str] = Field(description="models whose annotated answers are taken")
    pool: str = Field(description="model and setting, joined by a bar, whose answers lend irrelevant sentences")
    preferred_setting: str = Field(description="prompt setting whose answers are taken first")


class GsmSymbolicOptions(Strict):
    """How many problems each template gives, and the numbers of the templates that are left out."""

    instances: PositiveInt = Field(description="problems of each template")
    leave_out: list[int] = Field(description="numbers of the templates that are left out")


class WikipediaOptions(Strict):
    """Lengths in tokens that popular articles are cut to, how many unpopular ones there are, and the paired lengths."""

    lengths: list[PositiveInt] = Field(description="tokens that popular articles are cut to")
    unpopular: PositiveInt = Field(description="how many unpopular articles there are")
    paired: tuple[PositiveInt, PositiveInt] = Field(
        description="least and most tokens that unpopular and the shortest popular articles are cut to"
    )


Reader = Literal["rows", "pairs", "champ", "gsm_symbolic", "wikipedia"]

OPTIONS: dict[Reader, type[Strict]] = {
    "rows": RowsOptions,
    "pairs": PairsOptions,
    "champ": ChampOptions,
    "gsm_symbolic": GsmSymbolicOptions,
    "wikipedia": WikipediaOptions,
}
"""By the name of the reader."""
