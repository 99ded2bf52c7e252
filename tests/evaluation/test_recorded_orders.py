"""What the recorder keeps of the orders of a step, played on two recordings of one event."""

import msgspec
import numpy as np
import pytest
from worlds import make_env, tiny_tape

from evaluation.arbitrage import arbitrage_report
from evaluation.recorder import Recorder
from sim.links import Same
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Place
from sim.scenarios.row import default_rows
from sim.tape import FeeRates, seal
from sim.types import ASK, BID, DO_PLACE, END_OF_BATCH, EVENT, FEES, FOK, GTC, INTENT, IOC, NO, SECOND_NS, YES

FREE_THEN_HALF = (FeeRates("free", "kalshi", 0), FeeRates("half", "kalshi", 35_000))
SECONDS = 8
CHANGE_S = 4  # when the tapes change their schedule


def tape(market):
    """40 bid, 60 asked; no fees, and from `CHANGE_S` on half of Kalshi's."""
    plain = tiny_tape(0, SECONDS, market)
    row = np.zeros(1, EVENT)
    row["local_ns"] = row["venue_ns"] = plain.events["local_ns"][0] + CHANGE_S * SECOND_NS
    row["kind"], row["side"], row["qty"], row["flags"] = FEES, -1, 1, END_OF_BATCH
    at = np.searchsorted(plain.events["local_ns"], row["local_ns"][0], "right")
    header = msgspec.structs.replace(plain.header, fee_schedules=FREE_THEN_HALF)
    return seal(np.concatenate([plain.events[:at], row, plain.events[at:]]), header)


def scenario():
    return Scenario(
        default_rows(), places=(Place(), Place()), tapes=(tape("A"), tape("B")), names=("A", "B"), replay_share=1.0,
        sequential=True, links=(Same(0, 1),),
    )  # fmt: skip


def both(tif, budget_uusd):
    """10 YES of market 0 at 60 and 10 NO of market 1 at 60, which is YES at 40."""
    orders = np.zeros((1, 2, 2), INTENT)
    for order, leg, px in ((orders[0, 0, BID], YES, 6000), (orders[0, 1, ASK], NO, 4000)):
        order["do"], order["tif"], order["budget_uusd"] = DO_PLACE, tif, budget_uusd
        order["leg"], order["px"], order["qty"] = leg, px, 1000
    return orders


def recorded(steps, tif=IOC, budget_uusd=0):
    """One episode in which the orders go out in ``steps``, seconds apart; as `evaluation.rollout` records it."""
    env = make_env(1, scenario=scenario(), window_s=float(SECONDS), flatten=True)
    keep = Recorder(env, np.zeros((1, 1), np.int64))
    env.reset()
    keep.begin(keep.waiting())
    over, step = np.zeros(1, np.bool_), 0
    while not over.any():
        orders = both(tif, budget_uusd) if step in steps else np.zeros((1, 2, 2), INTENT)
        keep.before()
        _, _, terminated, truncated, info = env.step_orders(orders)
        keep.step(None, info)
        over, step = terminated | truncated, step + 1
    keep.finish(over)
    return keep.episodes()


def report(episodes):
    linked = episodes.linked
    return arbitrage_report(linked.sent, episodes.fill, episodes.fill_episode, linked.links, linked.fees)


def test_an_attempt_is_quoted_by_the_schedules_in_force_when_it_goes_out():
    # 10 x (1 - .60 - .60) = -2, free at first; then .035 x 10 x .6 x .4 = .084 a leg
    made = report(recorded((1, 6)))
    assert made.attempts["quoted_uusd"].tolist() == [-2_000_000, -2_000_000 - 2 * 84_000]


def test_before_and_after_a_change_the_quote_is_what_whole_attempts_came_to():
    made = report(recorded((1, 6)))
    attempts = made.attempts
    assert made.complete_share == 1.0
    np.testing.assert_array_equal(attempts["quoted_uusd"] - attempts["slippage_uusd"], attempts["realised_uusd"])


@pytest.mark.parametrize(
    ("tif", "budget_uusd", "attempts"),
    [
        (IOC, 0, 1),
        (FOK, 0, 1),
        (GTC, 0, 0),  # may rest
        (GTC, 50_000_000, 1),  # never rests: a budget is for taking
    ],
)
def test_what_may_rest_is_no_attempt(tif, budget_uusd, attempts):
    episodes = recorded((2,), tif, budget_uusd)
    assert len(report(episodes).attempts) == attempts and len(episodes.linked.sent) == 2 * attempts
    assert len(episodes.fill) > 0  # all of these orders cross
