"""Can anchoring and cascades be seen in the features? Precision and recall on unseen rows, where the truth is known.

A logistic regression on the features is fitted to some rows and judged on others, drawn with another seed. The truth is
what the market keeps of its own mechanism and shows to nobody: ``anchor_px`` and ``cascade_until_ns``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from benchmarks.machine import describe, print_result
from envs.vector import TradingVectorEnv
from sim.scenarios import synthetic
from sim.scenarios.row import FIELDS, draw_rows
from sim.state import MARKET

GROUPS = ("book", "flow", "anchors", "liquidity", "fair")
# half of the rows have the mechanism, half do not
RANGES = {
    "anchor": {"anchor_strength": (0.5, 1.0), "anchor_depth": (2.0, 8.0)},
    "cascade": {"cascade_rate": (0.02, 0.06), "cascade_pull": (0.5, 0.9)},
}
COMMON = {"life_s": 300.0, "depth": (50.0, 300.0), "half_spread": (0.005, 0.015), "noise_rate": (0.5, 3.0)}
TARGETS = {"anchor": ("precision", 0.8, "recall", 0.5), "cascade": ("recall", 0.7, "precision", 0.5)}
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


def fit(x: np.ndarray, y: np.ndarray, rounds: int = 25, ridge: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    """Scores by a ridge logistic regression (Newton's method) on standardised features and their squares."""
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6

    def design(values: np.ndarray) -> np.ndarray:
        z = (values - mean) / scale
        return np.column_stack([np.ones(len(z)), z, z * z - 1.0])

    a = design(x)
    weights = np.zeros(a.shape[1])
    for _ in range(rounds):
        p = 1.0 / (1.0 + np.exp(-np.clip(a @ weights, -30.0, 30.0)))
        gradient = a.T @ (y - p) - ridge * weights
        hessian = (a * (p * (1.0 - p))[:, None]).T @ a + ridge * np.eye(len(weights))
        weights += np.linalg.solve(hessian, gradient)
    return lambda values: design(values) @ weights


def best(score: np.ndarray, truth: np.ndarray, wanted: str, floor: float) -> dict[str, float]:
    """The threshold with the highest ``wanted`` (precision or recall) while the other is at least ``floor``."""
    order = np.argsort(-score)
    hits = np.cumsum(truth[order])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / max(1, truth.sum())
    top, other = (precision, recall) if wanted == "precision" else (recall, precision)
    allowed = np.where(other >= floor, top, -1.0)
    at = int(np.argmax(allowed))
    return {"precision": round(float(precision[at]), 3), "recall": round(float(recall[at]), 3)}


def measure(num_envs: int, seed: int) -> dict:
    """Both detections, the threshold chosen on the rows that were fitted, judged on the unseen ones."""
    result: dict = {"benchmark": "detection"}
    for what, (wanted, target, other, floor) in TARGETS.items():
        x, y = watch(what, num_envs, seed)
        scorer = fit(x, y.astype(np.float64))
        unseen, truth = watch(what, num_envs, seed + 1000)
        result[what] = {
            **best(scorer(unseen), truth, wanted, floor),
            "share_true": round(float(truth.mean()), 3),
            "target": f"{wanted} >= {target} at {other} >= {floor}",
        }
    return result


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks detection``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks detection", description=__doc__)
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    missing = {name for ranges in RANGES.values() for name in ranges} - set(FIELDS)
    if missing or "anchor_px" not in MARKET.names:
        print(f"detection: the synthetic market has no {', '.join(sorted(missing)) or 'anchor_px'} to detect")
        return 2
    print_result({**measure(options.num_envs, options.seed), **describe()})
    return 0
