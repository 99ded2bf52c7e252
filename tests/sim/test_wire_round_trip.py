"""What a venue tells of events and a reader makes of it is the events again: synthetic sessions and random tapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import INTERPRETED
from reference.dice import Dice
from reference.random_tapes import TICK_TABLES, TapeMaker
from wire_by_hand import QUADRATIC, kalshi_listing, polymarket_listing
from wire_told import (
    Told,
    best_prices_agree,
    books_agree,
    in_force,
    prints,
    quotes,
    settlements,
    states,
)

from sim.scenarios.portfolio import Place, independent
from sim.scenarios.record import record
from sim.scenarios.row import make_rows
from sim.tape import FeeRates
from sim.types import (
    ASK,
    BID,
    CLEAR,
    CLOSED,
    DELTA,
    END_OF_BATCH,
    EVENT,
    FEES,
    GAP,
    LEVEL,
    OPEN,
    PAUSED,
    PX_ONE,
    QUOTE,
    REFERENCE,
    SETTLE,
    SIGNAL,
    STATUS,
    TICKS,
    TRADE,
    WIPE,
)
from sim.venues import VENUES
from sim.wire.listing import CENT_TICKS, MILL_TICKS

CALM = {"life_s": 60.0, "noise_rate": 2.0}
ROWS = {
    "busy": {"pull": 0.4, "excite": 0.4, "cascade_rate": 0.1, "noise_rate": 6.0, "signal_rate": 1.0, "life_s": 20.0},
    "halts": CALM | {"outage_rate": 0.3, "outage_s": 1.0},
    "changes": CALM | {"fee_rate": 0.3, "tick_rate": 0.3},
    "calm": CALM,
}
FEE_MESSAGES = (("quadratic", 1.0), ("quadratic", 0.5), ("quadratic_with_maker_fees", 1.0))
FEE_RATES = (
    QUADRATIC,
    FeeRates("quadratic x 0.5", "kalshi", 35_000),
    FeeRates("quadratic_with_maker_fees x 1", "kalshi", 70_000, 17_500),
)
KALSHI_STATES, NO_STATES = (OPEN, PAUSED, CLOSED), ()


def sessions(kind, venue, later_ticks="", later_fees="", seconds=25.0):
    """Events of three synthetic markets, as one connection would bring them."""
    places = (Place(venue, later_ticks=later_ticks, later_fees=later_fees),) * 3
    found = record(make_rows(1, **ROWS[kind]), seconds, seed=len(kind), portfolio=independent(places))
    events = np.concatenate(found)
    return events[np.argsort(events["local_ns"], kind="stable")]


def agrees(events, told):
    """What is the same for both venues."""
    compared = books_agree(events, told)
    best_prices_agree(events, told)
    assert settlements(told.back) == settlements(events)
    for tape, report in told.tapes():
        assert report.errors == []
        assert len(tape.events) or not len(events)
    assert told.reader.counts["gaps"] == told.reader.counts["malformed"] == told.reader.counts["unreadable"] == 0
    return compared


# Synthetic sessions --------------------------------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.parametrize("kind", ROWS)
def test_synthetic_sessions_by_kalshi(kind):
    events = sessions(kind, "kalshi", "deci_cent", "quadratic_with_maker_fees")
    tables = [VENUES["kalshi"].tick_table(label) for label in ("", "deci_cent") for _ in range(3)]
    fees = [FEE_MESSAGES[0]] * 3 + [FEE_MESSAGES[2]] * 3
    markets = [kalshi_listing(name, name, close_ns=0) for name in "ABC"]
    told = Told(markets, events, tables=tables, fees=fees)
    assert agrees(events, told) > 500
    assert prints(told.back, 10**6) == prints(events, 10**6)
    assert states(told.back, KALSHI_STATES) == states(events, KALSHI_STATES)
    ranges = [tuple(tuple(item) for item in table) for table in tables]
    now = [tuple(rules.tick_tables) for rules in told.reader.rules]
    assert in_force(told.back, TICKS, now, ranges[:3]) == in_force(events, TICKS, [ranges] * 3, ranges[:3])
    rates = [FEE_RATES[0]] * 3 + [FEE_RATES[2]] * 3
    known = [rules.fee_schedules for rules in told.reader.rules]
    assert in_force(told.back, FEES, known, rates[:3]) == in_force(events, FEES, [rates] * 3, rates[:3])
    if kind == "changes":
        assert {TICKS, FEES} <= set(told.back["kind"].tolist())
    if kind == "halts":
        assert (told.back["kind"] == STATUS).any()
    assert set(told.writer.unsaid) <= {"SIGNAL", "STATUS"}


@pytest.mark.compiled
@pytest.mark.parametrize("kind", ROWS)
def test_synthetic_sessions_by_polymarket(kind):
    events = sessions(kind, "polymarket", "0.001")
    tables = [VENUES["polymarket"].tick_table(label) for label in ("", "0.001") for _ in range(3)]
    ranges = [tuple(tuple(item) for item in table) for table in tables]
    markets = [polymarket_listing(f"0x{n}", (f"{n}1", f"{n}2")) for n in range(3)]
    markets = [type(one)(one.venue, one.market, ranges[0], one.fees, tokens=one.tokens) for one in markets]
    told = Told(markets, events, tables=ranges)
    assert agrees(events, told) > 500
    assert prints(told.back, 10**6) == prints(events, 10**6)
    now = [tuple(rules.tick_tables) for rules in told.reader.rules]
    assert in_force(told.back, TICKS, now, ranges[:3]) == in_force(events, TICKS, [ranges] * 3, ranges[:3])
    counts = told.reader.counts
    assert counts["quotes_differ"] == 0 < counts["quotes_agree"]  # the best prices inside each message are the book's
    assert told.reader.mirrors * 2 == counts["quotes_agree"]
    assert set(told.writer.unsaid) <= {"SIGNAL", "STATUS", "FEES"}


# Random tapes --------------------------------------------------------------------------------------------------------


def random_events(seed, messages, tables, market):
    """A random tape's rows with pairs of quotes, and with gaps after which the book comes whole."""
    dice = Dice(seed, market)
    maker = TapeMaker(dice, tables, len(FEE_MESSAGES), prints=True)
    maker.snapshot()
    maker.end_message()
    for _ in range(messages):
        maker.message()
        if dice.chance(0.03):
            maker.row(GAP)
            maker.snapshot()
            maker.end_message()
    maker.finish()
    rows = []
    for row in maker.rows:
        if row[7] == QUOTE:
            rows += [(*row[:2], dice.pick((-1, row[2])), side * PX_ONE, -1, 0, 0, QUOTE, side) for side in (BID, ASK)]
        else:
            rows.append(row)
    events = np.array(rows, EVENT)
    events["market"] = market
    return events


SEEDS = st.integers(0, 10**9)


@settings(max_examples=2 if INTERPRETED else 25, deadline=None)
@given(SEEDS)
def test_a_random_tape_by_kalshi(seed):
    events = random_events(seed, 120, TICK_TABLES, 0)
    listing = kalshi_listing(close_ns=0)
    told = Told([listing], events, tables=TICK_TABLES, fees=FEE_MESSAGES)
    books_agree(events, told)
    for (tape, report), rules in zip(told.tapes(), told.reader.rules, strict=True):
        assert report.errors == []
        first = [CENT_TICKS], [QUADRATIC]
        ticks, fees = [tape.header.tick_tables], [rules.fee_schedules]
        assert in_force(told.back, TICKS, ticks, first[0]) == in_force(events, TICKS, [TICK_TABLES], first[0])
        assert in_force(told.back, FEES, fees, first[1]) == in_force(events, FEES, [FEE_RATES], first[1])
    assert prints(told.back, 1) == prints(events, 1)
    assert quotes(told.back) == quotes(events)
    assert states(told.back, KALSHI_STATES) == states(events, KALSHI_STATES)
    assert settlements(told.back) == settlements(events)
    ended_lost = events["kind"][-1] == GAP  # nothing follows that could reveal it
    assert (told.back["kind"] == GAP).sum() == (events["kind"] == GAP).sum() - ended_lost
    said = ("DELTA", "LEVEL", "CLEAR", "TRADE", "QUOTE", "TICKS", "FEES", "SETTLE", "GAP")
    assert not set(told.writer.unsaid) & set(said)


@settings(max_examples=2 if INTERPRETED else 25, deadline=None)
@given(SEEDS)
def test_random_tapes_by_polymarket(seed):
    tables = (CENT_TICKS, MILL_TICKS)
    parts = [random_events(seed, 80, tables, market) for market in range(2)]
    # It has no word for one, and the other's are untrue here
    parts = [part[~np.isin(part["kind"], (GAP, QUOTE))] for part in parts]
    places = np.concatenate([np.arange(len(part)) for part in parts])
    events = np.concatenate(parts)[np.argsort(places, kind="stable")]  # row by row, of both in turn
    payouts = events["kind"] == SETTLE
    events["px"][payouts] = events["px"][payouts] // 5001 * PX_ONE  # the channel names a winner
    told = Told([polymarket_listing(f"0x{n}", (f"{n}1", f"{n}2")) for n in (1, 2)], events, tables=tables)
    assert agrees(events, told) > 20
    known = events.copy()
    known["side"][(known["kind"] == TRADE) & (known["side"] < 0)] = BID  # the channel always says who took
    assert prints(told.back, 1) == prints(known, 1)
    ticks = [tuple(rules.tick_tables) for rules in told.reader.rules]
    assert in_force(told.back, TICKS, ticks, tables[:1] * 2) == in_force(events, TICKS, [tables] * 2, tables[:1] * 2)
    assert told.reader.counts["quotes_differ"] == 0


# What the writers cannot say -----------------------------------------------------------------------------------------


def rows_of(*rows):
    return np.array([(1, 0, qty, px, -1, flags, 0, kind, side) for kind, side, px, qty, flags in rows], EVENT)


@pytest.mark.parametrize(
    "listing, unsaid",
    [
        (kalshi_listing(close_ns=0), {"SIGNAL": 1, "REFERENCE": 1, "WIPE": 1, "STATUS": 1}),
        (polymarket_listing(), {"SIGNAL": 1, "REFERENCE": 1, "WIPE": 1, "STATUS": 2, "FEES": 1, "GAP": 1}),
    ],
)
def test_what_a_venue_has_no_word_for_is_counted(listing, unsaid):
    told = Told([listing], rows_of(
        (SIGNAL, -1, 5, 5, 0), (REFERENCE, -1, 0, 5, 0), (WIPE, -1, 0, 0, 0), (STATUS, -1, 0, 0, 0),
        (STATUS, -1, 0, PAUSED, 0),
        (FEES, -1, 0, 0, 0), (GAP, -1, 0, 0, 2),
    ))  # fmt: skip
    assert told.writer.unsaid == unsaid


@pytest.mark.parametrize("listing", [kalshi_listing(close_ns=0), polymarket_listing()])
@pytest.mark.parametrize(
    "rows, error",
    [
        ([(QUOTE, ASK, 5000, 1, 0)], "an ask QUOTE without a bid right before it"),
        ([(QUOTE, BID, 5000, 1, 0), (TRADE, BID, 5000, 1, 0)], "row TRADE after a bid QUOTE"),
        ([(QUOTE, BID, 5000, 1, 0), (QUOTE, BID, 5000, 1, 0)], "row QUOTE after a bid QUOTE"),
        ([(CLEAR, -1, 0, 0, 0), (DELTA, BID, 5000, 1, END_OF_BATCH)], "row DELTA inside a snapshot"),
    ],
)
def test_rows_in_an_order_that_no_venue_tells(listing, rows, error):
    with pytest.raises(ValueError, match=error):
        Told([listing], rows_of(*rows))


def test_polymarket_names_a_winner():
    with pytest.raises(ValueError, match="a payout of 5000 x 1e-4"):
        Told([polymarket_listing()], rows_of((SETTLE, -1, 5000, 0, 0)))


def test_snapshots_of_two_markets_may_interleave():
    rows = rows_of(
        (CLEAR, -1, 0, 0, 0), (CLEAR, -1, 0, 0, 0), (LEVEL, BID, 4000, 7, END_OF_BATCH),
        (LEVEL, BID, 3000, 8, END_OF_BATCH),
    )  # fmt: skip
    rows["market"] = [0, 1, 0, 1]
    for markets in (
        [kalshi_listing(name) for name in "AB"],
        [polymarket_listing("0x1"), polymarket_listing("0x2", ("21", "22"))],
    ):
        assert [book.sizes[BID] for book in Told(markets, rows).reader.books] == [{4000: 7}, {3000: 8}]
