"""The face of `agents.ppo.ConstrainedPPO` over an RLlib algorithm: what runs, checkpoints and teachers ask for.

With no env runner elsewhere everything happens in this process, and a run is, bit for bit, that of SB3's trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from io import BufferedIOBase
from typing import Any

import numpy as np
import ray
from gymnasium.spaces import Space
from gymnasium.vector import VectorEnv
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import FloatSchedule, set_random_seed

from agents.actor_critic import ActorCritic
from agents.budgets import constraints
from agents.cluster import cpus_for, start_ray
from agents.config import PPOConfig, check
from agents.describe import describe
from agents.device import find_device, is_mixed
from agents.ledger import Ledger
from agents.metrics import Machine
from agents.multipliers import Multipliers
from agents.network import Network
from agents.ppo import ConstrainedPPO
from agents.rllib.algorithm import ConstrainedAlgorithm
from agents.rllib.episodes import Episodes
from agents.rllib.learner import ConstrainedLearner, connectors
from agents.rllib.rollcall import RollCall
from agents.rllib.runner import BulkEnvRunner
from agents.rllib.settings import Settings, Steering, Watch, configure


def build(
    make: Callable[[int, int], VectorEnv],
    spaces: tuple[Space, Space],
    config: PPOConfig,
    *,
    num_envs: int,
    gamma: float,
    seed: int,
    cost_names: Sequence[str] = (),
    reward_names: Sequence[str] = (),
    markets: int = 1,
    watch: Callable[[Any], Watch] | None = None,
    runners: int = 0,
    cpus: int | None = None,
    cpus_per_runner: float = 1.0,
    wait_s: float = 300.0,
) -> RLlibPPO:
    """An `RLlibPPO` with fresh networks drawn from ``seed``, the same as `agents.ppo.build` draws.

    Args:
        make: environments by the number of the first and their count, in SAME_STEP mode; picklable where there are
            ``runners``. A batch that is cut into pieces must play the same episodes.
        spaces: of one environment's observations and actions.
        config: hyperparameters, budgets and multipliers.
        num_envs: of all env runners together.
        gamma, seed, cost_names, reward_names, markets: as of `agents.ppo.build`.
        watch: what follows the environment of an env runner for `RLlibPPO.steering`.
        runners: env runners in processes of their own; 0 = one in this process.
        cpus: of a Ray that has to be started; None = what the ``runners`` need, and one.
        cpus_per_runner: that Ray sets aside for each.
        wait_s: seconds to wait until all ``runners`` have started, and later where none is left until one is back.

    Raises ValueError where a setting cannot work, naming it; RuntimeError where Ray has no room for the ``runners``.
    """
    check(config)
    rows = num_envs if config.memory else num_envs * config.n_steps
    if rows % config.minibatches:
        raise ValueError(f"agent.minibatches = {config.minibatches} does not divide {rows} rows of a rollout")
    if not 0 <= runners <= num_envs:
        raise ValueError(f"trainer.num_env_runners = {runners}: expected 0, or at most one for each of {num_envs} rows")
    device = find_device(config.device)
    settings = Settings(
        agent=deepcopy(config),
        constraints=[] if config.budgets is None else constraints(config.budgets, list(cost_names)),
        cost_names=tuple(cost_names),
        reward_names=tuple(reward_names),
        gamma=gamma,
        spec=describe(*spaces, config, markets),
        observation_space=spaces[0],
        action_space=spaces[1],
        seed=seed,
        num_envs=num_envs,
        runners=runners,
        make=make,
        device=device,
        mixed=is_mixed(config, device, played_elsewhere=runners > 0),
        watch=watch,
    )
    cpus = cpus or cpus_for(runners, cpus_per_runner)
    return RLlibPPO(settings, cpus=cpus, cpus_per_runner=cpus_per_runner, wait_s=wait_s)


class RLlibPPO:
    """Constrained PPO on RLlib; an `agents.learner.Learner`. `close` it: env runners and a Ray of its own are stopped.

    ``steering``: tells the env runners' watches what to do, and is told what they saw.
    """

    def __init__(self, settings: Settings, *, cpus: int, cpus_per_runner: float, wait_s: float) -> None:
        self.settings, self.config = settings, settings.agent
        self.constraints, self.cost_names = settings.constraints, settings.cost_names
        self.gamma, self.seed, self.n_envs = settings.gamma, settings.seed, settings.num_envs
        self.n_steps, self.max_grad_norm = self.config.n_steps, self.config.max_grad_norm
        self.num_timesteps = 0
        self.kept: dict[str, np.ndarray] = {}
        self._logger = Logger(None, [])
        self._parts: list[Episodes] = []
        self._owns_ray, self._closed = start_ray(cpus), False
        try:
            self._build(cpus_per_runner, wait_s)
        except BaseException:
            self.close()
            raise

    def _build(self, cpus: float, wait_s: float) -> None:
        """The algorithm with its parts; returns when all env runners elsewhere have started."""
        config = configure(
            ConstrainedAlgorithm, BulkEnvRunner, ConstrainedLearner, connectors, self.settings, cpus_per_runner=cpus
        )
        self.algorithm: ConstrainedAlgorithm = config.build_algo()
        if self.settings.runners:
            manager = self.algorithm.env_runner_group._worker_manager
            self.algorithm.roll_call = RollCall(manager, self.settings.runners, cpus, wait_s)
            self.algorithm.roll_call.first()
        self.algorithm.sampled = self._on_sampled
        self.learner: ConstrainedLearner = self.algorithm.learner
        self._masked = self.learner.masked
        self.policy = self._fresh_policy()
        local = self.algorithm.local_runner
        if local is not None:
            local.module.network = self.network  # one process needs no copy

    def _fresh_policy(self) -> ActorCritic:
        """Networks as `agents.ppo.build` draws them, put into the learner; and SB3's face of those."""
        run = self.settings
        set_random_seed(run.seed)
        for space in (run.observation_space, run.action_space):
            space.seed(run.seed)  # they are saved with the policy, and so are their generators
        policy = ActorCritic(
            run.observation_space, run.action_space, lambda _: self.config.learning_rate, spec=run.spec,
            critics=1 + len(self.constraints),
        )  # fmt: skip
        self.network.load_state_dict(policy.network.state_dict())
        policy.network, policy.optimizer = self.network, self.learner.optimizer
        return policy

    @property
    def network(self) -> Network:
        """What learns."""
        return self.learner.network

    @property
    def multipliers(self) -> Multipliers:
        """The prices of the budgets."""
        return self.learner.lagrangian.multipliers

    @property
    def ledger(self) -> Ledger:
        """What episodes have cost."""
        return self.learner.ledger

    @property
    def steering(self) -> Steering | None:
        """See the class."""
        return self.algorithm.steering

    @steering.setter
    def steering(self, value: Steering | None) -> None:
        self.algorithm.steering = value

    @property
    def _n_updates(self) -> int:
        return self.learner.updates

    @_n_updates.setter
    def _n_updates(self, value: int) -> None:
        self.learner.updates = value

    @property
    def logger(self) -> Logger:
        """Where metrics go."""
        return self._logger

    def set_logger(self, logger: Logger) -> None:
        """Choose where metrics go."""
        self._logger = logger

    def learn(
        self,
        total_timesteps: int,
        callback: BaseCallback | list[BaseCallback] | None = None,
        *,
        reset_num_timesteps: bool = True,
    ) -> None:
        """Go on for ``total_timesteps``, rounded up to whole rollouts; with a reset, count from 0."""
        if reset_num_timesteps:
            self.num_timesteps = 0
        total = self.num_timesteps + total_timesteps
        self.algorithm.total_steps = total
        self._callback = CallbackList([callback] if isinstance(callback, BaseCallback) else callback or [])
        self._callback.init_callback(self)  # type: ignore[arg-type]
        self._callback.on_training_start({}, {})
        while self.num_timesteps < total:
            self._callback.on_rollout_start()
            self._machine = Machine()
            self._parts = []
            self.algorithm.steps = self.num_timesteps
            self.algorithm.train()
            if self._parts:
                self._log()
        self._callback.on_training_end()

    def _on_sampled(self, parts: list[Episodes]) -> None:
        self._parts = parts
        self.num_timesteps += sum(part.env_steps for part in parts)
        self._callback.on_step()
        self._callback.on_rollout_end()

    def _log(self) -> None:
        outcome = self.learner.outcome
        assert outcome is not None
        self.learner.lagrangian.log(self.logger, self._n_updates, outcome, self.speed())
        self.logger.dump(self.num_timesteps)

    @property
    def ended_returns(self) -> list[float]:
        """Returns of the episodes that ended in the current rollout."""
        return [episode["r"] for part in self._parts for episode in part.rollout.episodes]

    def speed(self) -> dict[str, float]:
        """Of the last update: steps a second, share of it in the slowest environment, what it took of this machine."""
        spent = self._machine.usage()
        seconds = spent.pop("seconds")
        steps = sum(part.env_steps for part in self._parts)
        return {
            "steps_per_s": steps / seconds,
            "env_share": max(part.env_seconds for part in self._parts) / seconds,
            **spent,
        }

    def learner_state(self) -> dict[str, Any]:
        """What it remembers between two updates besides its networks: the arrays themselves, not copies."""
        return {**self.learner.memory(), "kept": self.kept}

    def _on_runners(self, function: Callable[[BulkEnvRunner], Any]) -> list[Any]:
        """What ``function`` gives for every env runner that answers."""
        local = self.algorithm.local_runner
        if local is not None:
            return [function(local)]
        return self.algorithm.env_runner_group.foreach_env_runner(function, local_env_runner=False)

    @property
    def resumable(self) -> bool:
        """Whether the environment can be saved, and a run on it be resumed."""
        return all(self._on_runners(lambda runner: runner.rows.resumable))

    def stand(self) -> None:
        """Nothing: env runners begin their episodes when they are asked where they stand."""

    def playing(self) -> dict[str, Any]:
        """Where the environments of every env runner that answers stand, as tensors, by the runner's number."""
        return {"runners": dict(self._on_runners(lambda runner: (runner.worker_index, runner.save_place())))}

    def play_on(self, saved: dict[str, Any], what: str) -> None:
        """Go back to what `playing` gave; an env runner that did not answer then begins anew.

        Raises ValueError naming ``what`` where it was of other settings.
        """
        places = saved["runners"]

        def restore(runner: BulkEnvRunner) -> None:
            if runner.worker_index in places:
                runner.restore_place(places[runner.worker_index], what)

        self._on_runners(restore)

    def save(self, path: BufferedIOBase) -> None:
        """Write the policy in SB3's format, as a `ConstrainedPPO` that has learnt what this one has."""
        run = self.settings
        model = ConstrainedPPO(
            ActorCritic, None, config=self.config, constraints=self.constraints, cost_names=self.cost_names,
            reward_names=run.reward_names, gamma=self.gamma, seed=self.seed, _init_setup_model=False,
            policy_kwargs={"spec": run.spec, "critics": 1 + len(self.constraints)},
        )  # fmt: skip
        model.observation_space, model.action_space = run.observation_space, run.action_space
        model.n_envs, model.num_timesteps, model._n_updates = self.n_envs, self.num_timesteps, self._n_updates
        model.batch_size = self.n_envs * self.n_steps // self.config.minibatches
        model.policy, model.lagrangian = self.policy, self.learner.lagrangian
        model._setup_lr_schedule()
        model.clip_range = FloatSchedule(model.clip_range)
        model.save(path)

    def close(self) -> None:
        """Stop the env runners, and Ray where it was started here. May be called again."""
        if not self._closed:
            algorithm = getattr(self, "algorithm", None)  # none where it could not be built
            if algorithm is not None and algorithm.roll_call is not None:
                algorithm.roll_call.dismiss()
            if algorithm is not None:
                algorithm.stop()
            if self._owns_ray:
                ray.shutdown()
        self._closed = True
