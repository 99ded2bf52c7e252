"""How far two accounts of one session part, and when that is too far.

Measures, all since the session began:

* ``disagreement``: the share of decisions at which their certified orders were not the same;
* ``position``: the mean absolute difference of their net positions, contracts, averaged over decisions and markets;
* ``result``: the first one's result less the second one's, micro-dollars. Both trade on paper in the same market, on
  the same events, so the difference is no luck of different worlds; one session is still one draw of the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from live.monitor.words import money
from sim.types import DO_CANCEL, DO_NOTHING, LOTS_PER_CONTRACT, UUSD

_SAME = ("px", "qty", "leg", "tif")  # of two orders that place something


@dataclass
class Gate:
    """What is too far; null = never."""

    least_decisions: int = 300  # before shares are judged
    disagreement: float | None = None  # share of decisions with other orders
    position: float | None = None  # contracts
    loss_usd: float = 50.0  # that the policy's result may lie below the baseline's
    # between live and simulated fills of the same orders; in shadow and paper mode there are no live fills
    least_fills: int = 20
    fill_share: float = 0.5  # |live - simulated| lots, as a share of the larger
    fill_px: float = 50.0  # 1e-4 dollar, of the mean price

    def __post_init__(self) -> None:
        given = (self.disagreement, self.position, self.loss_usd, self.fill_share, self.fill_px)
        limits = [limit for limit in given if limit is not None]
        if self.least_decisions < 1 or self.least_fills < 1 or not all(limit > 0 for limit in limits):
            raise ValueError(f"{self}: expected counts of at least 1 and limits above 0")


class Measured(NamedTuple):
    """Of two accounts."""

    decisions: int
    disagreement: float
    position: float
    result_uusd: int


class Divergence:
    """The account at ``first`` beside the one at ``second``, numbers of accounts, over M markets."""

    def __init__(self, gate: Gate, first: int, second: int, markets: int) -> None:
        self.gate, self.first, self.second = gate, first, second
        self._differ = np.zeros(markets, np.int64)
        self._any = 0
        self._position = 0.0
        self._decisions = 0
        self._result_uusd = 0

    def add(self, orders: np.ndarray, net_lots: np.ndarray, equity_uusd: np.ndarray) -> None:
        """A decision: orders ``(N, M, 2)`` INTENT, ``net_lots`` (N, M), equity ``(N,)`` of equal starts."""
        ours, theirs = orders[self.first], orders[self.second]
        bare = (ours["do"] == DO_NOTHING) | (ours["do"] == DO_CANCEL)
        same = np.ones(ours.shape, np.bool_)
        for name in _SAME:
            same &= ours[name] == theirs[name]
        differ = ~((ours["do"] == theirs["do"]) & (same | bare)).all(1)
        self._differ += differ
        self._any += bool(differ.any())
        apart = np.abs(net_lots[self.first] - net_lots[self.second])
        self._position += float(apart.mean()) / LOTS_PER_CONTRACT
        self._decisions += 1
        self._result_uusd = int(equity_uusd[self.first] - equity_uusd[self.second])

    @property
    def measured(self) -> Measured:
        """So far."""
        count = max(self._decisions, 1)
        return Measured(self._decisions, self._any / count, self._position / count, self._result_uusd)

    @property
    def by_market(self) -> np.ndarray:
        """``(M,)``: share of decisions with other orders."""
        return self._differ / max(self._decisions, 1)

    @property
    def worst(self) -> float | None:
        """The measure that is nearest to its limit, as a share of it: above 1 = too far; None = too early."""
        found, gate = self.measured, self.gate
        if found.decisions < gate.least_decisions:
            return None
        loss = max(-found.result_uusd, 0) / (gate.loss_usd * UUSD)
        shares = [loss]
        if gate.disagreement is not None:
            shares.append(found.disagreement / gate.disagreement)
        if gate.position is not None:
            shares.append(found.position / gate.position)
        return max(shares)

    def breaches(self) -> dict[str, str]:
        """What is too far, measure by measure, in words."""
        found, gate = self.measured, self.gate
        words = {}
        if found.decisions >= gate.least_decisions:
            if gate.disagreement is not None and found.disagreement > gate.disagreement:
                words["disagreement"] = (
                    f"other orders at {found.disagreement:.1%} of decisions; {gate.disagreement:.1%} allowed"
                )
            if gate.position is not None and found.position > gate.position:
                words["position"] = f"positions {found.position:.1f} contracts apart; {gate.position:g} allowed"
        if found.result_uusd < -gate.loss_usd * UUSD:
            below, allowed = money(-found.result_uusd), money(round(gate.loss_usd * UUSD))
            words["result"] = f"result {below} below the other's; {allowed} allowed"
        return words


class FillsCompared:
    """Live fills beside those that the simulator gave the same orders, over all markets."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._lots = [0, 0]  # live, simulated
        self._worth = [0, 0]  # px x lots
        self._count = [0, 0]

    def add(self, *, live: bool, px: int, lots: int) -> None:
        """A fill of ``lots`` above 0 at ``px`` of YES."""
        place = 0 if live else 1
        self._lots[place] += lots
        self._worth[place] += px * lots
        self._count[place] += 1

    @property
    def apart(self) -> tuple[float, float] | None:
        """Share of lots, and 1e-4 dollar between the mean prices; None before there are enough live fills."""
        if self._count[0] < self.gate.least_fills:
            return None
        live, simulated = self._lots
        share = abs(live - simulated) / max(live, simulated)
        if not simulated:
            return share, float("inf")
        return share, abs(self._worth[0] / live - self._worth[1] / simulated)

    def breaches(self) -> dict[str, str]:
        """What is too far, measure by measure, in words."""
        apart = self.apart
        if apart is None:
            return {}
        share, px = apart
        words = {}
        if share > self.gate.fill_share:
            words["fill_share"] = (
                f"live and simulated fills {share:.0%} of lots apart; {self.gate.fill_share:.0%} allowed"
            )
        if px > self.gate.fill_px:
            words["fill_px"] = f"live and simulated fills {px:.0f} x 1e-4 dollar apart; {self.gate.fill_px:g} allowed"
        return words
