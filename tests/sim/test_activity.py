"""Fading sums and means of a market's events, against sums of 2^(-age / half-life) written out."""

import numpy as np
import pytest

from sim.activity import (
    BUCKET_BITS,
    FAST,
    HALF_BUCKETS,
    LONG,
    MIDDLE,
    SLOW,
    anchor_px,
    fade_until,
    forget,
    on_change_seen,
    on_own_trade,
    on_print_seen,
    print_rate,
)
from sim.kernel import kernel
from sim.state import MARKET
from sim.types import ASK, BID

BUCKET = 1 << BUCKET_BITS
CENTS = np.arange(100, 10_000, 100)
LIVES = {FAST: 4, MIDDLE: 16, SLOW: 64, LONG: 512}


@kernel
def prints(markets, px_of, side, px, qty, now):
    on_print_seen(markets[0], px_of, side, px, qty, now)


@kernel
def changes(markets, px_of, side, change, now):
    on_change_seen(markets[0], px_of, side, change, now)


@kernel
def fade(markets, px_of, now):
    fade_until(markets[0], px_of, now)


@kernel
def rate(markets, now):
    return print_rate(markets[0], now)


@kernel
def anchor(px):
    return anchor_px(px)


@kernel
def trade(markets, px_of, now):
    on_own_trade(markets[0], px_of, now)


def market(bid=49, ask=51):
    made = np.zeros(1, MARKET)
    made["best_bid"], made["best_ask"] = bid - 1, ask - 1
    made["mid2_px"] = (bid + ask) * 100
    made["bid_total_qty"], made["ask_total_qty"] = 600, 400
    forget(made["activity"][0])
    return made


def quote(made, bid, ask):
    made["best_bid"], made["best_ask"], made["mid2_px"] = bid - 1, ask - 1, (bid + ask) * 100


def test_sums_fade_by_their_half_lives():
    made = market()
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 200 * BUCKET, 60)) + 10_000 * BUCKET
    sides, sizes = rng.integers(-1, 2, 60), rng.integers(1, 5000, 60)
    for now, side, qty in zip(times, sides, sizes, strict=True):
        prints(made, CENTS, int(side), 5000, int(qty), int(now))
    end = int(times[-1])
    age = (end >> BUCKET_BITS) - (times >> BUCKET_BITS)
    activity = made["activity"][0]
    for life, buckets in LIVES.items():
        weight = 0.5 ** (age / buckets)
        assert activity["bought"][life] == pytest.approx((weight * sizes)[sides == BID].sum())
        assert activity["sold"][life] == pytest.approx((weight * sizes)[sides == ASK].sum())
        unknown = weight[sides < 0].sum()  # half a print of each side
        assert activity["buys"][life] == pytest.approx(weight[sides == BID].sum() + unknown / 2)
        assert activity["sells"][life] == pytest.approx(weight[sides == ASK].sum() + unknown / 2)
    assert activity["volume"] == pytest.approx((0.5 ** (age / 64) * sizes).sum())


def test_the_rate_of_prints():
    """A print in each of 2,000 buckets: 1 / 0.537 a second by the memory of 16 buckets; 16 silent ones later, half."""
    made = market()
    for bucket in range(10_000, 12_000):
        prints(made, CENTS, -1, 5000, 1, bucket * BUCKET)
    found = rate(made, 12_000 * BUCKET - 1)
    # the sum is 1 / (1 - 2^(-1/16)) = 23.59 prints, x log 2 / 16 buckets = 1.0218 a bucket
    assert found == pytest.approx(1.0218 / (BUCKET * 1e-9), rel=1e-4)
    assert rate(made, 12_015 * BUCKET) == pytest.approx(found / 2)
    assert rate(made, 13_199 * BUCKET) == pytest.approx(found / 2**75)  # 1,200 buckets later: 75 half-lives
    assert tuple(LIVES.values()) == HALF_BUCKETS


def test_moves_are_booked_when_they_happened_however_late_one_looks():
    """bid + ask moves by 300 in bucket 10,000 and by -100 in 10,008; at 10,072 their ends are 71 and 63 buckets ago."""
    start = 10_000 * BUCKET
    for looks in ((10_072,), (10_001, 10_009, 10_030, 10_072), (10_003, 10_008, 10_072)):
        made = market(48, 50)
        fade(made, CENTS, start)
        quote(made, 50, 51)
        fade(made, CENTS, 10_008 * BUCKET)
        quote(made, 50, 50)
        for look in looks:
            fade(made, CENTS, look * BUCKET)
        activity = made["activity"][0]
        slow = 300**2 * 0.5 ** (71 / 64) + 100**2 * 0.5 ** (63 / 64)
        assert activity["squares"][0] == pytest.approx(slow)
        assert activity["squares"][1] == pytest.approx(300**2 * 0.5 ** (71 / 512) + 100**2 * 0.5 ** (63 / 512))
        assert activity["rise"] == pytest.approx(300 * 0.5 ** (71 / 16))
        assert activity["fall"] == pytest.approx(100 * 0.5 ** (63 / 16))


def test_the_first_quote_is_no_move():
    made = np.zeros(1, MARKET)
    made["best_bid"], made["best_ask"], made["mid2_px"] = -1, len(CENTS), 10_000
    forget(made["activity"][0])
    fade(made, CENTS, 10_000 * BUCKET)
    quote(made, 20, 21)
    fade(made, CENTS, 10_003 * BUCKET)
    quote(made, 20, 22)
    fade(made, CENTS, 10_004 * BUCKET)
    assert made["activity"]["squares"][0].tolist() == [100**2, 100**2]


def test_looks_in_between_change_nothing():
    """What is remembered does not depend on how often the market is looked at, but for the last bits.

    Looks fall 1 to 60 whole buckets after an event and before the next, so each lets everything fade; trades of ours,
    whose answer is watched for 16 buckets, come between; a tenth of the gaps are longer than the tables (1,024).
    """
    often, seldom = market(), market()
    rng = np.random.default_rng(1)
    now, faded = 10_000 * BUCKET, 0
    for number in range(300):
        side, change, level, wide = (int(rng.integers(*span)) for span in ((0, 2), (-500, 500), (30, 60), (1, 4)))
        looks = now + np.cumsum(rng.integers(1, 21, 3)) * BUCKET
        for made in (often, seldom):
            changes(made, CENTS, side, change, now)
            if number % 5 == 0:
                trade(made, CENTS, now + 1)
            quote(made, level, level + wide)
            made["bid_total_qty"] = 500 + change
        for look in looks:
            before = int(often["activity"]["bucket"][0])
            fade(often, CENTS, int(look))
            faded += int(often["activity"]["bucket"][0]) > before
        now = int(looks[-1]) + int(rng.integers(1, 40) + 1500 * (number % 10 == 4)) * BUCKET
    assert faded == 900  # no look was in the bucket of the event before it
    fade(often, CENTS, now + BUCKET)
    fade(seldom, CENTS, now + BUCKET)
    for name in often["activity"].dtype.names:
        np.testing.assert_allclose(often["activity"][name], seldom["activity"][name], rtol=1e-11, err_msg=name)


def test_means_count_each_bucket_with_what_stood_at_its_end():
    made = market(48, 50)  # spread 2 cents
    start = 10_000 * BUCKET
    fade(made, CENTS, start)  # the first look: means are what stands
    assert made["activity"]["spread"][0] == 200
    assert made["activity"]["depth"][0] == 1000
    quote(made, 44, 50)
    fade(made, CENTS, start + 64 * BUCKET)  # 6 cents for one half-life: halfway from 2 to 6
    assert made["activity"]["spread"][0] == pytest.approx(400)
    # bid + ask was 9800 and is 9400 for four half-lives of 16 buckets: 1/16 of the way is left
    assert made["activity"]["mid2_mean"][0] == pytest.approx(9400 + 400 / 16)
    # the move was over after one bucket, 63 before the look
    assert made["activity"]["fall"][0] == pytest.approx(400 * 0.5 ** (63 / 16))
    assert made["activity"]["rise"][0] == 0
    assert made["activity"]["squares"][0, 0] == pytest.approx(400**2 * 0.5 ** (63 / 64))
    # 49 cents was near 50, and 47 is not
    assert made["activity"]["near_time"][0] == pytest.approx(0.5)


def test_volume_near_an_anchor():
    made = market()
    for px, qty in ((5200, 100), (5201, 1000), (2300, 10), (9000, 5000)):
        prints(made, CENTS, BID, px, qty, 10_000 * BUCKET)
    assert made["activity"]["near_volume"][0] == 110
    assert [anchor(px) for px in (1, 3749, 3750, 6249, 6250, 9999)] == [2500, 2500, 5000, 5000, 7500, 7500]


def test_the_answer_to_our_trades():
    made = market()
    start = 10_000 * BUCKET
    fade(made, CENTS, start)
    trade(made, CENTS, start)
    changes(made, CENTS, BID, -100, start)  # the same nanosecond: our trade itself
    assert made["activity"]["waiting"][0] == 1
    changes(made, CENTS, BID, 100, start + 40)
    changes(made, CENTS, BID, 100, start + 90)  # only the first counts
    assert made["activity"]["response_ns"][0] == 40
    trade(made, CENTS, start + 100)
    changes(made, CENTS, BID, 100, start + 180)
    assert made["activity"]["response_ns"][0] == 40 + 0.25 * (80 - 40)
    quote(made, 47, 51)  # 4 cents instead of 2, within the time that is watched
    fade(made, CENTS, start + 8 * BUCKET)
    after = made["activity"]["after_spread"][0]
    assert after == pytest.approx(400 - 200 * 0.5**0.5)
    fade(made, CENTS, start + 40 * BUCKET)  # 16 buckets are 8.6 s; 21 s later it is no answer any more
    after = made["activity"]["after_spread"][0]
    assert after == pytest.approx(400 - 200 * 0.5)
    fade(made, CENTS, start + 50 * BUCKET)
    assert made["activity"]["after_spread"][0] == after


@pytest.mark.parametrize("looks", [(), (512,), (1, 16, 17, 600, 1200), range(1, 3000, 7)])
def test_a_long_silence_fades_alike_however_often_one_looks(looks):
    """A sale and a move in bucket 10,000, a trade of ours in 10,010, and nothing for 3,000 buckets (27 minutes)."""
    made, start = market(), 10_000 * BUCKET
    fade(made, CENTS, start)
    prints(made, CENTS, ASK, 5000, 100, start)
    quote(made, 48, 51)
    trade(made, CENTS, start + 10 * BUCKET + 5)
    for bucket in (*looks, 3000):
        fade(made, CENTS, start + (10 + bucket) * BUCKET)
    activity = made["activity"][0]
    gone = [3010 / half for half in LIVES.values()]
    assert activity["sold"].tolist() == pytest.approx([100 * 0.5**lives for lives in gone], rel=1e-9, abs=0.0)
    assert activity["volume"] == pytest.approx(100 * 0.5 ** (3010 / 64), rel=1e-9)
    # the move from 49 + 51 to 48 + 51 ended with the first bucket; the spread went from 2 to 3 cents
    assert activity["squares"].tolist() == pytest.approx(
        [100**2 * 0.5 ** (3009 / 64), 100**2 * 0.5 ** (3009 / 512)], rel=1e-9
    )
    assert activity["fall"] == pytest.approx(100 * 0.5 ** (3009 / 16), rel=1e-9)
    # 10 buckets stood at 3 cents before our trade, and the 16 after it are watched
    before = 300 - 100 * 0.5 ** (10 / 64)
    assert activity["after_spread"] == pytest.approx(300 - (300 - before) * 0.5 ** (16 / 16), rel=1e-9)
    assert activity["spread"] == pytest.approx(300)


def test_nothing_is_left_after_half_an_aeon():
    made = market()
    prints(made, CENTS, BID, 5000, 100, 10_000 * BUCKET)
    fade(made, CENTS, (10_000 + 1100 * 512) * BUCKET)
    assert made["activity"]["bought"].sum() == 0.0
