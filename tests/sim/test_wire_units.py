"""Decimals and stamps of the wire: exact both ways, and refused where they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.types import BID, PX_ONE
from sim.wire.ladder import Ladder, check_levels, check_whole
from sim.wire.units import MOST, contracts, dollars, ns_of, ns_of_ms, px_of, qty_of, shortest, uusd_of

NOT_DECIMALS = (
    "", "+", "-", ".", "-.", "NaN", "nan", "inf", "-Infinity", "1e5", "1E-2", "0x10", "1_000", " 1", "1 ", "1\n", "1,5",
    "1.2.3", "--1", "+-1", "٠.٥", "٣", "１", "½", "²", "1" * 40, "0." + "0" * 40, "\ud800", "0.5\x00",
)  # fmt: skip


@pytest.mark.parametrize(
    "text, px",
    [
        ("0", 0), ("0.0000", 0), ("1", 10_000), ("1.0000", 10_000), ("1.", 10_000), (".48", 4800), ("0.5", 5000),
        ("+0.5", 5000), ("0.0001", 1), ("0.9999", 9999), ("0.29", 2900), ("0.57", 5700), ("0.010000", 100),
        ("00.10", 1000),
    ],
)  # fmt: skip
def test_prices(text, px):
    assert px_of(text) == px
    assert px_of(text) == px  # the second time from memory


@pytest.mark.parametrize("text", [*NOT_DECIMALS, "0.00001", "1.0001", "2", "-0.01", "-0", "-0.0000", "-1"])
def test_what_is_no_price(text):
    for _ in range(2):  # nor is it one the second time
        with pytest.raises(ValueError, match=r"decimal|range|finer|price"):
            px_of(text)


@pytest.mark.parametrize(
    "text, qty",
    [
        ("136.00", 136_000_000), ("219.217767", 219_217_767), ("-54.00", -54_000_000), ("0.000001", 1), ("0", 0),
        ("-0.000001", -1), ("0.10", 100_000), ("966425.00", 966_425_000_000), ("100000000000", MOST), (".5", 500_000),
        ("4.35", 4_350_000),  # 4.35 * 1e6 is 4349999.999... in floats
        ("9007199254.740993", 9_007_199_254_740_993),  # 2**53 + 1: no float has it
    ],
)  # fmt: skip
def test_sizes(text, qty):
    assert qty_of(text) == qty == uusd_of(text)


@pytest.mark.parametrize("text", [*NOT_DECIMALS, "0.0000001", "-0", "-0.00", "100000000000.000001", "-100000000001"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match=r"decimal|range|finer"):
        qty_of(text)


@given(st.integers(0, PX_ONE))
def test_prices_come_back(px):
    assert px_of(dollars(px)) == px_of(shortest(px, 4)) == px
    assert len(dollars(px)) == 6


@given(st.integers(-MOST, MOST))
def test_sizes_come_back(qty):
    assert qty_of(contracts(qty)) == qty
    if qty >= 0:
        assert qty_of(shortest(qty, 6)) == qty
    assert len(contracts(qty).partition(".")[2]) in (2, 3, 4, 5, 6)


@given(st.text(max_size=50) | st.text("0123456789.+-eE_x ٣", max_size=40))
def test_any_text_is_an_exact_number_or_refused(text):
    try:
        qty = qty_of(text)
    except ValueError:
        return
    assert text.isascii()
    assert qty_of(contracts(qty)) == qty
    assert abs(qty) <= MOST


def test_how_venues_write():
    assert [dollars(px) for px in (0, 1, 4300, 10_000)] == ["0.0000", "0.0001", "0.4300", "1.0000"]
    assert [contracts(qty) for qty in (0, -54_000_000, 13_793_100, 1)] == ["0.00", "-54.00", "13.7931", "0.000001"]
    assert [shortest(px, 4) for px in (0, 100, 1000, 8600, 10_000)] == ["0", "0.01", "0.1", "0.86", "1"]
    assert [shortest(qty, 6) for qty in (0, 362_170_000, 10_000_000, 1)] == ["0", "362.17", "10", "0.000001"]


def test_stamps():
    assert ns_of("1776808414710") == ns_of_ms(1_776_808_414_710) == 1_776_808_414_710_000_000
    assert ns_of("0") == 0
    assert ns_of_ms(2**63 // 10**6 - 1) < 2**63
    for text in ("", "-1", "+1", "1_000", "1.0", "1e3", " 1", "٣", "²", "9" * 15, "9" * 5000, "0" * 16):
        with pytest.raises(ValueError, match="stamp"):
            ns_of(text)
    for ms in (-1, 2**63 // 10**6, 10**30):
        with pytest.raises(ValueError, match="stamp"):
            ns_of_ms(ms)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9), st.integers(0, 3))))
def test_a_ladder_knows_its_best_prices(levels):
    ladder = Ladder()
    naive: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for side, px, qty in levels:
        ladder.set(side, px, qty)
        naive[side][px] = qty
        standing = [[px for px, qty in one.items() if qty] for one in naive]
        assert ladder.best == [max(standing[0], default=0), min(standing[1], default=PX_ONE)]
        assert ladder.crossed == (ladder.best[0] >= ladder.best[1])
        assert [sorted(one) for one in ladder.sizes] == [sorted(one) for one in standing]
    ladder.clear()
    assert (ladder.best, ladder.sizes) == ([0, PX_ONE], ({}, {}))


def test_levels_and_books_that_cannot_be():
    check_levels([(BID, 1, 0), (BID, 9999, MOST)])
    for level in ((BID, 0, 1), (BID, PX_ONE, 1), (BID, 5000, -1), (BID, 5000, MOST + 1)):
        with pytest.raises(ValueError, match="level"):
            check_levels([level])
    check_whole([], [])
    check_whole([4000], [4001])
    check_whole([9999], [])
    for bids, asks in (([4000], [4000]), ([4001, 1], [9000, 4000])):
        with pytest.raises(ValueError, match="crossed"):
            check_whole(bids, asks)
