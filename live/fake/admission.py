"""State of a fake venue's exchange, and what it refuses: the part that changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from live.fake import matching
from live.fake.account import Account
from live.fake.book import ShownBook
from live.fake.market import Markets
from live.fake.orders import Order, Refused, Wanted
from sim import types
from sim.types import ASK, GTC, IOC, OPEN, PAUSED, PENDING, PX_ONE
from sim.venues.fees import KALSHI, POLYMARKET, FeeSchedule
from sim.venues.rules import tick_prices
from sim.wire.listing import Ticks

_CENT = 100  # px


class Admission:
    """Markets and one client.

    Args:
        markets: what will happen without the client.
        cash_uusd: what the client begins with.
        netting: whether YES and NO of a market net at once.
        step_uusd: precision of the account's balance where fees are rounded to it (Kalshi).
        id_of: an order's id by its number.
    """

    def __init__(
        self, markets: Markets, *, cash_uusd: int, netting: bool, step_uusd: int, id_of: Callable[[int], str]
    ) -> None:
        count = len(markets.listings)
        self.markets = markets
        self.account = Account(cash_uusd, count, netting=netting)
        self.books = [ShownBook(index) for index in range(count)]
        self.status = [PENDING] * count
        self.payout_px: list[int | None] = [None] * count
        self.orders: dict[str, Order] = {}
        self.accepting = True  # new orders
        self.cancelling = True  # cancels
        self.resting: dict[str, Order] = {}  # orders that have a place in a book
        self._client_ids: dict[str, Order] = {}
        self._step_uusd = step_uusd
        self._id_of = id_of
        self._numbers = 0
        self.ticks: list[Ticks] = [one.ticks for one in markets.listings]
        self._grids: dict[Ticks, frozenset[int]] = {}
        self.rates = [one.fees for one in markets.listings]

    def schedule(self, market: int) -> FeeSchedule:
        """Fees in force."""
        rates = self.rates[market]
        if rates.kind == "kalshi":
            return FeeSchedule(KALSHI, rates.rate_ppm, rates.maker_ppm, self._step_uusd)
        return FeeSchedule(POLYMARKET, rates.rate_ppm, rates.maker_ppm)

    @property
    def reserved_uusd(self) -> int:
        """What resting orders may still cost."""
        busy = {order.market for order in self.resting.values()}
        return sum(self.account.reserved_uusd(one, self.books[one].orders, self.schedule(one)) for one in busy)

    @property
    def next_ns(self) -> int | None:
        """When something happens by itself again."""
        times = [order.expiry_ns for order in self.resting.values() if order.expiry_ns]
        times += [] if self.markets.next_ns is None else [self.markets.next_ns]
        return min(times, default=None)

    def find(self, order_id: str) -> Order:
        """An order that still rests. Raises Refused where there is none."""
        order = self.orders.get(order_id)
        if order is None or not order.live:
            raise Refused(types.REJECT_GONE, f"order {order_id} is not there, or no longer")
        return order

    def _admitted(self, wanted: Wanted, now_ns: int) -> Order:
        """The order, if it is taken at all."""
        self._check_orders(wanted.market)
        self._check_px(wanted.market, wanted.px)
        if wanted.client_id and wanted.client_id in self._client_ids:
            raise Refused(types.REJECT_DUPLICATE, f"client order id {wanted.client_id!r} has been used")
        if wanted.expiry_ns and (wanted.tif != GTC or wanted.expiry_ns <= now_ns):
            raise Refused(types.REJECT_EXPIRY, "an expiry lies ahead, and only GTC orders have one")
        qty = self._reduced(wanted) if wanted.reduce_only else wanted.qty
        if qty <= 0:
            raise Refused(types.REJECT_SIZE, f"a size of {qty} lots; expected more than 0")
        self._numbers += 1
        order = Order(
            self._id_of(self._numbers), wanted, self._numbers, now_ns, wanted.px, qty, qty, wanted.expiry_ns, now_ns
        )  # fmt: skip
        self._check_money(order)
        book = self.books[wanted.market]
        if wanted.post_only and matching.would_cross(book, order):
            raise Refused(types.REJECT_POST_ONLY_CROSS, "post only, and it would trade at once")
        if not matching.fills_whole(book, order):
            raise Refused(types.REJECT_FOK_UNFILLED, "fill or kill, and not all of it is there")
        return order

    def _reduced(self, wanted: Wanted) -> int:
        """Size of an order that only reduces."""
        if wanted.tif != IOC:
            raise Refused(types.REJECT_ORDER_TYPE, "reduce only goes with immediate or cancel")
        position = self.account.holdings[wanted.market].position
        held = position if wanted.side == ASK else -position
        if held <= 0:
            raise Refused(types.REJECT_NOTHING_TO_REDUCE, "no position that it would reduce")
        return min(wanted.qty, held)

    def _check_orders(self, market: int) -> None:
        self._check_cancels(market)
        if not self.accepting or self.status[market] == PAUSED:
            raise Refused(types.REJECT_PAUSED, "trading is paused")

    def _check_cancels(self, market: int) -> None:
        if not self.cancelling or self.status[market] == types.HALTED:
            raise Refused(types.REJECT_HALTED, "the exchange is halted")
        if self.status[market] not in (OPEN, PAUSED):
            raise Refused(types.REJECT_MARKET_CLOSED, "the market is not open")

    def _check_px(self, market: int, px: int) -> None:
        table = self.ticks[market]
        if table not in self._grids:
            self._grids[table] = frozenset(tick_prices(table).tolist())
        whole_cent = self.markets.venue == "kalshi" and px % _CENT == 0 and 0 < px < PX_ONE  # legal on every grid
        if px not in self._grids[table] and not whole_cent:
            raise Refused(types.REJECT_OFF_GRID, f"price {px} x 1e-4 is not on the market's grid {table}")

    def _check_money(self, order: Order) -> None:
        """Whether the account can bear an order, with all others that rest."""
        market, account = order.market, self.account
        others = [one for one in self.books[market].orders if one is not order]
        if not account.netting and not order.buys:
            free = account.sellable(market, order.wanted.leg, others)
            if order.left > free:
                raise Refused(types.REJECT_CASH, f"{order.left} lots to sell; {free} are there and not promised")
        rates = self.schedule(market)
        here = account.reserved_uusd(market, self.books[market].orders, rates)
        need = self.reserved_uusd - (here if self.books[market].orders else 0)
        need += account.reserved_uusd(market, [*others, order], rates)
        if need > account.cash_uusd:
            raise Refused(types.REJECT_CASH, f"{need} micro-dollars needed with it; {account.cash_uusd} are there")
