"""Random fault scripts against the order manager: a fake Kalshi whose own books say afterwards what was true.

A script is a seed: markets that wander, the venue's scripted faults, requests and answers that are late or lost, orders
and deposits of another program, crashes of the manager's process, kills that are lifted, decisions at random. After it
the network is left alone for a while, and then everything must agree: each fill once and as it was, cash to the
micro-dollar, positions, orders that rest, cash that they reserve; each recovery is in the journal.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from multiprocessing import Pool
from random import Random

import numpy as np
from tqdm import tqdm

from benchmarks.machine import describe, print_result
from benchmarks.order_world import World
from live.fake.faults import drawn
from live.fake.kalshi import KalshiConfig
from live.fake.market import Markets
from live.limits import Rate
from live.orders.caps import TRADING
from live.orders.journal import BEFORE
from live.orders.kalshi_orders import Http, fill_of
from live.orders.requests import Place, Request
from live.orders.sights import Sight
from live.orders.working import OPEN
from sim.tape import FeeRates, Market
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    DO_CANCEL,
    DO_PLACE,
    END_OF_BATCH,
    FOK,
    GTC,
    INTENT,
    IOC,
    LEVEL,
    LOTS_PER_CONTRACT,
    MICRO_PER_LOT,
    NO,
    PX_ONE,
    SECOND_NS,
    SETTLE,
    STATUS,
    TRADE,
    UUSD,
    YES,
)
from sim.wire.listing import CENT_TICKS, Listing
from sim.wire.units import Row

START_NS = 1_800_000_000 * SECOND_NS
MARKETS = 3
_CENT = 100
_QUIET_S = 120  # after a script, for everything that was lost to be noticed
_LONGEST_S = 3_600
_LONG_AGO_S = 60


class _Walk:
    """Markets whose levels come and go and never cross, and whose prints eat the touch."""

    def __init__(self, rng: Random, markets: int) -> None:
        self.rng = rng
        self.rows: list[Row] = []
        self._books: list[tuple[dict[int, int], dict[int, int]]] = [({}, {}) for _ in range(markets)]
        for market in range(markets):
            self.rows.append((START_NS, START_NS, 0, 0, -1, 0, market, CLEAR, -1))
            for side, px in ((BID, 4700), (BID, 4800), (ASK, 5300), (ASK, 5200)):
                self._level(START_NS, market, side, px, rng.randint(5, 80), END_OF_BATCH if px == 5200 else 0)

    def step(self, ns: int, market: int) -> None:
        """A print, or a level."""
        rng, side = self.rng, self.rng.randrange(2)
        mine, other = self._books[market][side], self._books[market][1 - side]
        if rng.random() < 0.3 and other:
            px = min(other) if side == BID else max(other)
            size = rng.randint(1, other[px])
            qty = size * LOTS_PER_CONTRACT * MICRO_PER_LOT
            self.rows.append((ns, ns, qty, px, -1, END_OF_BATCH, market, TRADE, side))
            self._level(ns, market, 1 - side, px, other[px] - size)
            return
        px = 5000 + rng.randint(-8, 8) * _CENT + _CENT * rng.randint(1, 5) * (-1 if side == BID else 1)
        if other:
            px = min(px, min(other) - _CENT) if side == BID else max(px, max(other) + _CENT)
        if 0 < px < PX_ONE:
            self._level(ns, market, side, px, 0 if px in mine and rng.random() < 0.5 else rng.randint(1, 90))

    def _level(self, ns: int, market: int, side: int, px: int, contracts: int, flags: int = END_OF_BATCH) -> None:
        qty = contracts * LOTS_PER_CONTRACT * MICRO_PER_LOT
        self.rows.append((ns, ns, qty, px, -1, flags, market, LEVEL, side))
        self._books[market][side][px] = contracts
        if not contracts:
            del self._books[market][side][px]


def wandering(
    rng: Random, seconds: float, markets: int = MARKETS, rows_per_s: float = 6.0, *, settles: bool = True
) -> list[Row]:
    """Rows of markets that wander; each may close and settle early."""
    walk, ns = _Walk(rng, markets), START_NS
    over = [
        START_NS + round(seconds * SECOND_NS * rng.choice((0.6, 2, 2) if settles else (2,))) for _ in range(markets)
    ]
    while ns < START_NS + seconds * SECOND_NS:
        ns += round(rng.expovariate(rows_per_s) * SECOND_NS) + 1
        market = rng.randrange(markets)
        if ns < over[market]:
            walk.step(ns, market)
    for market, end_ns in enumerate(over):
        if end_ns < ns:
            paid = rng.choice((0, PX_ONE, 5000, 3333))
            walk.rows.append((end_ns, end_ns, CLOSED, 0, -1, END_OF_BATCH, market, STATUS, -1))
            walk.rows.append((end_ns + SECOND_NS, end_ns + SECOND_NS, 0, paid, -1, END_OF_BATCH, market, SETTLE, -1))
    return sorted(walk.rows, key=lambda row: row[0])


def markets_of(rows: list[Row], maker_ppm: int, markets: int = MARKETS, open_ns: int = START_NS) -> Markets:
    """Listings for rows of :func:`wandering`."""
    rates = FeeRates("quadratic x 1", "kalshi", 70_000, maker_ppm)
    listings = [
        Listing("kalshi", Market(f"KXT-E{one}-M{one}", f"Market {one}", open_ns, open_ns + 7_200 * SECOND_NS),
                CENT_TICKS, rates, event=f"KXT-E{one}", base_fees=rates)
        for one in range(markets)
    ]  # fmt: skip
    return Markets("kalshi", listings, (CENT_TICKS,), (rates,), rows)


class Script:
    """One script; ``play`` raises AssertionError where something is not as it must be."""

    def __init__(self, seed: int, messages: int) -> None:
        self.rng = Random(seed)
        self.messages = messages
        seconds = messages / 12
        rows = wandering(self.rng, seconds)
        self.world = World(
            markets_of(rows, self.rng.choice((0, 17_500))), START_NS,
            faults=drawn(seed, count=self.rng.randint(10, 40), span_s=seconds), seed=seed,
            lost=self.rng.choice((0.0, 0.02, 0.08)),
            config=KalshiConfig(cash_uusd=self.rng.choice((60, 400, 1_000)) * UUSD, write=Rate(100, 100)),
        )  # fmt: skip
        self.placed = 0
        self.guarded = 0  # orders that were wanted on what is not seen
        self.others = 0

    def play(self) -> Counter[str]:
        """Run it, leave the network alone, and judge."""
        world = self.world
        while world.messages < self.messages and world.clock.monotonic_ns() < _LONGEST_S * SECOND_NS:
            world.to(world.clock.now_ns() + self.rng.randrange(50_000_000, 1_200_000_000))
            self._act()
        world.venue.plan.faults = ()
        world.lost = 0.0
        world.manager.lift("script", world.clock.now_ns()) if world.manager.mode != TRADING else None
        world.to(world.clock.now_ns() + _QUIET_S * SECOND_NS)
        check(world, exact=not world.deposited and world.journal.get("doubt_uusd") == "0")
        self._clear()
        world.to(world.clock.now_ns() + _QUIET_S * SECOND_NS)
        assert not world.venue.exchange.resting
        check(world, exact=True)
        return world.counts + Counter(
            messages=world.messages, placed=self.placed, guarded=self.guarded, others=self.others,
            fills=len(world.venue.fills), recoveries=len(world.journal.events("recovery")), scripts=1,
        )  # fmt: skip

    def _clear(self) -> None:
        """Cancel everything, ours by a kill and the other program's: with nothing resting cash is exact."""
        world = self.world
        world.send(world.manager.kill("the end", world.clock.now_ns()))
        for order in list(world.venue.exchange.resting.values()):
            if not order.wanted.client_id:
                world.ask(Http("DELETE", f"/portfolio/events/orders/{order.id}"))

    def _act(self) -> None:
        fate = self.rng.random()
        world, now_ns = self.world, self.world.clock.now_ns()
        if fate < 0.01:
            world.crash()
        elif fate < 0.015:
            world.send(world.manager.kill("a script", now_ns))
        elif fate < 0.06 and world.manager.mode != TRADING:
            world.manager.lift("script", now_ns)
        elif fate < 0.09:
            self._other()
        elif fate < 0.093:
            world.deposited = True
            world.venue.exchange.account.cash_uusd += (more := self.rng.randint(-3, 5) * 123_400)
            world.venue.exchange.account.house_uusd -= more
        else:
            self._decide()

    def _decide(self) -> None:
        sights = self.world.sights()
        bad = [self._spoil(sights, index) for index in range(MARKETS)]
        wishes = np.zeros((MARKETS, 2), INTENT)
        for index in range(MARKETS):
            for side in (BID, ASK):
                if self.rng.random() < 0.35:
                    self._wish(wishes[index, side], sights[index], side)
        for request in self.world.want(wishes, sights):
            if isinstance(request, Place):
                self.placed += 1
                index = self.world.manager.record.tickers.index(request.ticker)
                assert not bad[index], f"{request} on {sights[index]}"
                self._check_seen(request, index)
        self.guarded += sum(bool(np.any(wishes[index]["do"] == DO_PLACE)) for index in range(MARKETS) if bad[index])

    def _check_seen(self, request: Request, index: int) -> None:
        """Judged apart from the manager: the connection is heard, the book whole, its sides apart."""
        world = self.world
        bid, ask = world.books[index].best
        age_ns = world.clock.now_ns() - world.public.heard_ns
        assert world.public.session is not None and age_ns <= 5 * SECOND_NS, f"{request}: silent for {age_ns} ns"
        assert world.known[index] and world.open[index] and bid < ask, f"{request}: no book to send it on"

    def _spoil(self, sights: list[Sight], index: int) -> bool:
        """Sometimes what is seen of a market is broken."""
        one = sights[index]
        broken = (
            one._replace(bid_px=one.ask_px), one._replace(bid_px=min(one.ask_px + _CENT, PX_ONE)),
            one._replace(heard_ns=one.heard_ns - 6 * SECOND_NS), one._replace(known=False), one._replace(open=False),
        )  # fmt: skip
        bad = self.rng.random() < 0.15
        if bad:
            sights[index] = self.rng.choice(broken)
        return bad

    def _wish(self, wish: np.ndarray, sight: Sight, side: int) -> None:
        rng = self.rng
        wish["do"] = DO_CANCEL if rng.random() < 0.15 else DO_PLACE
        near = (sight.bid_px if side == BID else sight.ask_px) // _CENT + rng.randint(-3, 3)
        wish["px"] = min(max(near, 1), 99) * _CENT
        wish["qty"] = rng.choice((1, 37, rng.randint(1, 4_000)))
        wish["tif"] = rng.choice((GTC, GTC, GTC, GTC, IOC, FOK))
        wish["leg"] = rng.choice((YES, NO))
        if wish["tif"] == GTC:
            wish["post_only"] = rng.random() < 0.3
            if rng.random() < 0.1:
                wish["expiry_ns"] = self.world.clock.now_ns() + rng.randint(0, 20) * SECOND_NS
        if rng.random() < 0.05:
            wish["budget_uusd"] = rng.randint(1, 5 * UUSD)

    def _other(self) -> None:
        """Another program trades on the same account."""
        resting = [one.id for one in self.world.venue.exchange.resting.values() if not one.wanted.client_id]
        if resting and self.rng.random() < 0.5:
            self.world.ask(Http("DELETE", f"/portfolio/events/orders/{self.rng.choice(resting)}"))
            return
        self.others += 1
        self.world.ask(Http("POST", "/portfolio/events/orders", body={
            "ticker": self.rng.choice(self.world.manager.record.tickers), "side": self.rng.choice(("bid", "ask")),
            "count": f"{self.rng.randint(1, 20)}.00", "price": f"0.{self.rng.randint(40, 60)}00",
            "time_in_force": "good_till_canceled", "self_trade_prevention_type": "maker",
        }))  # fmt: skip


def check(world: World, *, exact: bool) -> None:
    """Compare the manager and its journal with what the venue knows. Raises AssertionError.

    ``exact``: cash as well. While orders rest, money that no trade explains may hide behind the fees that they reserve,
    as may what others' orders had reserved when the account was first read.
    """
    manager, record, exchange = world.manager, world.manager.record, world.venue.exchange
    assert manager.ready, f"not reconciled: {manager.__dict__}"
    _check_fills(world)
    drift_uusd = exchange.account.cash_uusd - record.ledger.cash_uusd
    assert not exact or not drift_uusd, f"cash drifts by {drift_uusd}"
    for index, ticker in enumerate(record.tickers):
        position = exchange.account.holdings[index].position
        assert record.ledger.holding(ticker).position == position, f"{ticker}: {position} lots at the venue"
    _check_orders(world)
    _check_recoveries(world)


def _check_fills(world: World) -> None:
    """Each fill once, as it was, in the journal and in the ledger; those before the first look in its opening."""
    true = {one.key: one for one in map(fill_of, world.venue.fills)}
    assert len(true) == len(world.venue.fills), "the venue names two fills alike"
    told = list(world.journal.fills())
    listed = {fill.key for fill, _ in told}
    long_ago_ns = int(world.journal.get("opened")) - _LONG_AGO_S * SECOND_NS  # is not asked for at the first look
    true = {key: one for key, one in true.items() if key in listed or one.venue_ns > long_ago_ns}
    for fill, source in told:
        if source == BEFORE:
            assert true.pop(fill.key) == fill
    kept = {fill.key: fill for fill, source in told if source != BEFORE}
    assert kept == true, f"fills differ: {set(kept.items()) ^ set(true.items())}"
    facts = [fact for one in world.manager.record.ledger.holdings.values() for fact in one.facts]
    folded = sorted(fact.key for fact in facts if not fact.key.startswith("correction"))
    assert folded == sorted(true), "the ledger has not counted each fill once"


def _check_orders(world: World) -> None:
    """What rests there rests here, nothing was sent twice, and what it reserves is the venue's figure."""
    record, exchange = world.manager.record, world.venue.exchange
    sent = {one.client_id for one in world.journal.orders()}
    theirs = Counter(one.wanted.client_id for one in exchange.orders.values() if one.wanted.client_id)
    assert not any("already_exists" in word for word in world.refused), "an order was sent twice"
    assert theirs.keys() <= sent and max(theirs.values(), default=1) == 1, "an order that the journal does not know"
    there = {one.wanted.client_id: one.left for one in exchange.resting.values() if one.wanted.client_id}
    here = {one.client_id: one.left for one in record.orders.values()}
    assert here == there, f"resting here {here}, there {there}"
    assert all(one.state == OPEN and not one.owed for one in record.orders.values()), record.orders
    if len(there) == len(exchange.resting) and _one_a_side(world):
        assert record.reserved_uusd == exchange.reserved_uusd, "what orders reserve"
    assert 0 <= record.reserved_uusd <= record.ledger.cash_uusd


def _one_a_side(world: World) -> bool:
    """Whether no two orders share what an order may close: which of them is covered is not told."""
    return len({(one.ticker, one.side) for one in world.manager.record.orders.values()}) == len(
        world.manager.record.orders
    )


def _check_recoveries(world: World) -> None:
    """What did not come the usual way is in the journal, by name."""
    recovered = world.journal.events("recovery")
    fills = {detail["key"] for _, what, detail in recovered if what == "fill"}
    late = {fill.key for fill, source in world.journal.fills() if source not in ("channel", BEFORE)}
    assert fills == late, "a fill that the channel did not tell has no recovery"
    orders = {detail["client_id"] for _, what, detail in recovered if what in ("order", "lives_on")}
    unknown = {what for _, what, _ in world.journal.events("unknown")}
    assert unknown <= orders, f"never cleared up: {unknown - orders}"
    ups = [what for _, what, _ in world.journal.events("channel")]
    assert ups.count("up") >= 1
    adopted = {ns for _, ns, *_ in world.journal.corrections("difference")}
    assert adopted == {ns for ns, what, _ in recovered if what == "difference"}, "a correction without a recovery"
    assert world.deposited or not adopted, "cash or contracts went astray: nobody paid in, and something was corrected"


def play(task: tuple[int, int]) -> Counter[str]:
    """A script by its seed and number of messages."""
    logging.disable(logging.CRITICAL)
    try:
        return Script(*task).play()
    except AssertionError as error:
        raise AssertionError(f"script {task[0]}: {error}") from error
    finally:
        logging.disable(logging.NOTSET)


def measure(scripts: int, messages: int, seed: int, workers: int = 1) -> dict:
    """Play ``scripts`` scripts. Raises AssertionError for the first that fails."""
    began = time.perf_counter()
    tasks = [(seed + one, messages) for one in range(scripts)]
    counts: Counter[str] = Counter()
    if workers == 1:
        for task in tqdm(tasks, unit="script"):
            counts += play(task)
    else:
        with Pool(workers) as pool:
            for found in tqdm(pool.imap_unordered(play, tasks), total=scripts, unit="script"):
                counts += found
    return {
        "benchmark": "order_faults", "seed": seed, **{name: counts[name] for name in sorted(counts)},
        "seconds": round(time.perf_counter() - began, 1),
        "what": "after every script fills, cash, positions, orders and reservations are the venue's, none sent twice",
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks order_faults``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks order_faults", description=__doc__)
    parser.add_argument("--scripts", type=int, default=1_000)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    print_result({**measure(options.scripts, options.messages, options.seed, options.workers), **describe()})
    return 0
