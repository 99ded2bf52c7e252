"""The simulated side: synthetic series, tapes at another time and speed, and the command line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from live.fake.__main__ import main
from live.fake.market import SETTLES_AFTER_NS, Synthetic, from_tapes, kalshi_fee, synthetic
from sim import tape
from sim.tape import FeeRates, Header
from sim.types import CLEAR, CLOSED, EVENT, FEES, SECOND_NS, SETTLE, STATUS
from sim.wire.kalshi_writer import KalshiWriter
from sim.wire.polymarket_writer import PolymarketWriter
from tests.live.fake_help import T0, kalshi_markets, walk

HALF = FeeRates("quadratic x 0.5", "kalshi", 35_000)


def write_tape(path: Path, seed: int) -> list[tuple]:
    """A market's tape whose fees change to half before its end."""
    rows = walk(seed, 50, 1)
    rows.insert(-2, (rows[-3][0], rows[-3][0], 1, 0, -1, 1, 0, FEES, -1))
    market = kalshi_markets([], 1).listings[0]
    header = Header("kalshi", (market.market,), (market.ticks,), (market.fees, HALF), ())
    tape.write(path, tape.seal(np.array(rows, EVENT), header))
    return rows


def test_tapes_at_their_own_stamps_and_shifted_at_another_speed(tmp_path: Path) -> None:
    rows = write_tape(tmp_path / "a.parquet", 1)
    kept = from_tapes([tmp_path / "a.parquet"])
    assert list(kept.due(2**62)) == rows and kept.next_ns is None
    write_tape(tmp_path / "b.parquet", 2)
    both = from_tapes([tmp_path / "b.parquet", tmp_path / "a.parquet"], start_ns=1_000, speed=2.0)
    assert [one.market.id for one in both.listings] == ["KXT-E0-M0"] * 2 and both.next_ns == 1_000
    told = list(both.due(2**62))
    mine = [row for row in told if row[6] == 1]
    assert [row[0] for row in mine] == [1_000 + (row[0] - T0) // 2 for row in rows]
    assert all(one[0] <= other[0] for one, other in pairwise(told))
    assert {row[2] for row in told if row[7] == FEES} == {both.schedules.index(HALF)}
    assert kalshi_fee(HALF) == ("quadratic", 0.5)


def test_tapes_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    write_tape(tmp_path / "a.parquet", 1)
    for wrong in ({"venue": "polymarket"}, {"speed": 2.0}, {"start_ns": 0, "speed": 0.0}):
        with pytest.raises(ValueError, match="expected"):
            from_tapes([tmp_path / "a.parquet"], **wrong)  # type: ignore[arg-type]
    assert main(["kalshi", "--tape", str(tmp_path / "none")]) == 2
    assert main(["polymarket", "--tape", str(tmp_path / "a.parquet")]) == 2
    assert main(["kalshi", "--markets", "0"]) == 2


@pytest.mark.compiled
@pytest.mark.parametrize("venue", ["kalshi", "polymarket"])
def test_synthetic_series_follow_each_other_and_can_be_told(venue) -> None:
    spec = Synthetic(series=3, rounds=2, life_s=20.0, pause_s=10.0, speed=2.0)
    markets = synthetic(venue, T0, 4, spec)
    assert len(markets.listings) == 6 and len({one.market.id for one in markets.listings}) == 6
    assert len(markets.tables) > 1 and len(markets.schedules) > 1
    rows = list(markets.due(2**62))
    assert rows == list(synthetic(venue, T0, 4, spec).due(2**62))
    assert rows != list(synthetic(venue, T0, 5, spec).due(2**62))
    assert all(one[0] <= other[0] for one, other in pairwise(rows))
    for index, listing in enumerate(markets.listings):
        mine = [row for row in rows if row[6] == index]
        assert (mine[0][7], mine[0][0]) == (CLEAR, listing.market.open_ns)
        closed = next(row for row in mine if row[7] == STATUS and row[2] == CLOSED)
        assert closed[0] == listing.market.close_ns == listing.market.open_ns + 10 * SECOND_NS
        assert (mine[-1][7], mine[-1][0]) == (SETTLE, closed[0] + SETTLES_AFTER_NS // 2)
    writer = (KalshiWriter if venue == "kalshi" else PolymarketWriter)(markets.listings, markets.tables)
    assert any(writer.say(row) for row in rows if row[7] != STATUS)
