"""The RLlib trainer beside stock RLlib's PPO: sampling and learning, in one process, taking turns on the same core.

Both play the same natively batched environment with the same networks (separate actor and critic of 64 x 64), rollouts,
epochs and minibatches. Stock RLlib has its own env runner, which wants NEXT_STEP autoreset, and its own learner and
connectors; it is spared the environment's info, which it would turn into a dictionary a row. Ours also keeps budgets:
0 and 3 of them. ``ratio``: ours without a budget over stock, the median over turns of the time on the processor, the
smaller of the two environments of `benchmarks.train`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from tqdm import tqdm

from agents.config import PPOConfig
from benchmarks.machine import describe, print_result
from benchmarks.train import COSTS, GAMMA, FreeEnv, settings
from envs.vector import TradingVectorEnv

WANTED = 1.8
BUDGETS = (0, 3)


def _free(mode: AutoresetMode, costs: int, first: int, count: int) -> VectorEnv:  # noqa: ARG001 - rows are alike
    return FreeEnv(count, costs, mode)


def _market(mode: AutoresetMode, costs: int, first: int, count: int) -> VectorEnv:
    return TradingVectorEnv(count, costs=COSTS[:costs], autoreset_mode=mode, seed=0, first_env=first)


TASKS: dict[str, Callable[[AutoresetMode, int, int, int], VectorEnv]] = {"free": _free, "market": _market}


class _NoInfo(VectorWrapper):
    """An environment that says nothing beside what Gymnasium asks for."""

    def reset(self, **settings: Any) -> tuple[np.ndarray, dict]:
        return self.env.reset(**settings)[0], {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        return *self.env.step(actions)[:4], {}


def stock(task: str, num_envs: int) -> Any:
    """RLlib's PPO; ``train()`` is one iteration."""
    from ray.rllib.algorithms.ppo import PPOConfig as StockConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.tune.registry import register_env

    shared = settings(0, compiled=False)
    make = partial(TASKS[task], AutoresetMode.NEXT_STEP, 0, 0)
    register_env(f"{task}-stock", lambda config: _NoInfo(make(config["num_envs"])))
    batch = num_envs * shared.n_steps
    config = (
        StockConfig()
        .environment(f"{task}-stock")
        .env_runners(
            num_env_runners=0, num_envs_per_env_runner=num_envs, gym_env_vectorize_mode="vector_entry_point",
            rollout_fragment_length=shared.n_steps,
        )
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=list(shared.hidden), fcnet_activation=shared.activation, vf_share_layers=False
            )
        )
        .training(
            train_batch_size_per_learner=batch, minibatch_size=batch // shared.minibatches, num_epochs=shared.epochs,
            gamma=GAMMA, lambda_=shared.gae_lambda, lr=shared.learning_rate, entropy_coeff=shared.ent_coef,
            clip_param=shared.clip_range, vf_loss_coeff=shared.vf_coef, grad_clip=shared.max_grad_norm,
            use_kl_loss=False,
        )
        .debugging(seed=0, log_level="ERROR")
    )  # fmt: skip
    return config.build_algo()


def ours(task: str, num_envs: int, costs: int) -> Any:
    """The RLlib trainer with ``costs`` budgets; ``learn`` of a rollout is one iteration."""
    from agents.rllib import trainer

    make = partial(TASKS[task], AutoresetMode.SAME_STEP, costs)
    one = make(0, 1)
    spaces: tuple[gym.Space, gym.Space] = one.single_observation_space, one.single_action_space
    config: PPOConfig = settings(costs, compiled=False)
    return trainer.build(make, spaces, config, num_envs=num_envs, gamma=GAMMA, seed=0, cost_names=COSTS[:costs])


def measure(task: str, num_envs: int, turns: int) -> dict[str, Any]:
    """Steps a second of processor time, medians over ``turns``, and ratios to stock."""
    steps = num_envs * settings(0, compiled=False).n_steps
    theirs = stock(task, num_envs)
    runs: dict[str, Callable[[], object]] = {"stock": theirs.train}
    models = {f"ours_{costs}": ours(task, num_envs, costs) for costs in BUDGETS}
    for name, model in models.items():
        runs[name] = partial(model.learn, steps, reset_num_timesteps=False)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for turn in tqdm(range(turns + 1), desc=task, unit="turn", leave=False):
        for name, run in runs.items():
            begin = time.process_time()
            run()
            if turn:  # the first one warms up
                rates[name].append(steps / (time.process_time() - begin))
    theirs.stop()
    for model in models.values():
        model.close()
    ratio = {name: float(np.median(np.array(rates[name]) / np.array(rates["stock"]))) for name in models}
    return {
        "steps_per_s": {name: round(float(np.median(values))) for name, values in rates.items()},
        "ratio": {name: round(value, 3) for name, value in ratio.items()},
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks rllib``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks rllib", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--task", choices=[*TASKS, "both"], default="both")
    options = parser.parse_args(arguments)
    import ray

    torch.set_num_threads(1)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    tasks = list(TASKS) if options.task == "both" else [options.task]
    found = {task: measure(task, options.num_envs, options.turns) for task in tasks}
    ray.shutdown()
    shared = settings(0, compiled=False)
    print_result(
        {
            "benchmark": "rllib",
            "ratio": min(found[task]["ratio"]["ours_0"] for task in tasks),
            "wanted": WANTED,
            **found,
            "num_envs": options.num_envs,
            "n_steps": shared.n_steps,
            "epochs": shared.epochs,
            "minibatches": shared.minibatches,
            "ray": ray.__version__,
            **describe(),
        }
    )
    return 0
