"""PPO on unseen synthetic episodes with a forecast, beside tuned baselines and the clairvoyant of the signal.

The *clairvoyant* knows at each decision what the forecast only estimates: the belief. Of the whole action table it
takes the row with the largest expected profit, computed exactly (the walk through the book, the venue's fee), where
that exceeds a margin; of several margins the best counts. The belief being a martingale, a contract bought at a profit
keeps its profit in expectation. No agent that sees the forecast can do better at the margin; how near PPO comes is the
share reported.

Every policy plays the same unseen episodes: one minute of a market, with rows drawn from the same ranges by another
seed. A result is what its fills are worth at the belief, which is what they will pay on average: nobody gains by
moving the mid, and neither the outcome's coin nor later news add noise. PPO is paid by the reward term ``edge``, the
same with the forecast in place of the belief.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from tqdm import tqdm

from agents import ppo
from agents.config import PPOConfig, discount
from agents.policy import load
from agents.sb3_vec import SB3VecEnv
from agents.trained import acting
from benchmarks.clairvoyant import Clairvoyant
from benchmarks.machine import describe, print_result
from envs.vector import AutoresetMode, TradingVectorEnv
from evaluation.bootstrap import difference
from evaluation.episodes import Episodes
from evaluation.rollout import rollout
from evaluation.tune import tune
from sim.scenarios import synthetic
from sim.scenarios.row import draw_rows
from sim.types import PX_ONE, UUSD

WINDOW_S = 60.0
RANGES: dict[str, float | tuple[float, float]] = {
    "life_s": 10 * WINDOW_S,
    "news_rate": (0.2, 0.6),
    "news_size": (0.02, 0.05),
    "maker_rate": (0.1, 0.4),
    "half_spread": (0.004, 0.012),
    "depth": (50.0, 200.0),
    "informed_rate": (0.0, 0.2),
    "signal_rate": 2.0,
    "signal_err_low": 0.0,
    "signal_err_high": 0.005,
}
ROWS = 256
TRAIN_SEED, TEST_SEED = 1, 2
BASELINES = ("noop", "random", "imbalance", "signal", "quoter")
MARGINS = (0.0, 0.0025, 0.005, 0.01)
TEST_ENVS = 500


def make_env(num_envs: int, rows_seed: int, seed: int, mode: AutoresetMode) -> TradingVectorEnv:
    """The task: one minute of a ten-minute market without fees, rows drawn with ``rows_seed``."""
    scenario = synthetic(draw_rows(ROWS, RANGES, rows_seed), venue="polymarket", fees="geopolitics")
    reward = {"edge": 1.0}
    return TradingVectorEnv(
        num_envs, scenario=scenario, window_s=WINDOW_S, reward=reward, seed=seed, autoreset_mode=mode
    )


def test_env(num_envs: int = TEST_ENVS) -> TradingVectorEnv:
    """The unseen episodes."""
    return make_env(num_envs, TEST_SEED, TEST_SEED, AutoresetMode.DISABLED)


def expected_uusd(episodes: Episodes) -> np.ndarray:
    """``(E,)`` expected results: each fill's size x (belief at the fill - price) less its fee.

    What a position gains from later moves of the belief has mean 0 and is left out, the outcome's coin with it.
    """
    fill = episodes.fill
    worth = fill["qty"] * (fill["latent_ppm"] * (PX_ONE / 1e6) - fill["px"]) - fill["fee_uusd"]
    return np.bincount(episodes.fill_episode, worth, len(episodes))


def train(seed: int, steps: int, config: PPOConfig, num_envs: int) -> ppo.ConstrainedPPO:
    """PPO from scratch on the training rows."""
    env = make_env(num_envs, TRAIN_SEED, 1000 + seed, AutoresetMode.SAME_STEP)
    model = ppo.build(SB3VecEnv(env), config, gamma=discount(config.gamma_per_s, 1.0), seed=seed)
    model.set_logger(Logger(None, []))
    with tqdm(total=steps, unit="step", unit_scale=True, desc=f"PPO seed {seed}", leave=False) as bar:
        model.learn(steps, callback=lambda *_: bar.update(num_envs) or True)
    return model


def run(seeds: int, steps: int, episodes: int, num_envs: int) -> dict:
    """Tune, train, play, compare."""
    torch.set_num_threads(1)
    config = PPOConfig(gamma_per_s=0.9, gae_lambda=0.5, learning_rate=1e-3, ent_coef=0.003, n_steps=30, minibatches=8)
    begin = time.perf_counter()
    results = {}
    for name in BASELINES:
        found = tune(name, lambda: make_env(128, TRAIN_SEED, 7, AutoresetMode.DISABLED), steps, results=expected_uusd)
        env = test_env()
        results[found.spec] = expected_uusd(rollout(env, load(found.spec, env.spec_sheet), episodes, label=found.spec))
        tqdm.write(f"{found.spec}: ${results[found.spec].mean() / UUSD:.3f} an episode ({found.steps} steps of tuning)")
    best = max(results, key=lambda spec: results[spec].mean())
    optimum = 0.0
    for margin in MARGINS:
        env = test_env()
        mean = expected_uusd(rollout(env, Clairvoyant(env, margin), episodes, label=f"clairvoyant {margin}")).mean()
        tqdm.write(f"clairvoyant, margin {margin}: ${mean / UUSD:.3f}")
        optimum = max(optimum, float(mean))
    agents = []
    for seed in range(seeds):
        model = train(seed, steps, config, num_envs)
        env = test_env()
        policy = acting(model.policy, env.spec_sheet["observation"], "agent")
        agents.append(expected_uusd(rollout(env, policy, episodes, label=f"PPO {seed}")))
        tqdm.write(f"PPO seed {seed}: ${agents[-1].mean() / UUSD:.3f}")
    agent = np.mean(agents, axis=0)
    gain = difference(agent, results[best], np.arange(episodes))
    return {
        "benchmark": "learning",
        "ppo_usd": [round(float(a.mean()) / UUSD, 3) for a in agents],
        "baselines_usd": {spec: round(float(r.mean()) / UUSD, 3) for spec, r in results.items()},
        "best_baseline": best,
        "gain_usd": round(gain.value / UUSD, 3),
        "gain_low_usd": round(gain.low / UUSD, 3),
        "optimum_usd": round(optimum / UUSD, 3),
        "share_of_optimum": [round(float(a.mean()) / optimum, 3) for a in agents],
        "episodes": episodes,
        "steps": steps,
        "seconds": round(time.perf_counter() - begin),
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks learning``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks learning", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2_000_000, help="of training, and of tuning each baseline")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--num-envs", type=int, default=512)
    options = parser.parse_args(arguments)
    result = run(options.seeds, options.steps, options.episodes, options.num_envs)
    print_result({**result, **describe()})
    return 0
