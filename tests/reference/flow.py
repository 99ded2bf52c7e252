"""The synthetic market of one environment, written again from its description (docs/market.md)."""

from __future__ import annotations

import math
from statistics import NormalDist

from reference.feed import Feed
from reference.market import Market
from reference.opponents import Opponents
from reference.philox import FLOW, OUTCOME, RESET, SHOCK, SIGNAL, below, exponential, uniform
from sim.types import ASK, BID, OPEN, PAUSED, PX_ONE, SECOND_NS

PPM = 1_000_000
ARRIVALS = ("add", "cancel", "noise", "informed", "maker", "signal", "momentum", "front", "copy", "cascade")
SHOCKS = ("news", "outage", "stale", "close", "fee", "tick")
NEVER = math.inf


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


def pick(word: int, names: tuple[str, ...], rates: list[float]) -> str:
    """Which of several Poisson streams an arrival belongs to."""
    total = 0.0
    for name, rate in zip(names, rates, strict=True):
        total += rate
        if word < round(total / sum(rates) * 2**32):
            return name
    raise AssertionError("the last share is one")


def low_half(word: int, share: float) -> bool:
    """A coin of the low 16 bits of a word."""
    return word % 2**16 < round(share * 2**16)


class Flow(Opponents):
    """Belief, makers and takers of one episode of an environment with one market."""

    def __init__(self, market: Market, row: dict) -> None:
        self.market, self.row, self.draw = market, row, market.draw
        self.blocks, self.shocks = 0, 1
        self.rates = [row[f"{name}_rate"] for name in ARRIVALS]
        self.mean_wait = SECOND_NS / sum(self.rates)
        self.shock_rates = [row[f"{name}_rate"] for name in SHOCKS]
        self.levels = round(row["levels"])
        self.resume_ns, self.stale_until_ns = NEVER, 0
        self.feed: Feed | None = None  # what was shown when it last stood still
        self.belief = self.first_belief()
        self.start_reactions()
        _, second, third, _ = self.draw(RESET, 1, 0)
        market.status, market.open_ns = OPEN, SECOND_NS
        market.close_ns = SECOND_NS + round(row["life_s"] * SECOND_NS)
        self.worth()
        market.book.mid2 = 2 * market.latent // 100
        self.estimate()
        self.quotes(round(row["half_spread"] * PPM))
        for side in (BID, ASK):
            for steps in range(self.levels):
                px, mixed = self.behind(side, steps), mix(third, 2 * steps + side)
                if px is not None and low_half(mixed, row["presence"]):
                    market.book.put(side, px, self.new_depth(mixed, px, steps, SECOND_NS))
        self.trend2 = market.book.mid2
        self.flow_ns = SECOND_NS + self.waiting(second, self.mean_wait)
        self.shock_ns = self.first_shock()

    def first_belief(self) -> int:
        """The probability of YES in ppm that the episode begins with."""
        low, high = (round(self.row[name] * PPM) for name in ("belief_low", "belief_high"))
        return low + below(self.draw(RESET, 2, 0)[0], high - low + 1)

    def first_shock(self) -> float:
        """When something first comes from outside."""
        return self.next_shock(self.draw(SHOCK, 0, 0)[0], SECOND_NS)

    # the clocks

    def waiting(self, word: int, mean: float) -> int:
        """Time to the next of a Poisson stream."""
        return 1 + math.floor(exponential(word) * mean)

    def clumped(self, word: int) -> int:
        """Time to the next of arrivals whose gaps are exponential variates to a power, divided by its mean."""
        power = self.row["clump"]
        self.market.seen["flow: clumped"] += 1
        gap = (exponential(word) + 2**-27) ** power / round(math.gamma(1 + power), 9)
        return 1 + math.floor(gap * self.mean_wait)

    def next_shock(self, word: int, now: int) -> float:
        """When something next comes from outside."""
        if sum(self.shock_rates) == 0:
            return NEVER
        return now + self.waiting(word, SECOND_NS / sum(self.shock_rates))

    def next_market_ns(self) -> float:
        """When the market itself next moves."""
        return min(self.flow_ns, self.market.close_ns, self.resume_ns, self.burst_ns)

    @property
    def next_ns(self) -> float:
        """When anything next happens; nothing does once the market has settled."""
        return min(self.next_market_ns(), self.shock_ns) if self.market.status in (OPEN, PAUSED) else NEVER

    def happen(self, now: int) -> None:
        """What is due happens: the market before what comes from outside."""
        if now < self.next_market_ns():
            self.shock(now)
        elif now >= self.market.close_ns:
            self.market.settle(self.outcome())
        elif now == self.flow_ns and now < min(self.resume_ns, self.burst_ns):
            self.arrive(now)
        elif self.resume_ns <= self.burst_ns:
            self.market.change_status(OPEN)
            self.resume_ns = NEVER
        else:
            self.follow(now)

    # the belief, and what comes from outside

    def expected(self) -> int:
        """The expected payout of YES in ppm, void markets left out."""
        return self.belief

    def worth(self) -> None:
        """The expected payout of YES, void markets included."""
        void = round(self.row["void_share"] * PPM)
        self.market.latent = ((PPM - void) * self.expected() + void * self.void_payout()) // PPM

    def void_payout(self) -> int:
        """What YES pays where the market is void, ppm."""
        return round(self.row["void_payout"] * PPM)

    def shock(self, now: int) -> None:
        """News, a halt, a standstill, an early close, other rules."""
        market = self.market
        wait, kind, place, size = self.draw(SHOCK, self.shocks, 0)
        self.shocks += 1
        self.shock_ns = self.next_shock(wait, now)
        name = pick(kind, SHOCKS, self.shock_rates)
        if name == "news":
            self.news(place, size)
            self.meet_news(self.shocks - 1, now)
        elif market.status == OPEN:
            market.seen[f"shock: {name}"] += 1
            self.strike(name, size, now)

    def strike(self, name: str, word: int, now: int) -> None:
        """A shock that is no news."""
        market = self.market
        if name == "outage":
            length = self.waiting(word, self.row["outage_s"] * SECOND_NS)
            market.change_status(PAUSED)
            self.resume_ns = now + length
            self.flow_ns += length
            self.burst_ns += length
        elif name == "stale":
            if self.stale_until_ns <= now:
                self.feed = Feed(market)
            end = now + self.waiting(word, self.row["stale_s"] * SECOND_NS)
            self.stale_until_ns = max(self.stale_until_ns, end)
        elif name == "close":
            market.close_ns = now
        elif name == "fee":
            market.change_fees(market.schedule)  # the same schedule before and after
        else:
            self.quotes(round(self.row["half_spread"] * PPM))  # the same table, quoted anew

    def meet_news(self, number: int, now: int) -> None:
        """A taker who knows comes with the news of a number."""
        coin, size, _, _ = self.draw(SHOCK, number, 1)
        if self.market.status == OPEN and low_half(coin, self.row["news_take"]):
            self.market.seen["flow: came with news"] += 1
            self.informed(size, now)

    def news(self, place: int, size: int) -> None:
        """The belief jumps up or down by the same amount."""
        self.market.seen["flow: news"] += 1
        p = self.belief
        part = self.row["news_large" if low_half(size, self.row["news_large_share"]) else "news_size"]
        jump = round(part * PPM) * 4 * p // PPM * (PPM - p) // PPM
        self.belief = p + jump if place % 2 else p - jump
        self.worth()

    def outcome(self) -> int:
        """What a YES pays; the belief then is sure of it."""
        first, second, _, _ = self.draw(OUTCOME, 0, 0)
        if uniform(second) * PPM < round(self.row["void_share"] * PPM):
            return (self.void_payout() + 50) // 100
        if self.row["scalar"]:
            return (self.belief + 50) // 100
        self.belief = PPM if uniform(first) * PPM < self.belief else 0
        return PX_ONE if self.belief else 0

    # the makers

    def estimate(self) -> None:
        """The makers learn the belief; a round number near it pulls them."""
        belief, market = self.market.latent, self.market
        market.fair, self.anchor_px = belief, -1
        width = round(self.row["anchor_width"] * PPM)
        for anchor in (250_000, 500_000, 750_000):
            away = abs(belief - anchor)
            if self.row["anchor_strength"] > 0 and away < width:
                pull = math.floor(self.row["anchor_strength"] * away * (1.0 - away / width))
                market.fair = belief - pull if belief > anchor else belief + pull
                self.anchor_px = anchor // 100
                market.seen["flow: anchored"] += 1

    def quotes(self, half: int) -> None:
        """The makers' prices, rounded outwards to the tick table; 0 and 10000 stand for none."""
        fair = self.market.fair
        self.bid = max((px for px in self.market.prices if px * 100 <= fair - half), default=0)
        self.ask = min((px for px in self.market.prices if px * 100 >= fair + half), default=PX_ONE)

    def behind(self, side: int, steps: int) -> int | None:
        """The price some ticks behind the makers' quote; None where there is none."""
        ladder = [0, *sorted(self.market.prices), PX_ONE]
        place = ladder.index(self.bid) - steps if side == BID else ladder.index(self.ask) + steps
        return ladder[place] if 0 < place < len(ladder) - 1 else None

    def profile(self, steps: int) -> float:
        """Sizes by ticks behind the makers' quote."""
        row = self.row
        return (1 + row["depth_slope"] * steps) * math.exp(-row["depth_decay"] * steps) if steps else row["depth_touch"]

    def new_depth(self, mixed: int, px: int, steps: int, now: int) -> int:
        """Size of a level that the makers quote anew."""
        row = self.row
        mean = row["depth"] * 100 * self.profile(steps)
        if px in (2500, 5000, 7500):
            mean *= 1 + row["anchor_depth"]
        if now < self.cascade_until_ns:
            mean *= 1 - row["cascade_pull"]
        mean /= 1 + row["fade_depth"] / 10_000 * self.ours_all
        return 1 + math.floor(quantile(mixed) * mean)

    def step_aside(self, now: int) -> None:
        """The makers learn the belief and pull what it makes a gift."""
        market = self.market
        self.estimate()
        self.quotes(round(self.row["half_spread"] * PPM) + self.wider(now))
        for side in (BID, ASK):
            for px in market.book.prices_from_best(side):
                if px > self.bid if side == BID else px < self.ask:
                    market.change_level(side, px, 0, now)

    def reprice(self, word: int, now: int) -> None:
        """The makers learn the belief, pull what it makes a gift, and refill what is empty."""
        self.step_aside(now)
        market = self.market
        for side in (BID, ASK):
            for steps in range(self.levels):
                px, mixed = self.behind(side, steps), mix(word, 2 * steps + side)
                if px is not None and market.book.size(side, px) == 0 and low_half(mixed, self.row["presence"]):
                    market.change_level(side, px, self.new_depth(mixed, px, steps, now), now)

    # arrivals

    def arrive(self, now: int) -> None:
        """The arrival that is due happens."""
        wait, kind, place, size = self.draw(FLOW, self.blocks, 0)
        self.blocks += 1
        self.flow_ns = now + (self.waiting(wait, self.mean_wait) if self.row["clump"] == 1 else self.clumped(wait))
        name = pick(kind, ARRIVALS, self.rates)
        self.market.seen[f"flow: {name}"] += 1
        if name in ("add", "cancel"):
            self.change(name, kind, place, size, now)
        elif name == "maker":
            self.reprice(place, now)
        elif name == "signal":
            self.forecast(self.blocks - 1, now)
        elif name == "cascade":
            if now >= self.cascade_until_ns:
                self.start_cascade(place % 2, now)
        else:
            self.taker(name, kind, place, size, now)

    def taker(self, name: str, kind: int, place: int, size: int, now: int) -> None:
        """Somebody takes."""
        if name == "noise":
            self.take(place % 2, self.anything(place % 2), self.noise_lots(kind, size), now)
        elif name == "informed":
            self.informed(size, now)
        elif name == "momentum":
            self.momentum(size, now)
        elif name == "front":
            self.front(now)
        else:
            self.copy(now)

    def informed(self, size: int, now: int) -> None:
        """One who knows the belief takes what is mispriced."""
        edge, belief = round(self.row["informed_edge"] * PPM), self.market.latent
        qty = self.lots(size, self.row["informed_size"])
        ask = self.market.book.best(ASK)
        if ask is not None and ask <= (belief - edge) // 100:
            self.take(BID, (belief - edge) // 100, qty, now)
        else:
            self.take(ASK, -(-(belief + edge) // 100), qty, now)

    def change(self, name: str, kind: int, place: int, size: int, now: int) -> None:
        """A limit order joins a level, or part of a level goes."""
        where = below(place, 2 * self.levels)
        side, steps = where % 2, where // 2
        steps = 0 if low_half(kind, self.row["touch_share"]) else steps
        px = self.behind(side, steps)
        if px is None:
            return
        shown = self.market.book.size(side, px)
        if name == "add":
            self.market.change_level(side, px, shown + self.lots(size, self.row["add_size"] * self.profile(steps)), now)
        elif shown:
            gone = 1 + math.floor(shown * (self.row["cancel_share"] * (place % 2**16 + 0.5) / 2**16))
            self.market.change_level(side, px, max(0, shown - gone), now)

    def forecast(self, block: int, now: int) -> None:
        """The belief with an error of a stated size."""
        first, second, _, _ = self.draw(SIGNAL, block, 0)
        low, high = (round(self.row[name] * PPM) for name in ("signal_err_low", "signal_err_high"))
        error = low + below(first, high - low + 1)
        value = self.market.latent + math.floor(error * NormalDist().inv_cdf(uniform(second)) + 0.5)
        self.market.signal = min(PPM - 1000, max(1000, value))
        self.market.signal_err, self.market.signal_ns = error, now

    def lots(self, word: int, contracts: float) -> int:
        """A size of at least one lot."""
        return 1 + math.floor(exponential(word) * (contracts * 100))

    def noise_lots(self, kind: int, word: int) -> int:
        """A noise taker's size: a mixture of two exponentials."""
        return self.lots(word, self.row["large_size" if low_half(kind, self.row["large_share"]) else "noise_size"])

    def anything(self, side: int) -> int:
        """The limit of a taker who takes any price."""
        return PX_ONE if side == BID else 0
