"""Splits, sources, markouts, the table and the command line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from fill_oracle import opening, tape_of

from sim.fillfit.__main__ import main
from sim.fillfit.hypothetical import make_rules
from sim.fillfit.markouts import markouts, real_maker, summarise
from sim.fillfit.prints import Tickers, split_share, split_volume, split_whole, touch_drops, with_prints
from sim.fillfit.sources import Recording, load, ticker_rows, timed_rows
from sim.fillfit.splits import compare
from sim.fillfit.table import entries, fill_fields, row_fields
from sim.fillmodel import COIN_TERMS
from sim.scenarios.row import default_rows, make_rows
from sim.types import ASK, BID, DELTA, INFERRED, LEVEL, MICRO_PER_LOT, SECOND_NS, TRADE

LOT = MICRO_PER_LOT


def silent_tape():
    """Drops of 40 and 60 at the bid's touch, of 20 behind it, of 30 at the next touch, of 100 at the ask's."""
    return tape_of([
        *opening(), (100, DELTA, BID, 5000, -40), (200, DELTA, BID, 4900, -20), (1100, DELTA, BID, 5000, -60),
        (1200, DELTA, BID, 4900, -30), (2500, LEVEL, ASK, 5200, 0), (2600, LEVEL, ASK, 5300, 80),
    ])  # fmt: skip


def test_touch_drops_are_at_the_best_price_only():
    assert (touch_drops(silent_tape().events) // LOT).tolist() == [0, 0, 0, 0, 0, 40, 0, 60, 30, 100, 0]


def test_splits_by_hand():
    tape = silent_tape()
    drops = touch_drops(tape.events)
    assert (split_share(drops, 0.455) // LOT).tolist() == [0, 0, 0, 0, 0, 18, 0, 27, 13, 45, 0]
    # owed 16 of 40: cancel; 16 + 24 = 40 of 60: trade, 20 too many; -20 + 12 of 30: cancel; -8 + 40 of 100: cancel
    assert (split_whole(drops, 0.4) // LOT).tolist() == [0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0]
    # 500 lots until 1.05 s, 90 more until 2.05 s, of which the last was 30 at 49, 50 more until 3.05 s
    tickers = Tickers(*(np.array(v) for v in ([1050, 2050, 3050], [500, 590, 640], [5000, 4900, 5200], [9, 30, 50])))
    # in the second interval 30 are named and 60 are owed to the drop of 60; in the third 50 of 100: just half
    assert (split_volume(tape.events, drops, tickers) // LOT).tolist() == [0, 0, 0, 0, 0, 0, 0, 60, 30, 100, 0]
    less = tickers._replace(volume=np.array([500, 590, 639]))
    assert (split_volume(tape.events, drops, less) // LOT).tolist() == [0, 0, 0, 0, 0, 0, 0, 60, 30, 0, 0]
    with pytest.raises(ValueError, match="trade_share must lie in"):
        split_share(drops, 1.5)


def test_prints_come_right_before_their_drops():
    tape = silent_tape()
    traded = np.where(touch_drops(tape.events) >= 60 * LOT, 60 * LOT, 0)
    printed = with_prints(tape, traded, "note")
    rows = np.flatnonzero(printed.events["kind"] == TRADE)
    assert rows.tolist() == [7, 10]
    assert printed.events[rows]["side"].tolist() == [ASK, BID]  # the takers
    assert printed.events[rows]["px"].tolist() == [5000, 5200]
    assert set(printed.events[rows]["flags"]) == {INFERRED}
    assert printed.events[[8, 11]]["px"].tolist() == [5000, 5200]
    assert printed.header.notes[-1] == "note" and printed.header.events == 13
    with pytest.raises(ValueError, match="trades of its own"):
        with_prints(printed, np.zeros(13, np.int64), "again")
    with pytest.raises(ValueError, match="one traded size for each of 11 rows"):
        with_prints(tape, traded[:3], "short")


def test_moments():
    rows = [*opening(), *((ms, LEVEL, ASK, 5400, ms) for ms in range(1000, 60_000, 1000))]
    events = tape_of(rows).events
    # a warm-up of 30 s, then every 5 s: 30, 35 ... 55 s; row 4 is at 0 s
    assert timed_rows(events, 5.0).tolist() == [34, 39, 44, 49, 54, 59]
    # tickers each 7.5 s; the last row stamped up to the chosen one's stamp
    ts_ms = np.arange(0, 60_000, 7500)
    assert ticker_rows(events, ts_ms, 10.0).tolist() == [34, 49]


def test_made_up_prints_are_compared_with_true_ones():
    # the only trade is told by the drop that follows it: under the volume split all orders fare as they did
    steps = [(ms, LEVEL, ASK, 5400, ms) for ms in range(100, 31_000, 100)]
    trade = [(31_500, TRADE, ASK, 5000, 60), (31_500, DELTA, BID, 5000, -60), (32_000, LEVEL, ASK, 5400, 1)]
    more = [(ms, LEVEL, ASK, 5400, ms) for ms in range(32_100, 50_000, 100)]
    tape = tape_of([*opening(), *steps, *trade, *more])
    recording = Recording("m", "d", "m", tape, timed_rows(tape.events, 2.0))
    found = compare([recording], make_rules((1,), (5.0,)))
    assert found["true"]["agree"] == 1.0 and found["volume"]["agree"] == 1.0
    assert found["true"]["reached"] == found["volume"]["reached"]
    assert found["true"]["reached"][-1] > 0.0  # the print went through the order inside
    with pytest.raises(ValueError, match="no recording has trades"):
        compare([Recording("m", "d", "m", silent_tape(), np.zeros(0, np.int64))], make_rules((1,), (5.0,)))


def test_markouts_by_hand():
    # mid 50 cents from 0 s, 52 from 2 s, 49 from 6 s. A bid filled at 49.5 at 1 s, an ask at 52 at 3 s
    path_ns = np.array([0, 2, 6]) * SECOND_NS
    mid2 = np.array([10_000, 10_400, 9_800])
    got = markouts(np.array([1, 3]) * SECOND_NS, [BID, ASK], [4950, 5200], path_ns, mid2, (1, 4, 6), 8 * SECOND_NS)
    # bid: 52 - 49.5 at 2 s and still at 5 s, 49 - 49.5 at 7 s. Ask: 52 - 52 at 4 s, 52 - 49 at 7 s, not known at 9 s
    assert got[0].tolist() == pytest.approx([2.5, 2.5, -0.5])
    assert got[1, :2].tolist() == pytest.approx([0.0, 3.0]) and np.isnan(got[1, 2])
    with pytest.raises(ValueError, match="ascending stamps"):
        markouts([1], [BID], [5000], [2, 1], [10_000, 10_000])
    with pytest.raises(ValueError, match="a side is 0"):
        markouts([1], [7], [5000], path_ns, mid2)


def test_markout_intervals_count_clusters():
    # clusters of means 1 and 3: mean 2, sums of deviations -2 and +2; se = sqrt(2 / 1 x 8) / 4 = 1
    values = np.array([[0.5], [1.5], [2.5], [3.5]])
    (one,) = summarise(values, np.array(["a", "a", "b", "b"]), (1,))
    assert (one.mean, one.fills, one.clusters) == (2.0, 4, 2)
    assert one.high - one.mean == pytest.approx(1.959963984540054)
    (alone,) = summarise(values, np.array(["a"] * 4), (1,))
    assert np.isnan(alone.low)


def test_a_makers_file_is_split_by_day(tmp_path, capsys):
    names = [f"markout_{s}s" for s in (1, 5, 30, 60)]
    stamps = pd.to_datetime(["2026-05-18T10:00Z", "2026-05-18T11:00Z", "2026-05-19T00:00Z", "2026-05-20T00:00Z"])
    frame = pd.DataFrame({"ts": stamps, "ticker": list("abca"), **{n: [1.0, 2.0, 5.0, np.nan] for n in names}})
    frame.to_parquet(tmp_path / "fills.parquet")
    parts = real_maker(tmp_path / "fills.parquet")
    assert [parts[name][0].mean for name in ("all", "early", "late")] == pytest.approx([8 / 3, 1.5, 5.0])
    with pytest.raises(ValueError, match="one side of 2027-01-01"):
        real_maker(tmp_path / "fills.parquet", "2027-01-01")
    assert main([str(tmp_path / "fills.parquet"), "--out", str(tmp_path / "out"), "--split-day", "2027-01-01"]) == 2
    assert "choose another day" in capsys.readouterr().err


def test_the_shipped_table():
    known = {(entry["set"], entry["label"]) for entry in entries()}
    sets = ("kalshi_btc15m", "kalshi_btc15m_share", "kalshi_nba", "polymarket_mlb")
    assert known == {(name, label) for name in sets for label in ("first", "full", "coin")}
    for name in sets:
        fields = fill_fields(name)
        assert list(fields) == [
            "fill_life_s",
            "fill_memory",
            "fill_move_memory",
            "fill_base",
            *(f"fill_{term}" for term in COIN_TERMS),
        ]
        assert all(field.low <= field.default <= field.high for field in fields.values())
        assert row_fields(name) == {key: field.default for key, field in fields.items()}
        assert {key: make_rows(1, fill_set=name)[key][0] for key in fields} == row_fields(name)
    assert {key: default_rows()[key][0] for key in row_fields("kalshi_btc15m")} == row_fields("kalshi_btc15m")
    with pytest.raises(
        ValueError, match="no fitted fill model 'luck'; the sets are kalshi_btc15m, kalshi_btc15m_share"
    ):
        make_rows(1, fill_set="luck")


def test_refuses_other_tables(tmp_path):
    (tmp_path / "t.json").write_text('{"schema_version": 9, "models": []}')
    with pytest.raises(ValueError, match="table version 9"):
        entries(tmp_path / "t.json")
    (tmp_path / "t.json").write_text("[]")
    with pytest.raises(ValueError, match="not a table"):
        entries(tmp_path / "t.json")


@pytest.mark.compiled
def test_real_recordings_end_to_end(recordings, tmp_path, capsys):
    source = recordings / "kalshi_nba_live_20260108"
    assert main([str(source), "--out", str(tmp_path), "--every", "4"]) == 0
    report = json.loads((tmp_path / "kalshi_nba.json").read_text())
    assert report["judged_on"] == ["LAC-NYK"] and "LAC-NYK" not in report["fitted_on"]
    for part in report["labels"].values():
        assert part["wrong_signs"] == []
        assert 0.0 < part["unseen"]["base_rate"] < 1.0
    assert (tmp_path / "kalshi_nba.png").stat().st_size > 10_000
    assert {entry["label"] for entry in entries(tmp_path / "table.json")} == {"first", "full", "coin"}
    assert main([str(source), "--out", str(tmp_path), "--unseen", "XYZ"]) == 2
    assert "its days are BOS-DEN, CHA-TOR, LAC-NYK" in capsys.readouterr().err


@pytest.mark.compiled
def test_volume_is_shared_out_on_the_real_set(recordings):
    name, _, found = load(recordings / "kalshi_kxbtc15m_l2", split="volume")
    assert name == "kalshi_btc15m"
    part = next(found)
    events = part.tape.events
    prints = events["kind"] == TRADE
    # every print is followed by a drop of its own price that it fits into
    after = events[np.flatnonzero(prints) + 1]
    assert (after["px"] == events[prints]["px"]).all() and (after["side"] != events[prints]["side"]).all()
    assert (part.day, part.cluster) == ("26MAY13", "KXBTC15M-26MAY130915-15")
    assert (np.diff(part.rows) > 0).all()


@pytest.mark.compiled
def test_a_real_makers_markouts(recordings):
    parts = real_maker(recordings / "kalshi_real_fills_markouts.parquet")
    # the recording's own description: -0.79 +- .17, -0.73 +- .22, -0.22 +- .38, +0.16 +- .57 cents
    got = [(round(m.mean, 2), round(m.high - m.mean, 2)) for m in parts["all"]]
    assert got == [(-0.79, 0.17), (-0.73, 0.22), (-0.22, 0.38), (0.16, 0.57)]
    assert [early.fills + late.fills for early, late in zip(parts["early"], parts["late"], strict=True)] == [
        m.fills for m in parts["all"]
    ]
