"""PPO end to end, beside the bound that its own networks set.

The bound does what no implementation of the same algorithm can leave out of an update: eager float32 forward, backward
and Adam over the same networks, epochs, minibatches and threads, on random data that is there already. Rollout,
advantages, environment and bookkeeping cost the bound nothing.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from tqdm import tqdm

from agents import ppo
from agents.config import PPOConfig
from agents.network import find_activation
from agents.sb3_vec import SB3VecEnv
from benchmarks.machine import describe, print_result
from envs.vector import TradingVectorEnv


def _network(inputs: int, outputs: int, config: PPOConfig) -> torch.nn.Sequential:
    activation = find_activation(config.activation)
    sizes = [inputs, *config.hidden]
    layers: list[torch.nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [torch.nn.Linear(before, after), activation()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], outputs))


def bound_seconds(transitions: int, features: int, actions: int, config: PPOConfig) -> float:
    """Seconds of one update's forward, backward and Adam steps on random data."""
    actor, critic = _network(features, actions, config), _network(features, 1, config)
    adam = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-4)
    size = transitions // config.minibatches
    obs, taken = torch.randn(size, features), torch.randint(actions, (size, 1))
    advantages, returns, old = torch.randn(size), torch.randn(size), torch.full((size,), -3.0)
    begin = time.perf_counter()
    for _ in range(config.epochs * config.minibatches):
        log_probs = torch.log_softmax(actor(obs), 1)
        ratio = (log_probs.gather(1, taken).flatten() - old).exp()
        surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(0.8, 1.2)).mean()
        entropy = -(log_probs.exp() * log_probs).sum(1).mean()
        loss = -surrogate - 0.01 * entropy + 0.5 * torch.nn.functional.mse_loss(critic(obs).flatten(), returns)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return time.perf_counter() - begin


def measure(num_envs: int, updates: int) -> dict:
    """Median rates over ``updates`` updates, each followed by one of the bound's, so that both see the same machine."""
    torch.set_num_threads(1)
    config = PPOConfig()
    env = TradingVectorEnv(num_envs, seed=0)
    model = ppo.build(SB3VecEnv(env), config, gamma=1.0, seed=0, cost_names=env.spec_sheet["costs"])
    model.set_logger(Logger(None, []))
    transitions = num_envs * config.n_steps
    features, rows = env.single_observation_space.shape[0], int(env.single_action_space.n)
    model.learn(transitions)  # compiles and warms up
    ours, bounds, shares = [], [], []
    for _ in tqdm(range(updates), unit="update"):
        begin = time.perf_counter()
        model.learn(transitions, reset_num_timesteps=False)
        elapsed = time.perf_counter() - begin
        ours.append(transitions / elapsed)
        shares.append(model._env_seconds / elapsed)
        bounds.append(transitions / bound_seconds(transitions, features, rows, config))
    return {
        "benchmark": "train",
        "steps_per_s": round(float(np.median(ours))),
        "bound_steps_per_s": round(float(np.median(bounds))),
        "ratio": round(float(np.median(np.array(ours) / np.array(bounds))), 3),
        "env_share": round(float(np.median(shares)), 3),
        "num_envs": num_envs,
        "n_steps": config.n_steps,
        "epochs": config.epochs,
        "minibatch": transitions // config.minibatches,
        "parameters": sum(p.numel() for p in model.policy.parameters()),
        "features": features,
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks train``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks train", description=__doc__)
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--updates", type=int, default=15)
    options = parser.parse_args(arguments)
    print_result({**measure(options.num_envs, options.updates), **describe()})
    return 0
