"""Measure what layergrad costs and write the results: `python -m benchmarks FOLDER`."""

import logging
import sys

from benchmarks import machine
from benchmarks.memory import check_machine
from benchmarks.report import write_report
from benchmarks.run import Effort, measure, subjects
from layergrad.contracts.errors import UserError


def main(folder: str) -> int:
    """Run the whole benchmark; 0 if it went well, 2 with one line if something is missing."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("layergrad").setLevel(logging.INFO)
    try:
        check_machine()
        description = machine.describe()
        print(*(f"{name}: {value}" for name, value in description.items()), sep="\n", flush=True)
        real, sets, wide = subjects(Effort())
        write_report(measure(real, sets, wide, Effort()), description, folder)
    except UserError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print(f"The results: {folder}/benchmark.md")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks FOLDER")
    sys.exit(main(sys.argv[1]))
