"""Training speed, side by side in one run: stock SB3's PPO, ours eager and ours compiled, with 0, 1 and 3 budgets.

All have the same environment, networks (separate actor and critic), epochs, minibatches and threads, and take turns, so
that they see the same machine. Ratios are medians over turns of the time on the processor. ``bound`` does what no
implementation of the algorithm can leave out of an update: eager float32 forward, backward and Adam over the same
networks on random data that is there already.

Two environments: ``free`` shows random numbers (16 features, 5 actions) and costs next to nothing, as in published
comparisons of trainers; ``market`` is the simulator with default features and actions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from tqdm import tqdm

from agents import ppo
from agents.budgets import Budget
from agents.config import PPOConfig
from agents.device import find_device, is_mixed
from agents.network import find_activation
from agents.sb3_vec import SB3VecEnv
from benchmarks.machine import describe, print_result
from envs.vector import TradingVectorEnv

COSTS = ("drawdown", "inventory", "order_rate")
BUDGETS = (0, 1, 3)
GAMMA = 0.99


class FreeEnv(VectorEnv):
    """Random observations, rewards and costs made beforehand; every episode takes 64 steps."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, num_envs: int, costs: int, mode: AutoresetMode = AutoresetMode.SAME_STEP) -> None:
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": mode}  # type: ignore[misc]
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (16,), np.float32)
        self.single_action_space = gym.spaces.Discrete(5)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        rng = np.random.default_rng(0)
        self.pool = rng.standard_normal((64, num_envs, 16)).astype(np.float32)
        self.charged = rng.random((64, num_envs, costs)).astype(np.float32)
        self.never = np.zeros(num_envs, np.bool_)
        self.t = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """The first of 64 observations."""
        self.t = 0
        return self.pool[0], {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Pays the first feature for action 1."""
        self.t = (self.t + 1) % 64
        over = ~self.never if self.t == 0 else self.never
        info = {"costs": self.charged[self.t], "final_obs": self.pool[self.t]}
        return self.pool[self.t], self.pool[self.t, :, 0] * (actions == 1), over, self.never, info


def _free(num_envs: int, costs: int) -> SB3VecEnv:
    return SB3VecEnv(FreeEnv(num_envs, costs))


def _market(num_envs: int, costs: int) -> SB3VecEnv:
    return SB3VecEnv(TradingVectorEnv(num_envs, costs=COSTS[:costs], autoreset_mode=AutoresetMode.SAME_STEP, seed=0))


TASKS: dict[str, Callable[[int, int], SB3VecEnv]] = {"free": _free, "market": _market}


def settings(costs: int, compiled: bool) -> PPOConfig:
    """SB3's defaults where the two have the same setting."""
    return PPOConfig(
        learning_rate=3e-4, learning_rate_end=3e-4, gae_lambda=0.95, ent_coef=0.0, ent_coef_end=0.0, activation="tanh",
        normalise_observations=False, masks=False, compile=compiled,
        budgets={name: Budget(1.0) for name in COSTS[:costs]} or None,
    )  # fmt: skip


def contestants(task: str, num_envs: int) -> dict[str, PPO]:
    """Learners by name, warmed up and compiled."""
    models: dict[str, PPO] = {}
    make = TASKS[task]
    shared = settings(0, compiled=False)
    size = num_envs * shared.n_steps // shared.minibatches
    models["sb3"] = PPO(
        "MlpPolicy", make(num_envs, 0), n_steps=shared.n_steps, batch_size=size, n_epochs=shared.epochs, gamma=GAMMA,
        gae_lambda=0.95, device="cpu", seed=0,
    )  # fmt: skip
    for costs in BUDGETS:
        for compiled in (False, True):
            name = f"{'compiled' if compiled else 'eager'}_{costs}"
            config = settings(costs, compiled)
            models[name] = ppo.build(make(num_envs, costs), config, gamma=GAMMA, seed=0, cost_names=COSTS[:costs])
    for model in tqdm(models.values(), desc=f"{task}: warming up", leave=False):
        model.set_logger(Logger(None, []))
        model.learn(num_envs * shared.n_steps)
    return models


def _network(inputs: int, outputs: int, config: PPOConfig) -> torch.nn.Sequential:
    activation = find_activation(config.activation)
    sizes = [inputs, *config.hidden]
    layers: list[torch.nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [torch.nn.Linear(before, after), activation()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], outputs))


def bound(transitions: int, features: int, actions: int, config: PPOConfig) -> None:
    """One update's forward, backward and Adam steps on random data."""
    actor, critic = _network(features, actions, config), _network(features, 1, config)
    adam = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-4)
    size = transitions // config.minibatches
    obs, taken = torch.randn(size, features), torch.randint(actions, (size, 1))
    advantages, returns, old = torch.randn(size), torch.randn(size), torch.full((size,), -3.0)
    for _ in range(config.epochs * config.minibatches):
        log_probs = torch.log_softmax(actor(obs), 1)
        ratio = (log_probs.gather(1, taken).flatten() - old).exp()
        surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(0.8, 1.2)).mean()
        entropy = -(log_probs.exp() * log_probs).sum(1).mean()
        loss = -surrogate - 0.01 * entropy + 0.5 * torch.nn.functional.mse_loss(critic(obs).flatten(), returns)
        adam.zero_grad()
        loss.backward()
        adam.step()


def measure(task: str, num_envs: int, turns: int) -> dict[str, Any]:
    """Steps a second of processor time, and ratios to stock SB3, each the median over ``turns``.

    Ours use a GPU where there is one: then seconds are those of the wall clock.
    """
    torch.set_num_threads(1)
    device = find_device("auto")
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    models = contestants(task, num_envs)
    config = settings(0, compiled=False)
    transitions = num_envs * config.n_steps
    space = models["sb3"].observation_space.shape
    features, actions = int(space[0]) if space else 1, int(models["sb3"].action_space.n)  # type: ignore[attr-defined]
    runs: dict[str, Callable[[], object]] = {
        name: lambda model=model: model.learn(transitions, reset_num_timesteps=False)  # type: ignore[misc]
        for name, model in models.items()
    }
    runs["bound"] = lambda: bound(transitions, features, actions, config)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in tqdm(range(turns), desc=task, unit="turn", leave=False):
        for name, run in runs.items():
            begin = clock()
            run()
            rates[name].append(transitions / (clock() - begin))
    return {
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "precision": "bfloat16" if is_mixed(config, device) else "float32",
        "steps_per_s": {name: round(float(np.median(values))) for name, values in rates.items()},
        "ratio": {name: round(_between(rates, name, "sb3"), 3) for name in rates},
        "one_cost_takes": round(
            1.0 - float(np.median(np.array(rates["compiled_1"]) / np.array(rates["compiled_0"]))), 3
        ),
        "features": features,
    }


def _between(rates: dict[str, list[float]], one: str, other: str) -> float:
    """Median over turns of one learner's rate to another's."""
    return float(np.median(np.array(rates[one]) / np.array(rates[other])))


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks train``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--task", choices=[*TASKS, "both"], default="both")
    options = parser.parse_args(arguments)
    tasks = list(TASKS) if options.task == "both" else [options.task]
    config = settings(0, compiled=False)
    print_result(
        {
            "benchmark": "train",
            **{task: measure(task, options.num_envs, options.turns) for task in tasks},
            "num_envs": options.num_envs,
            "n_steps": config.n_steps,
            "epochs": config.epochs,
            "minibatches": config.minibatches,
            "hidden": config.hidden,
            **describe(),
        }
    )
    return 0
