"""Decompositions put off until there are enough of them to keep every thread busy."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from threadpoolctl import ThreadpoolController

LIMIT = 256 * 2**20
"""Bytes of factors that may wait."""


class Workers:
    """Threads of one LAPACK thread each: small decompositions side by side beat one of them on all cores."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.libraries = ThreadpoolController()
        self.pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def run(self, work: Callable, jobs: list) -> None:
        """Do all jobs, each thread the next one that is left; an error is raised when all threads are done."""
        left = iter(jobs)

        def work_through() -> None:
            for job in left:
                work(job)

        with self.libraries.limit(limits=1, user_api="blas"):
            if self.threads == 1:
                work_through()
            else:
                for thread in [self.pool.submit(work_through) for _ in range(self.threads)]:
                    thread.result()


class Backlog:
    """Jobs that wait until there are enough of them to keep every thread busy, but never of more than ``LIMIT``."""

    def __init__(self, workers: Workers, work: Callable) -> None:
        self.workers = workers
        self.work = work
        self.jobs: list[tuple[int, Any]] = []

    def add(self, job: Any, nbytes: int) -> None:
        """Put a job off that holds so many bytes."""
        self.jobs.append((nbytes, job))
        if sum(size for size, _ in self.jobs) > LIMIT:
            self.work_off()

    def work_off(self) -> None:
        """Do all jobs that wait, the largest first, so that the threads end together."""
        jobs = [job for _, job in sorted(self.jobs, key=lambda sized: -sized[0])]
        self.jobs = []
        self.workers.run(self.work, jobs)
