"""Market making within budgets: constrained PPO beside plain PPO and tuned baselines, several seeds, unseen rows.

Everybody has the same environment steps: each agent for its training, each baseline for its tuning, in which a
candidate counts only where it keeps the budgets. A budget is kept where the upper 95 % bound of what is spent on unseen
episodes is within it; all constrained agents have one configuration and one margin.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from stable_baselines3.common.logger import Logger
from tqdm import tqdm

from agents import ppo
from agents.config import discount
from agents.policy import load
from agents.sb3_vec import SB3VecEnv
from agents.trained import acting
from benchmarks.machine import describe, print_result
from configs.build import make_env, training_env, trial
from configs.schema import Config, register, to_config
from envs.vector import TradingVectorEnv
from evaluation.bootstrap import difference
from evaluation.compiled import trader
from evaluation.episodes import Episodes
from evaluation.rollout import rollout
from evaluation.tune import tune, within
from sim.types import UUSD

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TASK = ("env=market_making", "scenario=quoting", "agent=constrained_quoter")
# what each baseline is tuned in
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "fixed": {
        "offset": (-0.4, 0.4), "spread": (-2.0, 2.0), "skew": (0.0, 5.0), "bid_size": (10, 100), "ask_size": (10, 100),
    },
    "quoter": {"size": (5.0, 100.0), "limit": (20.0, 1000.0), "min_ticks": (0.0, 3.0), "stop_s": (0.0, 10.0)},
    "joiner": {"size": (5.0, 100.0), "limit": (20.0, 1000.0)},
}  # fmt: skip
_Z = 1.645  # one-sided 95 %


def read_config(seed: int, constrained: bool, num_envs: int, steps: float) -> Config:
    """The config that ``python train.py`` composes for the task; without budgets it is plain PPO."""
    register()
    with initialize_config_dir(str(CONFIGS), version_base=None):
        config = to_config(compose("config", [*TASK, f"seed={seed}", f"num_envs={num_envs}", f"total_steps={steps}"]))
    return config if constrained else replace(config, agent=replace(config.agent, budgets=None))


def train(config: Config, label: str) -> ppo.ConstrainedPPO:
    """An agent from scratch, with a bar."""
    env = training_env(config)
    model = ppo.build(
        SB3VecEnv(env), config.agent, gamma=discount(config.agent.gamma_per_s, config.env.dt_s), seed=config.seed,
        cost_names=env.spec_sheet["costs"],
    )  # fmt: skip
    model.set_logger(Logger(None, []))
    steps = int(config.total_steps)
    with tqdm(total=steps, unit="step", unit_scale=True, desc=label, leave=False) as bar:
        model.learn(steps, callback=lambda *_: bar.update(config.num_envs) or True)
    env.close()
    return model


def spent(episodes: Episodes, name: str) -> tuple[float, float]:
    """Mean cost an episode, and its upper 95 % bound."""
    costs = episodes.costs[:, episodes.cost_names.index(name)]
    return float(costs.mean()), float(costs.mean() + _Z * costs.std() / np.sqrt(len(costs)))


def judge(episodes: Episodes, limits: Mapping[str, float]) -> dict[str, Any]:
    """Dollars an episode with the half-width of their 95 % interval, what is spent, and which budgets are broken."""
    result = episodes.result_uusd / UUSD
    bounds = {name: spent(episodes, name) for name in limits}
    return {
        "pnl": round(float(result.mean()), 3),
        "plus_minus": round(1.96 * float(result.std()) / float(np.sqrt(len(result))), 3),
        **{name: [round(mean, 4), round(upper, 4)] for name, (mean, upper) in bounds.items()},
        "broken": [name for name, (_, upper) in bounds.items() if upper > limits[name]],
    }


def run(seeds: int, steps: float, episodes: int, num_envs: int, plot: Path | None) -> dict[str, Any]:
    """Tune, train, play, compare."""
    torch.set_num_threads(1)
    config = read_config(0, True, num_envs, steps)
    assert config.agent.budgets is not None
    limits = {name: budget.limit for name, budget in config.agent.budgets.items()}
    unseen = trial(config.scenario, config.evaluation, None).scenario
    test_env = partial(
        make_env, config.env, unseen, num_envs=1000, seed=config.evaluation.seed, autoreset_mode=AutoresetMode.DISABLED
    )
    baselines = {found: play(test_env, found, episodes, limits) for found in tuned(config, limits, int(steps))}
    keeping = {spec: outcome for spec, outcome in baselines.items() if not outcome[0]["broken"]}
    best = max(keeping, key=lambda spec: keeping[spec][0]["pnl"]) if keeping else None
    agents: dict[str, list[dict[str, Any]]] = {"constrained": [], "plain": []}
    for seed in range(seeds):
        for kind, results in agents.items():
            model = train(read_config(seed, kind == "constrained", num_envs, steps), f"{kind} PPO, seed {seed}")
            verdict, result = play(test_env, model, episodes, limits)
            if best is not None:
                more = difference(result / UUSD, keeping[best][1] / UUSD, np.arange(episodes))
                verdict["over_baseline"] = [round(more.value, 3), round(more.low, 3)]
            verdict["multipliers"] = [round(float(value), 4) for value in model.multipliers.values]
            results.append(verdict)
            tqdm.write(json.dumps({"kind": kind, "seed": seed, **verdict}))
    if plot is not None:
        draw(plot, limits, agents, {spec: outcome[0] for spec, outcome in baselines.items()})
    constrained = agents["constrained"]
    return {
        "benchmark": "constrained",
        "budgets": limits,
        "margin": config.agent.margin,
        "steps": int(steps),
        "episodes": episodes,
        **agents,
        "baselines": {spec: outcome[0] for spec, outcome in baselines.items()},
        "best_baseline": best,
        "all_kept": all(not one["broken"] for one in constrained),
        "all_earn_more": best is not None and all(one["over_baseline"][1] > 0.0 for one in constrained),
        "plain_breaks": all(bool(one["broken"]) for one in agents["plain"]),
    }


def tuned(config: Config, limits: Mapping[str, float], steps: int) -> list[str]:
    """Doing nothing, and each baseline with the best parameters that keep the budgets on training rows."""
    scenario = training_env(config).engine.scenario
    train_env = partial(
        make_env, config.env, scenario, num_envs=32, seed=config.seed, autoreset_mode=AutoresetMode.DISABLED
    )
    specs = ["baseline:noop"]
    for name, ranges in RANGES.items():
        specs.append(tune(name, train_env, steps, candidates=81, ranges=ranges, results=within(limits)).spec)
        tqdm.write(specs[-1])
    return specs


def play(
    make: Callable[[], TradingVectorEnv], who: str | ppo.ConstrainedPPO, episodes: int, limits: Mapping[str, float]
) -> tuple[dict[str, Any], np.ndarray]:
    """The verdict on a baseline or an agent, and its result in each unseen episode, micro-dollars."""
    env = make()
    if isinstance(who, str):
        policy = trader(who, env) or load(who, env.spec_sheet)
    else:
        policy = acting(who.policy, env.spec_sheet["observation"], "agent")
    played = rollout(env, policy, episodes, label="unseen episodes")
    env.close()
    return judge(played, limits), played.result_uusd


def draw(
    path: Path, limits: Mapping[str, float], agents: Mapping[str, list[dict]], baselines: Mapping[str, dict]
) -> None:
    """Dollars an episode against what is spent of each budget; the line is the budget."""
    figure = Figure(figsize=(4.0 * len(limits), 3.6), layout="constrained")
    for axes, (name, limit) in zip(figure.subplots(1, len(limits), sharey=True), limits.items(), strict=True):
        for kind, marker, colour in (("constrained", "o", "tab:blue"), ("plain", "s", "tab:red")):
            axes.errorbar(
                [one[name][0] for one in agents[kind]], [one["pnl"] for one in agents[kind]],
                yerr=[one["plus_minus"] for one in agents[kind]], fmt=marker, color=colour, label=f"{kind} PPO",
            )  # fmt: skip
        for spec, one in baselines.items():
            label = spec.removeprefix("baseline:").split("?")[0]
            axes.plot(one[name][0], one["pnl"], "x", color="0.3")
            axes.annotate(label, (one[name][0], one["pnl"]), fontsize=7, xytext=(3, 3), textcoords="offset points")
        axes.axvline(limit, color="0.5", linestyle="--", linewidth=1)
        axes.set_xlabel(f"{name} an episode (budget {limit:g})")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("dollars an episode, unseen rows")
    figure.axes[0].legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks constrained``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks constrained",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=float, default=4e6, help="environment steps of each agent and each tuning")
    parser.add_argument("--episodes", type=int, default=10_000, help="unseen episodes each is judged on")
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--plot", type=Path, help="where to draw the result, a PNG file")
    options = parser.parse_args(arguments)
    result = run(options.seeds, options.steps, options.episodes, options.num_envs, options.plot)
    print_result({**result, **describe()})
    return 0
