"""``python -m benchmarks resolvedkit``: the package's published late_favorite result, with its engine and with ours.

The strategy (resolvedkit 0.1.0, ``specs/late_favorite.json``): in the last two minutes of a market buy the favourite
for $250, once, if its best ask lies in [0.60, 0.90]; never pay more than that ask plus 0.02; hold to resolution. Orders
meet the book 250 ms later. On the package's sample: pnl 277.48, fees 15.92, 2 partial fills, 5 markets traded.

Two ways of looking at the market, both with our engine's book, fills, fees and settlement:

* by token, as the package does: a strategy remembers the last view of each of the two tokens. The sample stores both
  tokens' views of one moment as two rows, DOWN first; on DOWN's row the UP token is still remembered as it was a second
  ago. This is the run to compare.
* one book: at every moment both tokens are what the one book says, as in this project. The limit is never stale, and
  the result is another strategy's: $237.45, three partial fills.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from benchmarks.machine import print_result
from sim.engine import Engine
from sim.importers.resolvedkit import sample_folder, tapes
from sim.scenarios import Place, Scenario
from sim.scenarios.row import make_rows
from sim.tape import Tape
from sim.types import ASK, BID, DO_PLACE, INTENT, IOC, LOTS_PER_CONTRACT, NO, PX_ONE, SECOND_NS, UUSD, YES

LATENCY_MS = 250
CRYPTO_PPM = 70_000  # the venue's taker rate of the sample's markets, in 1e-6
PUBLISHED = {"pnl_usd": 277.48, "fees_usd": 15.92, "partial_fills": 2, "markets_traded": 5}
_CENT_PX = 100
_MS = 1_000_000
_LOOK_BACK_NS = 15 * SECOND_NS  # both tokens have been seen before the strategy may enter


def published_spec() -> dict:
    """The package's own late_favorite strategy."""
    return json.loads((resources.files("resolvedkit") / "specs" / "late_favorite.json").read_text())


@dataclass
class Trade:
    """The one order of a market. Cash in micro-dollars."""

    slug: str
    token: str  # UP or DOWN
    sent_ms: int
    limit_px: int  # of the token
    lots: int = 0
    paid_uusd: int = 0  # price x lots
    fee_uusd: int = 0
    got_uusd: int = 0  # at resolution
    partial: bool = False  # could not spend the budget within the limit
    levels: list[tuple[int, int]] = field(default_factory=list)  # (token's price, lots)

    @property
    def pnl_uusd(self) -> int:
        """What the order earned."""
        return self.got_uusd - self.paid_uusd - self.fee_uusd


class LateFavorite:
    """The strategy on one market of our engine. Prices in 1e-4 dollar."""

    def __init__(self, tape: Tape, slug: str, spec: dict, by_token: bool) -> None:
        self.slug, self.entry, self.by_token = slug, spec["entry"], by_token
        self.end_ns = tape.header.markets[0].close_ns
        scenario = Scenario(
            make_rows(1, order_delay_ms=LATENCY_MS), places=(Place("polymarket"),), tapes=(tape,), names=(slug,),
            replay_share=1.0, sequential=True,
        )  # fmt: skip
        self.engine = Engine(scenario, 1, window_s=math.inf)
        self.engine.reset()
        self.views: dict[str, tuple[int, int]] = {}  # token -> (best bid, best ask); 0 and 10000 where there is none
        self.trade: Trade | None = None

    def run(self, moments: list[tuple[int, str]]) -> Trade | None:
        """Look at every moment (ms, token) of the sample, then play to the settlement."""
        for ms, token in moments:
            self._advance_to(ms * _MS)
            self._look(token)
            if self.trade is None:
                self._enter(ms)
        self._advance_to(max(self.end_ns, self._now_ns) + SECOND_NS)
        if self.trade is not None and self.trade.lots:
            payout = int(self.engine.state.market["payout_px"][0])
            self.trade.got_uusd = self.trade.lots * (payout if self.trade.token == "UP" else PX_ONE - payout)
            self.trade.partial = int(self.entry["usd"] * UUSD) - self.trade.paid_uusd >= PX_ONE
        return self.trade

    @property
    def _now_ns(self) -> int:
        return int(self.engine.state.account["now_ns"][0])

    def _advance_to(self, stamp_ns: int) -> None:
        wait = stamp_ns - self._now_ns
        if wait > 0:
            self.engine.advance(wait / SECOND_NS)
            self._book_fills()
            self.engine.submit(np.zeros((1, 1, 2), INTENT))  # empties the journal

    def _look(self, token: str) -> None:
        """Refresh what is known: the token whose view came, or both."""
        market, px_of = self.engine.state.market[0], self.engine.grid.px_of
        bid = int(px_of[market["best_bid"]]) if market["best_bid"] >= 0 else 0
        ask = int(px_of[market["best_ask"]]) if market["best_ask"] < len(px_of) else PX_ONE
        now = {"UP": (bid, ask), "DOWN": (PX_ONE - ask, PX_ONE - bid)}
        self.views.update({token: now[token]} if self.by_token else now)

    def _enter(self, ms: int) -> None:
        left_ns = self.end_ns - ms * _MS
        if not 0 < left_ns <= self.entry["seconds_before_end"] * SECOND_NS or len(self.views) < 2:
            return
        up, down = sum(self.views["UP"]), sum(self.views["DOWN"])  # twice the mid
        token = "UP" if up >= down else "DOWN"
        ask = self.views[token][1]
        low, high = (round(self.entry[name] * PX_ONE) for name in ("min_price", "max_price"))
        if ask == PX_ONE or not low <= ask <= high:
            return
        limit = ask + round(self.entry["max_slippage"] * PX_ONE)
        self.trade = Trade(self.slug, token, ms, limit)
        self.engine.submit(self._intent(token, limit))

    def _intent(self, token: str, limit: int) -> np.ndarray:
        """Spend the budget on the token at once: a buyer of DOWN sells in YES space."""
        intents = np.zeros((1, 1, 2), INTENT)
        budget = int(self.entry["usd"] * UUSD)
        order = intents[0, 0, BID if token == "UP" else ASK]
        order["do"], order["tif"] = DO_PLACE, IOC
        order["leg"] = YES if token == "UP" else NO
        order["px"] = limit if token == "UP" else PX_ONE - limit
        order["budget_uusd"] = budget
        order["qty"] = budget // _CENT_PX  # no price is below a cent: the budget alone decides
        return intents

    def _book_fills(self) -> None:
        state = self.engine.state
        for fill in state.fills[0, : state.account["n_fills"][0]]:
            price = int(fill["px"]) if fill["leg"] == YES else PX_ONE - int(fill["px"])
            lots = abs(int(fill["qty"]))
            assert self.trade is not None  # only our one order can fill
            self.trade.lots += lots
            self.trade.paid_uusd += price * lots
            self.trade.fee_uusd += int(fill["fee_uusd"])
            self.trade.levels.append((price, lots))


def our_trades(spec: dict, by_token: bool) -> list[Trade]:
    """Our engine's trades of the strategy on the package's sample, by end of the market."""
    window_ns = int(spec["entry"]["seconds_before_end"] * SECOND_NS) + _LOOK_BACK_NS
    trades = []
    for slug, tape in _tapes().items():
        first_ms = (tape.header.markets[0].close_ns - window_ns) // _MS
        moments = [(book.ts, book.side) for book in _moments()[slug] if book.ts >= first_ms]
        trade = LateFavorite(tape, slug, spec, by_token).run(moments)
        if trade is not None and trade.lots:
            trades.append(trade)
    return trades


@cache
def _tapes() -> dict[str, Tape]:
    """The sample as tapes, by end of the market."""
    return dict(tapes(sample_folder())[1])


@cache
def _sample() -> Any:
    from resolvedkit.data import load_sample

    return load_sample()


@cache
def _moments() -> dict[str, list]:
    """The package's views of every market in its order: by stamp, DOWN before UP."""
    return {market.slug: _sample().books(market.market_id) for market in _sample().markets()}


def their_trades(spec: dict) -> list[Trade]:
    """The package's own trades, rounded to micro-dollars; ``lots`` are rounded down, its sizes are not whole lots."""
    from resolvedkit.engine import Backtester
    from resolvedkit.rules import RuleStrategy

    trades = []
    for market in Backtester(_sample(), RuleStrategy(spec), latency_ms=LATENCY_MS).run().markets:
        for fill in market.fills:
            trade = Trade(market.market.slug, fill.side, fill.ts - LATENCY_MS, 0)
            trade.lots = math.floor(fill.shares * LOTS_PER_CONTRACT + 1e-6)
            trade.paid_uusd, trade.fee_uusd = round(fill.notional * UUSD), round(fill.fee * UUSD)
            trade.got_uusd = round(market.settlement * UUSD)
            trade.partial = fill.depth_limited
            trades.append(trade)
    return trades


def summary(trades: list[Trade]) -> dict:
    """The published figures of a list of trades, unrounded."""
    return {
        "pnl_usd": sum(trade.pnl_uusd for trade in trades) / UUSD,
        "fees_usd": sum(trade.fee_uusd for trade in trades) / UUSD,
        "partial_fills": sum(trade.partial for trade in trades),
        "markets_traded": len(trades),
    }


def in_their_rounding(ours: Trade, budget_uusd: int, rate_ppm: int) -> tuple[float, float]:
    """(pnl, fee) in micro-dollars that our trade would have had under the package's two conventions.

    Its sizes are real numbers, so an order that finds enough depth spends its budget to the last micro-dollar, where
    ours stops at whole lots of 0.01 share; and it rounds an order's fee once, where the venue rounds every match.
    """
    levels = [(price / PX_ONE, lots / LOTS_PER_CONTRACT) for price, lots in ours.levels]
    if not ours.partial:
        levels.append((levels[-1][0], (budget_uusd - ours.paid_uusd) / UUSD / levels[-1][0]))
    fee = round(sum(size * rate_ppm / 1e6 * price * (1 - price) for price, size in levels), 5)
    payout = ours.got_uusd / ours.lots / PX_ONE
    pnl = sum(size * (payout - price) for price, size in levels) - fee
    return pnl * UUSD, fee * UUSD


def difference(theirs: Trade, ours: Trade, budget_uusd: int, rate_ppm: int) -> dict:
    """One market's pnl, ours less theirs, in micro-dollars: smaller positions, smaller fees, and what that leaves."""
    pnl, fee = in_their_rounding(ours, budget_uusd, rate_ppm)
    return {
        "market": ours.slug,
        "pnl_uusd": ours.pnl_uusd - theirs.pnl_uusd,
        "of_whole_lots_uusd": (ours.got_uusd - ours.paid_uusd) - (theirs.got_uusd - theirs.paid_uusd),
        "of_fees_uusd": theirs.fee_uusd - ours.fee_uusd,
        "unexplained_uusd": round(abs(pnl - theirs.pnl_uusd) + abs(fee - theirs.fee_uusd)),
    }


def resolvedkit_result() -> dict:
    """Their result and ours side by side.

    Holds where theirs is the published one, ours has the same orders, and no micro-dollar of the difference is left
    once our trades are put into their rounding.
    """
    spec = published_spec()
    theirs, ours, one_book = their_trades(spec), our_trades(spec, True), our_trades(spec, False)
    budget = int(spec["entry"]["usd"] * UUSD)
    split = [difference(a, b, budget, CRYPTO_PPM) for a, b in zip(theirs, ours, strict=True)]
    cents = [{name: round(value, 2) for name, value in summary(trades).items()} for trades in (theirs, ours)]
    orders = [[(t.slug, t.token, t.sent_ms, t.lots, t.partial) for t in trades] for trades in (theirs, ours)]
    explained = not any(row["unexplained_uusd"] for row in split)
    return {
        "law": "resolvedkit's published late_favorite result",
        "holds": cents == [PUBLISHED] * 2 and orders[0] == orders[1] and explained,
        "published": PUBLISHED,
        "theirs": summary(theirs),
        "ours": summary(ours),
        "ours_less_theirs": split,
        "ours_without_stale_views": summary(one_book),
    }


def main(arguments: list[str]) -> int:
    """Print both results; returns 0 where every cent is explained."""
    argparse.ArgumentParser(prog="python -m benchmarks resolvedkit", description=__doc__).parse_args(arguments)
    result = resolvedkit_result()
    print_result(result)
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
