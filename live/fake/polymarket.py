"""A fake Polymarket: Gamma, CLOB and both sockets over simulated or recorded markets.

Left out: wallets behind contracts (signature types 1 to 3) and negRisk events, tokens are neither split, merged nor
converted, and no market has a taker delay. A payout that is neither 0 nor 1 has no word on the socket; Gamma tells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from live.clock import Clock
from live.fake import polymarket_rest as rest
from live.fake.answers import Answer, Ask, Problem, routed
from live.fake.exchange import Exchange
from live.fake.faults import FaultLayer, Plan
from live.fake.guard import NotAuthenticated, PolymarketGuard
from live.fake.link import Link
from live.fake.market import Markets
from live.fake.orders import Changed, Filled, Happening, Order, Refused, Told
from live.fake.polymarket_socket import MarketSession, Message, UserSession
from live.limits import Rate, TokenBucket, window
from sim.types import ASK, BID, CLOSED, MICRO_PER_LOT, NO, PX_ONE, QUOTE, SECOND_NS, SETTLE, TRADE, UUSD
from sim.wire.polymarket_writer import PolymarketWriter
from sim.wire.units import Row, shortest

MARKET_PATH, USER_PATH = "/ws/market", "/ws/user"
_NS_PER_MS = 1_000_000
_POST_ONLY_NS = 120 * SECOND_NS  # after a restart
_BEAT_NS = 10 * SECOND_NS
_STAGES = (("MATCHED", 0), ("MINED", 2 * SECOND_NS), ("CONFIRMED", 5 * SECOND_NS))
_REQUESTS = window(1_500, 10, 300)  # of all endpoints together, the tightest of the CLOB's documented ones
_FAR_NS = 2**62


@dataclass(frozen=True)
class Restart:
    """The engine restarts: 425 from ``start_ns`` to ``end_ns``, then two minutes of post-only mode."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class PolymarketConfig:
    """What may differ between accounts and days."""

    cash_uusd: int = 1_000 * UUSD
    requests: Rate = _REQUESTS
    restarts: Sequence[Restart] = ()


class PolymarketVenue:
    """One exchange with one client."""

    socket_paths = (MARKET_PATH, USER_PATH)

    def __init__(
        self, markets: Markets, clock: Clock, guard: PolymarketGuard, *, config: PolymarketConfig | None = None,
        plan: Plan | None = None,
    ) -> None:  # fmt: skip
        self.config = config or PolymarketConfig()
        self.clock, self.guard = clock, guard
        self.plan = plan or Plan((), clock.now_ns())
        self.listings = markets.listings
        self.exchange = Exchange(
            markets, cash_uusd=self.config.cash_uusd, netting=False, step_uusd=0, id_of=lambda _: self._next_id
        )  # fmt: skip
        self.writer = PolymarketWriter(markets.listings, markets.tables)
        self.trades: list[Message] = []
        self.sessions: list[MarketSession | UserSession] = []
        self.owner, self.address = guard.key.api_key.reveal(), guard.key.address
        self.min_lots = rest.MIN_LOTS
        self._numbers = {one.market.id: index for index, one in enumerate(self.listings)}
        self._tokens = {token: index for index, one in enumerate(self.listings) for token in one.tokens}
        self._last_px = [0] * len(self.listings)
        self._best: list[tuple[int, int] | None] = [None] * len(self.listings)
        self._bucket = TokenBucket(self.config.requests, clock)
        self._next_id = ""
        self._beats = 0
        self._beat_ns = _FAR_NS  # when all orders are cancelled for want of a heartbeat

    @property
    def next_ns(self) -> int:
        """When something happens by itself again."""
        now_ns = self.clock.now_ns()
        frames = [session.link.next_ns for session in self.sessions]
        late = [one for one in frames if one is not None and one > now_ns]  # what is due already is being written
        times = [self.exchange.next_ns, self._beat_ns, *late]
        return min(one for one in times if one is not None)

    def step(self) -> None:
        """Let happen what is due."""
        now_ns = self.clock.now_ns()
        self.tell(self.exchange.advance(now_ns))
        if now_ns >= self._beat_ns:
            self._beat_ns = _FAR_NS
            self.tell(self.exchange.cancel_all(now_ns, "heartbeat"))

    def connect(self, path: str, _: Any) -> MarketSession | UserSession:
        """A new connection to one of the sockets."""
        kind = MarketSession if path == MARKET_PATH else UserSession
        session = kind(Link(FaultLayer(self.plan)), self, self.clock.now_ns)
        self.sessions.append(session)
        return session

    def disconnect(self, session: MarketSession | UserSession) -> None:
        """A connection has ended."""
        self.sessions.remove(session)

    def request(self, ask: Ask) -> Answer:
        """Answer a request."""
        try:
            self._check_restart()
            route, names = routed(rest.ROUTES, ask.method, ask.path)
            if route.private:
                self._authenticate(ask)
            self._spoil()
            return route.handler(self, ask, *names)
        except Refused as refused:
            return _error(rest.problem_of(refused))
        except Problem as problem:
            return _error(problem)

    def name_next(self, order_id: str) -> None:
        """The id of the order that is about to be placed."""
        self._next_id = order_id

    def index_of(self, condition: str) -> int | None:
        """Number of a market, None = no such one."""
        return self._numbers.get(condition)

    def market_of(self, token: str) -> int | None:
        """Number of a token's market, None = no such one."""
        return self._tokens.get(token)

    def token_of(self, order: Order) -> str:
        """The token that an order is for."""
        return self.listings[order.market].tokens[order.wanted.leg]

    def tick(self, index: int) -> int:
        """A market's tick, 1e-4 dollar."""
        return min(step for _, _, step in self.exchange.ticks[index])

    def knows(self, auth: object) -> bool:
        """Whether it is the client's key."""
        return self.guard.knows(auth)

    def trades_of(self, order: Order) -> list[str]:
        """Ids of an order's trades."""
        return [one["id"] for one in self.trades if one["order_id"] == order.id]

    def books(self, index: int, *, first: bool) -> list[Message]:
        """Whole books of both tokens; ``first``: with tick and last print, as after a subscription."""
        told = self.writer.books_of(index, self.clock.now_ns() // _NS_PER_MS)
        if first:
            last = self._last_px[index]
            for leg, one in enumerate(told):
                px = last if leg == 0 or not last else PX_ONE - last
                one |= {"tick_size": shortest(self.tick(index), 4), "last_trade_price": shortest(px, 4)}
        return told

    def book_of(self, token: str) -> Message | None:
        """A token's book as GET tells it; None where there is none."""
        index = self._tokens.get(token)
        if index is None or self.exchange.status[index] >= CLOSED:
            return None
        book = self.books(index, first=True)[self.listings[index].tokens.index(token)]
        del book["event_type"]
        return book | {"min_order_size": shortest(self.min_lots, 2), "neg_risk": False}

    def heartbeat(self, last_id: Any) -> Answer:
        """A sign of life; the first one begins the watch, a wrong id is told the right one."""
        expected = f"beat-{self._beats}" if self._beats else None
        if expected is not None and last_id != expected:
            return Answer(400, {"error": "Invalid Heartbeat ID", "heartbeat_id": expected})
        self._beats += 1
        self._beat_ns = self.clock.now_ns() + _BEAT_NS
        return Answer(200, {"heartbeat_id": f"beat-{self._beats}"})

    def check_post_only(self, kind: str) -> None:
        """Raises Problem 400 for a kind of order that cannot be post only."""
        if kind not in ("GTC", "GTD"):
            raise Problem(400, "order_type", "postOnly is only supported for GTC and GTD orders")

    def check_post_only_mode(self) -> None:
        """Raises Problem 503 in the two minutes after a restart."""
        now_ns = self.clock.now_ns()
        for one in self.config.restarts:
            left_ns = one.end_ns + _POST_ONLY_NS - now_ns
            if one.end_ns <= now_ns and left_ns > 0:
                raise Problem(503, "post_only_mode", str(-(-left_ns // SECOND_NS)))

    def tell(self, happened: Iterable[Happening], late_ns: int = 0) -> None:
        """Send what happened to whom it concerns; trades and states of orders ``late_ns`` later."""
        touched: dict[int, bool] = {}
        for one in happened:
            if isinstance(one, Told):
                self._row(one.row)
                touched[one.row[6]] = touched.get(one.row[6], False) or one.row[7] == TRADE
            elif isinstance(one, Filled):
                self._trade(one, late_ns)
            elif isinstance(one, Changed):
                self._order(one, late_ns)
        for index, traded in touched.items():
            if traded:
                self._send(index, self.books(index, first=False))
            self._quote(index)

    def _row(self, row: Row) -> None:
        index, kind = row[6], row[7]
        if kind == QUOTE or (kind == SETTLE and row[3] not in (0, PX_ONE)):
            return
        if kind == TRADE:
            self._last_px[index] = row[3]
        told = self.writer.say(row)
        whole = any(one["event_type"] == "book" for one in told)
        self._send(index, self.books(index, first=False) if whole else told)

    def _quote(self, index: int) -> None:
        """Best prices, where they have changed."""
        bid, ask = self.exchange.books[index].shown.best
        if (bid, ask) == self._best[index]:
            return
        self._best[index] = bid, ask
        now_ns = self.clock.now_ns()
        for side, px in ((BID, bid), (ASK, ask)):
            self._send(index, self.writer.say((now_ns, now_ns, -1, px, -1, 0, index, QUOTE, side)))

    def _send(self, index: int, messages: list[Message]) -> None:
        for session in self.sessions:
            if messages and isinstance(session, MarketSession):
                session.tell(index, messages)

    def _send_mine(self, index: int, message: Message, late_ns: int) -> None:
        for session in self.sessions:
            if isinstance(session, UserSession):
                session.tell(index, message, late_ns)

    def _order(self, one: Changed, late_ns: int) -> None:
        kind = {"": "PLACEMENT", "Trade": "UPDATE"}.get(one.reason, "CANCELLATION")
        said = rest.open_order(self, one.order)
        more = {"event_type": "order", "type": kind, "order_owner": self.owner, "timestamp": str(one.ns // _NS_PER_MS)}
        self._send_mine(one.order.market, said | more, late_ns)

    def _trade(self, fill: Filled, late_ns: int) -> None:
        """A trade of the client's, in each of its states: final only once CONFIRMED."""
        order = fill.order
        px = fill.px if order.wanted.leg != NO else PX_ONE - fill.px
        size, price = shortest(fill.qty * MICRO_PER_LOT, 6), shortest(px, 4)
        side, token = ("BUY" if order.buys else "SELL"), self.token_of(order)
        mine = {"order_id": order.id, "owner": self.owner, "maker_address": self.address, "matched_amount": size,
                "price": price, "fee_rate_bps": "0", "asset_id": token, "outcome": ("Yes", "No")[order.wanted.leg],
                "side": side}  # fmt: skip
        said = {
            "event_type": "trade", "type": "TRADE", "id": f"fake-trade-{len(self.trades) + 1}", "order_id": order.id,
            "taker_order_id": "0xother" if fill.maker else order.id, "size": size, "price": price, "asset_id": token,
            "market": self.listings[order.market].market.id, "side": side if not fill.maker else _other(side),
            "fee_rate_bps": "0", "outcome": mine["outcome"], "owner": self.owner, "trade_owner": self.owner,
            "match_time": str(fill.ns // SECOND_NS), "maker_orders": [mine] if fill.maker else [],
            "trader_side": "MAKER" if fill.maker else "TAKER", "transaction_hash": "", "bucket_index": 0,
        }  # fmt: skip
        self.trades.append({**said, "status": "CONFIRMED"})
        for status, after_ns in _STAGES:
            at_ns = fill.ns + after_ns
            stamps = {"last_update": str(at_ns // SECOND_NS), "timestamp": str(at_ns // _NS_PER_MS)}
            self._send_mine(order.market, said | {"status": status} | stamps, late_ns + after_ns)

    def _check_restart(self) -> None:
        now_ns = self.clock.now_ns()
        if any(one.start_ns <= now_ns < one.end_ns for one in self.config.restarts):
            raise Problem(425, "restarting", "service not ready")

    def _authenticate(self, ask: Ask) -> None:
        try:
            self.guard.check(ask.method, ask.path, ask.headers, ask.body)
        except NotAuthenticated:
            raise Problem(401, "unauthorized", "Unauthorized/Invalid api key") from None

    def _spoil(self) -> None:
        fault = self.plan.request(self.clock.now_ns(), ("too_many", "server_error"))
        if fault is not None and fault.kind == "server_error":
            raise Problem(500, "internal", "could not process the request: a fault script")
        if fault is not None or not self._bucket.try_take():
            raise Problem(429, "rate_limit", "Too Many Requests")


def _other(side: str) -> str:
    return "SELL" if side == "BUY" else "BUY"


def _error(problem: Problem) -> Answer:
    if problem.code == "post_only_mode":
        said = {"error": "post-only mode", "code": "post_only_mode", "retry_after_seconds": int(problem.message)}
        return Answer(problem.status, said)
    return Answer(problem.status, {"error": problem.message})
