"""RLlib's env runner over a natively batched environment, sampled in bulk.

RLlib's own runner assumes NEXT_STEP autoreset without a check: on an environment that resets in SAME_STEP mode the last
observation of an episode would be the first one of the next. This one wants SAME_STEP, and refuses another mode
(`agents.sb3_vec`); the last observations come from the environment's info.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.utils.metrics import EPISODE_LEN_MEAN, EPISODE_RETURN_MEAN

from agents.collect import Collector, Place
from agents.heads import Choices
from agents.loss import Sample
from agents.network import Network
from agents.rllib.episodes import Episodes
from agents.rllib.module import MASKS, STARTS
from agents.rllib.settings import ConstrainedConfig
from agents.rollout import Rollout
from agents.sb3_vec import SB3VecEnv
from agents.trees import pack, unpack


class BulkEnvRunner(SingleAgentEnvRunner):
    """Plays its share of a run's environments; ``place`` is where they stand, None before the first rollout."""

    config: ConstrainedConfig

    def make_env(self) -> None:
        """RLlib's hook: its rows of the batch."""
        run = self.config.run
        self.first, count = run.rows(max(self.worker_index - 1, 0))
        env = run.make(self.first, count)
        self.rows = SB3VecEnv(env)
        self.env, self.num_envs = env, count
        self.watch = None if run.watch is None else run.watch(env)
        self.place: Place | None = None
        self._fresh, self._update = False, 1

    def make_module(self) -> None:
        """RLlib's hook: the network, and room for a rollout."""
        super().make_module()
        if self.worker_index:  # the driver seeds its own process, which may hold this runner, too
            torch.set_num_threads(1)
            self.module.network.mixed = False  # only the learner multiplies in bfloat16
            torch.manual_seed(self._drawn_seed())
        if self.env is not None:
            self.rollout = self._room()

    def _drawn_seed(self, *more: int) -> int:
        """Of the run's seed, this runner's number, and ``more``."""
        return int(np.random.SeedSequence([self.config.run.seed, self.worker_index, *more]).generate_state(1)[0])

    def _room(self) -> Rollout:
        run = self.config.run
        network: Network = self.module.network
        here = "cpu" if self.worker_index else run.device  # where its network is, or will be: the learner's
        roll = Rollout(run.agent.n_steps, run.observation_space, run.action_space, n_envs=self.num_envs, device=here)
        masked = run.agent.masks and isinstance(network.head, Choices)
        roll.prepare(network, 1 + len(run.constraints), masked=masked, costs=len(run.cost_names))
        return roll

    def begin(self) -> Place:
        """Reset all rows, with the run's seed; in place of a dead runner with another, so that nothing is replayed."""
        seed = self.config.run.seed
        if self._update > 1:
            seed = self._drawn_seed(self._update)
            torch.manual_seed(seed)
        self.rows.seed(seed)
        obs, self._fresh = self.rows.reset(), True
        memory = torch.zeros(self.num_envs, self.module.network.state_width, device=self.rollout.device)
        return Place(obs, np.ones(self.num_envs, np.bool_), memory)

    def play(self, state: Any, orders: Any, update: int) -> tuple[Episodes | Exception, Any]:
        """What a driver asks of a runner elsewhere in one message: take the module's ``state``, sample, report.

        An error is returned, not raised: RLlib would take it for a dead runner, and start another.
        """
        try:
            self.module.set_state(state)
            return self.sample_update(orders, update), self.get_metrics()
        except Exception as error:  # noqa: BLE001 - the driver raises it
            return error, None

    def sample_update(self, orders: Any, update: int) -> Episodes:
        """`sample` for the ``update``, from 1, that errors name; ``orders`` are for the watch."""
        self._update = update
        if self.watch is not None:
            self.watch.begin(orders)
        return self.sample()

    def _sample(self, **_: Any) -> Episodes:
        """RLlib's hook: a rollout of all rows. Other lengths, whole episodes and random actions are not offered."""
        run = self.config.run
        names = {"cost_names": run.cost_names, "reward_names": run.reward_names}
        collector = Collector(self.rows, self.module.network, self._draw, **names)
        place = self.begin() if self.place is None else self.place
        played = collector.play(place, self.rollout, self._update, self._on_step)
        self.place = played.place
        self._note(self.rollout)
        cut_short, self._fresh = self._fresh and self.rows.staggered, False
        report = None if self.watch is None else self.watch.report()
        return Episodes(self.rollout, played, self.first, cut_short=cut_short, report=report)

    def _on_step(self) -> bool:
        if self.watch is not None:
            self.watch.step(self.rows)
        return True

    def _draw(
        self, network: Network, obs: torch.Tensor, starts: torch.Tensor, state: torch.Tensor, masks: torch.Tensor | None
    ) -> Sample:
        """`agents.loss.sample` by the module's exploration."""
        given = {Columns.OBS: obs, STARTS: starts, Columns.STATE_IN: state, MASKS: masks}
        drawn = self.module.forward_exploration(given)
        names = (Columns.ACTIONS, Columns.ACTION_LOGP, Columns.VF_PREDS, Columns.STATE_OUT)
        return Sample(*(drawn[name] for name in names))

    def _note(self, roll: Rollout) -> None:
        """RLlib's metrics of a rollout: once, not once an episode."""
        episodes = roll.episodes
        self._increase_sampled_metrics(roll.steps * roll.rows, len(episodes))
        self.num_env_steps_sampled_lifetime += roll.steps * roll.rows
        if episodes:
            for name, key in ((EPISODE_RETURN_MEAN, "r"), (EPISODE_LEN_MEAN, "l")):
                self.metrics.log_value(name, float(np.mean([episode[key] for episode in episodes])), window=1)

    def save_place(self) -> dict[str, Any]:
        """Where the environments stand, and the generator of actions where the process is its own, as tensors."""
        place = self.begin() if self.place is None else self.place
        self.place = place
        return {
            "last": pack((place.obs, place.starts)),
            "memory": place.memory.cpu().clone(),
            "env": pack(self.rows.snapshot()),
            "fresh": self._fresh,
            "torch": torch.get_rng_state(),
        }

    def restore_place(self, saved: dict[str, Any], what: str) -> None:
        """Go back to what `save_place` gave; ValueError naming ``what`` where it was of other settings."""
        place = self.begin()
        self.rows.restore(unpack(saved["env"], self.rows.snapshot(), f"{what}, environment"))
        unpack(saved["last"], (place.obs, place.starts), f"{what}, last observation")
        self.place, self._fresh = place._replace(memory=saved["memory"].to(self.rollout.device)), saved["fresh"]
        if self.worker_index:
            torch.set_rng_state(saved["torch"])
