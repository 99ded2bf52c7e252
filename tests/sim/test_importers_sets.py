"""The installed sample, and the real recordings where they are at hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from importing import END, INTERPRETED, MICRO, MS, all_tapes, seen, validated

from sim.importers import FORMATS, convert
from sim.tape import TapeError, read
from sim.tape_cli import main
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DELTA,
    END_OF_BATCH,
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
from sim.validate import validate

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
