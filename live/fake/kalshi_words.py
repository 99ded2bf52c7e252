"""What a fake Kalshi says of its markets, orders, fills and money, in the venue's words (OpenAPI 3.34.0)."""

from __future__ import annotations

from typing import Any

from live.fake.admission import Admission
from live.fake.market import kalshi_fee
from live.fake.orders import Filled, Order
from live.stamps import text_of
from sim.types import (
    ASK,
    BID,
    CLOSED,
    LOTS_PER_CONTRACT,
    MICRO_PER_LOT,
    OPEN,
    PAUSED,
    PENDING,
    PX_ONE,
    QUOTE,
    SECOND_NS,
    SETTLED,
    UUSD,
)
from sim.venues.amend import CANCEL_RESTING
from sim.venues.kalshi import TICKS
from sim.wire.listing import Listing
from sim.wire.units import Row, contracts, dollars, qty_of

USER_ID = "00000000-0000-4000-8000-000000000001"
NS_PER_MS = 1_000_000
BOOK_SIDE = {BID: "bid", ASK: "ask"}
OUTCOME = {BID: "yes", ASK: "no"}
_STATUS = {PENDING: "initialized", OPEN: "active", PAUSED: "inactive", CLOSED: "closed", SETTLED: "finalized"}
FILTERS = {"unopened": PENDING, "open": OPEN, "paused": PAUSED, "closed": CLOSED, "settled": SETTLED}


def usd(uusd: int, digits: int = 6) -> str:
    """Micro-dollars as dollars; the venue writes amounts with 4 or 6 decimals."""
    sign, size = ("-" if uusd < 0 else ""), abs(uusd)
    return f"{sign}{size // UUSD}.{size % UUSD:06d}"[: len(sign) + len(str(size // UUSD)) + 1 + digits]


def lots(qty: int) -> str:
    """Lots as contracts with two decimals."""
    return contracts(qty * MICRO_PER_LOT)


def market_of(exchange: Admission, index: int, stats: Stats) -> dict[str, Any]:
    """A market object."""
    listing, book = exchange.markets.listings[index], exchange.books[index].shown
    bid, ask = book.best
    payout = exchange.payout_px[index]
    market, close = listing.market, text_of(listing.market.close_ns)
    said = {
        "ticker": market.id, "event_ticker": listing.event, "market_type": "binary", "title": market.title,
        "yes_sub_title": market.title, "no_sub_title": market.title, "created_time": text_of(market.open_ns),
        "updated_time": text_of(market.open_ns), "open_time": text_of(market.open_ns), "close_time": close,
        "latest_expiration_time": close, "expected_expiration_time": close, "settlement_timer_seconds": 5,
        "status": _STATUS.get(exchange.status[index], "inactive"), "result": _result(payout), "can_close_early": True,
        "yes_bid_dollars": dollars(bid), "yes_ask_dollars": dollars(ask), "no_bid_dollars": dollars(PX_ONE - ask),
        "no_ask_dollars": dollars(PX_ONE - bid), "yes_bid_size_fp": contracts(book.sizes[BID].get(bid, 0)),
        "yes_ask_size_fp": contracts(book.sizes[ASK].get(ask, 0)), "last_price_dollars": dollars(stats.last_px),
        "volume_fp": contracts(stats.volume_qty), "volume_24h_fp": contracts(stats.volume_qty),
        "open_interest_fp": "0.00", "notional_value_dollars": "1.0000", "previous_yes_bid_dollars": dollars(bid),
        "previous_yes_ask_dollars": dollars(ask), "previous_price_dollars": dollars(stats.last_px),
        "settlement_bounds_type": "default", "expiration_value": "", "rules_primary": market.title,
        "rules_secondary": "", "strike_type": "custom", "price_level_structure": label_of(exchange, index),
        "price_ranges": [
            {"start": dollars(a), "end": dollars(b), "step": dollars(step)} for a, b, step in exchange.ticks[index]
        ],
        "exchange_index": 0,
    }  # fmt: skip
    if payout is not None:
        said |= {"settlement_value_dollars": dollars(payout), "settlement_ts": text_of(stats.settled_ns, 6)}
    return said


class Stats:
    """What a market's prints came to."""

    def __init__(self) -> None:
        self.last_px = 0
        self.last_qty = 0
        self.volume_qty = 0
        self.settled_ns = 0


def label_of(exchange: Admission, index: int) -> str:
    """Label of the ticks in force; "" for ranges without one."""
    ranges = exchange.ticks[index]
    return next((name for name, table in TICKS.items() if tuple(map(tuple, table)) == ranges), "")


def _result(payout_px: int | None) -> str:
    return "" if payout_px is None else {PX_ONE: "yes", 0: "no"}.get(payout_px, "scalar")


def series_of(listing: Listing) -> dict[str, Any]:
    """A series object: fees before any event's override."""
    fee_type, multiplier = kalshi_fee(listing.base_fees or listing.fees)
    ticker = listing.event.partition("-")[0]
    return {
        "ticker": ticker, "frequency": "custom", "title": f"Series {ticker}", "category": "Synthetic",
        "categories": ["Synthetic"], "tags": [], "settlement_sources": [], "contract_url": "", "contract_terms_url": "",
        "fee_type": fee_type, "fee_multiplier": multiplier, "additional_prohibitions": [], "exchange_index": 0,
    }  # fmt: skip


def event_of(exchange: Admission, index: int) -> dict[str, Any]:
    """An event object; fees only where they are not its series'."""
    listing = exchange.markets.listings[index]
    said: dict[str, Any] = {
        "event_ticker": listing.event, "series_ticker": listing.event.partition("-")[0], "title": listing.market.title,
        "sub_title": "", "collateral_return_type": "", "mutually_exclusive": False, "settlement_sources": [],
        "exchange_index": 0,
    }  # fmt: skip
    if exchange.rates[index] != listing.base_fees:
        name, multiplier = kalshi_fee(exchange.rates[index])
        said |= {"fee_type_override": name, "fee_multiplier_override": multiplier}
    return said


def order_of(exchange: Admission, order: Order) -> dict[str, Any]:
    """What REST and socket both say of an order."""
    said: dict[str, Any] = {
        "order_id": order.id, "user_id": USER_ID, "client_order_id": order.wanted.client_id,
        "ticker": exchange.markets.listings[order.market].market.id, "outcome_side": OUTCOME[order.side],
        "book_side": BOOK_SIDE[order.side], "status": order.status, "yes_price_dollars": dollars(order.px),
        "fill_count_fp": lots(order.filled), "remaining_count_fp": lots(order.left),
        "initial_count_fp": lots(order.qty), "taker_fill_cost_dollars": usd(order.taker_cost_uusd),
        "maker_fill_cost_dollars": usd(order.maker_cost_uusd), "taker_fees_dollars": usd(order.taker_fees_uusd),
        "maker_fees_dollars": usd(order.maker_fees_uusd), "created_time": text_of(order.created_ns, 6),
        "self_trade_prevention_type": "maker" if order.wanted.self_trade == CANCEL_RESTING else "taker_at_cross",
        "subaccount_number": 0, "exchange_index": 0,
    }  # fmt: skip
    if order.expiry_ns:
        said["expiration_time"] = text_of(order.expiry_ns)
    return said


def rest_order(exchange: Admission, order: Order) -> dict[str, Any]:
    """An order as GET tells it."""
    more = {
        "type": "limit", "no_price_dollars": dollars(PX_ONE - order.px),
        "last_update_time": text_of(order.updated_ns, 6), "cancel_order_on_pause": order.wanted.cancel_on_pause,
    }  # fmt: skip
    return order_of(exchange, order) | more


def socket_order(exchange: Admission, order: Order, reason: str) -> dict[str, Any]:
    """An order as the channel user_orders tells it."""
    said = order_of(exchange, order)
    said |= {"side": said["outcome_side"], "is_yes": order.side == BID, "created_ts_ms": order.created_ns // NS_PER_MS}
    if order.expiry_ns:
        said["expiration_ts_ms"] = order.expiry_ns // NS_PER_MS
    return said | ({"last_update_reason": reason} if reason else {})


def fill_of(exchange: Admission, fill: Filled, trade_id: str) -> dict[str, Any]:
    """What REST and socket both say of a fill."""
    order = fill.order
    return {
        "trade_id": trade_id, "order_id": order.id,
        "market_ticker": exchange.markets.listings[order.market].market.id, "is_taker": not fill.maker,
        "side": OUTCOME[order.side], "action": "buy", "outcome_side": OUTCOME[order.side],
        "book_side": BOOK_SIDE[order.side], "yes_price_dollars": dollars(fill.px), "count_fp": lots(fill.qty),
        "fee_cost": usd(fill.fee_uusd), "ts": fill.ns // SECOND_NS, "exchange_index": 0,
    }  # fmt: skip


def rest_fill(exchange: Admission, fill: Filled, trade_id: str) -> dict[str, Any]:
    """A fill as GET tells it."""
    said = fill_of(exchange, fill, trade_id)
    more = {
        "fill_id": f"{trade_id}-{fill.order.id[-6:]}", "ticker": said["market_ticker"],
        "no_price_dollars": dollars(PX_ONE - fill.px), "created_time": text_of(fill.ns, 6), "subaccount_number": 0,
    }  # fmt: skip
    return said | more


def socket_fill(exchange: Admission, fill: Filled, trade_id: str) -> dict[str, Any]:
    """A fill as the channel tells it."""
    said = fill_of(exchange, fill, trade_id)
    more = {
        "client_order_id": fill.order.wanted.client_id, "ts_ms": fill.ns // NS_PER_MS,
        "post_position_fp": lots(fill.position), "purchased_side": said["outcome_side"],
    }  # fmt: skip
    return said | more


def position_of(exchange: Admission, index: int) -> dict[str, Any]:
    """What REST says of what is held of a market."""
    holding = exchange.account.holdings[index]
    return {
        "ticker": exchange.markets.listings[index].market.id, "position_fp": lots(holding.position),
        "market_exposure_dollars": usd(sum(holding.cost_uusd)), "total_traded_dollars": usd(holding.traded_uusd),
        "realized_pnl_dollars": usd(holding.realized_uusd), "fees_paid_dollars": usd(holding.fees_uusd),
        "exchange_index": 0,
    }  # fmt: skip


def socket_position(exchange: Admission, index: int, volume_qty: int) -> dict[str, Any]:
    """What the channel market_positions says of it; ``volume_qty``: lots the client traded there."""
    holding = exchange.account.holdings[index]
    return {
        "user_id": USER_ID, "market_ticker": exchange.markets.listings[index].market.id,
        "position_fp": lots(holding.position), "position_cost_dollars": usd(sum(holding.cost_uusd), 4),
        "realized_pnl_dollars": usd(holding.realized_uusd, 4), "fees_paid_dollars": usd(holding.fees_uusd, 4),
        "position_fee_cost_dollars": usd(holding.fees_uusd, 4), "volume_fp": lots(volume_qty),
    }  # fmt: skip


def balance_of(exchange: Admission, now_ns: int) -> dict[str, Any]:
    """Free cash, and what positions cost."""
    free = exchange.account.cash_uusd - exchange.reserved_uusd
    held = sum(sum(holding.cost_uusd) for holding in exchange.account.holdings)
    cent = UUSD // 100
    return {
        "balance": free // cent, "balance_dollars": usd(free), "portfolio_value": held // cent,
        "updated_ts": now_ns // SECOND_NS, "balance_breakdown": [{"exchange_index": 0, "balance": usd(free)}],
    }  # fmt: skip


def quotes(exchange: Admission, index: int, ns: int) -> tuple[Row, Row]:
    """The best prices that are shown, as rows."""
    book = exchange.books[index].shown
    rows = [
        (ns, ns, book.sizes[side].get(book.best[side], 0), book.best[side], -1, 0, index, QUOTE, side)
        for side in (BID, ASK)
    ]
    return rows[0], rows[1]


def order_lots(text: object, name: str) -> int:
    """A count in contracts as lots. Raises ValueError for what is no multiple of 0.01 above 0."""

    if not isinstance(text, str):
        raise ValueError(f'{name} is a decimal in text, such as "{1 / LOTS_PER_CONTRACT:.2f}"')
    qty = qty_of(text)
    if qty <= 0 or qty % MICRO_PER_LOT:
        raise ValueError(f"{name} {text!r}: expected a multiple of 0.01 above 0")
    return qty // MICRO_PER_LOT
