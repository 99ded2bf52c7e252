"""Kalshi importers on sources made up in their own formats."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from importing import BOTH, END, LOT, MICRO, MS, all_tapes, seen, validated

from sim.importers import convert
from sim.tape import TapeError, read_header
from sim.tape_cli import main
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    DELTA,
    GAP,
    INFERRED,
    QUOTE,
    SETTLE,
)
from sim.validate import validate

# Kalshi KXBTC15M ----------------------------------------------------------------------------------------------------

T0 = 1_778_677_200_000_000_000  # 2026-05-13T13:00:00Z
CLOSE = T0 + 900 * 10**9


def at(seconds):
    return T0 + round(seconds * 1e9)


def btc15m_source(folder, *, ticker="KXBTC15M-X", result="yes", final="yes"):
    """One market: a segment to the close, then the venue's empty snapshot."""
    deltas = [  # sess, ticker, seq, recv, exch, side (1 = YES bid, 0 = NO bid), px, dq in 1e-2 contract
        (1, ticker, 2, at(1.0), at(1.5) // 1000, 1, 4900, 500),
        (1, ticker, 3, at(1.0), at(1.5) // 1000, 0, 5100, -2000),  # NO bid at 51 cents = YES ask at 49: now 49 / 50
        (1, ticker, 4, at(2.0), at(2.5) // 1000, 1, 4900, -500),
        (1, ticker, 5, at(899.0), at(899.5) // 1000, 1, 4800, 1),
    ]
    snapshots = [
        (1, ticker, 1.0, at(0), 1, 4800, 1000),
        (1, ticker, 1.0, at(0), 0, 5100, 2000),  # YES ask 49 cents
        (1, ticker, 1.0, at(0), 0, 5000, 3000),  # YES ask 50 cents
        (1, ticker, 6.0, at(906), -1, 0, 0),  # empty, after the close
    ]
    tickers = [
        (1, ticker, at(1.9), at(1.5) // MS, 0.49, 0.50, 5.0, 30.25, 0.5, 1.0, 1.0, 1.0),
        (1, ticker, at(3.0), at(2.5) // MS, 0.48, 0.51, 5.0, 30.0, 0.5, 1.0, 1.0, 1.0),  # wrong ask
    ]
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["sess", "ticker", "seq", "recv_ns", "exch_us", "side", "px", "dq"]
    frames = {
        "deltas": pd.DataFrame(deltas, columns=columns),
        "snapshots": pd.DataFrame(snapshots, columns=["sess", "ticker", "seq", "recv_ns", "side", "px", "q"]),
        "tickers": pd.DataFrame(
            tickers,
            columns=[
                *("sess", "ticker", "recv_ns", "ts_ms", "yes_bid", "yes_ask", "yes_bid_size", "yes_ask_size"),
                *("last_price", "last_size", "volume", "open_interest"),
            ],
        ),
        "segments": pd.DataFrame(
            [(1, "s", ticker, at(0), at(899.0))], columns=["sess_id", "sess", "ticker", "start", "end"]
        ),
        "markets": pd.DataFrame(
            [(ticker, 81023.22, "2026-05-13T13:15:00Z", final, result)],
            columns=["ticker", "strike", "close_time", "result_finalized", "result_or_inferred"],
        ),
        "coinbase_btcusd_matches": pd.DataFrame(
            [("c", at(1.2), 79303.45, "id", at(1.3) // 1000), ("c", at(2000), 1.0, "id", 1)],
            columns=["source", "recv_ns", "price", "trade_id", "exch_us"],
        ),
    }
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet")
    return frames


def test_btc15m_rows(tmp_path):
    btc15m_source(tmp_path)
    conversion = convert(tmp_path)
    assert (conversion.format, conversion.total) == ("kalshi_btc15m", 1)
    tapes = dict(conversion.tapes)
    assert list(tapes) == ["KXBTC15M-X"]
    tape = tapes["KXBTC15M-X"]
    assert seen(tape, "seq", "local_ns", "venue_ns") == [
        ("CLEAR", -1, 0, 0, 0, 1, at(0), 0),
        ("LEVEL", BID, 4800, 1000 * LOT, 0, 1, at(0), 0),
        ("LEVEL", ASK, 4900, 2000 * LOT, 0, 1, at(0), 0),  # 1 - 0.51
        ("LEVEL", ASK, 5000, 3000 * LOT, END, 1, at(0), 0),
        ("DELTA", BID, 4900, 500 * LOT, 0, 2, at(1), at(1.5)),  # crossed until the next row of the same match
        ("DELTA", ASK, 4900, -2000 * LOT, END, 3, at(1), at(1.5)),
        ("REFERENCE", -1, 0, 79_303_450_000, END, -1, at(1.2), at(1.3)),
        ("QUOTE", BID, 4900, 5 * MICRO, 0, -1, at(1.9), at(1.5)),
        ("QUOTE", ASK, 5000, 30_250_000, END, -1, at(1.9), at(1.5)),
        ("DELTA", BID, 4900, -500 * LOT, END, 4, at(2), at(2.5)),
        ("QUOTE", BID, 4800, 5 * MICRO, 0, -1, at(3), at(2.5)),
        ("QUOTE", ASK, 5100, 30 * MICRO, END, -1, at(3), at(2.5)),
        ("DELTA", BID, 4800, LOT, END, 5, at(899), at(899.5)),
        ("CLEAR", -1, 0, 0, 0, 6, at(906), 0),
        ("STATUS", -1, 0, CLOSED, BOTH, 6, at(906), 0),
        ("SETTLE", -1, 10_000, 0, END, -1, at(906), 0),
    ]
    market = tape.header.markets[0]
    assert (market.id, market.open_ns, market.close_ns) == ("KXBTC15M-X", T0, CLOSE)
    assert "yes" not in json.dumps([market.title, *tape.header.notes])
    assert len(tape.header.sources) == 6
    report = validate(tape)
    assert (report.errors, report.agree, report.quotes, report.brief_crossings) == ([], 1, 2, 1)


def test_btc15m_settles_only_where_the_tape_runs_to_the_close_and_the_result_is_known(tmp_path):
    btc15m_source(tmp_path / "no", result="no", final=None)
    tape = all_tapes(tmp_path / "no")["KXBTC15M-X"]
    assert seen(tape)[-1] == ("SETTLE", -1, 0, 0, BOTH)  # from the next strike: inferred

    btc15m_source(tmp_path / "unknown", result=None, final=None)
    assert not (all_tapes(tmp_path / "unknown")["KXBTC15M-X"].events["kind"] == SETTLE).any()

    frames = btc15m_source(tmp_path / "early")
    frames["snapshots"].iloc[:3].to_parquet(tmp_path / "early" / "snapshots.parquet")
    assert not (all_tapes(tmp_path / "early")["KXBTC15M-X"].events["kind"] == SETTLE).any()


def test_btc15m_lost_messages_become_a_gap_and_stay_on_the_tape(tmp_path):
    frames = btc15m_source(tmp_path)
    deltas = frames["deltas"].copy()
    deltas.loc[3, "seq"] = 9
    deltas.to_parquet(tmp_path / "deltas.parquet")
    tape = all_tapes(tmp_path)["KXBTC15M-X"]
    kinds = tape.events["kind"].tolist()
    assert kinds.count(GAP) == 2  # before 9, and before the snapshot that comes as 6
    assert kinds.count(DELTA) == 4
    first = kinds.index(GAP)
    assert tape.events["flags"][first] & INFERRED
    assert kinds[first + 1] == DELTA
    assert tape.events["seq"][first + 1] == 9
    assert validate(tape).sequence_gaps == 0


def test_btc15m_second_segment_of_a_session_is_a_second_tape(tmp_path):
    frames = btc15m_source(tmp_path)
    ticker = "KXBTC15M-X"
    segments = [(1, "s", ticker, at(0), at(1.5)), (1, "s", ticker, at(2.0), at(899.0))]
    pd.DataFrame(segments, columns=frames["segments"].columns).to_parquet(tmp_path / "segments.parquet")
    again = frames["snapshots"].iloc[:1].assign(recv_ns=at(2.0), seq=3.0)
    pd.concat([frames["snapshots"], again]).to_parquet(tmp_path / "snapshots.parquet")
    tapes = all_tapes(tmp_path)
    assert list(tapes) == [ticker, f"{ticker}_2"]
    assert tapes[ticker].events["seq"].max() == 3
    assert tapes[f"{ticker}_2"].events["kind"][0] == CLEAR
    deltas = sum((tape.events["kind"] == DELTA).sum() for tape in tapes.values())
    quotes = sum((tape.events["kind"] == QUOTE).sum() for tape in tapes.values())
    assert (deltas, quotes) == (4, 4)  # nothing fell between them


# Kalshi NBA ---------------------------------------------------------------------------------------------------------


def nba_source(folder, rows, file="Kalshi_BOS_JAN07_WIN"):
    columns = ["file", "row", "timestamp", "event_type", "price", "side", "size", "best_bid", "best_ask"]
    frame = pd.DataFrame([(file, index, *row) for index, row in enumerate(rows)], columns=columns)
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / "events.parquet")


NBA_ROWS = [
    (None, "book", "0.7000", "BUY", "85", "0.7000", "0.71"),
    (None, "book", "0.71", "SELL", "15118", "0.7000", "0.71"),
    ("2026-01-08T01:06:14.713376Z", "price_change", "0.27", "BUY", "-247", "0.7", "0.7100"),  # never shown before
    ("2026-01-08T01:06:14.713900Z", "price_change", "0.29000000000000004", "BUY", "40", "0.7", "0.7100"),
    ("2026-01-08T01:06:15.100000Z", "price_change", "0.71", "SELL", "-1", "0.7", "0.7100"),
    ("1767834375", "last_trade_price", "0.71", "BUY", "1", "0.7", "0.7100"),
    ("1767834376", "last_trade_price", "0.3", "SELL", "5", "0.69", None),  # bought NO at 30 cents: YES at 70
    (None, "book", None, "BUY", None, None, "0.71"),  # a new connection; nobody bids
    (None, "book", "0.71", "SELL", "7", None, "0.71"),
    ("2026-01-08T01:07:15.000000Z", "price_change", "0.70", "BUY", "3", "0.7", "0.71"),
]
FIRST = 1_767_834_374_713_376_000  # 2026-01-08T01:06:14.713376Z


def test_nba_rows(tmp_path):
    nba_source(tmp_path, NBA_ROWS)
    tapes = all_tapes(tmp_path)
    assert list(tapes) == ["Kalshi_BOS_JAN07_WIN", "Kalshi_BOS_JAN07_WIN_2"]
    later = FIRST + 386_624_000  # 15.100000
    second = 1_767_834_375 * 10**9
    assert seen(tapes["Kalshi_BOS_JAN07_WIN"], "local_ns", "venue_ns") == [
        ("CLEAR", -1, 0, 0, 0, FIRST, 0),  # the first stamped row's stamp
        ("LEVEL", BID, 7000, 85 * MICRO, 0, FIRST, 0),
        ("LEVEL", ASK, 7100, 15118 * MICRO, END, FIRST, 0),
        ("LEVEL", BID, 2700, 247 * MICRO, INFERRED, FIRST, FIRST),  # revealed as it leaves
        ("DELTA", BID, 2700, -247 * MICRO, 0, FIRST, FIRST),
        ("QUOTE", BID, 7000, -1, 0, FIRST, FIRST),
        ("QUOTE", ASK, 7100, -1, 0, FIRST, FIRST),  # inside the batch of that millisecond
        ("DELTA", BID, 2900, 40 * MICRO, END, FIRST + 524_000, FIRST + 524_000),
        ("DELTA", ASK, 7100, -MICRO, END, later, later),
        ("TRADE", BID, 7100, MICRO, END, later, second),  # whole seconds: before the row above
        ("TRADE", ASK, 7000, 5 * MICRO, END, second + 10**9, second + 10**9),
        ("QUOTE", BID, 6900, -1, 0, second + 10**9, second + 10**9),
        ("QUOTE", ASK, 10_000, -1, END, second + 10**9, second + 10**9),  # no ask
    ]
    assert [row[:4] for row in seen(tapes["Kalshi_BOS_JAN07_WIN_2"])] == [
        ("CLEAR", -1, 0, 0),
        ("LEVEL", ASK, 7100, 7 * MICRO),
        ("DELTA", BID, 7000, 3 * MICRO),
        ("QUOTE", BID, 7000, -1),
        ("QUOTE", ASK, 7100, -1),
    ]
    report = validated(tapes)
    assert (report.errors, report.negative) == ([], 0)
    assert (report.agree, report.quotes) == (2, 3)


def test_nba_refuses_absolute_sizes_of_another_venue(tmp_path):
    nba_source(tmp_path, NBA_ROWS, file="Polymarket_SHAI_YES")
    with pytest.raises(TapeError, match="Polymarket_SHAI_YES is not Kalshi's"):
        convert(tmp_path, "kalshi_nba")
    with pytest.raises(TapeError, match="not recognised"):
        convert(tmp_path)


def test_header_alone(tmp_path):
    btc15m_source(tmp_path / "in")
    main(["import", str(tmp_path / "in"), str(tmp_path / "out")])
    assert read_header(tmp_path / "out" / "KXBTC15M-X.parquet").markets[0].id == "KXBTC15M-X"
