"""A shard: a batch of environments that plays one episode each, and the histograms that are left of it.

Shard k of a seed has a seed of its own, so it is the same whoever plays it and whenever. Each of its environments plays
a scenario row of its own, drawn for it: episodes are independent draws of what the scenario describes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.policy import choose
from envs.through import OUTCOME
from evaluation.compare import PolicySource, policy_for
from evaluation.montecarlo.histogram import Histogram, histogram, merged, whole_cents
from evaluation.rollout import Policy
from evaluation.seeds import derived_seed
from sim.backtest import Trader
from sim.files import write_whole

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

MakeShard = Callable[[int, int], "TradingVectorEnv"]  # (episodes, seed): a fresh environment, see `play_shard`
_PURPOSE = 0x5A4D


class Shard(NamedTuple):
    """What is kept of some episodes: counts and sums, whole numbers all."""

    results: Histogram  # whole cents
    drawdowns: Histogram  # whole cents
    result_uusd: int  # the exact sum
    drawdown_uusd: int
    kills: int  # episodes in which the kill was charged, or the account was ruined
    ruins: int
    steps: int

    @property
    def episodes(self) -> int:
        """How many."""
        return self.results.total


def seed_of(seed: int, number: int) -> int:
    """The seed of shard ``number``."""
    return derived_seed(seed, _PURPOSE, number)


def play_shard(source: PolicySource, make_env: MakeShard, episodes: int, seed: int) -> Shard:
    """Play ``episodes`` episodes of a policy and count them.

    ``make_env(episodes, seed)`` builds as many environments in ``AutoresetMode.DISABLED``, each with a row of its own,
    with the cost "kill" alone.
    """
    env = make_env(episodes, seed)
    policy = policy_for(source, env, seed)
    obs, info = env.reset()
    if hasattr(policy, "begin"):
        policy.begin(np.ones(episodes, np.bool_))
    outcomes = (
        env.play_through(policy) if isinstance(policy, Trader) else _step_through(env, policy, obs, info["action_mask"])
    )
    env.close()
    return counted(outcomes)


def counted(outcomes: np.ndarray) -> Shard:
    """The histograms of ``outcomes`` OUTCOME ``(n,)``."""
    results, drawdowns = outcomes["result_uusd"], outcomes["drawdown_uusd"]
    return Shard(
        histogram(whole_cents(results)),
        histogram(whole_cents(drawdowns)),
        int(results.sum()),
        int(drawdowns.sum()),
        int(((outcomes["kill"] > 0) | (outcomes["ruined"] > 0)).sum()),
        int(outcomes["ruined"].sum()),
        int(outcomes["steps"].sum()),
    )


def joined(shards: Iterable[Shard]) -> Shard:
    """All of them as one; their order does not matter.

    Two of one size become one of twice the size as soon as they are there, so of S shards no more than log2(S) + 2 are
    held at a time, and every value is merged log2(S) times. Raises ValueError for none.
    """
    held: list[tuple[int, Shard]] = []  # how many shards each is made of, falling powers of two
    for shard in shards:
        size, whole = 1, shard
        while held and held[-1][0] == size:
            size, whole = 2 * size, _added(held.pop()[1], whole)
        held.append((size, whole))
    if not held:
        raise ValueError("montecarlo: no shard to join")
    return reduce(_added, (one for _, one in reversed(held)))


def _added(one: Shard, other: Shard) -> Shard:
    """Two as one."""
    return Shard(
        merged((one.results, other.results)),
        merged((one.drawdowns, other.drawdowns)),
        *(ours + theirs for ours, theirs in zip(one[2:], other[2:], strict=True)),
    )


def save_shard(path: Path, shard: Shard) -> None:
    """Write a shard, whole or not at all."""
    content = io.BytesIO()
    np.savez(
        content,
        results=np.stack(shard.results),
        drawdowns=np.stack(shard.drawdowns),
        sums=np.array(shard[2:], np.int64),
    )
    write_whole(path, content.getvalue())


def read_shard(path: Path) -> Shard:
    """The inverse of `save_shard`. Raises ValueError for a file that it did not write."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            results, drawdowns, sums = found["results"], found["drawdowns"], found["sums"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a shard ({error}); remove it, and it is played again") from None
    return Shard(Histogram(*results), Histogram(*drawdowns), *map(int, sums))


def _step_through(env: TradingVectorEnv, policy: Policy, obs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Outcomes of a policy that looks at observations, step by step until all episodes are over."""
    count, account = env.num_envs, env.engine.state.account
    outcomes = np.zeros(count, OUTCOME)
    peak, playing = account["start_uusd"].copy(), np.ones(count, np.bool_)
    step = env.step_rows if getattr(policy, "chooses_rows", False) else env.step
    kill = env.spec_sheet["costs"].index("kill")
    actions = choose(policy, obs, mask)  # type: ignore[arg-type]
    while playing.any():
        obs, _, terminated, truncated, info = step(actions)
        mask, equity = info["action_mask"], info["equity_uusd"]
        peak = np.maximum(peak, equity)
        outcomes["drawdown_uusd"] = np.maximum(outcomes["drawdown_uusd"], peak - equity)
        outcomes["kill"] |= info["costs"][:, kill] > 0
        outcomes["steps"] += playing
        playing &= ~(terminated | truncated)
        if getattr(policy, "rowwise", False):  # a network is what takes the time
            if playing.any():
                actions[playing] = choose(policy, obs[playing], mask[playing])  # type: ignore[arg-type]
        else:
            actions = choose(policy, obs, mask)  # type: ignore[arg-type]
    outcomes["result_uusd"] = account["equity_uusd"] - account["start_uusd"]
    outcomes["ruined"] = account["ruined"]
    return outcomes
