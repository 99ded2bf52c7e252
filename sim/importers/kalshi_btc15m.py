"""Kalshi KXBTC15M: full-depth deltas with sequence numbers, quotes and spot, one tape per market and segment.

A folder of Parquet files: ``deltas`` (signed changes), ``snapshots`` (at subscription, and the empty one after the
close), ``tickers`` (the venue's best quotes, once a second), ``segments`` (stretches without a sequence gap),
``markets`` and, if there, ``coinbase_btcusd_matches`` (spot trades).

Within a segment the sequence number is the order of deltas; snapshots, quotes and spot trades are placed among them by
the recorder's stamps. Side 0 is a NO bid priced on the NO leg: the YES ask at 1 - p. What was recorded between a
segment and the next of the same session belongs to the tape before; where the sequence number jumps, a GAP says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sim.importers import common
from sim.tape import FeeRates, Header, Market, Tape, TapeError, seal
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    DELTA,
    END_OF_BATCH,
    GAP,
    INFERRED,
    LEVEL,
    MICRO_PER_LOT,
    PX_ONE,
    QUOTE,
    REFERENCE,
    SECOND_NS,
    SETTLE,
    STATUS,
)

_COLUMNS = {
    "deltas": ("sess", "ticker", "seq", "recv_ns", "exch_us", "side", "px", "dq"),
    "snapshots": ("sess", "ticker", "seq", "recv_ns", "side", "px", "q"),
    "tickers": ("sess", "ticker", "recv_ns", "ts_ms", "yes_bid", "yes_ask", "yes_bid_size", "yes_ask_size"),
    "segments": ("sess_id", "ticker", "start", "end"),
    "markets": ("ticker", "strike", "close_time", "result_finalized", "result_or_inferred"),
}
_SPOT = "coinbase_btcusd_matches"
_SPOT_COLUMNS = ("recv_ns", "exch_us", "price")
_WINDOW_NS = 900 * SECOND_NS  # these markets last 15 minutes
_CLOCK_SLACK_NS = SECOND_NS  # the recorder's clock may run a little behind the venue's
_AFTER_DELTAS = 2**40  # order of quotes among rows of one stamp; deltas use their sequence number
_NOTES = (
    "left out: last price, last size, volume and open interest of the ticker messages; trade ids of the spot feed",
    "STATUS closed is inferred from the venue's empty snapshot after the close; GAP from jumps of the sequence number",
    "SETTLE is inferred (flagged) where the venue's final result was not recorded",
    "a batch is a run of book rows with one venue millisecond: the venue tells one match in several messages",
)


def detect(source: Path) -> bool:
    """True where ``source`` is a folder with the files of this set."""
    return source.is_dir() and all(
        common.columns_of(source / f"{name}.parquet").issuperset(columns) for name, columns in _COLUMNS.items()
    )


def tapes(source: Path) -> tuple[int, Iterator[tuple[str, Tape]]]:
    """Number of tapes in the folder ``source``, and (name, tape) of each, by segment."""
    if not source.is_dir():
        raise TapeError(f"{source}: expected a folder with {', '.join(f'{name}.parquet' for name in _COLUMNS)}")
    frames = {name: common.read_frame(source / f"{name}.parquet", columns) for name, columns in _COLUMNS.items()}
    spot = _read_spot(source)
    return len(frames["segments"]), _convert(source, frames, spot)


def volumes(source: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Contracts traded since each market opened, as its tickers say: (recorder's stamps, cumulative 1e-6 contracts).

    The tapes have no trades; this is what is known of them. Raises TapeError where the file cannot be used.
    """
    path = source / "tickers.parquet"
    frame = common.read_frame(path, ("ticker", "recv_ns", "volume")).sort_values("recv_ns", kind="stable")
    qty = common.exact(frame["volume"], 100 * MICRO_PER_LOT, "volume", path)
    frame = frame.assign(qty=qty)
    return {
        str(ticker): (own["recv_ns"].to_numpy(np.int64), own["qty"].to_numpy(np.int64))
        for ticker, own in frame.groupby("ticker", sort=False)
    }


def _read_spot(source: Path) -> np.ndarray:
    path = source / f"{_SPOT}.parquet"
    if not path.is_file():
        return common.rows(0)
    frame = common.read_frame(path, _SPOT_COLUMNS).sort_values("recv_ns", kind="stable")
    return common.rows(
        len(frame), kind=REFERENCE, side=-1, local_ns=frame["recv_ns"], venue_ns=frame["exch_us"] * common.NS_PER_US,
        qty=common.exact(frame["price"], 1_000_000, "price", path),
    )  # fmt: skip


def _convert(source: Path, frames: dict[str, pd.DataFrame], spot: np.ndarray) -> Iterator[tuple[str, Tape]]:
    used = [source / f"{name}.parquet" for name in _COLUMNS] + [source / f"{_SPOT}.parquet"] * bool(len(spot))
    sources = tuple(
        common.source_of(path, common.UNSTATED, "Kalshi market data, third-party recording") for path in used
    )
    markets = frames["markets"].set_index("ticker")
    groups = {name: dict(list(frames[name].groupby(["sess", "ticker"]))) for name in ("deltas", "snapshots", "tickers")}
    names = common.Names()
    for (session, ticker), segments in frames["segments"].groupby(["sess_id", "ticker"], sort=False):
        if ticker not in markets.index:
            raise TapeError(f"{source / 'markets.parquet'}: no row for {ticker}, which segments.parquet names")
        group = {name: groups[name].get((session, ticker), frames[name].iloc[:0]) for name in groups}
        ordered = segments.sort_values("start")
        starts = [int(ordered["start"].iloc[0]), *ordered["start"].tolist()[1:], np.iinfo(np.int64).max]
        for index, end in enumerate(ordered["end"].tolist()):
            low = starts[index] if index else 0
            part = {name: frame[frame["recv_ns"].between(low, starts[index + 1] - 1)] for name, frame in group.items()}
            events = _events(source, part, spot, markets.loc[ticker], starts[index], end)
            yield names.next(str(ticker)), seal(events, _header(ticker, markets.loc[ticker], sources))


def _header(ticker: str, market: pd.Series, sources: tuple) -> Header:
    close_ns = _close_ns(market)
    title = f"Bitcoin up or down in 15 minutes, strike {market['strike']:.2f}"
    return Header(
        venue="kalshi",
        markets=(Market(ticker, title, close_ns - _WINDOW_NS, close_ns),),
        tick_tables=(common.TAPERED_TICKS,),
        fee_schedules=(FeeRates("kalshi_quadratic", "kalshi", 70_000),),
        sources=sources,
        quotes="stamp",
        notes=_NOTES,
    )


def _close_ns(market: pd.Series) -> int:
    return pd.Timestamp(market["close_time"]).value


def _events(
    source: Path, part: dict[str, pd.DataFrame], spot: np.ndarray, market: pd.Series, start: int, end: int
) -> np.ndarray:
    """All rows of one tape: merged, with gaps, batches and the settlement."""
    deltas, delta_key = _deltas(part["deltas"], start, end)
    snapshots, order, closed = _snapshots(part["snapshots"], _close_ns(market))
    quotes = _quotes(source, part["tickers"])
    blocks = [snapshots, deltas, quotes]
    keys = [snapshots["local_ns"], delta_key, np.maximum.accumulate(quotes["local_ns"])]
    orders = [order, deltas["seq"], np.full(len(quotes), _AFTER_DELTAS)]
    first, last = min(key[0] for key in keys if len(key)), max(key[-1] for key in keys if len(key))
    near = spot[np.searchsorted(spot["local_ns"], first) : np.searchsorted(spot["local_ns"], last, "right")]
    blocks.append(near)
    keys.append(near["local_ns"])
    orders.append(np.full(len(near), _AFTER_DELTAS + 1))
    messages = _message_numbers(snapshots, deltas, quotes, near)
    place = np.lexsort((np.concatenate(orders), np.concatenate(keys)))
    events = np.concatenate(blocks)[place]
    events, message = _mark_gaps(events, messages[place])
    common.same_stamp_batches(events, message)
    runs_to_close = closed or bool((deltas["venue_ns"] >= _close_ns(market)).any())
    return np.append(events, _settlement(market, events, runs_to_close))


def _deltas(frame: pd.DataFrame, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Deltas of the segment by sequence number, then those after it by arrival; and the stamps to merge them by."""
    inside = frame["recv_ns"].between(start, end)
    frame = pd.concat([frame[inside].sort_values("seq", kind="stable"), frame[~inside].sort_values(["recv_ns", "seq"])])
    is_bid = frame["side"].to_numpy() == 1
    px = frame["px"].to_numpy().astype(np.int64)
    events = common.rows(
        len(frame), kind=DELTA, local_ns=frame["recv_ns"], venue_ns=frame["exch_us"] * common.NS_PER_US,
        seq=frame["seq"], side=np.where(is_bid, BID, ASK), px=np.where(is_bid, px, PX_ONE - px),
        qty=frame["dq"] * MICRO_PER_LOT,
    )  # fmt: skip
    return events, np.maximum.accumulate(events["local_ns"])


def _snapshots(frame: pd.DataFrame, close_ns: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """CLEAR and LEVEL rows of each snapshot, their order among rows of one stamp, and whether the close was seen."""
    blocks, closed = [common.rows(0)], False
    for local_ns, levels in frame.groupby("recv_ns"):
        seq = int(levels["seq"].iloc[0])
        levels = levels[levels["side"] >= 0]  # side -1 marks a snapshot without levels
        is_bid = levels["side"].to_numpy() == 1
        px = levels["px"].to_numpy()
        blocks.append(common.rows(1, kind=CLEAR, side=-1, local_ns=local_ns, seq=seq))
        blocks.append(common.rows(
            len(levels), kind=LEVEL, local_ns=local_ns, seq=seq, side=np.where(is_bid, BID, ASK),
            px=np.where(is_bid, px, PX_ONE - px), qty=levels["q"] * MICRO_PER_LOT,
        ))  # fmt: skip
        if not len(levels) and local_ns >= close_ns - _CLOCK_SLACK_NS and not closed:
            closed = True
            blocks.append(common.rows(1, kind=STATUS, side=-1, local_ns=local_ns, seq=seq, qty=CLOSED, flags=INFERRED))
    events = np.concatenate(blocks)
    return events, events["seq"].astype(np.int64), closed


def _quotes(source: Path, frame: pd.DataFrame) -> np.ndarray:
    """Two QUOTE rows a ticker: bid, then ask."""
    path = source / "tickers.parquet"
    events = common.rows(
        2 * len(frame), kind=QUOTE, local_ns=np.repeat(frame["recv_ns"].to_numpy(), 2),
        venue_ns=np.repeat(frame["ts_ms"].to_numpy() * common.NS_PER_MS, 2),
    )  # fmt: skip
    for side, name in ((BID, "yes_bid"), (ASK, "yes_ask")):
        events["side"][side::2] = side
        events["px"][side::2] = common.exact(frame[name], PX_ONE, name, path)
        events["qty"][side::2] = common.exact(frame[f"{name}_size"], 1_000_000, f"{name}_size", path)
    return events


def _message_numbers(snapshots: np.ndarray, deltas: np.ndarray, quotes: np.ndarray, spot: np.ndarray) -> np.ndarray:
    """Number of the venue message of each row: a snapshot is one, so is a delta, a pair of quotes, a spot trade."""
    of_snapshot = np.cumsum(snapshots["kind"] == CLEAR)
    of_delta = 1 + len(snapshots) + np.arange(len(deltas))
    of_quote = 1 + len(snapshots) + len(deltas) + np.arange(len(quotes)) // 2
    of_spot = 1 + len(snapshots) + len(deltas) + len(quotes) + np.arange(len(spot))
    return np.concatenate([of_snapshot, of_delta, of_quote, of_spot])


def _mark_gaps(events: np.ndarray, message: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Insert a GAP before each book message whose sequence number does not follow: messages were lost before it.

    A tape that starts with a snapshot lost nothing; a snapshot further on with number 1 is a new connection.
    """
    places = np.flatnonzero(events["seq"] >= 0)
    step = np.diff(events["seq"][places].astype(np.int64))
    breaks = places[1:][(step != 0) & (step != 1)]
    if len(places) and events["kind"][places[0]] != CLEAR:
        breaks = np.append(places[0], breaks)
    gaps = common.rows(len(breaks), kind=GAP, side=-1, local_ns=events["local_ns"][breaks], flags=INFERRED)
    numbers = message.max(initial=0) + 1 + np.arange(len(breaks))
    return np.insert(events, breaks, gaps), np.insert(message, breaks, numbers)


def _settlement(market: pd.Series, events: np.ndarray, runs_to_close: bool) -> np.ndarray:
    """The SETTLE row, where the tape runs to the close and the result is known; else no row."""
    result = market["result_or_inferred"]
    if not runs_to_close or result not in ("yes", "no"):
        return common.rows(0)
    flags = END_OF_BATCH | (0 if market["result_finalized"] == result else INFERRED)
    local_ns = max(int(events["local_ns"].max()), _close_ns(market))
    return common.rows(1, kind=SETTLE, side=-1, local_ns=local_ns, px=PX_ONE * (result == "yes"), flags=flags)
