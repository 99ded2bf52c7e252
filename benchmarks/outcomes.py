"""The law of outcomes: markets resolve as often as their latent probability says, at the close and from the start."""

from __future__ import annotations

import numpy as np

from benchmarks.batch import Batch
from benchmarks.intervals import count_p_value
from sim.scenarios.row import make_rows
from sim.types import PX_ONE

LEVEL = 0.001  # of the whole family of tests: what a fresh seed fails by chance
DECILES = 10
PLANTED = 0.05  # an outcome that is this much likelier than the belief says must be caught


def fast_market() -> np.ndarray:
    """A market of twenty seconds with as many news as the default row's five minutes, and beliefs of every size."""
    return make_rows(1, life_s=20.0, news_rate=3.75, belief_low=0.05, belief_high=0.95)


def settled(rows: np.ndarray, num_envs: int, episodes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Belief at the start, belief at the close and outcome (1 or 0) of ``num_envs x episodes`` markets."""
    batch = Batch(rows, num_envs, seed)
    start, close, outcome = [], [], []
    for _ in range(episodes):
        batch.engine.reset()
        start.append(batch.market["latent_ppm"] / 1e6)
        batch.engine.advance(float(rows["life_s"].max()) + 1.0)
        close.append(batch.market["latent_ppm"] / 1e6)
        outcome.append(batch.market["payout_px"] // PX_ONE)
    return np.concatenate(start), np.concatenate(close), np.concatenate(outcome)


def decile_tests(belief: np.ndarray, outcome: np.ndarray) -> list[dict]:
    """Per decile of the belief: markets, expected and observed YES outcomes, exact two-sided p-value."""
    rows = []
    for decile in range(DECILES):
        chosen = np.minimum((belief * DECILES).astype(int), DECILES - 1) == decile
        expected, hits = float(belief[chosen].sum()), int(outcome[chosen].sum())
        p_value = count_p_value(belief[chosen], hits)
        rows.append({"n": int(chosen.sum()), "expected": round(expected, 1), "yes": hits, "p": round(p_value, 5)})
    return rows


def rejected(tests: list[dict]) -> bool:
    """Whether any of ``tests`` fails at ``LEVEL``, corrected for their number (Bonferroni)."""
    return min(test["p"] for test in tests) * len(tests) < LEVEL


def resolution(num_envs: int, episodes: int, seed: int) -> dict:
    """Outcomes against the belief at the close and, it being a martingale, at the start; and the power of the test."""
    start, close, outcome = settled(fast_market(), num_envs, episodes, seed)
    at_close, at_start = decile_tests(close, outcome), decile_tests(start, outcome)
    tilted = decile_tests(np.clip(close - PLANTED, 0.0, 1.0), outcome)
    return {
        "law": "outcomes match the latent probability",
        "holds": not rejected(at_close + at_start) and rejected(tilted),
        "n": len(outcome),
        "level": LEVEL,
        "smallest_p_times_tests": round(min(1.0, min(t["p"] for t in at_close + at_start) * 2 * DECILES), 4),
        "planted": PLANTED,
        "planted_smallest_p": min(t["p"] for t in tilted),
        "at_close": at_close,
        "at_start": at_start,
    }
