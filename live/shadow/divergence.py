"""How far two accounts of one session part, and when that is too far.

Measures, all since the session began:

* ``disagreement``: the share of decisions at which their certified orders were not the same;
* ``position``: the mean absolute difference of their net positions, contracts, averaged over decisions and markets;
* ``result``: the first one's result less the second one's, micro-dollars. Both trade on paper in the same market, on
  the same events, so the difference is no luck of different worlds; one session is still one draw of the world.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from live.monitor.words import money
from sim.types import BID, DO_CANCEL, DO_NOTHING, LOTS_PER_CONTRACT, UUSD

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
    fill_share: float = 0.5  # |live - simulated| lots by market and side, as a share of the larger total
    fill_px: float = 50.0  # 1e-4 dollar that live fills are worse, bought dearer or sold cheaper

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


class _Cell:
    """Fills in one market on one side, live ones first."""

    def __init__(self) -> None:
        self.lots = [0, 0]
        self.worth = [0, 0]  # px x lots


class FillsCompared:
    """Live fills beside those that the simulator gave the same orders, by market and side."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._cells: defaultdict[tuple[int, int], _Cell] = defaultdict(_Cell)
        self._live = 0  # fills

    def add(self, *, live: bool, market: int, side: int, px: int, lots: int) -> None:
        """A fill of ``lots`` above 0 at ``px`` of YES; ``side`` BID = YES was bought."""
        cell, place = self._cells[market, side], 0 if live else 1
        cell.lots[place] += lots
        cell.worth[place] += px * lots
        self._live += live

    @property
    def apart(self) -> tuple[float, float] | None:
        """Share of lots, and 1e-4 dollar that live prices are worse; None before there are enough live fills.

        Lots apart are summed over markets and sides, as a share of the larger total: 2 where nothing is the same.
        Prices are means by market and side, weighed by live lots, 0 where they are no worse, and infinite where live
        and simulated fills have no market and side in common.
        """
        if self._live < self.gate.least_fills:
            return None
        cells = self._cells.values()
        larger = max(sum(cell.lots[place] for cell in cells) for place in (0, 1))
        share = sum(abs(cell.lots[0] - cell.lots[1]) for cell in cells) / larger
        both = [(side, cell) for (_, side), cell in self._cells.items() if all(cell.lots)]
        if not both:
            return share, float("inf")
        worse = sum(_worse(side, cell) * cell.lots[0] for side, cell in both) / sum(cell.lots[0] for _, cell in both)
        return share, max(worse, 0.0)

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
            words["fill_px"] = (
                f"live fills {px:.0f} x 1e-4 dollar worse than simulated ones; {self.gate.fill_px:g} allowed"
            )
        return words


def _worse(side: int, cell: _Cell) -> float:
    """1e-4 dollar that the mean live price is worse for us than the simulated one; below 0 = better."""
    live, simulated = (worth / lots for worth, lots in zip(cell.worth, cell.lots, strict=True))
    return live - simulated if side == BID else simulated - live
