"""Each importer on a source made up in that source's own format, and on the real recordings where they are at hand."""

from __future__ import annotations

import gzip
import json
import os

import numpy as np
import pandas as pd
import pytest

from sim.importers import FORMATS, convert
from sim.importers.common import CENT_TICKS, MILL_TICKS
from sim.tape import TapeError, read, read_header
from sim.tape_cli import main
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    DELTA,
    END_OF_BATCH,
    GAP,
    INFERRED,
    KIND_NAMES,
    LEVEL,
    QUOTE,
    REFERENCE,
    SETTLE,
    STATUS,
    TICKS,
    TRADE,
)
from sim.validate import Report, validate

MICRO = 1_000_000
LOT = 10_000  # 1e-2 contract in 1e-6 contract
MS = 1_000_000
END = END_OF_BATCH
BOTH = END_OF_BATCH | INFERRED
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"


def all_tapes(source, format_name=None):
    return dict(convert(source, format_name).tapes)


def seen(tape, *names):
    """Rows as readable tuples: kind, side, px, qty, flags, and the fields asked for."""
    fields = ("side", "px", "qty", "flags", *names)
    return [(KIND_NAMES[row["kind"]], *(int(row[name]) for name in fields)) for row in tape.events]


def validated(tapes):
    total = Report()
    for tape in tapes.values():
        total = total.plus(validate(tape))
    return total


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


# Polymarket MLB -----------------------------------------------------------------------------------------------------

YES, NO = "9", "10"  # the smaller number is YES, though not the smaller text


def mlb_source(folder, messages, slug="mlb-a-b"):
    """``messages``: (token, event_type, ts_ms, [(price, side, size), ...])."""
    rows = []
    for number, (token, kind, ts, levels) in enumerate(messages):
        for price, side, size in levels:
            rows.append((slug, "5", token, kind, price, side, size, f"h{number}", ts, len(rows), f"{slug}.csv"))
    columns = [
        "market_slug",
        "market_id",
        "asset_id",
        "event_type",
        "price",
        "side",
        "size",
        "hash",
        "ts",
        "row",
        "file",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "events.parquet")


MLB_MESSAGES = [
    (NO, "book", 1000, [(0.60, "A", 50.0), (0.48, "B", 30.0), (0.47, "B", 20.5)]),  # YES: bid 40; asks 52 and 53
    (YES, "price_change", 1001, [(0.41, "B", 10.0), (0.53, "A", 0.0)]),
    (NO, "price_change", 1001, [(0.59, "A", 10.0), (0.47, "B", 0.0)]),  # the same, told for the other token
    (YES, "price_change", 1500, [(0.52, "B", 4.0)]),  # locked at 52: the match's other part is still to come
    (NO, "price_change", 1400, [(0.48, "A", 4.0)]),
    (YES, "book", 1600, [(0.52, "B", 4.0), (0.41, "B", 10.0), (0.40, "B", 50.0), (0.535, "A", 1.0)]),
    (NO, "book", 1600, [(0.48, "A", 4.0), (0.59, "A", 10.0), (0.60, "A", 50.0), (0.465, "B", 1.0)]),
    (YES, "book", 1700, [(0.40, "B", 45.0), (0.535, "A", 1.0)]),  # 4 @ 52, 10 @ 41, 5 @ 40 sold by a taker
]


def test_mlb_rows(tmp_path):
    mlb_source(tmp_path, MLB_MESSAGES)
    tape = all_tapes(tmp_path)["mlb-a-b"]
    ms = [(*row[:-2], row[-2] // MS, row[-1] // MS) for row in seen(tape, "local_ns", "venue_ns")]
    assert ms == [
        ("CLEAR", -1, 0, 0, 0, 1000, 1000),
        ("LEVEL", BID, 4000, 50 * MICRO, 0, 1000, 1000),
        ("LEVEL", ASK, 5200, 30 * MICRO, 0, 1000, 1000),
        ("LEVEL", ASK, 5300, 20_500_000, END, 1000, 1000),
        ("LEVEL", BID, 4100, 10 * MICRO, 0, 1001, 1001),
        ("LEVEL", ASK, 5300, 0, END, 1001, 1001),
        ("LEVEL", BID, 5200, 4 * MICRO, 0, 1500, 1500),  # no end of batch: locked
        ("TICKS", -1, 0, 1, INFERRED, 1600, 1600),  # 53.5 cents: the first price off the cent
        ("LEVEL", ASK, 5200, 0, INFERRED, 1600, 1600),
        ("LEVEL", ASK, 5350, MICRO, BOTH, 1600, 1600),
        ("TRADE", ASK, 5200, 4 * MICRO, INFERRED, 1700, 1700),
        ("TRADE", ASK, 4100, 10 * MICRO, INFERRED, 1700, 1700),
        ("TRADE", ASK, 4000, 5 * MICRO, INFERRED, 1700, 1700),
        ("LEVEL", BID, 5200, 0, INFERRED, 1700, 1700),
        ("LEVEL", BID, 4100, 0, INFERRED, 1700, 1700),
        ("LEVEL", BID, 4000, 45 * MICRO, BOTH, 1700, 1700),
    ]
    assert tape.header.tick_tables == (CENT_TICKS, MILL_TICKS)
    assert any(note.startswith("YES is the token 9,") for note in tape.header.notes)
    assert any(note.startswith("3 rows told a change a second time") for note in tape.header.notes)
    report = validate(tape)
    assert (report.errors, report.brief_crossings) == ([], 1)  # after the 52 bid


def test_mlb_a_crossing_does_not_outlast_a_re_sent_book(tmp_path):
    crossed = (YES, "book", 1600, [(0.53, "B", 4.0), (0.52, "A", 1.0)])
    mlb_source(tmp_path, [*MLB_MESSAGES[:3], crossed])
    report = validate(all_tapes(tmp_path)["mlb-a-b"])
    assert report.lasting_crossings == 1
    assert "bid at 5300 and the ask at 5200" in report.errors[0]


def test_mlb_names_what_it_does_not_know(tmp_path):
    mlb_source(tmp_path, [(YES, "book", 1, [(0.4, "C", 1.0)])])
    with pytest.raises(TapeError, match=r"events.parquet: 'C' is neither"):
        all_tapes(tmp_path)
    mlb_source(tmp_path, [(YES, "book", 1, [(0.40005, "A", 1.0)])])
    with pytest.raises(TapeError, match=r"price of row 0 is 0.40005; expected a multiple of 1/10000"):
        all_tapes(tmp_path)


# Polymarket socket --------------------------------------------------------------------------------------------------


def frame(second, *messages, array=False):
    return json.dumps({"capturedAt": second, "payload": list(messages) if array else messages[0]})


def ws_message(kind, ms, **fields):
    return {"event_type": kind, "market": "0xa", "timestamp": str(ms), **fields}


def pair(ms, price, size, side, bid, ask):
    """A price change as the venue sends it: for YES, then mirrored for NO. Prices in cents."""
    cents = "{:.2f}".format
    other = {"BUY": "SELL", "SELL": "BUY"}[side]
    yes = {"asset_id": YES, "price": cents(price / 100), "size": size, "side": side, "hash": "h"}
    no = {"asset_id": NO, "price": cents(1 - price / 100), "size": size, "side": other, "hash": "h"}
    yes |= {"best_bid": cents(bid / 100), "best_ask": cents(ask / 100)}
    no |= {"best_bid": cents(1 - ask / 100), "best_ask": cents(1 - bid / 100)}
    return ws_message("price_change", ms, price_changes=[yes, no])


def ws_lines():
    levels = {"bids": [{"price": ".40", "size": "10"}], "asks": [{"price": ".45", "size": "20.000001"}]}
    mirrored = {"bids": [{"price": ".55", "size": "15"}], "asks": [{"price": ".60", "size": "10"}]}
    return [
        frame(1, pair(1100, 39, "5", "BUY", 40, 45)),  # before the first book
        frame(1, ws_message("book", 1200, asset_id=YES, tick_size="0.01", **levels), array=True),
        frame(
            2,
            ws_message("last_trade_price", 2500, asset_id=NO, price="0.55", size="5.000001", side="BUY"),
            ws_message("book", 2400, asset_id=NO, **mirrored),
            array=True,
        ),
        frame(2, pair(2300, 41, "7", "BUY", 41, 45)),
        frame(2, ws_message("best_bid_ask", 2600, asset_id=NO, best_bid="0.55", best_ask="0.60")),  # YES 40 / 45: stale
        frame(2, ws_message("tick_size_change", 2700, asset_id=YES, old_tick_size="0.01", new_tick_size="0.001")),
        frame(2, ws_message("new_thing", 2700)),
        frame(3, ws_message("market_resolved", 3100, winning_asset_id=NO)),
    ]


def test_ws_rows(tmp_path):
    (tmp_path / "capture.jsonl").write_text("\n".join(ws_lines()) + "\n")
    tape = all_tapes(tmp_path)["0xa"]
    ms = [(*row[:-2], row[-2] // MS, row[-1] // MS) for row in seen(tape, "local_ns", "venue_ns")]
    assert ms == [
        ("LEVEL", BID, 3900, 5 * MICRO, 0, 1100, 1100),
        ("QUOTE", BID, 4000, -1, 0, 1100, 1100),
        ("QUOTE", ASK, 4500, -1, 0, 1100, 1100),
        ("QUOTE", BID, 4000, -1, 0, 1100, 1100),  # the other token's, in YES space
        ("QUOTE", ASK, 4500, -1, 0, 1100, 1100),
        ("CLEAR", -1, 0, 0, 0, 1200, 1200),
        ("LEVEL", BID, 4000, 10 * MICRO, 0, 1200, 1200),
        ("LEVEL", ASK, 4500, 20_000_001, END, 1200, 1200),
        ("TRADE", ASK, 4500, 5_000_001, END, 2500, 2500),  # bought NO at 55 = sold YES at 45
        ("LEVEL", ASK, 4500, 15 * MICRO, BOTH, 2500, 2400),  # local: the running maximum
        ("LEVEL", BID, 4100, 7 * MICRO, END, 2500, 2300),
        ("QUOTE", BID, 4100, -1, 0, 2500, 2300),
        ("QUOTE", ASK, 4500, -1, END, 2500, 2300),
        ("QUOTE", BID, 4100, -1, 0, 2500, 2300),
        ("QUOTE", ASK, 4500, -1, END, 2500, 2300),
        ("QUOTE", BID, 4000, -1, 0, 2600, 2600),
        ("QUOTE", ASK, 4500, -1, END, 2600, 2600),
        ("TICKS", -1, 0, 1, END, 2700, 2700),
        ("SETTLE", -1, 0, 0, END, 3100, 0),
    ]
    assert "1 messages of type new_thing not read" in tape.header.notes
    assert tape.header.tick_tables == (CENT_TICKS, MILL_TICKS)
    report = validate(tape)
    assert (report.errors, report.agree, report.quotes) == ([], 2, 3)  # those before the book do not count


def test_ws_market_list_names_yes_and_compressed_files_read(tmp_path):
    with gzip.open(tmp_path / "capture.jsonl.gz", "wt") as file:
        file.write("\n".join(ws_lines()[:-1]))
    market = {"slug": "up-or-down", "conditionId": "0xa", "startTs": 1, "endTs": 9, "tickSize": 0.01, "upTokenId": NO}
    (tmp_path / "markets.json").write_text(json.dumps({"current": market}))
    tape = all_tapes(tmp_path)["up-or-down"]
    assert seen(tape)[0] == ("LEVEL", ASK, 6100, 5 * MICRO, 0)  # bid 39 of the other token
    assert (tape.header.markets[0].open_ns, tape.header.markets[0].close_ns) == (10**9, 9 * 10**9)
    whole = (tmp_path / "capture.jsonl.gz").read_bytes()
    (tmp_path / "capture.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TapeError, match=r"capture.jsonl.gz"):
        convert(tmp_path)


def test_ws_names_the_torn_line(tmp_path):
    lines = ws_lines()
    (tmp_path / "capture.jsonl").write_text(lines[0] + "\n" + lines[1][:40])
    with pytest.raises(TapeError, match=r"capture.jsonl: line 2 is torn"):
        convert(tmp_path)


# resolvedkit --------------------------------------------------------------------------------------------------------


def resolvedkit_source(folder, books, payout=(0.37, 0.63)):
    market = ("0xb", "up-15m", "Up or down?", "crypto", "15m", 10_000, 20_000, "Up", "Down", *payout)
    columns = [
        "market_id",
        "slug",
        "question",
        "category",
        "timeframe",
        "start_ts",
        "end_ts",
        "outcome_up",
        "outcome_down",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([market], columns=[*columns, "payout_up", "payout_down"]).to_parquet(folder / "markets.parquet")
    rows = []
    for ts, side, bids, asks in books:
        split = [[level[index] for level in levels] for levels in (bids, asks) for index in (0, 1)]
        rows.append(("0xb", ts, side, *split))
    columns = ["market_id", "ts", "side", "bid_px", "bid_sz", "ask_px", "ask_sz"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "books.parquet")


def test_resolvedkit_rows(tmp_path):
    deep = [(round(0.40 - index / 100, 2), 1.0) for index in range(20)]  # 40 to 21 cents
    deeper = [(0.41, 2.0), *deep[:19]]  # 21 cents leaves the view of 20 levels
    resolvedkit_source(
        tmp_path,
        [
            (9_000, "DOWN", [(0.55, 3.0)], [(round(1 - price, 2), size) for price, size in deep]),
            (9_000, "UP", deep, [(0.45, 3.0)]),  # the mirror: nothing new
            (11_000, "UP", deeper, [(0.45, 3.0)]),
            (12_000, "UP", deeper, [(0.41, 3.0)]),  # caught inside a match: locked
            (13_000, "UP", [(0.405, 1.5)], []),
            (21_000, "UP", [(0.405, 1.25)], []),  # after the window
        ],
    )
    tape = all_tapes(tmp_path)["up-15m"]
    rows = [(*row[:-1], row[-1] // MS) for row in seen(tape, "local_ns")]
    assert rows[:22] == [
        ("CLEAR", -1, 0, 0, 0, 9_000),
        *[("LEVEL", BID, 4000 - 100 * index, MICRO, 0, 9_000) for index in range(20)],
        ("LEVEL", ASK, 4500, 3 * MICRO, END, 9_000),
    ]
    assert rows[22:26] == [
        ("LEVEL", BID, 2100, 0, INFERRED, 11_000),  # only out of view
        ("LEVEL", BID, 4100, 2 * MICRO, END, 11_000),
        ("LEVEL", ASK, 4500, 0, 0, 12_000),
        ("LEVEL", ASK, 4100, 3 * MICRO, 0, 12_000),  # locked: the batch stays open
    ]
    assert rows[26] == ("TICKS", -1, 0, 1, INFERRED, 13_000)
    assert rows[-3:] == [
        ("LEVEL", BID, 4050, 1_500_000, END, 13_000),
        ("LEVEL", BID, 4050, 1_250_000, END, 21_000),
        ("SETTLE", -1, 3700, 0, END, 21_000),  # last, though the window ended at 20 s
    ]
    assert (tape.header.markets[0].open_ns, tape.header.markets[0].close_ns) == (10_000 * MS, 20_000 * MS)
    assert tape.header.sources[0].licence == "none stated by the source"
    report = validate(tape)
    assert (report.errors, report.brief_crossings) == ([], 1)


def test_resolvedkit_unresolved_and_early(tmp_path):
    resolvedkit_source(tmp_path, [(9_000, "UP", [(0.4, 1.0)], [])], payout=(None, None))
    assert not (all_tapes(tmp_path)["up-15m"].events["kind"] == SETTLE).any()
    resolvedkit_source(tmp_path, [(9_000, "UP", [(0.4, 1.0)], [])])
    assert all_tapes(tmp_path)["up-15m"].events["local_ns"][-1] == 20_000 * MS  # settled at the end of its window


def test_the_installed_sample(tmp_path, capsys):
    assert main(["import", "resolvedkit", str(tmp_path)]) == 0
    paths = sorted(tmp_path.glob("*.parquet"))
    assert len(paths) == 18
    assert main(["validate", str(tmp_path)]) == 0
    assert "18 tapes, 0 errors" in capsys.readouterr().out
    tapes = {path.stem: read(path) for path in paths}
    payouts = [int(tape.events["px"][-1]) for tape in tapes.values()]
    assert sorted(payouts) == [0] * 5 + [10_000] * 13  # 13 of 18 ended Up
    for tape in tapes.values():
        kinds = tape.events["kind"]
        assert kinds[0] == CLEAR
        assert kinds[-1] == SETTLE
        assert set(kinds) <= {CLEAR, LEVEL, TICKS, SETTLE}
        assert (kinds == SETTLE).sum() == 1
        assert tape.header.sources[0].licence == "CC BY 4.0"
        assert "Resolved Markets" in tape.header.sources[0].attribution
        assert tape.events["local_ns"][0] < tape.header.markets[0].open_ns  # rows before the window are kept
    assert main(["import", "resolvedkit", str(tmp_path)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_the_sample_rebuilds_every_one_of_its_views():
    """All 38,333 views, compared level by level with the book that the tape gives at their stamp."""
    from sim.importers.resolvedkit import sample_folder

    books = pd.read_parquet(sample_folder() / "books.parquet")
    markets = pd.read_parquet(sample_folder() / "markets.parquet").set_index("market_id")["slug"]
    tapes = all_tapes("resolvedkit")
    checked = 0
    for market, views in books.groupby("market_id"):
        tape = tapes[markets[market]]
        states = book_states(tape)
        for view in views.itertuples():
            bids = [round(10_000 * px) for px in view.bid_px]
            asks = [round(10_000 * px) for px in view.ask_px]
            sizes = ([round(MICRO * size) for size in view.bid_sz], [round(MICRO * size) for size in view.ask_sz])
            if view.side == "DOWN":
                bids, asks = [10_000 - px for px in asks], [10_000 - px for px in bids]
                sizes = sizes[::-1]
            wanted = (dict(zip(bids, sizes[0], strict=True)), dict(zip(asks, sizes[1], strict=True)))
            assert any(state == wanted for state in states[view.ts * MS])
            checked += 1
    assert checked == 38_333


def book_states(tape):
    """Books at each stamp of a tape: at every end of a batch, and before the stamp changes."""
    book, states = ({}, {}), {}
    stamps_after = np.append(tape.events["local_ns"][1:], 0)
    for row, stamp_after in zip(tape.events, stamps_after, strict=True):
        if row["kind"] == CLEAR:
            book = ({}, {})
        elif row["kind"] == LEVEL:
            side = book[row["side"]]
            side[int(row["px"])] = int(row["qty"])
            if row["qty"] == 0:
                del side[int(row["px"])]
        if row["flags"] & END_OF_BATCH or stamp_after != row["local_ns"]:
            states.setdefault(int(row["local_ns"]), []).append(tuple(dict(side) for side in book))
    stamps = sorted(states)
    return _Standing(stamps, states)


class _Standing:
    """States at a stamp; where the tape has no row there, the state that stood."""

    def __init__(self, stamps, states):
        self._stamps, self._states = np.array(stamps), states

    def __getitem__(self, stamp):
        place = np.searchsorted(self._stamps, stamp, "right") - 1
        found = self._states[int(self._stamps[place])]
        return found if self._stamps[place] == stamp else found[-1:]


# Real recordings ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(INTERPRETED, reason="2.4 million rows through an interpreted kernel take minutes")
def test_recorded_btc15m_agrees_with_the_venue(recordings, tmp_path, capsys):
    source = recordings / "kalshi_kxbtc15m_l2"
    assert main(["import", str(source), str(tmp_path)]) == 0
    assert main(["validate", str(tmp_path)]) == 0
    capsys.readouterr()
    tapes = {path.stem: read(path) for path in tmp_path.glob("*.parquet")}
    assert len(tapes) == 60
    report = validated(tapes)
    assert report.quotes >= 22_851
    assert report.quotes - report.agree <= 4  # the recorders' own replay: 22,847 of 22,851
    assert (report.negative, report.lasting_crossings, report.sequence_gaps) == (0, 0, 0)
    kinds = np.bincount(np.concatenate([tape.events["kind"] for tape in tapes.values()]), minlength=len(KIND_NAMES))
    assert kinds[DELTA] == 2_228_842  # every row of deltas.parquet
    assert kinds[LEVEL] == 12_082 - 35  # of snapshots.parquet, but for the marks of its 35 empty ones
    assert kinds[QUOTE] == 2 * 22_897  # of tickers.parquet
    closed = [tape for tape in tapes.values() if (tape.events["kind"] == STATUS).any()]
    assert len(closed) == 32  # 35 empty snapshots, of which three came twice
    assert (kinds[SETTLE], kinds[REFERENCE] > 0) == (32, True)


def test_recorded_btc15m_validation_can_fail(recordings):
    """Dropping one delta in a thousand must be seen: the test of the test above."""
    _, tape = next(convert(recordings / "kalshi_kxbtc15m_l2").tapes)
    events = tape.events
    deltas = np.flatnonzero(events["kind"] == DELTA)
    thinned = np.delete(events, deltas[::1000])
    good = validate(tape)
    bad = validate(type(tape)(thinned, tape.header))
    assert good.agree == good.quotes > 700
    assert bad.sequence_gaps > 0
    assert bad.agree < good.agree or bad.negative > 0


def test_recorded_nba(recordings):
    source = pd.read_parquet(recordings / "kalshi_nba_live_20260108" / "events.parquet")
    tapes = all_tapes(recordings / "kalshi_nba_live_20260108")
    report = validated(tapes)
    assert report.errors == []
    assert report.agree >= 0.98 * report.quotes  # the depth below the touch at the start is not in the source
    events = np.concatenate([tape.events for tape in tapes.values()])
    trades = source["event_type"] == "last_trade_price"
    assert (events["kind"] == DELTA).sum() == (source["event_type"] == "price_change").sum()
    assert (events["kind"] == TRADE).sum() == trades.sum()
    assert events["qty"][events["kind"] == TRADE].sum() == source.loc[trades, "size"].astype(int).sum() * MICRO
    buys = (events["kind"] == TRADE) & (events["side"] == BID)
    assert buys.sum() == (trades & (source["side"] == "BUY")).sum()


def test_recorded_mlb(recordings):
    tapes = all_tapes(recordings / "poly_mlb_live_l2")
    assert len(tapes) == 23
    report = validated(tapes)
    assert report.errors == []
    assert report.brief_crossings > 0
    trades = [row for tape in tapes.values() for row in tape.events[tape.events["kind"] == TRADE]]
    assert len(trades) > 1000
    assert all(row["flags"] & INFERRED for row in trades)


def test_recorded_socket(recordings):
    tapes = all_tapes(recordings / "poly_ws_raw_btc5m")
    report = validated(tapes)
    assert report.errors == []
    assert report.quotes >= 10_361
    assert report.quotes - report.agree <= 4  # 10,357 of 10,361 in arrival order
    events = np.concatenate([tape.events for tape in tapes.values()])
    assert (events["kind"] == TRADE).sum() == 71
    assert report.venue_regressions > 1000  # as the venue sends them: no error
    assert report.local_regressions == 0


def test_detection_agrees_with_the_sets(recordings):
    for folder, name in (
        ("kalshi_kxbtc15m_l2", "kalshi_btc15m"),
        ("kalshi_nba_live_20260108", "kalshi_nba"),
        ("poly_mlb_live_l2", "polymarket_mlb"),
        ("poly_ws_raw_btc5m", "polymarket_ws"),
    ):
        assert [key for key, module in FORMATS.items() if module.detect(recordings / folder)] == [name]
    with pytest.raises(TapeError, match="crossvenue_nba_mvp: not recognised"):
        convert(recordings / "crossvenue_nba_mvp")
    with pytest.raises(TapeError, match="unknown format 'kalshi'; expected one of kalshi_btc15m"):
        convert(recordings, "kalshi")


def test_header_alone(tmp_path):
    btc15m_source(tmp_path / "in")
    main(["import", str(tmp_path / "in"), str(tmp_path / "out")])
    assert read_header(tmp_path / "out" / "KXBTC15M-X.parquet").markets[0].id == "KXBTC15M-X"
