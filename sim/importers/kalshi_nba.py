"""Kalshi NBA games: trades and signed level changes, one tape per market and connection of the recorder.

One Parquet file, ``events.parquet``, all columns text but ``row``: file (the instrument, ``Kalshi_...``), row (arrival
order), timestamp, event_type, price, side, size, best_bid, best_ask.

- ``book``: best bid and ask when the recorder connected; no stamp; no price where the side is empty. The rest of the
  depth was not recorded.
- ``price_change``: signed change, stamp in microseconds. SELL is a resting NO, priced as the YES ask.
- ``last_trade_price``: a print, stamp in whole seconds, price of the taker's leg: BUY bought YES at p, SELL bought NO
  at p, which is YES at 1 - p.
- best_bid, best_ask: the recorder's own best prices after the row; empty = that side is empty.

Depth that was never shown is revealed when it leaves: a change that takes more than the book shows is preceded by an
INFERRED LEVEL that raises the level to what is taken. So sizes away from the touch are lower bounds, and use nothing
that was not known at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sim.importers import common
from sim.tape import FeeRates, Header, Market, Source, Tape, TapeError, seal
from sim.types import ASK, BID, CLEAR, DELTA, INFERRED, LEVEL, PX_ONE, QUOTE, SECOND_NS, TRADE
from sim.wire.listing import CENT_TICKS

_COLUMNS = ("file", "row", "timestamp", "event_type", "price", "side", "size", "best_bid", "best_ask")
_EVENT_TYPES = {"book", "price_change", "last_trade_price"}
_PREFIX = "Kalshi_"
_MICRO = 1_000_000
# Games of the big leagues charge makers a quarter of the taker's fee (Kalshi fee schedule of July 2026).
_FEES = FeeRates("kalshi_quadratic_with_maker_fees", "kalshi", 70_000, 17_500)
_NOTES = (
    "only the best quotes were recorded at the connection: depth away from the touch is a lower bound",
    "a LEVEL with INFERRED reveals depth in the moment it leaves",
    "QUOTE rows are the recorder's best prices, where they changed",
    "local stamps are the running maximum of the venue's",
    "a batch is a run of book rows with one venue millisecond; the result is not in the source",
)


def detect(source: Path) -> bool:
    """True where ``source`` holds an events file with the columns of this set, of Kalshi instruments only."""
    path = common.events_file(source)
    if not common.columns_of(path).issuperset(_COLUMNS):
        return False
    return bool(pd.read_parquet(path, columns=["file"])["file"].str.startswith(_PREFIX).all())


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of tapes in ``source``, and (name, tape) of each, by instrument and connection."""
    path = common.events_file(source)
    frame = common.read_frame(path, _COLUMNS)
    foreign = sorted(set(frame.loc[~frame["file"].str.startswith(_PREFIX), "file"]))
    if foreign:
        raise TapeError(
            f"{path}: the instrument {foreign[0]} is not Kalshi's (expected names that start with {_PREFIX}); "
            "its sizes are absolute, not changes"
        )
    unknown = sorted(set(frame["event_type"]) - _EVENT_TYPES) + sorted(set(frame["side"]) - {"BUY", "SELL"})
    if unknown:
        raise TapeError(f"{path}: {unknown[0]!r} is neither an event_type {sorted(_EVENT_TYPES)} nor a side BUY, SELL")
    parts = []
    for name, rows in frame.groupby("file", sort=False):
        rows = rows.sort_values("row", kind="stable")
        is_book = (rows["event_type"] == "book").to_numpy()
        connection = np.cumsum(is_book & ~np.concatenate([[False], is_book[:-1]]))
        parts += [(str(name), part) for _, part in rows.groupby(connection)]
    return len(parts), _convert(path, parts)


def _convert(path: Path, parts: list[tuple[str, pd.DataFrame]]) -> Iterator[tuple[str, Tape]]:
    source = common.source_of(path, common.UNSTATED, "Kalshi market data, third-party recording")
    names = common.Names()
    for instrument, frame in parts:
        yield names.next(instrument), _tape(path, instrument, frame, source)


def _tape(path: Path, instrument: str, frame: pd.DataFrame, source: Source) -> Tape:
    header = Header(
        venue="kalshi",
        markets=(Market(instrument, instrument.removeprefix(_PREFIX).replace("_", " ")),),
        tick_tables=(CENT_TICKS,),
        fee_schedules=(_FEES,),
        sources=(source,),
        quotes="order",
        notes=_NOTES,
    )
    events, message = _events(path, frame)
    common.same_stamp_batches(events, message)
    return seal(events, header)


def _events(path: Path, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one connection and the number of the source row each came from (quotes: one above)."""
    kinds = frame["event_type"].tolist()
    is_sell = (frame["side"] == "SELL").to_numpy()
    is_empty = (frame["price"].isna() & frame["size"].isna() & (frame["event_type"] == "book")).to_numpy()
    px = common.exact(frame["price"].astype(float).mask(is_empty, 0.0), PX_ONE, "price", path).tolist()
    qty = common.exact(frame["size"].astype(float).mask(is_empty, 0.0), _MICRO, "size", path).tolist()
    bid, ask = _best(path, frame)
    venue_ns, local_ns = _stamps(frame)
    shown: dict[tuple[int, int], int] = {}
    quoted = (-1, -1)
    out: list[tuple] = []
    message: list[int] = []
    for index, kind in enumerate(kinds):
        side = ASK if is_sell[index] else BID
        stamps = (local_ns[index], venue_ns[index])
        if kind == "book":
            if index == 0:
                out.append((*stamps, 0, 0, -1, 0, 0, CLEAR, -1))
            if not is_empty[index]:
                shown[side, px[index]] = qty[index]
                out.append((*stamps, qty[index], px[index], -1, 0, 0, LEVEL, side))
        elif kind == "price_change":
            level = (side, px[index])
            if shown.get(level, 0) + qty[index] < 0:
                shown[level] = -qty[index]
                out.append((*stamps, -qty[index], px[index], -1, INFERRED, 0, LEVEL, side))
            shown[level] = shown.get(level, 0) + qty[index]
            out.append((*stamps, qty[index], px[index], -1, 0, 0, DELTA, side))
        else:
            yes_px = PX_ONE - px[index] if is_sell[index] else px[index]
            out.append((*stamps, qty[index], yes_px, -1, 0, 0, TRADE, side))
        number = 0 if kind == "book" else 2 * index  # the rows of the first view are one message
        message += [number] * (len(out) - len(message))
        if kind != "book" and (bid[index], ask[index]) != quoted:
            quoted = (bid[index], ask[index])
            out.append((*stamps, -1, quoted[0], -1, 0, 0, QUOTE, BID))
            out.append((*stamps, -1, quoted[1], -1, 0, 0, QUOTE, ASK))
            message += [2 * index + 1] * 2
    return common.from_tuples(out), np.array(message, np.int64)


def _best(path: Path, frame: pd.DataFrame) -> tuple[list[int], list[int]]:
    """The recorder's best bid and ask; 0 and 10000 where the side is empty."""
    bid = common.exact(frame["best_bid"].astype(float).fillna(0.0), PX_ONE, "best_bid", path)
    ask = common.exact(frame["best_ask"].astype(float).fillna(1.0), PX_ONE, "best_ask", path)
    return bid.tolist(), ask.tolist()


def _stamps(frame: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Venue stamps (0 where the source has none) and local ones: the running maximum of the venue's.

    The first view has no stamp: its local stamp is that of the row after it.
    """
    kinds = frame["event_type"]
    changes = pd.to_datetime(frame["timestamp"].where(kinds == "price_change"), utc=True, format="ISO8601")
    venue_ns = changes.dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)
    venue_ns[changes.isna().to_numpy()] = 0
    is_trade = (kinds == "last_trade_price").to_numpy()
    venue_ns[is_trade] = frame["timestamp"][is_trade].astype(np.int64).to_numpy() * SECOND_NS
    known = np.flatnonzero(venue_ns)
    arrival = venue_ns.copy()
    if len(known):
        arrival[: known[0]] = venue_ns[known[0]]
    return venue_ns.tolist(), np.maximum.accumulate(arrival).tolist()
