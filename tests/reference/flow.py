"""The synthetic market, written again from its description (docs/market.md)."""

from __future__ import annotations

import math
from statistics import NormalDist

from reference.market import Market
from reference.philox import FLOW, OUTCOME, RESET, SIGNAL, below, uniform
from sim.types import ASK, BID, OPEN, PX_ONE, SECOND_NS

PPM = 1_000_000
TICK = 100
ARRIVALS = ("add", "cancel", "noise", "informed", "maker", "news", "signal")


def exponential(word: int) -> float:
    """A standard exponential variate, in whole units of 2**-26."""
    return math.floor(-math.log(uniform(word)) * 2**26) / 2**26


def mix(word: int, place: int) -> int:
    """A word and a place mixed (docs/market.md)."""
    mixed = (word + place * 0x9E3779B9) % 2**32
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D % 2**32
    mixed = (mixed ^ mixed >> 12) * 0x297A2D39 % 2**32
    return mixed ^ mixed >> 15


INSIDE = [-math.log(1 - i / 256) for i in range(256)]
KNOTS = [round(q * 2**16) for q in (*INSIDE, 512 - 2 * sum(INSIDE))]  # the last makes the mean one


def quantile(mixed: int) -> float:
    """An exponential variate of mean one from the high half of a mix: 256 quantiles, linear between them."""
    low, high = KNOTS[mixed >> 24], KNOTS[(mixed >> 24) + 1]
    return (low + (high - low) * (mixed >> 16 & 255) // 256) / 2**16


class Flow:
    """Belief, makers and takers of one episode."""

    def __init__(self, market: Market, row: dict) -> None:
        self.market, self.row, self.draw = market, row, market.draw
        self.blocks = 0
        rates = [row[f"{name}_rate"] for name in ARRIVALS]
        self.mean_wait = SECOND_NS / sum(rates)
        shares, total = [], 0.0
        for rate in rates:
            total += rate
            shares.append(total / sum(rates))
        self.thresholds = [round(share * 2**32) for share in shares]
        self.levels = round(row["levels"])
        self.half_spread = round(row["half_spread"] * PPM)
        first, second, third, _ = self.draw(RESET, 1, 0)
        low, high = (round(row[name] * PPM) for name in ("belief_low", "belief_high"))
        belief = low + below(first, high - low + 1)
        market.status, market.open_ns = OPEN, SECOND_NS
        market.close_ns = SECOND_NS + round(row["life_s"] * SECOND_NS)
        market.latent = market.fair = belief
        for side in (BID, ASK):
            for steps in range(self.levels):
                px = self.behind(side, steps)
                if px is not None:
                    market.book.put(side, px, self.new_depth(third, side, steps))
        if None in market.quotes():
            market.book.mid2 = 2 * belief // 100
        self.next_ns = SECOND_NS
        self.wait(second)

    def wait(self, word: int) -> None:
        """Draw the time of the next arrival."""
        self.next_ns += 1 + math.floor(exponential(word) * self.mean_wait)

    def lots(self, word: int, contracts: float) -> int:
        """A size of at least one lot."""
        return 1 + math.floor(exponential(word) * (contracts * 100))

    def new_depth(self, word: int, side: int, steps: int) -> int:
        """Size of a level that the makers quote anew."""
        mixed = mix(word, 2 * steps + side)
        return 1 + math.floor(quantile(mixed) * (self.row["depth"] * 100))

    def quote(self, side: int) -> int:
        """The makers' price on a side, rounded outwards to whole cents."""
        fair = self.market.fair
        if side == BID:
            return (fair - self.half_spread) // 10_000 * TICK
        return -(-(fair + self.half_spread) // 10_000) * TICK

    def behind(self, side: int, steps: int) -> int | None:
        """The price some ticks behind the makers' quote; None where there is none."""
        px = self.quote(side) + (-steps if side == BID else steps) * TICK
        return px if TICK <= px <= PX_ONE - TICK else None

    def arrive(self) -> None:
        """The arrival that is due happens."""
        now = self.next_ns
        block = self.blocks
        wait, kind, place, size = self.draw(FLOW, block, 0)
        self.blocks += 1
        name = next((n for n, t in zip(ARRIVALS, self.thresholds, strict=True) if kind < t), None)
        self.market.seen[f"flow: {name}"] += 1
        if name == "news":
            self.news(place)
        elif name == "maker":
            self.reprice(place, now)
        elif name == "add":
            self.add(place, size, now)
        elif name == "cancel":
            self.cancel(place, now)
        elif name == "noise":
            self.sweep(place & 1, 0 if place & 1 == ASK else PX_ONE, self.lots(size, self.row["noise_size"]), now)
        elif name == "informed":
            self.informed(size, now)
        elif name == "signal":
            self.forecast(block, now)
        self.wait(wait)

    def news(self, word: int) -> None:
        """The belief jumps up or down by the same amount."""
        p = self.market.latent
        jump = round(self.row["news_size"] * PPM) * 4 * p // PPM * (PPM - p) // PPM
        self.market.latent = p + jump if word % 2 else p - jump

    def reprice(self, word: int, now: int) -> None:
        """The makers learn the belief, pull what it makes a gift, and refill what is empty."""
        market = self.market
        market.fair = market.latent
        for side in (BID, ASK):
            quote = self.quote(side)
            for px in market.book.prices_from_best(side):
                if px > quote if side == BID else px < quote:
                    market.change_level(side, px, 0, now)
        for side in (BID, ASK):
            for steps in range(self.levels):
                px = self.behind(side, steps)
                if px is not None and market.book.size(side, px) == 0:
                    market.change_level(side, px, self.new_depth(word, side, steps), now)

    def place(self, word: int) -> tuple[int, int | None]:
        """Side and price that a limit order or a cancel picks."""
        pick = below(word, 2 * self.levels)
        return pick % 2, self.behind(pick % 2, pick // 2)

    def add(self, place: int, size: int, now: int) -> None:
        """A limit order joins a level."""
        side, px = self.place(place)
        if px is not None:
            qty = self.market.book.size(side, px) + self.lots(size, self.row["add_size"])
            self.market.change_level(side, px, qty, now)

    def cancel(self, place: int, now: int) -> None:
        """Part of a level goes."""
        side, px = self.place(place)
        shown = self.market.book.size(side, px) if px is not None else 0
        if shown:
            gone = 1 + math.floor(shown * (self.row["cancel_share"] * (place % 2**16 + 0.5) / 2**16))
            self.market.change_level(side, px, max(0, shown - gone), now)

    def sweep(self, taker: int, limit: int, qty: int, now: int) -> None:
        """A taker walks the book: at every level a print, then the level's change."""
        side = ASK if taker == BID else BID
        for px in self.market.book.prices_from_best(side):
            if qty == 0 or (px > limit if taker == BID else px < limit):
                return
            shown = self.market.book.size(side, px)
            size = min(qty, shown)
            self.market.print_trade(taker, px, size, now)
            self.market.change_level(side, px, shown - size, now)
            qty -= size

    def informed(self, size: int, now: int) -> None:
        """Takes what the belief says is mispriced by more than the edge."""
        edge = round(self.row["informed_edge"] * PPM)
        belief = self.market.latent
        qty = self.lots(size, self.row["informed_size"])
        self.sweep(BID, (belief - edge) // 100, qty, now)
        self.sweep(ASK, -(-(belief + edge) // 100), qty, now)

    def forecast(self, block: int, now: int) -> None:
        """The belief with an error of a stated size."""
        first, second, _, _ = self.draw(SIGNAL, block, 0)
        low, high = (round(self.row[name] * PPM) for name in ("signal_err_low", "signal_err_high"))
        error = low + below(first, high - low + 1)
        value = self.market.latent + math.floor(error * NormalDist().inv_cdf(uniform(second)) + 0.5)
        self.market.signal = min(PPM - 1000, max(1000, value))
        self.market.signal_err, self.market.signal_ns = error, now

    def outcome(self) -> int:
        """What a YES pays."""
        word = self.draw(OUTCOME, 0, 0)[0]
        return PX_ONE if uniform(word) * PPM < self.market.latent else 0
