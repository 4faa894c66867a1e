"""The ``layergrad`` command: the same functions that the workflow's rules call."""

import argparse
import logging
import sys
from typing import NoReturn

from layergrad.cli import (
    audit,
    diagnose,
    estimate,
    export_released,
    extract,
    import_released,
    init,
    merge,
    preview,
    score,
)
from layergrad.contracts.errors import UserError

# A command imports the floors it needs when it runs, so that --help and a mistake are answered at once.
COMMANDS = (init, preview, score, extract, merge, diagnose, audit, estimate, import_released, export_released)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if it went well, 1 for a red verdict, 2 with one line on stderr if the input was bad."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("layergrad").setLevel(logging.INFO)
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except UserError as error:
        print(f"layergrad {options.command}: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="layergrad", description=sys.modules["layergrad"].__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
