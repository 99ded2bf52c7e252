"""The engine with several markets, venues and netting sets against the slow, obvious portfolio of tests/reference."""

from __future__ import annotations

import os
from collections import Counter
from itertools import product

import numba
from reference.portfolio_lockstep import PortfolioBatch

from sim.scenarios.portfolio import cross_venue, exclusive, nested, single

PORTFOLIOS = [
    (exclusive(3, exhaustive=False), ((0, 1, 2),)),
    (exclusive(3, venue="polymarket"), ((2, 0, 1),)),
    (cross_venue() + nested(2), ()),
    (single("polymarket") + exclusive(2, exhaustive=False), ((1, 2),)),
]
MODELS = ("queue", "probabilistic")
BATCHES = list(product(PORTFOLIOS, MODELS, (True, False), (True, False)))  # 32: portfolio, model, recorded, poor
ENVS, STEPS = (1, 60) if numba.config.DISABLE_JIT else (3, 200)

BRANCHES = {
    "reject 26", "reject 27", "merged", "set: converted some", "set: converted all", "set: collateral returned",
    "set: collateral taken back", "set: returned while one has settled", "set: sale refused for its cash",
    "set: sale locks cash", "maker fill that reduces", "taker fill that reduces", "netting trim", "terminated",
    *(f"several: {name}" for name in ("news", "outage", "stale", "close", "fee", "tick")), "flow: opponent took",
    "flow: cascade begins", "flow: follower", "log-normal delay", "held back", "amend of a reducing order",
    "several: void", "several: decided", "several: makers step aside",
}  # fmt: skip


def test_engine_and_reference_agree_with_several_markets():
    sequences = int(os.environ.get("ORACLE_SEQUENCES", len(BATCHES) * ENVS))
    seen: Counter = Counter()
    for number in range(-(-sequences // ENVS)):
        (places, sets), model, recorded, poor = BATCHES[number % len(BATCHES)]
        seed = number // len(BATCHES)
        seen += PortfolioBatch(seed, places, sets, model, recorded=recorded, poor=poor, envs=ENVS).run(STEPS)
    if sequences >= len(BATCHES) * ENVS and not numba.config.DISABLE_JIT:
        assert set(seen) >= BRANCHES, f"no sequence reached: {', '.join(sorted(BRANCHES - set(seen)))}"
