"""A real account where a paper one would be: the engine shows it to the policy, and trades nothing for it.

Before an account is measured and observed its cash, positions and resting orders are written over the engine's by what
the order manager knows; after its orders are certified they are taken out again, so that the simulator can fill none of
them. So features, masks, decoder, shield, rewards and costs see the account as the venue does, by the code that trains.
"""

from __future__ import annotations

import numpy as np

from live.orders.ledger import locked_uusd
from live.orders.record import Record
from live.orders.working import Working
from sim.engine import Engine
from sim.state import ORDER_SLOTS
from sim.types import DO_NOTHING, GTC, NO, YES


class Mirror:
    """The account ``place`` of ``engine``, at one venue, as ``record`` has it."""

    def __init__(self, engine: Engine, place: int, record: Record) -> None:
        state, markets = engine.state, engine.num_markets
        if state.pool.shape[1] != 1:
            raise ValueError(f"a real account is at one venue; this session has {state.pool.shape[1]}")
        self._record, self._world = record, engine.world
        self._account, self._pool = state.account[place : place + 1], state.pool[place]
        self._slots = slice(place * markets, (place + 1) * markets)
        self._market, self._book = state.market[self._slots], state.book[self._slots]

    def begin(self, equity_uusd: int) -> None:
        """The account begins with ``equity_uusd``: drawdowns, and shares of the cash, count from here."""
        self._pool["start_uusd"] = equity_uusd
        for name in ("start_uusd", "equity_uusd", "peak_uusd"):
            self._account[name] = equity_uusd
        self.write()

    def write(self) -> None:
        """Put what is known of the account in."""
        record, reserved = self._record, 0
        for index, ticker in enumerate(record.tickers):
            market = self._market[index]
            holding, position = record.ledger.holding(ticker), market["position"]
            position["yes_qty"], position["no_qty"] = holding.lots
            position["yes_cost_uusd"], position["no_cost_uusd"] = holding.cost_uusd
            position["realised_uusd"] = holding.realised_uusd
            orders = [one for one in record.of_market(ticker) if one.live and one.intent.tif == GTC]
            reserved += self._write_orders(index, orders[-ORDER_SLOTS:])
        self._pool["cash_uusd"] = record.ledger.cash_uusd
        # what other programs' orders, and ours that are being taken, may cost is not free either
        self._pool["reserved_uusd"] = max(record.reserved_uusd + record.others_uusd, reserved)

    def clear(self, intents: np.ndarray) -> None:
        """Take orders out, and let none of ``intents`` ``(M, 2)`` reach the simulator."""
        for market in self._market:
            market["orders"]["id"] = 0
            market["live_orders"] = 0
            market["position"]["yes_held_qty"] = market["position"]["no_held_qty"] = 0
        self._pool["reserved_uusd"] = 0
        intents["do"] = DO_NOTHING

    def _write_orders(self, index: int, orders: list[Working]) -> int:
        """One market's resting orders; what they reserve."""
        market, lots = self._market[index], self._record.ledger.holding(self._record.tickers[index]).lots
        slots, held, reserved = market["orders"], [0, 0], 0
        slots["id"] = 0
        fees = self._world.fees[market["fee"] : market["fee"] + 1]
        for place, one in enumerate(orders):
            before, reserved = reserved, locked_uusd(lots, [other.exposure for other in orders[: place + 1]], fees)
            intent, slot = one.intent, slots[place]
            level = int(self._world.level_of[intent.px])
            slot["id"], slot["qty"], slot["filled_qty"] = one.number + 1, max(one.left, 1), one.filled
            slot["px"], slot["level"], slot["side"], slot["leg"] = intent.px, level, intent.side, intent.leg
            slot["reduce"], slot["leaving"] = intent.reduces, one.leaving
            slot["reserved_uusd"] = max(reserved - before, 0)
            slot["entry_ns"], slot["expiry_ns"] = intent.ns, intent.expiry_ns
            slot["ahead_qty"] = self._book[index, intent.side, level]  # the venue's queue is not told: all of it
            if intent.reduces:
                held[intent.leg] += one.left
        market["live_orders"] = len(orders)
        market["position"]["yes_held_qty"] = min(held[YES], lots[YES])
        market["position"]["no_held_qty"] = min(held[NO], lots[NO])
        return reserved
