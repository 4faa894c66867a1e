"""What each reader of the data floor needs to be told, validated with the rest of a task file."""

from layergrad.contracts.strict import PositiveInt, Strict


class RowsOptions(Strict):
    """Files of rows, whose fields the templates name."""

    optional: tuple[str, ...] = ()
    """Fields that a row may lack; they are empty there."""


class PairsOptions(Strict):
    """Files of a prompt and a response a row; there is nothing to choose."""


class ChampOptions(Strict):
    """Which models' annotated answers are taken, and whose answer to every problem lends irrelevant sentences."""

    authors: list[str]
    pool: str
    preferred_setting: str


class GsmSymbolicOptions(Strict):
    """How many problems each template gives, and the numbers of the templates that are left out."""

    instances: PositiveInt
    leave_out: list[int]


class WikipediaOptions(Strict):
    """Lengths in tokens that popular articles are cut to, how many unpopular ones there are, and the paired lengths."""

    lengths: list[PositiveInt]
    unpopular: PositiveInt
    paired: tuple[PositiveInt, PositiveInt]


OPTIONS: dict[str, type[Strict]] = {
    "rows": RowsOptions,
    "pairs": PairsOptions,
    "champ": ChampOptions,
    "gsm_symbolic": GsmSymbolicOptions,
    "wikipedia": WikipediaOptions,
}
"""By the name of the reader."""
