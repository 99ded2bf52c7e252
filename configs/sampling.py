"""Which rows training plays: the sampler of a phase, told the results of episodes, says how the next ones are drawn."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.ppo import ConstrainedPPO
from agents.sb3_vec import SB3VecEnv
from curricula.samplers import Sampler
from envs.vector import TradingVectorEnv
from sim.latency import NEVER_NS
from sim.types import UUSD


class Sampling(BaseCallback):
    """Weighs the rows of an environment before every rollout as ``sampler`` says.

    Staggered first episodes, which are cut short, do not count. The sampler's state is saved with the learner's.
    """

    def __init__(self, model: ConstrainedPPO, env: TradingVectorEnv, sampler: Sampler) -> None:
        super().__init__()
        self.env, self.sampler = env, sampler
        self._rows = np.zeros(env.num_envs, np.int64)
        self._cut = env.staggered and bool((env.engine.state.account["window_ns"] < NEVER_NS).all())
        model.kept |= {f"sampler_{name}": array for name, array in sampler.state().items()}

    def _on_rollout_start(self) -> None:
        self.env.engine.weigh(self.sampler.weights())
        self._remember()

    def _on_step(self) -> bool:
        wrapped: SB3VecEnv = self.model.env  # type: ignore[assignment]
        over = np.flatnonzero(wrapped.last_dones)
        if len(over):
            account = self.env.engine.state.account
            counted = over[account["episode"][over] > 1] if self._cut else over
            final = wrapped.last_info["final_info"]["equity_uusd"]
            self.sampler.note(self._rows[counted], (final[counted] - account["start_uusd"][counted]) / UUSD)
            self._remember()
        return True

    def _remember(self) -> None:
        self._rows[:] = self.env.engine.state.account["row"]
