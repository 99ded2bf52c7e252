"""A fake Kalshi: REST and socket over simulated or recorded markets; ``live/fake/server.py`` puts it on sockets.

What is Kalshi's and what is ours: prices, sizes, fees, numbering, channels and orders follow the venue's documents. Not
documented, and chosen here: how wrong a signature's time may be, the codes of some refusals, and that a market's empty
snapshot comes at once after its close (the real one took 6 seconds).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from live.clock import Clock
from live.fake import kalshi_portfolio, kalshi_public
from live.fake import kalshi_words as words
from live.fake.answers import Answer, Ask, Problem, routed
from live.fake.exchange import Exchange
from live.fake.faults import FaultLayer, Plan
from live.fake.guard import KalshiGuard, NotAuthenticated
from live.fake.kalshi_socket import FILLS, ORDERS, POSITIONS, KalshiSession
from live.fake.link import Link
from live.fake.market import Markets, kalshi_fee
from live.fake.orders import Changed, Filled, Happening, Refused, Settled, Told
from live.limits import KALSHI_COSTS, Rate, TokenBucket
from live.stamps import text_of
from sim.types import GAP, PX_ONE, QUOTE, SECOND_NS, SETTLE, TRADE, UUSD
from sim.venues.kalshi import DIRECT_MEMBER_UUSD
from sim.wire.kalshi_writer import KalshiWriter, Said
from sim.wire.units import Row, contracts, dollars

SOCKET_PATH = "/trade-api/ws/v2"
_PING_NS = 10 * SECOND_NS
_ROUTES = (*kalshi_public.ROUTES, *kalshi_portfolio.ROUTES)
_BATCHED = "/portfolio/events/orders/batched"
_MOST_TRADES = 100_000  # that GET remembers
_READ, _WRITE = Rate(400, 200), Rate(100, 100)
_KEYLESS = Rate(30, 30)  # not documented: about 3 requests a second are safe


@dataclass(frozen=True)
class Window:
    """A maintenance: no new orders from ``start_ns`` to ``end_ns``; ``halted``: no cancels either."""

    start_ns: int
    end_ns: int
    halted: bool = False


@dataclass(frozen=True)
class KalshiConfig:
    """What may differ between accounts and days. Rates are those of the Basic tier."""

    cash_uusd: int = 1_000 * UUSD
    step_uusd: int = DIRECT_MEMBER_UUSD
    tier: str = "basic"
    read: Rate = _READ
    write: Rate = _WRITE
    keyless: Rate = _KEYLESS
    nested_429: bool = True  # the live shape of the body; False: the documents'
    maintenance: Sequence[Window] = ()


class KalshiVenue:
    """One exchange with one client, who may hold several keys and connections."""

    socket_paths = (SOCKET_PATH,)

    def __init__(
        self, markets: Markets, clock: Clock, guard: KalshiGuard, *, config: KalshiConfig | None = None,
        plan: Plan | None = None,
    ) -> None:  # fmt: skip
        self.config = config or KalshiConfig()
        self.clock, self.guard = clock, guard
        self.plan = plan or Plan((), clock.now_ns())
        self.listings = markets.listings
        self.exchange = Exchange(
            markets, cash_uusd=self.config.cash_uusd, netting=True, step_uusd=self.config.step_uusd,
            id_of=lambda number: f"00000000-0000-4000-9000-{number:012d}",
        )  # fmt: skip
        fees = [kalshi_fee(rates) for rates in markets.schedules]
        self.writer = KalshiWriter(markets.listings, markets.tables, fees)
        self.stats = [words.Stats() for _ in markets.listings]
        self.trades: deque[dict[str, Any]] = deque(maxlen=_MOST_TRADES)
        self.fills: list[dict[str, Any]] = []
        self.settlements: list[dict[str, Any]] = []
        self.sessions: list[KalshiSession] = []
        self.resumes_ns = 0  # a maintenance's end, 0 = none
        self._numbers = {one.market.id: index for index, one in enumerate(self.listings)}
        self._shown: list[tuple[Row, Row] | None] = [None] * len(self.listings)
        self._buckets = {
            name: TokenBucket(rate, clock)
            for name, rate in (
                ("read", self.config.read), ("write", self.config.write), ("keyless", self.config.keyless),
            )
        }  # fmt: skip
        self._ping_ns = clock.now_ns() + _PING_NS
        self._trade_id = ""

    @property
    def next_ns(self) -> int:
        """When something happens by itself again."""
        times = [self._ping_ns, self.exchange.next_ns]
        times += [moment for one in self.config.maintenance for moment in (one.start_ns, one.end_ns)]
        times += [session.link.next_ns for session in self.sessions]
        now_ns = self.clock.now_ns()
        return min(one for one in times if one is not None and (one > now_ns or one == self.exchange.next_ns))

    def step(self) -> None:
        """Let happen what is due."""
        now_ns = self.clock.now_ns()
        self._maintain(now_ns)
        self.tell(self.exchange.advance(now_ns))
        if now_ns >= self._ping_ns:
            self._ping_ns = now_ns + _PING_NS
            for session in self.sessions:
                session.link.ping(b"heartbeat", now_ns)

    def connect(self, path: str, headers: Any) -> KalshiSession:
        """A new connection to the socket. Raises Problem 401 without a signature that holds."""
        self._authenticate("GET", path, headers)
        link = Link(FaultLayer(self.plan))
        session = KalshiSession(link, self, self.clock.now_ns, lambda index: self.listings[index].market.id)
        self.sessions.append(session)
        return session

    def disconnect(self, session: KalshiSession) -> None:
        """A connection has ended."""
        self.sessions.remove(session)

    def request(self, ask: Ask) -> Answer:
        """Answer a request."""
        self._maintain(self.clock.now_ns())
        try:
            route, names = routed(_ROUTES, ask.method, ask.path)
            if route.private or "KALSHI-ACCESS-KEY" in ask.headers:
                self._authenticate(ask.method, ask.path, ask.headers)
            self._spoil()
            self._limit(ask)
            return route.handler(self, ask, *names)
        except Refused as refused:
            return _error(kalshi_portfolio.problem_of(refused))
        except Problem as problem:
            if problem.status == 429 and not self.config.nested_429:
                return Answer(429, {"error": "too many requests"})
            return _error(problem)

    def index_of(self, ticker: str) -> int | None:
        """Number of a market, None = no such one."""
        return self._numbers.get(ticker)

    def known(self, ticker: str) -> int:
        """Number of a market. Raises Problem 404."""
        index = self._numbers.get(ticker)
        if index is None:
            raise Problem(404, "not_found", f"no market {ticker[:80]}")
        return index

    def snapshot(self, index: int) -> Said:
        """A market's book as it is shown."""
        return self.writer.snapshot(index, self.clock.now_ns() // words.NS_PER_MS)

    def ticker(self, index: int) -> Said:
        """A market's best prices and prints."""
        now_ns, stats = self.clock.now_ns(), self.stats[index]
        for row in words.quotes(self.exchange, index, now_ns):
            said = self.writer.say(row)
        assert said is not None  # the ask's row ends a ticker
        return said._replace(msg=said.msg | {
            "price_dollars": dollars(stats.last_px), "volume_fp": contracts(stats.volume_qty),
            "open_interest_fp": "0.00", "last_trade_size_fp": contracts(stats.last_qty), "ts": now_ns // SECOND_NS,
            "time": text_of(now_ns),
        })  # fmt: skip

    def tell(self, happened: Iterable[Happening], late_ns: int = 0) -> None:
        """Send what happened to whom it concerns; fills and states of orders ``late_ns`` later."""
        touched: dict[int, bool] = {}
        for one in happened:
            if isinstance(one, Told):
                self._row(one)
                touched[one.row[6]] = touched.get(one.row[6], False) or one.row[7] == TRADE
            else:
                self._private(one, late_ns)
        for index, traded in touched.items():
            shown = words.quotes(self.exchange, index, 0)
            if traded or shown != self._shown[index]:
                self._shown[index] = shown
                self._send(self.ticker(index))

    def _row(self, told: Told) -> None:
        row = told.row
        if row[7] == QUOTE:  # tickers are made from the book that is shown
            return
        said = self.writer.say(row)
        if said is None:
            return
        if row[7] == TRADE:
            self._remember(row, said.msg)
        elif row[7] == SETTLE:
            self.stats[row[6]].settled_ns = row[0]
        elif told.order is not None and told.order.wanted.client_id:
            said = said._replace(msg=said.msg | {"client_order_id": told.order.wanted.client_id})
        if row[7] == GAP:
            said = said._replace(type="")
        self._send(said)

    def _remember(self, row: Row, msg: dict[str, Any]) -> None:
        """A print, for GET and the tickers."""
        self._trade_id = msg["trade_id"]
        stats = self.stats[row[6]]
        stats.last_px, stats.last_qty = row[3], row[2]
        stats.volume_qty += row[2]
        kept = {name: value for name, value in msg.items() if name not in ("market_ticker", "ts", "ts_ms")}
        self.trades.append(kept | {"ticker": msg["market_ticker"], "created_time": text_of(row[1] or row[0], 6)})

    def _private(self, one: Filled | Changed | Settled, late_ns: int) -> None:
        """What only the client is told."""
        if isinstance(one, Filled):
            self.fills.append(words.rest_fill(self.exchange, one, self._trade_id))
            msg = words.socket_fill(self.exchange, one, self._trade_id)
            self._send(Said(FILLS, one.order.market, "fill", msg), late_ns)
            self._position(one.order.market)
        elif isinstance(one, Changed):
            msg = words.socket_order(self.exchange, one.order, one.reason)
            self._send(Said(ORDERS, one.order.market, "user_order", msg), late_ns)
        else:
            self.settlements.append(self._settlement(one))
            self._position(one.market)

    def _position(self, index: int) -> None:
        traded = sum(order.filled for order in self.exchange.orders.values() if order.market == index)
        msg = words.socket_position(self.exchange, index, traded)
        self._send(Said(POSITIONS, index, "market_position", msg))

    def _settlement(self, one: Settled) -> dict[str, Any]:
        listing, holding = self.listings[one.market], self.exchange.account.holdings[one.market]
        result = {PX_ONE: "yes", 0: "no"}.get(one.payout_px, "scalar")
        return {
            "ticker": listing.market.id, "event_ticker": listing.event, "market_result": result,
            "yes_count_fp": words.lots(one.yes), "no_count_fp": words.lots(one.no),
            "revenue": one.received_uusd // (UUSD // 100), "value": one.payout_px // 100,
            "fee_cost": words.usd(holding.fees_uusd), "settled_time": text_of(one.ns, 6),
        }  # fmt: skip

    def _send(self, said: Said, late_ns: int = 0) -> None:
        for session in self.sessions:
            session.tell(said, late_ns)

    def _maintain(self, now_ns: int) -> None:
        """Whether the exchange takes orders and cancels now."""
        now = [one for one in self.config.maintenance if one.start_ns <= now_ns < one.end_ns]
        if now and self.exchange.accepting:
            self.tell(self.exchange.cancel_all(now_ns, "HaltCancel", lambda order: order.wanted.cancel_on_pause))
        self.exchange.accepting = not now
        self.exchange.cancelling = not any(one.halted for one in now)
        self.resumes_ns = max((one.end_ns for one in now), default=0)

    def _authenticate(self, method: str, path: str, headers: Any) -> None:
        try:
            self.guard.check(method, path, headers)
        except NotAuthenticated:
            raise Problem(401, "token_authentication_failure", "token authentication failure") from None

    def _spoil(self) -> None:
        fault = self.plan.request(self.clock.now_ns(), ("too_many", "server_error"))
        if fault is not None:
            status = 429 if fault.kind == "too_many" else 500
            raise Problem(status, "too_many_requests" if status == 429 else "internal_server_error", "a fault script")

    def _limit(self, ask: Ask) -> None:
        """Take a request's cost from its bucket; of a batch the sum of its items. Raises Problem 429."""
        cost = KALSHI_COSTS.of(ask.method, ask.path)
        if ask.path.endswith(_BATCHED):
            cost *= len(kalshi_portfolio.batch_of(ask))
        private = "KALSHI-ACCESS-KEY" in ask.headers
        bucket = self._buckets[("read" if ask.method == "GET" else "write") if private else "keyless"]
        if cost > bucket.rate.capacity or not bucket.try_take(cost):
            raise Problem(429, "too_many_requests", "too many requests")


def _error(problem: Problem) -> Answer:
    return Answer(problem.status, {"error": {"code": problem.code, "message": problem.message, "service": "fake"}})
