"""A real account where a paper one would be: the engine shows it to the policy, and trades nothing for it.

Before an account is measured and observed its cash, positions and resting orders are written over the engine's by what
the order manager knows; after its orders are certified they are taken out again, so that the simulator can fill none of
them. So features, masks, decoder, shield, rewards and costs see the account as the venue does, by the code that trains.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from live.orders.ledger import locked_uusd
from live.orders.record import Record
from live.orders.working import Working
from sim.engine import Engine
from sim.loop import mark_slice
from sim.state import ORDER, ORDER_SLOTS, POSITION
from sim.types import DO_NOTHING, GTC, NO, YES

_SEEN = ["peak_uusd", "ruined"]  # of an account: what the engine's own marks must not touch
_MONEY = struct.Struct("<qq")


class Image(NamedTuple):
    """A real account at one moment, as the engine would have it. M markets."""

    cash_uusd: int
    reserved_uusd: int
    positions: np.ndarray  # (M,) POSITION
    orders: np.ndarray  # (M, ORDER_SLOTS) ORDER

    def encode(self) -> bytes:
        """Bytes for a log."""
        return _MONEY.pack(self.cash_uusd, self.reserved_uusd) + self.positions.tobytes() + self.orders.tobytes()

    @classmethod
    def decode(cls, data: bytes, markets: int) -> Image:
        """What :meth:`encode` made."""
        cash, reserved = _MONEY.unpack_from(data)
        positions = np.frombuffer(data, POSITION, markets, _MONEY.size)
        orders = np.frombuffer(data, ORDER, markets * ORDER_SLOTS, _MONEY.size + positions.nbytes)
        return cls(cash, reserved, positions, orders.reshape(markets, ORDER_SLOTS))


class Mirror:
    """The account ``place`` of ``engine``, which is at one venue."""

    def __init__(self, engine: Engine, place: int) -> None:
        state, markets = engine.state, engine.num_markets
        if state.pool.shape[1] != 1:
            raise ValueError(f"a real account is at one venue; this session has {state.pool.shape[1]}")
        self._world, self._state, self._place = engine.world, state, place
        self._account, self._pool = state.account[place : place + 1], state.pool[place]
        self._before = self._account[_SEEN].copy()  # of the account as it was seen last
        self._slots = slice(place * markets, (place + 1) * markets)
        self._market, self._book = state.market[self._slots], state.book[self._slots]

    def show(self, image: Image) -> None:
        """Put an account in, and mark it: what the engine has marked meanwhile is the account before."""
        markets = self._market
        markets["position"], markets["orders"] = image.positions, image.orders
        markets["live_orders"] = (image.orders["id"] > 0).sum(1)
        self._pool["cash_uusd"], self._pool["reserved_uusd"] = image.cash_uusd, image.reserved_uusd
        for name in _SEEN:
            self._account[name] = self._before[name]
        mark_slice(self._state, self._place, self._place + 1)

    def clear(self, intents: np.ndarray) -> None:
        """Take the account's orders out again, and let none of ``intents`` ``(M, 2)`` reach the simulator."""
        markets = self._market
        markets["orders"]["id"] = 0
        markets["live_orders"] = 0
        markets["position"]["yes_held_qty"] = markets["position"]["no_held_qty"] = 0
        self._pool["reserved_uusd"] = 0
        intents["do"] = DO_NOTHING
        self._before = self._account[_SEEN].copy()

    def image(self, record: Record) -> Image:
        """The account as the order manager has it."""
        positions = np.zeros(len(self._market), POSITION)
        orders = np.zeros((len(self._market), ORDER_SLOTS), ORDER)
        reserved = 0
        for index, ticker in enumerate(record.tickers):
            holding, position = record.ledger.holding(ticker), positions[index]
            position["yes_qty"], position["no_qty"] = holding.lots
            position["yes_cost_uusd"], position["no_cost_uusd"] = holding.cost_uusd
            position["realised_uusd"] = holding.realised_uusd
            resting = [one for one in record.of_market(ticker) if one.live and one.intent.tif == GTC]
            reserved += self._orders(index, resting[-ORDER_SLOTS:], holding.lots, orders[index])
            for leg, name in ((YES, "yes"), (NO, "no")):
                promised = sum(one.left for one in resting if one.intent.reduces and one.intent.leg == leg)
                position[f"{name}_held_qty"] = min(promised, holding.lots[leg])
        # what other programs' orders, and ours that are on their way, may cost is not free either
        reserved = max(reserved, record.reserved_uusd + record.others_uusd)
        return Image(record.ledger.cash_uusd, reserved, positions, orders)

    def _orders(self, index: int, resting: Sequence[Working], lots: Sequence[int], slots: np.ndarray) -> int:
        """Write one market's resting orders to ``slots``; what they reserve."""
        fee, reserved = int(self._market[index]["fee"]), 0
        fees = self._world.fees[fee : fee + 1]
        for place, one in enumerate(resting):
            exposures = [other.exposure for other in resting[: place + 1]]
            before, reserved = reserved, locked_uusd(lots, exposures, fees)
            intent, slot = one.intent, slots[place]
            level = int(self._world.level_of[intent.px])
            slot["id"], slot["qty"], slot["filled_qty"] = one.number + 1, max(one.left, 1), one.filled
            slot["px"], slot["level"], slot["side"], slot["leg"] = intent.px, level, intent.side, intent.leg
            slot["reduce"], slot["leaving"] = intent.reduces, one.leaving
            slot["reserved_uusd"] = max(reserved - before, 0)
            slot["entry_ns"], slot["expiry_ns"] = intent.sent_ns, intent.expiry_ns
            slot["ahead_qty"] = self._book[index, intent.side, level]  # the venue's queue is not told: all of it
        return reserved
