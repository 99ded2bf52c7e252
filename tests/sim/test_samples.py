"""Samples are of one size, of whole markets, and their distance is what differs between days or by chance."""

from __future__ import annotations

from itertools import chain
from statistics import NormalDist

import numpy as np
import pytest
from streams import row, stream

from sim.scenarios import samples
from sim.scenarios.distance import Yardstick
from sim.scenarios.recordings import Piece, Recording
from sim.scenarios.samples import Sampler, Unit, amount, draw, markets_of_pieces, units_of
from sim.scenarios.splits import SETS, MarketSet, Source
from sim.scenarios.trace import FULL, Feed, trace
from sim.types import ASK, BID, LEVEL, TRADE

BOOK = Feed(frozenset({"spread", "messages", "depth"}), levels=5)


def quoted(seconds, spread=1):
    """A book that stands for so long: bid 40 cents, ask some cents above, one change a second."""
    rows = [row(0, LEVEL, BID, 4000, 1, end=False), row(0, LEVEL, ASK, 4000 + 100 * spread, 1)]
    rows += [row(second, LEVEL, BID, 4000, 1 + second % 2) for second in range(1, seconds + 1)]
    return trace(stream(*rows), BOOK)


def piece(part, one, use="report", market=""):
    return Piece(f"{part}-{id(one)}", 0, part, use, one, market)


@pytest.fixture
def days(monkeypatch):
    """A recording of pieces, under a set of one source."""
    monkeypatch.setitem(SETS, "days", MarketSet("days", (Source("none", BOOK, ()),)))
    return lambda *pieces: Recording("days", tuple(pieces))


def test_how_much_a_trace_is():
    assert amount(quoted(90), FULL) == pytest.approx(90.0)
    prints = trace(stream(row(5, TRADE, BID, 4000, 1), row(65, TRADE, ASK, 4000, 1)))
    assert amount(prints, FULL) == pytest.approx(60.0)  # no book: from the first print to the last
    assert amount(quoted(90), FULL._replace(views=True)) == len(quoted(90).depth_ns)


def test_long_markets_are_cut_in_time_and_short_ones_are_not():
    units = units_of([[quoted(160), quoted(160)], [quoted(9)]], FULL, 16 * 20.0)
    # 320 s of one market's two sides in units of 20 s: sixteen stretches of both sides together
    assert [len(unit.traces) for unit in units] == [2] * 16 + [1]
    assert [unit.amount for unit in units] == pytest.approx([20.0] * 16 + [9.0], rel=0.01)
    assert all(unit.traces[0].end_ns == unit.traces[1].end_ns for unit in units[:-1])


def test_a_draw_is_of_the_size_asked_for_and_shares_nothing():
    units = [Unit(10.0, (number,)) for number in range(20)]
    one, other = draw(units, 62.0, np.random.default_rng(3), times=2)
    assert len(one) == len(other) == 6  # 60 is nearer to 62 than 70
    assert len(set(one) | set(other)) == 12
    assert sorted(draw(units, 1e9, np.random.default_rng(3))[0]) == list(range(20))


def test_the_yardstick_is_the_distance_between_days(days):
    """Two days of constant spreads of 1 and 2 cents: |log 2| for every quantile, and no noise within a day."""
    recording = days(piece("one", quoted(400, 1), "fit"), piece("two", quoted(400, 2)))
    found = Sampler(recording).yardsticks(draws=4)["spread/40-50"]
    assert found.distance == pytest.approx(np.log(2.0)) and found.pairs == 4 and found.noise == 0.0


def test_the_yardstick_is_not_less_than_chance(days):
    """Two days of the same two markets, one of 1 and one of 2 cents: what half a day shows is a matter of chance."""
    recording = days(*(piece(part, quoted(70, spread)) for part in ("one", "two") for spread in (1, 2) * 2))
    sampler = Sampler(recording)
    assert sampler.wanted == {0: pytest.approx(280.0)}
    found = sampler.yardsticks(draws=12)["spread/40-50"]
    assert found.noise > 0.0
    assert found.distance == found.noise  # whole days have the very same quantiles: their distance is 0


def test_samples_are_as_large_as_the_smallest_part_or_the_sessions(days):
    recording = days(piece("one", quoted(300), "fit"), piece("two", quoted(500)))
    assert Sampler(recording).wanted == {0: pytest.approx(300.0)}
    sampler = Sampler(recording, 100.0)
    assert sampler.wanted == {0: 100.0}
    rng = np.random.default_rng(1)
    assert sampler.recorded("report", rng)["spread/40-50"].amount == pytest.approx(100.0, abs=20.0)
    sessions = [quoted(50, 3) for _ in range(6)]
    found = sampler.synthetic({0: sessions}, rng)["spread/40-50"]
    assert found.amount == pytest.approx(100.0) and found.values == (3.0,) * 4


def test_only_parts_of_the_use_are_drawn(days):
    recording = days(piece("one", quoted(200, 1), "fit"), piece("two", quoted(200, 2)))
    rng = np.random.default_rng(0)
    assert Sampler(recording).recorded("fit", rng)["spread/40-50"].values == (1.0,) * 4
    assert Sampler(recording).recorded("report", rng)["spread/40-50"].values == (2.0,) * 4


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_noise_is_what_chance_does_to_samples_of_the_whole_size(days, monkeypatch, shift):
    """Markets are numbers, their fact is the mean, two days hold the same 512 normal ones but for a shift.

    Two means of 16 without putting back differ by a normal of deviation s root(2 / 16), so by s root(2 / 16 x 2 / pi)
    in the mean, which over the root of 2 is s / root(8 pi) = 0.1995 s: what two means of 32 do. Without that root it
    were 0.28 s, with halves as large as samples 0.14 s. 1,000 draws are right within 2.4 %.
    """
    monkeypatch.setattr(samples, "amount", lambda one, feed: 1.0)
    monkeypatch.setattr(samples, "facts_of_traces", lambda name, traces, views: {"mean": np.mean(traces[0])})
    monkeypatch.setattr(samples, "distance", lambda one, other: abs(one - other))
    normal = np.array([NormalDist().inv_cdf((number + 0.5) / 512) for number in range(512)])
    pieces = [
        Piece(f"{part} {number}", 0, part, "report", value)
        for part, values in (("one", normal), ("two", normal + shift))
        for number, value in enumerate(values)
    ]
    found = Sampler(days(*pieces), 32.0).yardsticks(draws=1000)["mean"]
    assert found.noise == pytest.approx(np.std(normal, ddof=1) / np.sqrt(8.0 * np.pi), rel=0.08)
    if shift:
        assert found.distance == pytest.approx(shift, abs=0.03)  # the median's error is 0.25 x 1.25 / root(1000)
    else:
        assert found.distance == found.noise  # the median of such distances is 0.85 of their mean: chance is the floor


def test_sides_of_a_game_belong_together():
    pieces = [piece("p", quoted(5), market=name) for name in ("a", "b", "a", "")]
    assert [len(market) for market in markets_of_pieces(pieces)] == [2, 1, 1]


def test_one_part_is_not_enough(days):
    with pytest.raises(ValueError, match="days, none: 1 parts; expected two or more"):
        Sampler(days(piece("one", quoted(10))))


def test_a_fact_that_no_draw_can_say_has_no_yardstick(days):
    recording = days(piece("one", quoted(400)), piece("two", quoted(400)))
    assert "depth/0-5" not in Sampler(recording).yardsticks(draws=2)


@pytest.mark.parametrize(("known", "found"), [(6, {"fact": Yardstick(1.5, 6, 0.0)}), (5, {})])
def test_a_quarter_of_the_draws_must_say_a_fact(days, monkeypatch, known, found):
    """Of 24 draws of two days 6 say it, or 5; no draw of two halves does. The median of 1 and 2 by turns is 1.5."""
    between = [1.0, 2.0, 1.0, 2.0, 1.0, 2.0][:known] + [float("nan")] * (24 - known)
    drawn = chain.from_iterable((one, float("nan")) for one in between)  # of two days and of two halves by turns
    monkeypatch.setattr(samples, "_distances", lambda one, other: {"fact": next(drawn)})
    sampler = Sampler(days(piece("one", quoted(40)), piece("two", quoted(40))))
    assert sampler.yardsticks(draws=24) == found
