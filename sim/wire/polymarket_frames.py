"""Polymarket's socket messages as typed records (market and user channel, read 2026-08-22; real frames of 2026-04-21).

Unknown keys are ignored; what the venue may leave out has a default. Decimals stay text here.
"""

from __future__ import annotations

import msgspec


class Size(msgspec.Struct):
    """A level of a book."""

    price: str
    size: str


class Message(msgspec.Struct, tag_field="event_type", kw_only=True):
    """What every message has: the market's condition id and the venue's stamp in milliseconds."""

    market: str
    timestamp: str | int = "0"


class Book(Message, tag="book", kw_only=True):
    """A whole book of one token; either side in either order."""

    asset_id: str
    bids: list[Size] = []
    asks: list[Size] = []
    tick_size: str | None = None


class Change(msgspec.Struct):
    """A level's new size, and the token's best prices after the message; "" and missing = not said."""

    asset_id: str
    price: str
    size: str
    side: str
    best_bid: str = ""
    best_ask: str = ""


class PriceChange(Message, tag="price_change", kw_only=True):
    """Levels that changed, as seen from both tokens."""

    price_changes: list[Change]


class LastTrade(Message, tag="last_trade_price", kw_only=True):
    """A print, as seen from the taker's token."""

    asset_id: str
    price: str
    size: str
    side: str


class BestBidAsk(Message, tag="best_bid_ask", kw_only=True):
    """A token's best prices."""

    asset_id: str
    best_bid: str
    best_ask: str


class TickSizeChange(Message, tag="tick_size_change", kw_only=True):
    """A market's tick changed."""

    new_tick_size: str


class NewMarket(Message, tag="new_market", kw_only=True):
    """A market was listed."""


class MarketResolved(Message, tag="market_resolved", kw_only=True):
    """A market is decided; no winner = neither token pays a whole dollar."""

    winning_asset_id: str = ""


class MakerOrder(msgspec.Struct):
    """A resting order that a trade hit."""

    order_id: str
    matched_amount: str
    price: str
    asset_id: str
    side: str = ""


class UserOrder(Message, tag="order", kw_only=True):
    """The state of one of our orders."""

    id: str
    asset_id: str
    side: str
    original_size: str
    size_matched: str
    price: str
    type: str
    status: str = ""


class UserTrade(Message, tag="trade", kw_only=True):
    """A trade of ours; final only once CONFIRMED."""

    id: str
    taker_order_id: str
    asset_id: str
    side: str
    size: str
    price: str
    status: str
    maker_orders: list[MakerOrder] = []
    trader_side: str = ""


AnyMessage = (
    Book | PriceChange | LastTrade | BestBidAsk | TickSizeChange | NewMarket | MarketResolved | UserOrder | UserTrade
)  # fmt: skip

decode = msgspec.json.Decoder(AnyMessage | list[AnyMessage]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_one = msgspec.json.Decoder(AnyMessage).decode


def parts(frame: bytes | str) -> list[msgspec.Raw]:
    """The messages of a frame, which is one or an array of them. Raises msgspec.DecodeError for what is no JSON."""
    data = frame.encode() if isinstance(frame, str) else frame
    return _list(data) if data.lstrip()[:1] == b"[" else [msgspec.json.decode(data, type=msgspec.Raw)]
