"""Laws about whole families of policies: two hundred random takers, and two hundred random makers.

Whoever looks for the best of 200 finds one that did well by chance. So each is tested at a 200th of the false alarm
rate (Bonferroni), and a law falls when one policy's corrected lower bound lies beyond it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.policies import FALSE_ALARM, Earned, best_of, draw_policies, earned, wild_maker, wild_taker
from sim.backtest import CompiledStrategy
from sim.scenarios.row import make_rows

LIFE_S = 120.0


class Family(NamedTuple):
    """Which policies, in which market."""

    chosen: CompiledStrategy
    maker: bool
    pumps: float  # share of the policies that pump and dump
    rows: np.ndarray


def calm_market() -> np.ndarray:
    """No informed flow, anchors, momentum or cascades: nothing to know and nothing to follow."""
    return make_rows(
        1, belief_low=0.1, belief_high=0.9, life_s=LIFE_S, informed_rate=0.0, anchor_strength=0.0, momentum_rate=0.0,
        cascade_rate=0.0, cascade_size=0.0,
    )  # fmt: skip


def wary_market() -> np.ndarray:
    """Impact, resilience, momentum, cascades and opponents that watch us: everything that a manipulator could play."""
    return make_rows(
        1, belief_low=0.1, belief_high=0.9, life_s=LIFE_S, widen=0.01, large_share=0.1, touch_share=0.2,
        momentum_rate=0.5, cascade_rate=0.01, front_rate=0.3, copy_rate=0.3, fade_spread=0.01, fade_depth=0.1,
    )  # fmt: skip


def _judge(family: Family, policies: int, num_envs: int, seed: int) -> list[Earned]:
    """What each policy earned; those that hardly trade are left out."""
    drawn = tqdm(draw_policies(policies, seed, pumps=family.pumps), desc=family.chosen.name, disable=None)
    results = [earned(family.chosen, values, family.rows, num_envs, seed, family.maker) for values in drawn]
    return [result for result in results if result is not None]


def _line(law: str, unit: str, policies: int, num_envs: int, figures: dict, holds: bool) -> dict:
    return {
        "benchmark": law, "unit": unit, "policies": policies, "episodes": num_envs, "false_alarm": FALSE_ALARM,
        **figures, "holds": holds,
    }  # fmt: skip


def random_takers(policies: int = 200, num_envs: int = 64, seed: int = 0) -> dict:
    """None of the takers beats minus (half-spread + fee) where nobody is informed.

    The half-spread is the makers' own, from their estimate to their quote: the mid also moves when a noise taker
    sweeps a level, and comes back. What they lose less than their distance from the mid is reported beside it.
    """
    family = Family(wild_taker, False, 0.2, calm_market())
    judged = _judge(family, policies, num_envs, seed)
    half_spread = 100.0 * float(family.rows["half_spread"][0])
    best = best_of([e.gross._replace(mean=e.gross.mean + half_spread) for e in judged])
    figures = {
        "half_spread": half_spread, "best_less_cost": best, "best_net": best_of([e.net for e in judged]),
        "best_over_mid": best_of([e.excess for e in judged]),
    }  # fmt: skip
    return _line("random_takers", "cents a contract", policies, num_envs, figures, best["low"] <= 0.0)


def random_makers(policies: int = 200, num_envs: int = 64, seed: int = 0) -> dict:
    """None of the makers earns more than the half-spread a fill where nobody is informed."""
    family = Family(wild_maker, True, 0.0, calm_market())
    judged = _judge(family, policies, num_envs, seed)
    best = best_of([e.excess for e in judged])
    figures = {"best_less_half_spread": best, "best_net": best_of([e.net for e in judged])}
    return _line("random_makers", "cents a contract", policies, num_envs, figures, best["low"] <= 0.0)


def manipulators(policies: int = 200, num_envs: int = 64, seed: int = 0) -> dict:
    """No taker, pump and dump included, has a positive mean where opponents watch and prices move with what we do."""
    family = Family(wild_taker, False, 0.5, wary_market())
    net = [e.net for e in _judge(family, policies, num_envs, seed)]
    highest = max(e.mean for e in net)
    figures = {"best_net": best_of(net), "highest_mean": round(highest, 4)}
    return _line("manipulators", "cents a contract", policies, num_envs, figures, highest <= 0.0)
