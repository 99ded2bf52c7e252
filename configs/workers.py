"""Who works for a command: ``workers`` = a number of processes on this machine, or ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agents.cluster import running_ray
from evaluation.workers import Alone, OnRay, Processes, Workers

RAY = "ray"


def check_workers(workers: int | str) -> int | str:
    """``workers``, a number also where it is written as text. Raises ValueError where it is neither that nor ray."""
    if workers == RAY:
        return RAY
    try:
        count = int(workers)
    except (TypeError, ValueError):
        count = 0
    if count < 1 or isinstance(workers, bool | float):
        raise ValueError(f"workers = {workers}: expected at least 1 process on this machine, or ray")
    return count


@contextmanager
def hired(workers: int | str) -> Iterator[Workers]:
    """Who works: 1 = this process; other numbers = so many processes of this machine; ray = a Ray cluster.

    That is the one that RAY_ADDRESS names or that runs in this process, else one on all processors of this machine.
    """
    checked = check_workers(workers)
    if checked == RAY:
        with running_ray(os.cpu_count() or 1):
            yield OnRay()
    elif checked == 1:
        yield Alone()
    else:
        with Processes(int(checked)) as crew:
            yield crew
