"""A Monte Carlo run: shards are played by whoever works, kept one by one, and joined at the end.

A run that was killed goes on with the shards that are missing, and ends with the same bytes. Nothing depends on who
played a shard or when. The memory it takes depends on the size of a shard and on how many results differ to the cent,
not on the number of episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agents.policy import carried
from evaluation.compare import PolicySource
from evaluation.montecarlo.shards import MakeShard, Shard, joined, play_shard, read_shard, save_shard, seed_of
from evaluation.plan import agree
from evaluation.workers import Alone, Workers

EPISODES_A_SHARD = 1024


@dataclass(frozen=True)
class Task:
    """What is played.

    ``make_env`` as `shards.play_shard` takes it; where others work it and the policies must be such that processes can
    send them to each other. ``facts`` are what the run must agree with to go on: plain JSON values.
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


def run(task: Task, folder: Path, *, workers: Workers | None = None, progress: bool = True) -> dict[str, Shard]:
    """Play what is missing of ``task`` in ``folder`` and return each policy's episodes joined.

    The folder gets ``plan.json`` and ``shards/<policy's number>/<shard's number>.npz``. ``workers``: who plays; None =
    this process. Raises ValueError where it was begun with another plan.
    """
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
        for (index, name, number), shard in (workers or Alone()).each(_player(task), missing, _called):
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


def _called(place: _Place) -> str:
    _, name, number = place
    return f"{name}, shard {number}"


def _player(task: Task) -> Callable[[_Place], Shard]:
    """Plays the shard of a place, wherever it is called: it holds the trained policies themselves."""
    sources = {name: source if callable(source) else carried(source) for name, source in task.policies.items()}
    return partial(_play, replace(task, policies=sources, facts={}))


def _play(task: Task, place: _Place) -> Shard:
    _, name, number = place
    return play_shard(task.policies[name], task.make_env, task.size(number), seed_of(task.seed, number))
