"""Broken frames through the readers of both venues, fewer of them."""

from __future__ import annotations

import random

import pytest

from benchmarks.frames import MUTATIONS, Venue, measure, plain_us, play
from sim.wire.kalshi import KalshiReader


@pytest.mark.compiled
@pytest.mark.parametrize("venue", ["kalshi", "polymarket"])
def test_ten_thousand_frames_of_each_venue(venue):
    found = measure(venue, 10_000, seed=1)
    assert found["frames"] == 10_000
    reached = {"malformed", "unknown", "unreadable", "untrusted", "other_market"} | {
        "kalshi": {"repeated", "gaps", "orderbook_delta", "orderbook_snapshot", "trade", "ticker"},
        "polymarket": {"pong", "empty", "book", "price_change", "last_trade_price", "quotes_agree"},
    }[venue]
    assert reached <= set(found["counts"])  # every way out of a reader was taken
    assert found == measure(venue, 10_000, seed=1)


def test_the_checks_bite(monkeypatch):
    """A reader that counts a frame twice, and one that raises."""

    class Twice(KalshiReader):
        def take(self, frame, local_ns):
            self.counts["malformed"] += 1
            return super().take(frame, local_ns)

    class Raises(KalshiReader):
        def take(self, frame, local_ns):
            frame.decode() if isinstance(frame, bytes) else frame.encode()
            return super().take(frame, local_ns)

    for broken, error in ((Twice, AssertionError), (Raises, UnicodeError)):
        with monkeypatch.context() as patch:
            patch.setattr("benchmarks.frames.KalshiReader", broken)
            with pytest.raises(error):
                measure("kalshi", 3000, seed=0)


def test_mutations_change_frames():
    dice = random.Random(0)
    frame, other = (b'{"type":"trade","sid":1,"seq":2,"msg":{"market_ticker":"A","x":"%d"}}' % x for x in (1, 2))
    for mutate in MUTATIONS:
        assert any(mutate(dice, frame, other) != frame for _ in range(50)), mutate


def test_a_plain_change_is_timed():
    assert 0 < plain_us("kalshi", 200) < 1000
    assert Venue("polymarket").connect()
    assert play("kalshi", KalshiReader([]), random.Random(0), 0) == (0, 0)
