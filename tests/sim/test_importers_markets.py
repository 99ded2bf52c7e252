"""Importers of weather, whole books, prints, views and up-or-down windows, on made-up sources and the real ones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from importing import BOTH, END, LOT, MICRO, MS, all_tapes, seen, validated

from sim.importers import FORMATS, convert
from sim.tape import TapeError
from sim.types import ASK, BID, CLEAR, INFERRED, LEVEL, REFERENCE, TRADE
from sim.validate import validate


def frame_to(path, rows, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns).to_parquet(path)
    return path


# Kalshi weather -----------------------------------------------------------------------------------------------------

WEATHER = ["timestamp", "market_ticker", "best_yes_bid", "best_no_bid"]


def weather(folder, rows):
    stamped = [(pd.Timestamp(second, unit="s"), ticker, bid, no_bid) for second, ticker, bid, no_bid in rows]
    return frame_to(folder / "weather.parquet", stamped, WEATHER)


def test_weather_rows(tmp_path):
    path = weather(
        tmp_path,
        [
            (1, "T-B30", 18, 81),  # ask 19
            (2, "T-B30", 19, 81),  # locked: inside a match
            (3, "T-B30", 19, 80),  # ask 20
            (4, "T-B30", 0, 80),  # no bid
        ],
    )
    tape = all_tapes(path)["T-B30"]
    assert seen(tape) == [
        ("CLEAR", -1, 0, 0, 0),
        ("LEVEL", BID, 1800, MICRO, INFERRED),
        ("LEVEL", ASK, 1900, MICRO, BOTH),
        ("LEVEL", BID, 1800, 0, INFERRED),
        ("LEVEL", BID, 1900, MICRO, INFERRED),
        ("LEVEL", ASK, 1900, 0, INFERRED),
        ("LEVEL", ASK, 2000, MICRO, BOTH),
        ("LEVEL", BID, 1900, 0, BOTH),
    ]
    assert (tape.events["local_ns"] // 10**9).tolist() == [1, 1, 1, 2, 2, 3, 3, 4]
    report = validate(tape)
    assert (report.errors, report.brief_crossings) == ([], 1)


def test_weather_prices_must_be_cents(tmp_path):
    with pytest.raises(TapeError, match="best_no_bid of row 1 is 100; expected 0 to 99 cents"):
        convert(weather(tmp_path, [(1, "T", 18, 81), (2, "T", 18, 100)]))


# Kalshi whole books -------------------------------------------------------------------------------------------------

BOOKS = ["captured_at", "ticker", "series", "close_time", "yes_levels", "no_levels"]


def books(folder, yes, no='[["0.5000","3.50"]]'):
    rows = [
        ("2026-07-16T03:00:00.5+00:00", "K-1", "K", "2026-07-17T05:59:00Z", yes, no),
        ("2026-07-16T01:00:00+00:00", "K-1", "K", "2026-07-17T05:59:00Z", "[]", no),
    ]
    return frame_to(folder / "books.parquet", rows, BOOKS)


def test_books_rows(tmp_path):
    tape = all_tapes(books(tmp_path, '[["0.0100","117.00"],["0.4000","0.00"]]'))["K-1"]
    assert seen(tape) == [  # by time of capture, not by row
        ("CLEAR", -1, 0, 0, 0),
        ("LEVEL", ASK, 5000, 350 * LOT, END),
        ("CLEAR", -1, 0, 0, 0),
        ("LEVEL", BID, 100, 117 * MICRO, 0),
        ("LEVEL", ASK, 5000, 350 * LOT, END),
    ]
    assert int(np.diff(tape.events["local_ns"]).max()) == 7200 * 10**9 + 500 * MS
    assert tape.header.markets[0].close_ns == pd.Timestamp("2026-07-17T05:59:00Z").value
    assert validate(tape).errors == []


@pytest.mark.parametrize(
    "levels, message",
    [
        ("[[0.4", "expected a JSON array of"),
        ('[["0.4"]]', "expected a JSON array of"),
        ('[["1.0000","5"]]', "a level outside 0 to 1 dollar"),
        ('[["0.40001","5"]]', "expected a multiple of 1/10000"),
    ],
)
def test_books_refuse_what_is_no_book(tmp_path, levels, message):
    with pytest.raises(TapeError, match=message):
        all_tapes(books(tmp_path, levels))


# Kalshi prints ------------------------------------------------------------------------------------------------------


def prints(folder, *rows):
    return frame_to(folder / "trades.parquet", rows, ["ticker", "t_us", "px", "q", "taker_yes"])


def test_trades_rows(tmp_path):
    path = prints(tmp_path, ("A", 5, 4900, 100, 1), ("B", 1, 300, 1, 0), ("A", 4, 5000, 250, 0))
    tapes = all_tapes(path)
    assert list(tapes) == ["B", "A"]  # by first trade
    assert seen(tapes["A"]) == [("TRADE", ASK, 5000, 250 * LOT, 0), ("TRADE", BID, 4900, 100 * LOT, 0)]
    assert tapes["A"].events["venue_ns"].tolist() == tapes["A"].events["local_ns"].tolist() == [4000, 5000]


@pytest.mark.parametrize(
    "row, message",
    [
        (("A", 5, 10_000, 100, 1), "px of row 0 is 10000; expected 1 to 9999"),
        (("A", 5, 4900, 0, 1), "q of row 0 is 0; expected more than 0"),
        (("A", 5, 4900, 1, 2), "taker_yes of row 0 is 2; expected 0 or 1"),
    ],
)
def test_trades_refuse_what_cannot_be(tmp_path, row, message):
    with pytest.raises(TapeError, match=message):
        convert(prints(tmp_path, row))


# Polymarket views ---------------------------------------------------------------------------------------------------


def views(folder, rows, slug="btc-1"):
    """``rows``: (ts_ms, spot, bids, asks)."""
    table = []
    for ts, spot, bids, asks in rows:
        cells = {"ts_ms": ts, "market_slug": slug, "condition_id": "0x1", "window_start_ms": 1, "window_end_ms": 9_000}
        for side, levels in (("bid", bids), ("ask", asks)):
            for level in range(5):
                px, size = levels[level] if level < len(levels) else (np.nan, np.nan)
                cells |= {f"{side}_px_up_{level + 1}": px, f"{side}_sz_up_{level + 1}": size}
        table.append({**cells, "chainlink_btc": spot})
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(table).to_parquet(folder / f"{slug}.parquet")
    return folder


def test_views_rows(tmp_path):
    one = (1_000, 60_000.5, [(0.50, 2.0)], [(0.52, 1.0)])
    two = (2_000, np.nan, [(0.51, 3.0), (0.50, 2.0)], [(0.52, 1.0)])
    tape = all_tapes(views(tmp_path, [one, two, one, two]))["btc-1"]  # the recorder saved its buffer twice
    assert seen(tape) == [
        ("REFERENCE", -1, 0, 60_000_500_000, 0),
        ("CLEAR", -1, 0, 0, 0),
        ("LEVEL", BID, 5000, 2 * MICRO, 0),
        ("LEVEL", ASK, 5200, MICRO, END),
        ("LEVEL", BID, 5100, 3 * MICRO, END),
    ]
    assert (tape.events["local_ns"] // MS).tolist() == [1000] * 4 + [2000]
    assert tape.header.notes[0] == "2 of 4 rows were copies of others"
    assert (tape.header.markets[0].open_ns, tape.header.markets[0].close_ns) == (MS, 9_000 * MS)


def test_views_of_one_stamp_must_agree(tmp_path):
    rows = [(1_000, 1.0, [(0.50, 2.0)], [(0.52, 1.0)]), (1_000, 1.0, [(0.50, 3.0)], [(0.52, 1.0)])]
    with pytest.raises(TapeError, match="rows with ts_ms 1000 show different books"):
        all_tapes(views(tmp_path, rows))


# Polymarket up or down ----------------------------------------------------------------------------------------------


def updown(folder, trades, book_rows=None):
    default = [
        ("btc-up", 1_000, '[["0.4","5"]]', '[["0.5","7"]]'),
        ("btc-down", 3_000, '[["0.5","6"]]', '[["0.6","5"]]'),
    ]
    frame_to(folder / "books.parquet", default if book_rows is None else book_rows, ["market", "ts_ms", "bids", "asks"])
    frame_to(folder / "trades.parquet", trades, ["market", "ts_ms", "price", "size", "side"])
    return folder


def test_updown_rows(tmp_path):
    trades = [("btc-down", 2_000, "0.51", "2.5", "buy"), ("eth-up", 500, "0.3", "1", "sell")]
    tapes = all_tapes(updown(tmp_path, trades))
    assert seen(tapes["btc-"], "local_ns")[:4] == [
        ("CLEAR", -1, 0, 0, 0, 1_000 * MS),
        ("LEVEL", BID, 4000, 5 * MICRO, 0, 1_000 * MS),
        ("LEVEL", ASK, 5000, 7 * MICRO, END, 1_000 * MS),
        # DOWN bought at 51 cents: UP sold at 49
        ("TRADE", ASK, 4900, 2_500_000, END, 2_000 * MS),
    ]
    # DOWN bid 50 x 6 is the UP ask 50 x 6; the DOWN ask 60 x 5 is the UP bid 40 x 5, as before
    assert seen(tapes["btc-"])[4:] == [("LEVEL", ASK, 5000, 6 * MICRO, END)]
    assert seen(tapes["eth-"]) == [("TRADE", ASK, 3000, MICRO, 0)]  # no book was seen


@pytest.mark.parametrize(
    "trades, book_rows, message",
    [
        ([("btc-flat", 1, "0.5", "1", "buy")], None, "market 'btc-flat'; expected a name that ends in up or down"),
        ([("btc-up", 1, "0.5", "1", "hold")], None, "side 'hold'; expected buy or sell"),
        ([("btc-up", 1, "0.50001", "1", "buy")], None, "expected a multiple of 1/10000"),
        ([("btc-up", 1, "0.5", "1", "buy")], [("btc-up", 1, "[0.5]", "[]")], "expected a JSON array of"),
    ],
)
def test_updown_refuses(tmp_path, trades, book_rows, message):
    with pytest.raises(TapeError, match=message):
        all_tapes(updown(tmp_path, trades, book_rows))


# The real sets ------------------------------------------------------------------------------------------------------

SETS = (
    ("kalshi_weather_kxhighny_bbo.parquet", "kalshi_weather", 102),
    ("kalshi_weather_books_full_depth.parquet", "kalshi_books", 2830),
    ("kalshi_trades/btc_eth_15m_20260427_28.parquet", "kalshi_trades", 200),
    ("poly_btc15m_8hz_5lvl", "polymarket_views", 4),
    ("poly_crypto_updown_20251211", "polymarket_updown", 6),
)


@pytest.mark.parametrize("source, name, count", SETS, ids=[name for _, name, _ in SETS])
def test_each_set_is_recognised_by_one_format(recordings, source, name, count):
    assert [key for key, module in FORMATS.items() if module.detect(recordings / source)] == [name]
    assert convert(recordings / source).total == count


@pytest.mark.compiled
def test_recorded_sets_rebuild(recordings):
    weather_set = all_tapes(recordings / SETS[0][0])
    report = validated(weather_set)
    assert (report.errors, report.brief_crossings) == ([], 47)  # as many rows of the source show both bids at 100
    trades = all_tapes(recordings / SETS[2][0])
    assert sum(len(tape.events) for tape in trades.values()) == 546_972  # every row
    for source, _, _ in SETS[3:]:
        assert validated(all_tapes(recordings / source)).errors == []
    updowns = np.concatenate([tape.events for tape in all_tapes(recordings / SETS[4][0]).values()])
    assert (updowns["kind"] == TRADE).sum() == 5247
    for path in sorted((recordings / SETS[3][0]).glob("*.parquet")):
        source = pd.read_parquet(path, columns=["ts_ms", "chainlink_btc"])
        tape = all_tapes(path)[path.stem]
        assert (tape.events["kind"] == REFERENCE).sum() == source.dropna()["ts_ms"].nunique()
        assert set(tape.events["local_ns"] // MS) <= set(source["ts_ms"])


def test_recorded_whole_books(recordings):
    source = pd.read_parquet(recordings / SETS[1][0])
    name, tape = next(convert(recordings / SETS[1][0]).tapes)
    rows = source[source["ticker"] == name]
    kinds = tape.events["kind"]
    assert (kinds == CLEAR).sum() == len(rows)
    assert (kinds == LEVEL).sum() == sum(len(json.loads(text)) for text in [*rows["yes_levels"], *rows["no_levels"]])
    assert validate(tape).errors == []
