"""What a second env runner is worth, and what the driver adds to its env runners' own time: ``speedup`` of `scale`.

The RLlib trainer with one env runner and with two of half as many environments each, on one Ray, taking turns: one
rollout and its update each, over and over. The sampling rate is steps over the seconds from the moment that the driver
asks for a rollout until it has the rollouts of all env runners: weights sent, rows played, rollouts sent back and
unpacked. What happens between two rollouts, when env runners idle, is not in it: the update, its connectors included.

    speedup              two env runners' rate over one's, median over turns, with the smallest and the largest
    runners_alone        the same of the env runners' own seconds, the slower one's of two: what this machine gives
    runners_processor    the same of their seconds on the processor: what it would give with nobody else on it
    driver_s             seconds of a rollout that no env runner plays: those of the sampling beyond the slowest env
                         runner's own, and those of joining the rollouts, which the learner's first connector does;
                         by the number of env runners
    driver_share         their share of sampling and joining
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from agents.cluster import running_ray
from agents.device import find_device
from agents.rollout import Rollout
from benchmarks.rllib import TASKS
from benchmarks.train import GAMMA, settings

RUNNERS = (1, 2)
WANTED = 1.6


class Stopwatch:
    """Beside an env runner: the seconds that it plays a rollout, and those of them on the processor."""

    def __init__(self, env: Any) -> None:
        self.began = self.busy = 0.0

    def begin(self, orders: Any) -> None:
        """It begins to play."""
        self.began, self.busy = time.perf_counter(), time.process_time()

    def step(self, env: Any) -> None:
        """A step of all rows."""

    def report(self) -> tuple[float, float]:
        """It has played."""
        return time.perf_counter() - self.began, time.process_time() - self.busy


class Timing(BaseCallback):
    """Beside the driver: the last rollout's seconds of the sampling, of the slowest env runner, and of joining."""

    def __init__(self) -> None:
        super().__init__()
        self.sampling = self.slowest = self.busiest = self.joining = self._began = 0.0

    def orders(self) -> None:
        """The driver is about to ask for a rollout."""
        self._began = time.perf_counter()

    def note(self, reports: list[Any]) -> None:
        """The driver has all of it."""
        self.sampling = time.perf_counter() - self._began
        self.slowest, self.busiest = (max(seconds) for seconds in zip(*reports, strict=True))

    def _on_rollout_end(self) -> None:
        parts = [part.rollout for part in self.model._parts]  # type: ignore[attr-defined]
        began = time.perf_counter()
        Rollout.joined(parts, find_device("auto"))
        self.joining = time.perf_counter() - began

    def _on_step(self) -> bool:
        return True

    @property
    def driver(self) -> float:
        """Seconds that the driver adds."""
        return self.sampling - self.slowest + self.joining

    @property
    def share(self) -> float:
        """Of sampling and joining."""
        return self.driver / (self.sampling + self.joining)


def measure(num_envs: int, rounds: int) -> dict[str, Any]:
    """The keys that this module tells of, of as many turns as ``rounds``; one before them warms up."""
    with running_ray(max(sum(RUNNERS), os.cpu_count() or 1)):
        return _take_turns(num_envs, rounds)


def _take_turns(num_envs: int, rounds: int) -> dict[str, Any]:
    config = settings(0, compiled=False)
    config.epochs = config.minibatches = 1  # updates are not what is measured
    timings = {runners: Timing() for runners in RUNNERS}
    models = {runners: _trainer(num_envs, runners, config, timings[runners]) for runners in RUNNERS}
    steps = num_envs * config.n_steps
    seen: dict[int, list[tuple[float, ...]]] = {runners: [] for runners in RUNNERS}
    for turn in tqdm(range(rounds + 1), desc="env runners", unit="turn", leave=False):
        for runners in RUNNERS if turn % 2 else RUNNERS[::-1]:
            took = timings[runners]
            models[runners].learn(steps, took, reset_num_timesteps=False)
            if turn:
                seen[runners].append((took.sampling, took.slowest, took.busiest, took.driver, took.share))
    for model in models.values():
        model.close()
    return _told({runners: np.array(rows) for runners, rows in seen.items()}, steps, num_envs, config.n_steps)


def _trainer(num_envs: int, runners: int, config: Any, timing: Timing) -> Any:
    from agents.rllib import trainer

    make = partial(TASKS["market"], AutoresetMode.SAME_STEP, 0)
    one = make(0, 1)
    model = trainer.build(
        make, (one.single_observation_space, one.single_action_space), config, num_envs=num_envs, gamma=GAMMA, seed=0,
        watch=Stopwatch, runners=runners,
    )  # fmt: skip
    model.steering = timing
    return model


def _told(seen: dict[int, np.ndarray], steps: int, num_envs: int, n_steps: int) -> dict[str, Any]:
    """Of (rounds, 5) seconds of sampling, slowest and busiest env runner, and driver, and the driver's share."""
    one, two = (seen[runners] for runners in RUNNERS)
    ratios = one[:, 0] / two[:, 0]
    medians = {runners: np.median(rows, axis=0) for runners, rows in seen.items()}
    return {
        "speedup": round(float(np.median(ratios)), 3),
        "speedup_range": [round(float(ratios.min()), 3), round(float(ratios.max()), 3)],
        "wanted_speedup": WANTED,
        "runners_alone": round(float(np.median(one[:, 1] / two[:, 1])), 3),
        "runners_processor": round(float(np.median(one[:, 2] / two[:, 2])), 3),
        "sampled_per_s": {str(runners): round(steps / values[0]) for runners, values in medians.items()},
        "driver_s": {str(runners): round(float(values[3]), 4) for runners, values in medians.items()},
        "driver_share": {str(runners): round(float(values[4]), 4) for runners, values in medians.items()},
        "sampled_by": {"num_envs": num_envs, "n_steps": n_steps, "turns": len(one)},
    }
