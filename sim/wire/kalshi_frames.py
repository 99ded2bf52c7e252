"""Kalshi's socket messages as typed records (AsyncAPI 2.0.0 of 2026-10-26).

Unknown keys are ignored; what the venue may leave out has a default. Decimals stay text here, one that comes as a
number the text of the number.
"""

from __future__ import annotations

import msgspec

Pair = tuple[str, str]  # price in dollars, size in contracts


class Snapshot(msgspec.Struct):
    """A whole book; a missing or null side is empty. NO bids are priced on the NO leg."""

    market_ticker: str
    yes_dollars_fp: list[Pair] | None = None
    no_dollars_fp: list[Pair] | None = None
    ts_ms: int | None = None


class Delta(msgspec.Struct):
    """A signed change of one level."""

    market_ticker: str
    price_dollars: str
    delta_fp: str
    side: str
    ts: str | int | None = None
    ts_ms: int | None = None
    client_order_id: str | None = None


class Trade(msgspec.Struct):
    """A print. Who took is never guessed: it may be missing."""

    market_ticker: str
    yes_price_dollars: str
    count_fp: str
    trade_id: str = ""
    taker_outcome_side: str | None = None
    taker_book_side: str | None = None
    ts_ms: int | None = None


class Ticker(msgspec.Struct):
    """Best prices as the venue says them; 0 and 1 dollar are empty sides."""

    market_ticker: str
    yes_bid_dollars: str
    yes_ask_dollars: str
    yes_bid_size_fp: str | None = None
    yes_ask_size_fp: str | None = None
    ts_ms: int | None = None


class PriceRange(msgspec.Struct):
    """Every ``step`` from ``start`` to ``end``."""

    start: str
    end: str
    step: str


class Lifecycle(msgspec.Struct):
    """What became of a market."""

    market_ticker: str
    event_type: str
    close_ts: int | None = None
    result: str | None = None
    settlement_value: msgspec.Raw = msgspec.Raw(b"null")  # dollars, in text or as a number
    price_level_structure: str | None = None
    price_ranges: list[PriceRange] | None = None


class Event(msgspec.Struct):
    """A new event."""

    event_ticker: str


class EventFee(msgspec.Struct):
    """An event's fees go before its series'; null = no longer."""

    event_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: float | None = None


class Fill(msgspec.Struct):
    """One of our orders traded."""

    trade_id: str
    order_id: str
    market_ticker: str
    is_taker: bool
    yes_price_dollars: str
    count_fp: str
    outcome_side: str
    book_side: str
    fee_cost: str
    post_position_fp: str | None = None
    client_order_id: str | None = None
    ts_ms: int | None = None


class UserOrder(msgspec.Struct):
    """The state of one of our orders."""

    order_id: str
    ticker: str
    status: str
    outcome_side: str
    book_side: str
    yes_price_dollars: str
    fill_count_fp: str
    remaining_count_fp: str
    initial_count_fp: str
    client_order_id: str | None = None
    last_update_reason: str | None = None
    taker_fees_dollars: str = "0"
    maker_fees_dollars: str = "0"


class MarketPosition(msgspec.Struct):
    """What we hold; negative = NO."""

    market_ticker: str
    position_fp: str
    position_cost_dollars: str = "0"
    realized_pnl_dollars: str = "0"
    fees_paid_dollars: str = "0"


class Channel(msgspec.Struct):
    """A subscription's name and number."""

    channel: str
    sid: int


class Problem(msgspec.Struct):
    """An error's code and text."""

    code: int
    msg: str = ""


class Frame(msgspec.Struct, tag_field="type", kw_only=True):
    """What every message has. ``seq`` counts per subscription, control messages included."""

    sid: int | None = None
    seq: int | None = None
    id: int | None = None
    sending_ts_ms: int | None = None


class SnapshotFrame(Frame, tag="orderbook_snapshot", kw_only=True):
    """A whole book."""

    msg: Snapshot


class DeltaFrame(Frame, tag="orderbook_delta", kw_only=True):
    """A change of a book."""

    msg: Delta


class TradeFrame(Frame, tag="trade", kw_only=True):
    """A print."""

    msg: Trade


class TickerFrame(Frame, tag="ticker", kw_only=True):
    """Best prices."""

    msg: Ticker


class LifecycleFrame(Frame, tag="market_lifecycle_v2", kw_only=True):
    """A market's state or rules changed."""

    msg: Lifecycle


class MultivariateFrame(LifecycleFrame, tag="multivariate_market_lifecycle", kw_only=True):
    """The same of a market that is a combination of others."""


class EventFrame(Frame, tag="event_lifecycle", kw_only=True):
    """An event was listed."""

    msg: Event


class EventFeeFrame(Frame, tag="event_fee_update", kw_only=True):
    """An event's fees changed."""

    msg: EventFee


class FillFrame(Frame, tag="fill", kw_only=True):
    """One of our orders traded."""

    msg: Fill


class UserOrderFrame(Frame, tag="user_order", kw_only=True):
    """One of our orders changed."""

    msg: UserOrder


class MarketPositionFrame(Frame, tag="market_position", kw_only=True):
    """What we hold changed."""

    msg: MarketPosition


class SubscribedFrame(Frame, tag="subscribed", kw_only=True):
    """A subscription begins."""

    msg: Channel


class UnsubscribedFrame(Frame, tag="unsubscribed", kw_only=True):
    """A subscription ends."""


class OkFrame(Frame, tag="ok", kw_only=True):
    """A command was carried out."""

    msg: msgspec.Raw = msgspec.Raw(b"null")


class ErrorFrame(Frame, tag="error", kw_only=True):
    """A command, or a subscription, failed."""

    msg: Problem


AnyFrame = (
    SnapshotFrame | DeltaFrame | TradeFrame | TickerFrame | LifecycleFrame | MultivariateFrame | EventFrame
    | EventFeeFrame | FillFrame | UserOrderFrame | MarketPositionFrame | SubscribedFrame | UnsubscribedFrame
    | OkFrame | ErrorFrame
)  # fmt: skip

decode = msgspec.json.Decoder(AnyFrame).decode
