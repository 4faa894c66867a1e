"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

logger = logging.getLogger("layergrad")

_SECONDS_BETWEEN_LINES = 20


class Meter:
    """Counts samples and their tokens; the work left is judged by tokens, not by samples."""

    def __init__(self, what: str, n_samples: int, n_tokens: int) -> None:
        self.what, self.n_samples, self.n_tokens = what, n_samples, n_tokens
        self.samples = self.tokens = 0
        self.began = self.told = time.monotonic()

    def advance(self, tokens: int) -> None:
        """One more sample of so many tokens is done."""
        self.samples += 1
        self.tokens += tokens
        if time.monotonic() - self.told > _SECONDS_BETWEEN_LINES or self.samples == self.n_samples:
            self.told = time.monotonic()
            rate = self.tokens / max(self.told - self.began, 1e-9)
            left = (self.n_tokens - self.tokens) / rate / 60
            logger.info(
                "%s: %d of %d samples, %.0f tokens a second, %.1f minutes left",
                *(self.what, self.samples, self.n_samples, rate, left),
            )


class _Bar(Meter):
    def __init__(self, what: str, n_samples: int, n_tokens: int, progress: Progress) -> None:
        super().__init__(what, n_samples, n_tokens)
        self.progress, self.task = progress, progress.add_task(what, total=n_tokens, samples=f"0/{n_samples}", rate="")

    def advance(self, tokens: int) -> None:
        self.samples += 1
        self.tokens += tokens
        rate = f"{self.tokens / max(time.monotonic() - self.began, 1e-9):.0f} a second"
        self.progress.update(self.task, advance=tokens, samples=f"{self.samples}/{self.n_samples}", rate=rate)


@contextmanager
def meter(what: str, n_samples: int, n_tokens: int) -> Iterator[Meter]:
    """A meter for ``n_samples`` of ``n_tokens`` in all."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield Meter(what, n_samples, n_tokens)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[samples]} samples"),
        MofNCompleteColumn(),
        TextColumn("tokens {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(what, n_samples, n_tokens, progress)
