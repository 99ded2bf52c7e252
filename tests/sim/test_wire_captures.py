"""Real frames of both venues, and real tapes told and read again. They are not part of the project: skipped without.

All tapes of the Kalshi set: ``python tests/sim/test_wire_captures.py FOLDER``, with the folder of ``deltas.parquet``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from sim.importers import convert
from sim.tape import FeeRates, Market, Source, seal
from sim.types import CLOSED, DELTA, INFERRED, KIND_NAMES, PX_ONE, QUOTE, SECOND_NS, SETTLE, STATUS, TRADE
from sim.validate import Report, validate
from sim.wire.kalshi import KalshiReader
from sim.wire.kalshi_writer import KalshiWriter, frames_of
from sim.wire.listing import CENT_TICKS, Listing
from sim.wire.polymarket import PolymarketReader
from sim.wire.units import px_of

NO_FEES = {venue: FeeRates("not said", venue, 0) for venue in ("kalshi", "polymarket")}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def kalshi_reader(tickers, close_ns=0):
    return KalshiReader(
        [Listing("kalshi", Market(name, name, 0, close_ns), CENT_TICKS, NO_FEES["kalshi"]) for name in tickers]
    )


def frame_of(kind, line):
    """A frame as it was, of a recorder that kept number and message."""
    numbers = {} if line["seq"] is None else {"seq": line["seq"]}
    return json.dumps({"type": kind, "sid": 1} | numbers | {"msg": line["msg"]}).encode()


# Kalshi --------------------------------------------------------------------------------------------------------------


def test_a_capture_of_kalshi_has_no_gap_if_control_frames_count(venue_samples):
    captured = lines(venue_samples / "kalshi" / "ws_orderbook_capture_prod_20260807.jsonl")
    frames = [json.dumps(line["frame"]).encode() for line in captured]
    tickers = sorted({line["frame"]["msg"].get("market_ticker", "") for line in captured} - {""})
    reader, lost = kalshi_reader(tickers), 0
    for line, frame in zip(captured, frames, strict=True):
        lost += len(reader.take(frame, line["received_ms"] * 10**6).lost)
    assert reader.counts == {"subscribed": 1, "orderbook_snapshot": 12, "ok": 11, "orderbook_delta": 245}
    assert (lost, len(reader.books)) == (0, 12)
    for book in reader.books:
        assert book.known
        assert not book.crossed
        assert min(qty for side in book.sizes for qty in side.values()) > 0
    without = kalshi_reader(tickers)
    for line, frame in zip(captured, frames, strict=True):
        if line["frame"]["type"] != "ok":
            without.take(frame, line["received_ms"] * 10**6)
    assert without.counts["gaps"] > 0


def test_may_snapshots_and_the_empty_ones_after_the_close(venue_samples):
    captured = lines(venue_samples / "kalshi" / "ws_orderbook_snapshot_msgs_prod_20260511.jsonl")
    for first, last in zip(captured[::2], captured[1::2], strict=True):
        ticker = first["msg"]["market_ticker"]
        close_ns = int(np.datetime64(last["local_recv_ts"][:19], "ns").astype(np.int64)) - 6 * SECOND_NS
        reader = kalshi_reader([ticker], close_ns)
        reader.take(frame_of("orderbook_snapshot", first), close_ns - 600 * SECOND_NS)
        assert len(reader.books[0].sizes[0]) > 50 < len(reader.books[0].sizes[1])
        assert not reader.books[0].crossed
        again = kalshi_reader([ticker], close_ns)  # in the capture the frames between are missing
        taken = again.take(frame_of("orderbook_snapshot", last), close_ns + 6 * SECOND_NS)
        assert [(KIND_NAMES[row[7]], row[2], row[5] & INFERRED) for row in taken.rows] == [
            ("CLEAR", 0, 0),
            ("STATUS", CLOSED, INFERRED),
        ]


def test_may_changes_and_tickers(venue_samples):
    """The book they change is not in the sample: one that holds enough everywhere stands in for it."""
    captured = lines(venue_samples / "kalshi" / "ws_orderbook_delta_msgs_prod_20260511.jsonl")
    ticker = captured[0]["msg"]["market_ticker"]
    reader = kalshi_reader([ticker])
    low = [[f"0.{px:03d}0", "1000000.00"] for px in range(1, 500)]
    whole = {"market_ticker": ticker, "yes_dollars_fp": low, "no_dollars_fp": low}
    reader.take(frame_of("orderbook_snapshot", {"seq": captured[0]["seq"] - 1, "msg": whole}), 1)
    changes = 0
    for line in captured:
        if line["msg"]["market_ticker"] != ticker or px_of(line["msg"]["price_dollars"]) >= 5000:
            line["msg"] |= {"market_ticker": "other"}
        rows = reader.take(frame_of("orderbook_delta", line), 1).rows
        changes += len(rows)
        for row in rows:
            assert row[7] == DELTA
            assert 0 < row[1] // 10**6 - line["msg"]["ts_ms"] + 1 < 2
    assert changes > 50
    assert reader.counts["gaps"] == reader.counts["malformed"] == reader.counts["unreadable"] == 0
    tickers = lines(venue_samples / "kalshi" / "ws_ticker_msgs_prod_20260511.jsonl")
    reader = kalshi_reader(sorted({line["msg"]["market_ticker"] for line in tickers}))
    rows = [row for line in tickers for row in reader.take(frame_of("ticker", line), 1).rows]
    assert [row[7] for row in rows] == [QUOTE] * 50
    assert reader.counts == {"ticker": 25}
    for bid, ask in zip(rows[::2], rows[1::2], strict=True):
        assert 0 <= bid[3] < ask[3] <= PX_ONE
        assert bid[2] >= 0 <= ask[2]


def test_frames_quoted_from_live_sockets_and_the_documents_examples_are_read(venue_samples):
    quoted = (venue_samples / "kalshi" / "ws_frames_quoted_in_tests_2026.jsonl").read_bytes().splitlines()
    markets = [json.loads(frame)["msg"]["market_ticker"] for frame in quoted]
    reader = kalshi_reader(sorted(set(markets)))
    kinds = [[row[7] for row in reader.take(frame, 1).rows] for frame in quoted]
    assert [kind[0] for kind in kinds[:2]] == [TRADE, TRADE]
    assert reader.counts["malformed"] == reader.counts["unreadable"] == 0
    examples = json.loads((venue_samples / "kalshi" / "docs_ws_examples.json").read_text())
    found: Counter[str] = Counter()
    for payload in (example["payload"] for group in examples.values() for example in group):
        if isinstance(payload, dict) and "type" in payload:
            named = payload["msg"].get("market_ticker") if isinstance(payload.get("msg"), dict) else None
            reader = kalshi_reader([named or "none"])
            reader.take(json.dumps(payload).encode(), 1)
            found.update(reader.counts)
    assert not {"malformed", "unreadable"} & set(found)
    kinds = {"orderbook_snapshot", "untrusted", "trade", "ticker", "market_lifecycle_v2", "fill", "ok", "error"}
    assert kinds <= set(found)


# Polymarket ----------------------------------------------------------------------------------------------------------


def test_the_documents_examples_of_polymarket_are_read(venue_samples):
    examples = json.loads((venue_samples / "polymarket" / "docs_ws_market_examples.json").read_text())
    for message in examples:
        if "event_type" not in message:
            continue
        tokens = {message.get("asset_id"), *message.get("assets_ids", ())} | {
            change["asset_id"] for change in message.get("price_changes", ())
        }
        pair = tuple(sorted(token for token in tokens if token))[:2]
        market = Market(message["market"], "")
        reader = PolymarketReader(
            [Listing("polymarket", market, CENT_TICKS, NO_FEES["polymarket"], tokens=(*pair, "")[:2])]
        )
        reader.take(json.dumps(message).encode(), 1)
        assert reader.counts["malformed"] == reader.counts["unreadable"] == 0, message["event_type"]


def test_the_capture_of_polymarket_agrees_with_its_own_quotes(recordings):
    folder = recordings / "poly_ws_raw_btc5m"
    total = Report()
    for _, tape in convert(folder).tapes:
        total = total.plus(validate(tape))
    assert (total.errors, total.agree, total.quotes) == ([], 10_504, 10_508)


def test_live_the_same_capture_is_never_distrusted(recordings):
    """The reader as it runs live, with distrust: the venue's hiccups are short."""
    import gzip

    folder = recordings / "poly_ws_raw_btc5m"
    known = json.loads((folder / "markets.json").read_text()).values()
    listings = []
    with gzip.open(next(folder.glob("*.jsonl.gz")), "rt") as file:
        captured = [json.loads(line) for line in file]
    tokens: dict[str, set[str]] = {}
    for line in captured:
        for one in line["payload"] if isinstance(line["payload"], list) else [line["payload"]]:
            named = {change["asset_id"] for change in one.get("price_changes", ())} | {one.get("asset_id", "")}
            tokens.setdefault(one["market"], set()).update(named - {""})
    for market in known:
        condition, up = market["conditionId"], market["upTokenId"]
        if condition in tokens:
            other = next(iter(tokens[condition] - {up}))
            listing = Listing(
                "polymarket", Market(condition, ""), CENT_TICKS, NO_FEES["polymarket"], tokens=(up, other)
            )
            listings.append(listing)
    assert len(listings) == len(tokens) == 2
    reader = PolymarketReader(listings)
    for line in captured:
        reader.take(msgspec.json.encode(line["payload"]), int(line["capturedAt"]) * SECOND_NS)
    counts = reader.counts
    assert counts["distrusted"] == counts["malformed"] == counts["unreadable"] == counts["untrusted"] == 0
    assert counts["price_change"] == 5185
    assert counts["quotes_agree"] / (counts["quotes_agree"] + counts["quotes_differ"]) > 0.999


# Tapes of Kalshi, told and read again --------------------------------------------------------------------------------


def told_again(tape):
    """The tape as its frames are read; the schedule of its one market is known."""
    listing = Listing("kalshi", tape.header.markets[0], tape.header.tick_tables[0], tape.header.fee_schedules[0])
    writer, reader = KalshiWriter([listing]), KalshiReader([listing])
    rows = [row for local_ns, frame in frames_of(writer, tape.events) for row in reader.take(frame, local_ns).rows]
    assert reader.counts["malformed"] == reader.counts["unreadable"] == reader.counts["repeated"] == 0
    return seal(np.array(rows, tape.events.dtype), reader.rules[0].header([Source("told", "", "", "")])), writer


def check_tape(tape):
    """Asserts that what comes back is the tape; returns both reports."""
    back, writer = told_again(tape)
    before, after = validate(tape), validate(back)
    assert set(writer.unsaid) <= {"REFERENCE"}
    assert after.errors == []
    for kind in (DELTA, TRADE, QUOTE, SETTLE, STATUS):
        for name in ("local_ns", "qty", "px", "side"):
            ours, theirs = (one.events[name][one.events["kind"] == kind] for one in (tape, back))
            np.testing.assert_array_equal(ours, theirs)
    return before, after


def test_real_tapes_of_kalshi_told_and_read_again(recordings):
    total, again = Report(), Report()
    for _, tape in islice(convert(recordings / "kalshi_kxbtc15m_l2").tapes, 4):
        before, after = check_tape(tape)
        total, again = total.plus(before), again.plus(after)
    assert total.quotes > 500
    assert (again.agree, again.quotes, again.gaps) == (total.agree, total.quotes, total.gaps)
    assert again.agree == again.quotes


if __name__ == "__main__":
    both = [Report(), Report()]
    for _name, _tape in convert(Path(sys.argv[1])).tapes:
        both = [total.plus(one) for total, one in zip(both, check_tape(_tape), strict=True)]
    for word, total in zip(("tapes", "told and read again"), both, strict=True):
        print(f"{word}: {total.agree} of {total.quotes} quotes agree, {total.events} events, {total.gaps} gaps")
