"""Which rows training plays: the sampler of a phase, told the results of episodes, says how the next ones are drawn.

The sampler lives with the learner, a watch beside every environment; with RLlib these are in other processes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.learner import Learner
from agents.sb3_vec import SB3VecEnv
from curricula.samplers import Sampler
from envs.vector import TradingVectorEnv
from sim.latency import NEVER_NS
from sim.types import UUSD

Report = list[tuple[int, np.ndarray, np.ndarray]]  # of a rollout: step, rows that were played, results in dollars


class RowWatch:
    """Weighs the rows of an environment before a rollout, and notes on which row an episode ended, and its result.

    Staggered first episodes, which are cut short, do not count.
    """

    def __init__(self, env: TradingVectorEnv) -> None:
        self.env = env
        self._rows = np.zeros(env.num_envs, np.int64)
        self._cut = env.staggered and bool((env.engine.state.account["window_ns"] < NEVER_NS).all())
        self._report: Report = []

    def begin(self, orders: np.ndarray) -> None:
        """A rollout begins, on rows drawn with the weights ``orders`` (R,)."""
        self.env.engine.weigh(orders)
        self._report, self._steps = [], 0
        self._remember()

    def step(self, env: SB3VecEnv) -> None:
        """A step was taken."""
        over = np.flatnonzero(env.last_dones)
        if len(over):
            account = self.env.engine.state.account
            counted = over[account["episode"][over] > 1] if self._cut else over
            final = env.last_info["final_info"]["equity_uusd"]
            results = (final[counted] - account["start_uusd"][counted]) / UUSD
            self._report.append((self._steps, self._rows[counted], results))
            self._remember()
        self._steps += 1

    def report(self) -> Report:
        """The episodes that ended, in the order of time."""
        return self._report

    def _remember(self) -> None:
        self._rows[:] = self.env.engine.state.account["row"]


class Steering:
    """Tells watches the weights of ``sampler``, and it what they saw. Its state is saved with the learner's."""

    def __init__(self, model: Learner, sampler: Sampler) -> None:
        self.sampler = sampler
        model.kept |= {f"sampler_{name}": array for name, array in sampler.state().items()}

    def orders(self) -> np.ndarray:
        """``(R,)`` for the next rollout."""
        return self.sampler.weights()

    def note(self, reports: list[Any]) -> None:
        """What the watches saw, in the order of their rows, step by step."""
        entries = [entry for report in reports for entry in report]
        for step in sorted({step for step, _, _ in entries}):
            now = [(rows, results) for at, rows, results in entries if at == step]
            self.sampler.note(np.concatenate([rows for rows, _ in now]), np.concatenate([got for _, got in now]))


class Sampling(BaseCallback):
    """Steers the one environment of SB3's trainer, which a callback sees at every step."""

    def __init__(self, model: Learner, env: TradingVectorEnv, sampler: Sampler) -> None:
        super().__init__()
        self.sampler, self.steering, self.watch = sampler, Steering(model, sampler), RowWatch(env)

    def _on_rollout_start(self) -> None:
        self.watch.begin(self.steering.orders())

    def _on_step(self) -> bool:
        self.watch.step(self.model.env)  # type: ignore[arg-type]
        return True

    def _on_rollout_end(self) -> None:
        self.steering.note([self.watch.report()])
