"""Polymarket importers on sources made up in their own formats."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest
from importing import BOTH, END, MICRO, MS, all_tapes, seen

from sim.importers import convert
from sim.tape import TapeError
from sim.types import (
    ASK,
    BID,
    INFERRED,
)
from sim.validate import validate
from sim.wire.listing import CENT_TICKS, MILL_TICKS

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
        ("SETTLE", -1, 0, 0, END, 3100, 3100),
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
