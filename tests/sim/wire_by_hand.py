"""Frames of both venues written by hand, and rows as readable tuples, for the tests of the wire."""

from __future__ import annotations

import json

from sim.tape import FeeRates, Market
from sim.types import ASK, BID, END_OF_BATCH, INFERRED, KIND_NAMES, MICRO_PER_LOT, SECOND_NS
from sim.wire.kalshi import KalshiReader
from sim.wire.listing import CENT_TICKS, Listing
from sim.wire.units import BESIDE

END = END_OF_BATCH
BOTH = END_OF_BATCH | INFERRED
ONE = 100 * MICRO_PER_LOT  # a contract
NOW = 1_786_085_188 * SECOND_NS  # when frames arrive
MS = 1_786_085_187_978  # what the venue stamps them with
CLOSE = NOW + 100 * SECOND_NS
QUADRATIC = FeeRates("quadratic x 1", "kalshi", 70_000)


def kalshi_listing(ticker="A", event="E", base_fees=QUADRATIC, close_ns=CLOSE):
    return Listing("kalshi", Market(ticker, ticker, 0, close_ns), CENT_TICKS, QUADRATIC, event, base_fees)


def polymarket_listing(condition="0xa", tokens=("11", "12")):
    fees = FeeRates("crypto", "polymarket", 70_000)
    return Listing("polymarket", Market(condition, condition), CENT_TICKS, fees, tokens=tokens)


def seen(taken, *more):
    """Rows as kind, side, px, qty, flags, and the fields asked for."""
    fields = {"local_ns": 0, "venue_ns": 1, "seq": 4, "market": 6}
    return [
        (KIND_NAMES[row[7]], row[8], row[3], row[2], row[5], *(row[fields[name]] for name in more))
        for row in taken.rows
    ]  # fmt: skip


def frames_counted(reader):
    return sum(count for name, count in reader.counts.items() if name not in BESIDE)


# Kalshi -------------------------------------------------------------------------------------------------------------


def kalshi(kind, seq=None, sid=1, **msg):
    head = {"type": kind, "sid": sid} | ({} if seq is None else {"seq": seq})
    return json.dumps(head | {"msg": msg}).encode()


def snapshot(seq, ticker="A", **sides):
    return kalshi("orderbook_snapshot", seq, market_ticker=ticker, **sides)


def book(seq, ticker="A"):
    """YES bids 10 at 40 c and 20 at 42 c; NO bids 5 at 55 c, so a YES ask of 5 at 45 c."""
    return snapshot(
        seq, ticker, yes_dollars_fp=[["0.4000", "10.00"], ["0.4200", "20.00"]], no_dollars_fp=[["0.5500", "5.00"]]
    )


def delta(seq, side="yes", price="0.4200", change="-1.00", ticker="A", **more):
    told = {"market_ticker": ticker, "price_dollars": price, "delta_fp": change, "side": side, "ts_ms": MS}
    return kalshi("orderbook_delta", seq, **(told | more))


def trade(seq, sid=2, ticker="A", **more):
    told = {"market_ticker": ticker, "yes_price_dollars": "0.3600", "count_fp": "136.00", "ts_ms": MS, "trade_id": "t"}
    return kalshi("trade", seq, sid, **(told | more))


def ticker(name="A", **more):
    told = {"market_ticker": name, "yes_bid_dollars": "0.4500", "yes_ask_dollars": "0.5300", "ts_ms": MS}
    return kalshi("ticker", None, 3, **(told | more))


def lifecycle(seq, kind, name="A", **more):
    return kalshi("market_lifecycle_v2", seq, 4, market_ticker=name, event_type=kind, **more)


def subscribed(channel, sid):
    return json.dumps({"type": "subscribed", "id": 1, "msg": {"channel": channel, "sid": sid}}).encode()


def ok(seq, sid=1):
    return json.dumps({"type": "ok", "id": 2, "sid": sid, "seq": seq, "msg": {"market_tickers": ["A"]}}).encode()


WHOLE = [
    ("CLEAR", -1, 0, 0, 0),
    ("LEVEL", BID, 4000, 10 * ONE, 0),
    ("LEVEL", BID, 4200, 20 * ONE, 0),
    ("LEVEL", ASK, 4500, 5 * ONE, END),
]


def reader(*names, **more):
    return KalshiReader([kalshi_listing(name, **more) for name in names or ("A",)])


def told(*frames, names=("A",), at=NOW, **more):
    """What the last of ``frames`` says, and the reader."""
    kalshi_reader = reader(*names, **more)
    taken = [kalshi_reader.take(frame, at) for frame in frames]
    assert frames_counted(kalshi_reader) == len(frames)
    return taken[-1], kalshi_reader


# Polymarket ---------------------------------------------------------------------------------------------------------


def message(kind, market="0xa", ms=MS, **more):
    return {"event_type": kind, "market": market, "timestamp": str(ms)} | more


def poly(*messages, array=None):
    alone = len(messages) == 1 if array is None else not array
    return json.dumps(messages[0] if alone else list(messages)).encode()


def sizes(*levels):
    return [{"price": price, "size": size} for price, size in levels]


def whole(token="11", bids=(("0.40", "10"), ("0.42", "20")), asks=(("0.50", "7"), ("0.45", "5")), **more):
    return message("book", asset_id=token, bids=sizes(*bids), asks=sizes(*asks), **more)


def change(token, price, size, side, best_bid="", best_ask=""):
    told = {"asset_id": token, "price": price, "size": size, "side": side, "hash": "h"}
    return told | ({"best_bid": best_bid, "best_ask": best_ask} if best_bid else {})


def changes(*told, **more):
    return message("price_change", price_changes=list(told), **more)
