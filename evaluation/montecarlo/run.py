"""A Monte Carlo run: shards are played by one process or several, kept one by one, and joined at the end.

A run that was killed goes on with the shards that are missing, and ends with the same bytes. Nothing depends on who
played a shard or when. The memory it takes depends on the size of a shard and on how many results differ to the cent,
not on the number of episodes.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from evaluation.compare import PolicySource
from evaluation.montecarlo.shards import MakeShard, Shard, joined, play_shard, read_shard, save_shard, seed_of
from evaluation.plan import agree

EPISODES_A_SHARD = 1024
_AHEAD = 4  # shards waiting for each process


@dataclass(frozen=True)
class Task:
    """What is played.

    ``make_env`` as `shards.play_shard` takes it; with several workers it and the policies must be such that processes
    can send them to each other. ``facts`` are what the run must agree with to go on: plain JSON values.
    """

    policies: Mapping[str, PolicySource]
    make_env: MakeShard
    episodes: int
    seed: int = 0
    shard: int = EPISODES_A_SHARD
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.shard < 1 or self.seed < 0 or not self.policies:
            raise ValueError(
                f"montecarlo: expected a policy, an episode, a shard of at least one and a seed from 0 on, got "
                f"{list(self.policies)}, {self.episodes}, {self.shard} and {self.seed}"
            )

    @property
    def shards(self) -> int:
        """Shards that each policy plays."""
        return -(-self.episodes // self.shard)

    def size(self, number: int) -> int:
        """Episodes of shard ``number``; the last one has what is left."""
        return min(self.shard, self.episodes - number * self.shard)


def run(task: Task, folder: Path, *, workers: int = 1, progress: bool = True) -> dict[str, Shard]:
    """Play what is missing of ``task`` in ``folder`` and return each policy's episodes joined.

    The folder gets ``plan.json`` and ``shards/<policy's number>/<shard's number>.npz``. Raises ValueError where it was
    begun with another plan, and for no worker.
    """
    if workers < 1:
        raise ValueError(f"montecarlo: workers = {workers}: expected at least 1")
    _agree(task, folder)
    missing = [
        (index, name, number)
        for index, name in enumerate(task.policies)
        for number in range(task.shards)
        if not _file(folder, index, number).exists()
    ]
    done = task.episodes * len(task.policies) - sum(task.size(number) for _, _, number in missing)
    total = task.episodes * len(task.policies)
    with tqdm(total=total, initial=done, unit="episode", unit_scale=True, disable=not progress) as bar:
        for (index, name, number), shard in _played(task, missing, workers):
            save_shard(_file(folder, index, number), shard)
            bar.set_postfix_str(name, refresh=False)
            bar.update(task.size(number))
    return {
        name: joined(read_shard(_file(folder, index, number)) for number in range(task.shards))
        for index, name in enumerate(task.policies)
    }


_Place = tuple[int, str, int]  # the policy's number and name, the shard's number


def _file(folder: Path, index: int, number: int) -> Path:
    return folder / "shards" / f"{index:02d}" / f"{number:06d}.npz"


def _agree(task: Task, folder: Path) -> None:
    """The plan is as it was, and every policy has a folder."""
    policies = {name: str(source) for name, source in task.policies.items()}
    agree(
        folder, {"episodes": task.episodes, "shard": task.shard, "seed": task.seed, "policies": policies, **task.facts}
    )
    for index in range(len(policies)):
        _file(folder, index, 0).parent.mkdir(parents=True, exist_ok=True)


def _played(task: Task, missing: list[_Place], workers: int) -> Iterator[tuple[_Place, Shard]]:
    """Shards as they are finished."""
    jobs = ((place, _job(task, place)) for place in missing)
    if workers == 1:
        for place, (function, *arguments) in jobs:
            yield place, function(*arguments)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        running: dict[Future[Shard], _Place] = {}
        for place, (function, *arguments) in jobs:
            running[pool.submit(function, *arguments)] = place
            if len(running) >= workers * _AHEAD:
                yield from _finished(running)
        while running:
            yield from _finished(running)


def _finished(running: dict[Future[Shard], _Place]) -> Iterator[tuple[_Place, Shard]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


def _job(task: Task, place: _Place) -> tuple[Callable[..., Shard], PolicySource, MakeShard, int, int]:
    _, name, number = place
    return play_shard, task.policies[name], task.make_env, task.size(number), seed_of(task.seed, number)


def _begin_worker() -> None:
    """One thread, and no life after the parent's: a pool's worker would wait for work for ever."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
