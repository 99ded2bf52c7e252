"""Can anchoring and cascades be seen in the features? Precision and recall on unseen rows, where the truth is known.

A small network on the features is fitted to some rows and judged on others, drawn with another seed. The truth is
what the market keeps of its own mechanism and shows to nobody: ``anchor_px`` and ``cascade_until_ns``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from envs.vector import TradingVectorEnv
from sim.scenarios import synthetic
from sim.scenarios.row import draw_rows

GROUPS = ("book", "flow", "anchors", "liquidity", "fair")
# half of the rows have the mechanism, half do not
RANGES = {
    "anchor": {"anchor_strength": (0.5, 1.0), "anchor_depth": (2.0, 8.0)},
    "cascade": {"cascade_rate": (0.02, 0.06), "cascade_pull": (0.5, 0.9)},
}
COMMON = {"life_s": 300.0, "depth": (50.0, 300.0), "half_spread": (0.005, 0.015), "noise_rate": (0.5, 3.0)}
TARGETS = {"anchor": ("precision", 0.8, "recall", 0.5), "cascade": ("recall", 0.7, "precision", 0.5)}
PASSES = 10
MARGIN = 0.02  # by which the rows that the threshold is chosen on exceed the floor
WARM_UP = 20  # seconds of an episode that are not judged: nothing is known of the market yet


def _truth(market: np.ndarray, now: np.ndarray, what: str) -> np.ndarray:
    return market["anchor_px"] >= 0 if what == "anchor" else market["cascade_until_ns"] > now


def watch(what: str, num_envs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features ``(samples, F)`` and truth ``(samples,)`` of one episode an environment, every second."""
    half = num_envs // 2
    rows = np.concatenate([draw_rows(half, COMMON | RANGES[what], seed), draw_rows(half, COMMON, seed + 1)])
    env = TradingVectorEnv(num_envs, scenario=synthetic(rows), features=GROUPS, window_s=290.0, seed=seed)
    obs, _ = env.reset(seed=seed)
    hold = np.zeros(num_envs, np.int64)
    seen, truth = [], []
    for step in range(280):
        obs, *_ = env.step(hold)
        if step >= WARM_UP:
            seen.append(obs.copy())
            truth.append(_truth(env.engine.state.market, env.engine.state.account["now_ns"], what))
    return np.concatenate(seen).astype(np.float64), np.concatenate(truth)


def fit(x: np.ndarray, y: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Scores by a network of two layers of 64 on standardised features, as an agent has: ten passes of Adam."""
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], 64),
        torch.nn.Tanh(),
        torch.nn.Linear(64, 64),
        torch.nn.Tanh(),
        torch.nn.Linear(64, 1),
    )
    inputs = torch.as_tensor((x - mean) / scale, dtype=torch.float32)
    labels = torch.as_tensor(y, dtype=torch.float32)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, PASSES)
    for _ in tqdm(range(PASSES), desc="fit", leave=False, disable=None):
        for batch in torch.randperm(len(inputs)).split(1024):
            optimiser.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(inputs[batch])[:, 0], labels[batch])
            loss.backward()
            optimiser.step()
        schedule.step()

    def score(values: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.as_tensor((values - mean) / scale, dtype=torch.float32))[:, 0].numpy()

    return score


def threshold(score: np.ndarray, truth: np.ndarray, wanted: str, floor: float) -> float:
    """The score from which a sample counts as found: the highest ``wanted`` while the other is at least ``floor``."""
    order = np.argsort(-score)
    hits = np.cumsum(truth[order])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / max(1, truth.sum())
    top, other = (precision, recall) if wanted == "precision" else (recall, precision)
    return float(score[order[int(np.argmax(np.where(other >= floor, top, -1.0)))]])


def judge(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Precision: share of what was found that is true. Recall: share of what is true that was found."""
    hits = float((found & truth).sum())
    return {
        "precision": round(hits / max(1, int(found.sum())), 3),
        "recall": round(hits / max(1, int(truth.sum())), 3),
        "share_true": round(float(truth.mean()), 3),
    }


def measure(num_envs: int, seed: int) -> dict:
    """Both detections: scores from some rows, thresholds from others, figures from rows that neither has seen."""
    result: dict = {"benchmark": "detection", "holds": True}
    for what, (wanted, target, other, floor) in TARGETS.items():
        scorer = fit(*watch(what, num_envs, seed), seed)
        held, held_truth = watch(what, num_envs, seed + 500)
        least = threshold(scorer(held), held_truth, wanted, floor + MARGIN)
        unseen, truth = watch(what, num_envs, seed + 1000)
        figures = judge(scorer(unseen) >= least, truth)
        result[what] = {**figures, "target": f"{wanted} >= {target} at {other} >= {floor}"}
        result["holds"] &= figures[wanted] >= target and figures[other] >= floor
    return result


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks detection``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks detection", description=__doc__)
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    result = measure(options.num_envs, options.seed)
    print_result({**result, **describe()})
    return 0 if result["holds"] else 1
