"""``python -m evaluation known_answers``: does the learner find what can be computed?

Trains the constrained PPO of ``agents`` on every problem of ``evaluation.problems``, one configuration for all seeds,
and prints one JSON line a problem. The optima are computed here and now, on the time step of the environment.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from tqdm import tqdm

from agents import ppo
from agents.budgets import Budget
from agents.config import PPOConfig
from agents.heads import Gaussian
from agents.learner import Learner
from agents.multipliers import MultiplierConfig
from agents.network import Network
from agents.sb3_vec import SB3VecEnv
from evaluation.problems import PROBLEMS, Measured, Problem

_TAIL = 0.25  # of the run, over which the multiplier is averaged: it goes on moving around its limit


class Reader:
    """A trained model as ``evaluation.problems`` measures it."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @torch.no_grad()
    def probabilities(self, observations: np.ndarray) -> np.ndarray:
        """``(n, A)``: see `evaluation.problems.Learnt`."""
        return torch.softmax(self._outputs(observations), -1).cpu().numpy()

    @torch.no_grad()
    def actions(self, observations: np.ndarray) -> np.ndarray:
        """``(n, D)``: see `evaluation.problems.Learnt`."""
        head = self.network.head
        if not isinstance(head, Gaussian):
            raise TypeError("known_answers: mean actions are asked of a policy that chooses among rows")
        return head.clip(self._outputs(observations)).cpu().numpy()

    def _outputs(self, observations: np.ndarray) -> torch.Tensor:
        return self.network.act(self.network.body(torch.from_numpy(observations).to(self.network.device)))


class Multipliers(BaseCallback):
    """Keeps the multiplier of every update of the run's last part, and moves the progress bar."""

    def __init__(self, bar: tqdm, total: int) -> None:
        super().__init__()
        self.bar, self.total = bar, total
        self.kept: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.bar.update(min(self.num_timesteps, self.total) - self.bar.n)
        values = self.model.multipliers.values  # type: ignore[attr-defined]
        if len(values) and self.num_timesteps > (1 - _TAIL) * self.total:
            self.kept.append(float(values[0]))


def train(problem: Problem, seed: int, steps: int, runners: int | None = None) -> Measured:
    """Train from scratch with ``seed`` and measure what was learnt; by RLlib where its env ``runners`` are given."""
    model = _on_sb3(problem, seed) if runners is None else on_rllib(problem, seed, runners)
    model.set_logger(Logger(None, []))
    with tqdm(total=steps, unit=" steps", unit_scale=True, desc=f"{problem.name} seed {seed}", leave=False) as bar:
        watch = Multipliers(bar, steps)
        model.learn(steps, callback=[watch])
    achieved, cost = problem.measure(Reader(model.network))
    model.close()
    return Measured(achieved, cost, float(np.mean(watch.kept)) if watch.kept else None)


def _on_sb3(problem: Problem, seed: int) -> Learner:
    env = problem.make(seed)
    names = env.spec_sheet["costs"] if problem.budget is not None else []
    return ppo.build(SB3VecEnv(env), _config(problem), gamma=problem.gamma, seed=seed, cost_names=names)


def on_rllib(problem: Problem, seed: int, runners: int) -> Learner:
    """A fresh learner of the RLlib trainer with ``runners`` env runners elsewhere. Close it."""
    from agents.rllib import trainer  # ray is imported where it is used: it takes seconds

    env = problem.make(seed, 0, 1)
    return trainer.build(
        lambda first, count: problem.make(seed, first, count),
        (env.single_observation_space, env.single_action_space),
        _config(problem),
        num_envs=problem.num_envs,
        gamma=problem.gamma,
        seed=seed,
        cost_names=env.spec_sheet["costs"] if problem.budget is not None else [],
        runners=runners,
    )


def _config(problem: Problem) -> PPOConfig:
    multipliers = MultiplierConfig(**problem.multipliers)
    config = replace(PPOConfig(), margin=0.0, masks=False, multipliers=multipliers, **problem.config)
    if problem.budget is None:
        return config
    (name,) = problem.kind.costs
    wanted = problem.budget
    return replace(config, budgets={name: Budget(kind=wanted.kind, limit=wanted.limit, alpha=wanted.alpha)})


def answer(problem: Problem, seeds: Sequence[Measured], steps: int, seconds: float, first: int = 0) -> dict[str, Any]:
    """One problem's line: means over the seeds, and every seed's own figures."""
    budget = problem.budget
    return {
        "name": problem.name,
        "quantity": problem.quantity,
        "optimum": problem.optimum,
        "achieved": float(np.mean([run.achieved for run in seeds])),
        "cost": None if budget is None else float(np.mean([run.cost for run in seeds])),
        "budget": None if budget is None else budget.limit,
        "passed": problem.passed(seeds),
        "failures": problem.failures(seeds, first),
        "multiplier": _mean([run.multiplier for run in seeds]),
        "dual": None if budget is None else budget.dual,
        "steps": steps,
        "seconds": round(seconds, 1),
        "seeds": {name: [getattr(run, name) for run in seeds] for name in Measured._fields},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a problem; the exit status is 1 where one has not passed."""
    options = _parse(arguments)
    torch.set_num_threads(1)  # networks this small are slower on several, and figures would depend on how many
    status = 0
    for name in [name for name in PROBLEMS if any(name.startswith(wanted) for wanted in options.only)]:
        problem = PROBLEMS[name]()
        steps = problem.steps if options.steps is None else options.steps
        started = time.perf_counter()
        runners = options.env_runners if options.trainer == "rllib" else None
        seeds = [train(problem, options.first_seed + turn, steps, runners) for turn in range(options.seeds)]
        line = answer(problem, seeds, steps, time.perf_counter() - started, options.first_seed)
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        status |= not line["passed"]
    return status


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evaluation known_answers", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help=f"or its beginning; of {', '.join(PROBLEMS)}")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="settings were chosen on seeds 0 to 4")
    parser.add_argument("--steps", type=float, help="environment steps a seed, instead of the problem's own")
    parser.add_argument("--trainer", choices=["sb3", "rllib"], default="sb3")
    parser.add_argument(
        "--env-runners", type=int, default=0, help="of rllib, in processes of their own; 0 = in this one"
    )
    options = parser.parse_args(arguments)
    options.only = options.only or [""]
    unknown = [wanted for wanted in options.only if not any(name.startswith(wanted) for name in PROBLEMS)]
    if unknown:
        parser.error(f"--only {unknown[0]}: expected one of {', '.join(PROBLEMS)}, or the beginning of one")
    for name in ("first_seed", "env_runners"):
        if getattr(options, name) < 0:
            parser.error(f"--{name.replace('_', '-')}: expected 0 or more")
    if options.env_runners and options.trainer != "rllib":
        parser.error("--env-runners are of --trainer rllib")
    if options.seeds < 1 or (options.steps is not None and not options.steps >= 1):
        parser.error("--seeds and --steps: expected at least 1")
    options.steps = None if options.steps is None else int(options.steps)
    return options


if __name__ == "__main__":
    sys.exit(main())
