"""RLlib's learner of `agents.ppo`'s algorithm: its loop over minibatches, our rollouts, loss, budgets and prices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import torch
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from agents.device import numbers
from agents.errors import refuse_step
from agents.heads import Choices
from agents.lagrangian import Lagrangian, Outcome, entropy_at, weights_at
from agents.ledger import Ledger
from agents.loss import PARTS as NAMES
from agents.network import Network
from agents.rllib.connectors import ROLLOUT, CostAdvantages, JoinRollouts
from agents.rllib.module import BATCH, LOSS, PARTS, WEIGHTS
from agents.rllib.settings import ConstrainedConfig
from agents.rollout import Rollout
from agents.trees import pack, unpack

TOTAL_STEPS = "total_steps"  # in the ``timesteps`` of an update: of the whole run, for its schedules
STATE = "constrained"  # of the learner's state: what it remembers besides networks and optimiser


class Minibatch(NamedTuple):
    """What RLlib's loop asks of a batch."""

    policy_batches: dict[str, dict[str, Any]]
    steps: int

    def env_steps(self) -> int:
        """Transitions in it."""
        return self.steps


class ConstrainedLearner(TorchLearner):
    """One learner, in the driver's process. ``updates`` counts them; ``outcome`` is of the last one."""

    config: ConstrainedConfig

    def build(self) -> None:
        """RLlib's hook: module, optimiser and connectors, and what an update remembers."""
        run = self.config.run
        self.lagrangian = Lagrangian(run.constraints, run.agent, run.gamma)
        self.ledger = Ledger(run.constraints, run.gamma, run.num_envs)
        self.updates = 0
        self.outcome: Outcome | None = None
        self._parts: list[list[float]] = []
        super().build()
        self._device = run.device  # RLlib would ask Ray for a GPU, which hands out none to a driver
        self.network.to(run.device)
        self._learner_connector.append(CostAdvantages(self.lagrangian, self.ledger))

    @property
    def network(self) -> Network:
        """What learns."""
        return self.module[DEFAULT_MODULE_ID].network

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Adam over all of it."""
        return self.get_optimizer(DEFAULT_MODULE_ID)

    @property
    def masked(self) -> bool:
        """Whether actions that cannot be done are never sampled."""
        return self.config.run.agent.masks and isinstance(self.network.head, Choices)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """RLlib's hook: the optimiser of `agents.actor_critic`, whose rate the learner sets itself."""
        parameters = list(self.module[module_id].parameters())
        rate = self.config.run.agent.learning_rate
        adam = torch.optim.Adam(parameters, lr=rate, eps=1e-5, fused=True)
        self.register_optimizer(module_id=module_id, optimizer=adam, params=parameters)

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """RLlib's hook: schedules as of the rollout's first step."""
        super().before_gradient_based_update(timesteps=timesteps)
        run = self.config.run
        agent = run.agent
        progress = 1.0 - timesteps[NUM_ENV_STEPS_SAMPLED_LIFETIME] / timesteps[TOTAL_STEPS]
        rate = agent.learning_rate + (1.0 - progress) * (agent.learning_rate_end - agent.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._weights = weights_at(agent, progress).to(run.device)
        self._entropy = entropy_at(agent, progress)
        self._parts = []
        self._too_far = False

    def _create_iterator_if_necessary(self, *, training_data: Any, **_: Any) -> Iterator[Minibatch]:
        """Minibatches of what the connectors make of the episodes, until the policy is too far from where it was."""
        shared: dict[str, Any] = {}
        self._learner_connector(
            rl_module=self.module, batch={}, episodes=training_data.episodes, shared_data=shared, metrics=self.metrics
        )
        self._rollout = shared[ROLLOUT]
        self.updates += 1
        self._spent = self.lagrangian.settle(self.network, self._rollout, self.ledger, self.updates)
        return self._minibatches(self._rollout)

    def _minibatches(self, roll: Rollout) -> Iterator[Minibatch]:
        agent, sequences = self.config.run.agent, self.network.memory is not None
        for epoch in range(agent.epochs):
            for number, batch in enumerate(roll.minibatches(agent.minibatches, sequences=sequences)):
                if self._too_far:
                    return
                self._where = f"update {self.updates}, epoch {epoch + 1}, minibatch {number + 1}"
                data = {BATCH: batch, WEIGHTS: self._weights}
                yield Minibatch({DEFAULT_MODULE_ID: data}, len(batch.log_probs))

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> torch.Tensor:  # fmt: skip
        """RLlib's hook: the module has reckoned it already."""
        self._last = fwd_out
        return fwd_out[LOSS]

    def postprocess_gradients(self, gradients_dict: dict[Any, torch.Tensor]) -> dict[Any, torch.Tensor]:
        """RLlib's hook: clipped by their common norm. Raises NonFiniteError where they or the loss are not finite."""
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.run.agent.max_grad_norm)
        *parts, loss_, norm_ = numbers(self._last[PARTS], self._last[LOSS], norm)
        if not isfinite(loss_ + norm_):
            refuse_step(loss_, norm_, dict(zip(NAMES, parts, strict=True)), self._where)
        self._parts.append(parts)
        return gradients_dict

    def apply_gradients(self, gradients_dict: dict[Any, torch.Tensor]) -> None:
        """RLlib's hook: a step of Adam, unless the policy is too far already, which ends the update."""
        target = self.config.run.agent.target_kl
        self._too_far = target is not None and self._parts[-1][NAMES.index("approx_kl")] > 1.5 * target
        if not self._too_far:
            self.optimizer.step()

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """RLlib's hook: notes what came of it, and lets the normaliser see the rollout."""
        super().after_gradient_based_update(timesteps=timesteps)
        losses = dict(zip(NAMES, np.mean(self._parts, axis=0).tolist(), strict=True))
        rate = self.optimizer.param_groups[0]["lr"]
        self.outcome = Outcome(self._rollout, losses, self._spent, rate, self._entropy)
        if self.network.normaliser is not None:
            self.network.normaliser.observe(self._rollout.obs.reshape(-1, self.network.features))

    def _log_steps_trained_metrics(self, batch: Any) -> None:
        """RLlib logs twelve numbers a minibatch here; the metrics of a run are its own."""

    def _log_metrics(self, batch: Any) -> None:
        """As above, for Prometheus."""

    def memory(self) -> dict[str, Any]:
        """What decides the coming updates besides networks and optimiser: the arrays themselves, not copies."""
        return {**self.lagrangian.state(), "ledger": self.ledger.state()}

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """RLlib's hook."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(STATE, components, not_components):
            state[STATE] = {
                "updates": self.updates, "memory": pack(self.memory()), "recent": [x.copy() for x in self.ledger.recent]
            }  # fmt: skip
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """RLlib's hook."""
        super().set_state(state)
        if STATE in state:
            mine = state[STATE]
            self.updates, self.ledger.recent = mine["updates"], [losses.copy() for losses in mine["recent"]]
            unpack(mine["memory"], self.memory(), "the learner's state")


def connectors(*_: Any) -> Sequence[ConnectorV2]:
    """The pieces of the learner's pipeline that need no learner; RLlib's ``learner_connector``."""
    return [JoinRollouts()]
