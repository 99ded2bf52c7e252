"""Hand-made markets of one environment, and the reward terms that remember what is done there."""

from __future__ import annotations

import numpy as np
import pytest
from hand import CENTS, empty_state

from envs import memory as memories
from envs.links import compile_bounds
from envs.rewards import pick_rewards, write_rewards
from envs.shaping import begin_shaping, shape_rewards
from envs.step import Terms
from envs.transition import CHANGE
from sim.types import INTENT, UUSD


class Desk:
    """One environment of hand-made markets; ``step()`` gives the unweighted terms."""

    def __init__(self, *names, markets=1, bounds=(), gamma=1.0):
        self.state = empty_state(1, markets)
        self.codes, self.weights = pick_rewards(dict.fromkeys(names, 1.0))
        self.terms = Terms(self.codes, self.weights, np.zeros(0, np.int64), 1.0, gamma)
        self.links = compile_bounds(bounds, markets)
        self.memory = memories.allocate(1, markets, shaped=True)
        self.changes, self.orders = np.zeros(1, CHANGE), np.zeros((1, markets, 2), INTENT)
        self.begin()

    def begin(self):
        everyone = np.ones(1, np.bool_)
        memories.begin(self.memory, self.state.account, everyone)
        begin_shaping(self.state, CENTS, self.links, self.terms, self.memory, everyone)

    def mid(self, cents, market=0):
        self.state.market[market]["mid2_px"] = round(200 * cents)

    def fill(self, contracts, cents, market=0):
        """Contracts bought, - = sold, while the mid was at ``cents``."""
        account, position = self.state.account[0], self.state.position[market]
        row = account["fills"][account["n_fills"]]
        row["qty"], row["mid2_px"], row["market"] = 100 * contracts, round(200 * cents), market
        account["n_fills"] += 1
        self.hold(position["yes_qty"] / 100 - position["no_qty"] / 100 + contracts, market)

    def hold(self, contracts, market=0):
        self.state.position[market]["yes_qty"] = max(100 * contracts, 0)
        self.state.position[market]["no_qty"] = max(-100 * contracts, 0)

    def step(self, *, pnl=0.0, over=False, awake=True):
        self.changes["pnl_uusd"] = round(pnl * UUSD)
        shape_rewards(
            self.state, CENTS, self.links, self.terms, self.memory, self.orders, np.array([over]), np.array([awake]),
            0, 1, self.changes,
        )  # fmt: skip
        out, total = np.zeros((1, len(self.codes))), np.zeros(1)
        write_rewards(self.changes, self.codes, self.weights, 0, 1, out, total)
        self.state.account["n_fills"] = 0
        return out[0].tolist() if len(self.codes) > 1 else float(out[0, 0])


def near(value):
    return pytest.approx(value, abs=1e-12)
