"""Attempts found in orders and judged by fills, in numbers worked by hand."""

import numpy as np
import pytest

from evaluation.arbitrage import ATTEMPT, arbitrage_report
from evaluation.linked import SENT
from sim.links import Exclusive, Same, compile_links
from sim.types import ASK, BID, FILL, NO, SECOND_NS, YES
from sim.venues import fee_table, kalshi_fees

SAME = compile_links([Same(0, 1)], 2)  # package 0: YES in 0 and NO in 1
FREE = fee_table([kalshi_fees(multiplier=0)])
KALSHI = fee_table([kalshi_fees()])


def orders_of(*sent):
    """Orders sent a second apart; one is (step, environment, market, side, leg, cents, contracts).

    A step's messages have the numbers 10 x step + 1 to 10 x step + 9.
    """
    rows = np.zeros(len(sent), SENT)
    for row, (step, env, market, side, leg, cents, contracts) in zip(rows, sent, strict=True):
        row["env"], row["step"], row["ns"] = env, step, step * SECOND_NS
        row["first_id"], row["end_id"] = 10 * step + 1, 10 * step + 10
        row["market"], row["side"], row["leg"], row["px"], row["qty"] = market, side, leg, 100 * cents, 100 * contracts
    return rows[np.lexsort((rows["step"], rows["env"]))]


def journal(*rows):
    """Fills; one is (seconds, market, leg, contracts signed in YES space, cents, fee in uusd, step of its order)."""
    fills = np.zeros(len(rows), FILL)
    for fill, (second, market, leg, contracts, cents, fee, step) in zip(fills, rows, strict=True):
        fill["ns"], fill["market"], fill["leg"] = round(second * SECOND_NS), market, leg
        fill["qty"], fill["px"], fill["fee_uusd"], fill["order_id"] = 100 * contracts, 100 * cents, fee, 10 * step + 5
    return fills, np.zeros(len(rows), np.int64)


BOTH = ((0, 0, 0, BID, YES, 40, 10), (0, 0, 1, ASK, NO, 45, 10))


def report(orders, rows, fees=FREE, links=SAME):
    return arbitrage_report(orders, *journal(*rows), links, fees)


def test_an_attempt_that_succeeds():
    # 10 YES at 40 and 10 NO at 55 for 10 dollars: 50 cents; the second leg fills .2 s later and a cent better: 60 cents
    made = report(orders_of(*BOTH), [(0.3, 0, YES, 10, 40, 0, 0), (0.5, 1, NO, -10, 46, 0, 0)])
    row = dict(zip(ATTEMPT.names, made.attempts[0].item(), strict=True))
    assert row == {
        "env": 0, "package": 0, "sent_ns": 0, "qty": 1000, "whole_qty": 1000, "orphan_qty": 0, "unwound_qty": 0,
        "gap_ns": 200_000_000, "slippage_uusd": -100_000, "quoted_uusd": 500_000, "realised_uusd": 600_000,
        "unwind_cost_uusd": 0,
    }  # fmt: skip
    assert (made.complete_share, made.orphaned_share, made.empty_share, made.mean_gap_s) == (1.0, 0.0, 0.0, 0.2)
    assert np.isnan(made.unwind_rate)


def test_fees_come_off_both_edges():
    # .07 x 10 x .4 x .6 = .168 and .07 x 10 x .45 x .55 = .17325 -> .1733: .50 - .3413
    made = report(orders_of(*BOTH), [(0.3, 0, YES, 10, 40, 168_000, 0), (0.3, 1, NO, -10, 45, 173_300, 0)], KALSHI)
    assert made.quoted_uusd == made.realised_uusd == 500_000 - 168_000 - 173_300


def test_a_leg_is_quoted_by_the_schedule_that_its_order_names():
    # YES in 0 is free, NO in 1 pays .07 x 10 x .45 x .55 = .17325 -> .1733
    orders = orders_of(*BOTH)
    orders["fee"] = [1, 0]
    assert report(orders, [], np.concatenate([KALSHI, FREE])).quoted_uusd == 500_000 - 173_300


def test_orphans_and_what_it_costs_to_unwind_them():
    # 10 YES at 40 (fees .10) but 4 NO at 55: 6 orphans. 5 of them are sold at 38 (fees .05)
    # realised: 4 - 4 x .40 - .04 - 4 x .55 = .16; unwound: 5 x .40 + .05 - (5 x .38 - .05) = .20
    rows = [(0.3, 0, YES, 10, 40, 100_000, 0), (0.3, 1, NO, -4, 45, 0, 0), (2.2, 0, YES, -5, 38, 50_000, 2)]
    made = report(orders_of(*BOTH, (2, 0, 0, ASK, YES, 38, 6)), rows)
    row = made.attempts[0]
    assert (row["whole_qty"], row["orphan_qty"], row["unwound_qty"]) == (400, 600, 500)
    assert (row["realised_uusd"], row["unwind_cost_uusd"]) == (160_000, 200_000)
    assert (made.complete_share, made.orphaned_share, made.unwind_rate) == (0.0, 1.0, 500 / 600)


def test_selling_whole_lots_too_is_no_unwinding():
    # 10 and 4 lots, then all 10 are sold at 38: 6 of them were orphans, at 6 x (.40 - .38)
    rows = [(0.3, 0, YES, 10, 40, 0, 0), (0.3, 1, NO, -4, 45, 0, 0), (2.2, 0, YES, -10, 38, 0, 2)]
    row = report(orders_of(*BOTH, (2, 0, 0, ASK, YES, 38, 10)), rows).attempts[0]
    assert (row["unwound_qty"], row["unwind_cost_uusd"]) == (600, 120_000)


def test_attempts_end_with_the_next_one():
    again = tuple((4, *one[1:]) for one in BOTH)
    rows = [(0.3, 0, YES, 10, 40, 0, 0), (4.3, 0, YES, 10, 40, 0, 4), (4.3, 1, NO, -10, 45, 0, 4)]
    made = report(orders_of(*BOTH, *again), rows)
    assert made.attempts["whole_qty"].tolist() == [0, 1000]
    assert made.attempts["orphan_qty"].tolist() == [1000, 0]
    assert made.attempts["gap_ns"].tolist() == [-1, 0]
    assert made.complete_share == made.orphaned_share == 0.5


def test_an_attempt_that_gets_nothing():
    made = report(orders_of(*BOTH), [])
    assert (made.empty_share, made.realised_uusd, made.quoted_uusd) == (1.0, 0, 500_000)
    assert np.isnan(made.mean_gap_s)


@pytest.mark.parametrize(
    "orders",
    [
        orders_of(BOTH[0]),  # one leg
        orders_of(BOTH[0], (0, 0, 1, ASK, NO, 45, 9)),  # not the same size
        orders_of(BOTH[0], (0, 0, 1, BID, YES, 45, 10)),  # YES in both guarantees nothing
    ],
)
def test_what_is_no_attempt(orders):
    made = report(orders, [])
    assert len(made.attempts) == 0 and np.isnan(made.complete_share)


def test_environments_are_kept_apart():
    orders = orders_of(*BOTH, (1, 1, 0, BID, YES, 40, 10), (1, 1, 1, ASK, NO, 45, 10))
    fills, env = journal((1.3, 0, YES, 10, 40, 0, 1), (1.3, 1, NO, -10, 45, 0, 1))
    made = arbitrage_report(orders, fills, env + 1, SAME, FREE)
    assert made.attempts[["env", "whole_qty"]].tolist() == [(0, 0), (1, 1000)]


def test_the_larger_of_two_packages_in_one_step_counts():
    links = compile_links([Same(0, 1), Exclusive((0, 1, 2))], 3)
    sent = tuple((0, 0, market, ASK, NO, 60, 10) for market in range(3))
    made = arbitrage_report(
        orders_of(*sent, (0, 0, 0, BID, YES, 30, 10)), *journal(), links, FREE
    )  # fmt: skip
    assert links.packages["count"][made.attempts["package"]].tolist() == [3]
    assert made.quoted_uusd == 10 * (2_000_000 - 3 * 400_000)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sent": np.zeros((1, 2), SENT)}, r"SENT orders of shape \(S,\)"),
        ({"sent": np.zeros(2, FILL)}, "SENT orders"),
        ({"fill_env": np.zeros(3, np.int64)}, "FILL rows and their environments"),
        ({"fees": FREE[:0]}, "an order in market 0 names fee schedule 0; there are 0"),
    ],
)
def test_what_does_not_fit_is_refused(changes, says):
    given = {"sent": orders_of(*BOTH), "fills": np.zeros(0, FILL), "fill_env": np.zeros(0, np.int64),
             "links": SAME, "fees": FREE, **changes}  # fmt: skip
    with pytest.raises(ValueError, match=says):
        arbitrage_report(**given)


def test_a_fill_belongs_to_the_order_with_its_number_however_late_it_comes():
    # the first attempt's NO is filled at 4.5 s, after the second attempt went out at 4 s: by the clock it would be the
    # second's. First: 10 whole, .2 + .8 worse in time; second: 10 YES at 41 alone, 10 orphans
    again = tuple((4, *one[1:]) for one in BOTH)
    rows = [(0.3, 0, YES, 10, 40, 0, 0), (4.3, 0, YES, 10, 41, 0, 4), (4.5, 1, NO, -10, 45, 0, 0)]
    made = report(orders_of(*BOTH, *again), rows)
    assert made.attempts["whole_qty"].tolist() == [1000, 0]
    assert made.attempts["orphan_qty"].tolist() == [0, 1000]
    assert made.attempts["gap_ns"].tolist() == [4_200_000_000, -1]
    assert made.attempts["realised_uusd"].tolist() == [500_000, 0]  # 10 x (1.00 - .40 - .55)
    assert made.attempts["slippage_uusd"].tolist() == [0, 100_000]  # 10 x .01


def test_a_late_fill_of_an_order_that_unwinds_is_the_old_attempts():
    # 10 YES alone; the order of 2 s sells them, but is filled at 4.2 s at 38, after the next attempt: 10 x .02 lost
    again = tuple((4, *one[1:]) for one in BOTH)
    rows = [(0.3, 0, YES, 10, 40, 0, 0), (4.2, 0, YES, -10, 38, 0, 2)]
    made = report(orders_of(*BOTH, (2, 0, 0, ASK, YES, 38, 10), *again), rows)
    assert made.attempts["unwound_qty"].tolist() == [1000, 0]
    assert made.attempts["unwind_cost_uusd"].tolist() == [200_000, 0]


def test_a_fill_of_the_other_leg_is_not_the_orders():
    # in the attempt's step an order sells NO in market 0: it gains as the YES does, but is another order
    rows = [(0.3, 0, YES, 10, 40, 0, 0), (0.4, 0, NO, 5, 39, 0, 0), (0.5, 1, NO, -10, 45, 0, 0)]
    made = report(orders_of(*BOTH), rows)
    assert made.attempts[["whole_qty", "orphan_qty"]].tolist() == [(1000, 0)]


def test_buying_the_other_leg_gives_a_leg_up():
    # 10 YES at 40 alone; buying 10 NO at 1 - .38 = .62 makes pairs: the YES brought .38
    rows = [(0.3, 0, YES, 10, 40, 0, 0), (2.2, 0, NO, -10, 38, 0, 2)]
    made = report(orders_of(*BOTH, (2, 0, 0, ASK, NO, 38, 10)), rows)
    assert made.attempts[["unwound_qty", "unwind_cost_uusd"]].tolist() == [(1000, 200_000)]
