"""Play a policy for a set number of episodes and keep what happened, as arrays.

How many episodes each environment plays is fixed before the first step, so short episodes are not over-represented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode
from tqdm import tqdm

from agents.policy import choose
from evaluation.episodes import Episodes
from evaluation.recorder import Recorder
from sim.backtest import Trader

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv


class Policy(Protocol):
    """What is evaluated: observations (N, F) float32 to actions (N,) int64, or with M markets to (N, M).

    A policy with a true attribute ``masked`` is also given the masks; see `agents.policy.choose`. One that remembers
    has ``begin(mask)``, and is told which rows begin an episode.
    """

    def act(self, obs: np.ndarray) -> np.ndarray:
        """One action for each observation."""
        ...


def rollout(env: TradingVectorEnv, policy: Policy | Trader, episodes: int, *, label: str | None = None) -> Episodes:
    """Play ``episodes`` whole episodes of ``policy`` and return them in a fixed order.

    ``env`` must be fresh and in ``AutoresetMode.DISABLED``: the last step of an episode is read before its reset. With
    N environments each plays episodes // N, the first episodes % N one more. A scenario of sequential tapes is played
    once through: then ``episodes`` is the number of tapes, and as many environments are the quickest. ``label`` names
    the progress bar; None = no bar. The environment is left open.

    A `sim.backtest.Trader` on the environment's engine writes orders of its own instead of choosing rows. A policy with
    a true attribute ``chooses_rows`` chooses rows also where the environment has a control surface. Points of a surface
    are not recorded, as if they were orders of its own.

    Raises ValueError for another autoreset mode, no episode, or sequential tapes that would not be played once each.
    """
    _check(env, episodes)
    keep = Recorder(env, _plan(env, episodes))
    obs, info = env.reset()
    _begin(keep, policy, keep.waiting())
    with tqdm(total=episodes, desc=label, unit="episode", disable=label is None, leave=False) as bar:
        while keep.playing.any():
            keep.before()
            if isinstance(policy, Trader):
                actions = None
                obs, _, terminated, truncated, info = env.step_orders(policy.orders())
            else:
                actions = choose(policy, obs, info["action_mask"])  # type: ignore[arg-type]
                in_rows = getattr(policy, "chooses_rows", False)
                obs, _, terminated, truncated, info = (env.step_rows if in_rows else env.step)(actions)
            keep.step(None if np.issubdtype(np.asarray(actions).dtype, np.floating) else actions, info)
            over = (terminated | truncated) & keep.playing
            if over.any():
                keep.finish(over)
                bar.update(int(over.sum()))
                again = over & keep.waiting()
                if again.any():
                    obs, info = env.reset(options={"reset_mask": again})
                    _begin(keep, policy, again)
    return keep.episodes()


def _begin(keep: Recorder, policy: Policy | Trader, mask: np.ndarray) -> None:
    """Episodes of the environments in ``mask`` were reset."""
    keep.begin(mask)
    if hasattr(policy, "begin"):
        policy.begin(mask)


def _check(env: TradingVectorEnv, episodes: int) -> None:
    mode = env.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.DISABLED:
        raise ValueError(f"rollout: expected an environment with autoreset_mode=AutoresetMode.DISABLED, got {mode}")
    if episodes < 1:
        raise ValueError(f"rollout: expected at least one episode, got {episodes}")


def _plan(env: TradingVectorEnv, episodes: int) -> np.ndarray:
    """``(N, rounds)`` int64: the place among all episodes of each environment's k-th one; -1 = it plays no more."""
    quota = np.full(env.num_envs, episodes // env.num_envs)
    quota[: episodes % env.num_envs] += 1
    scenario = env.engine.scenario
    if scenario.sequential and scenario.tapes:
        quota = _sequential_quota(env.num_envs, episodes, len(scenario.tapes) // env.engine.num_markets)
    wanted = np.arange(quota.max())[None, :] < quota[:, None]
    place = np.cumsum(wanted.T.ravel()).reshape(wanted.T.shape).T - 1  # round by round
    return np.where(wanted, place, -1)


def _sequential_quota(num_envs: int, episodes: int, tapes: int) -> np.ndarray:
    """Environment i plays tape i, then i + 1: all play one, the last goes on through the rest."""
    if episodes != tapes:
        raise ValueError(
            f"rollout: the scenario plays {tapes} tapes in order: ask for {tapes} episodes, not {episodes}"
        )
    if num_envs > tapes:
        raise ValueError(f"rollout: {num_envs} environments for {tapes} tapes in order: use {tapes} or fewer")
    quota = np.ones(num_envs, np.int64)
    quota[-1] = tapes - num_envs + 1
    return quota
