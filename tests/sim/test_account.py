"""Conservation: whatever is sent, to the micro-dollar; and fills within what the book showed."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import (
    FREE,
    INTERPRETED,
    KALSHI_WITH_MAKERS,
    POLYMARKET,
    account,
    buy,
    check_books_balance,
    engine_on,
    level,
    lots,
    opening,
    position,
    sell,
    send,
    settlement,
    tape,
    trade,
    wait,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.account import take_out
from sim.engine import Engine
from sim.kernel import kernel
from sim.scenarios import Place, Scenario, synthetic
from sim.scenarios.row import make_rows
from sim.state import allocate
from sim.types import ASK, BID, DO_CANCEL, DO_NOTHING, DO_PLACE, FILL_MODELS, FOK, GTC, INTENT, IOC, NO, YES

LIVELY = {"life_s": 30.0, "news_rate": 2.0, "noise_rate": 8.0, "depth": 30.0, "order_delay_ms": 30.0}
SMALL_CASH = 60_000_000  # $60: some orders must be refused


def _busy_tape(fees):
    """Two minutes of prints and changes around 50 cents, then a settlement at 37."""
    random = np.random.default_rng(5)
    rows = opening({4900: 20, 4800: 20}, {5100: 20, 5200: 20})
    for second in np.arange(2.0, 120.0, 0.5):
        side = int(random.integers(0, 2))
        px = 5000 + (1 if side == ASK else -1) * 100 * int(random.integers(1, 4))
        if random.random() < 0.5:
            rows.append(trade(second, 1 - side, px, int(random.integers(1, 900)) / 100))
        rows.append(level(second + 0.1, side, px, int(random.integers(0, 30))))
    return tape(*rows, settlement(121, 3700), fees=fees, end_s=None)


def _scenarios():
    result = {
        f"synthetic {venue}": synthetic(make_rows(1, **LIVELY), venue=venue) for venue in ("kalshi", "polymarket")
    }
    for name, fees in (("kalshi tape", KALSHI_WITH_MAKERS), ("polymarket tape", POLYMARKET)):
        rows = make_rows(1, order_delay_ms=30.0, cancel_delay_ms=700.0)
        result[name] = Scenario(
            rows, (Place(fees.kind),), tapes=(_busy_tape((fees,)),), names=(name,), replay_share=1.0, sequential=True
        )
    return result


SCENARIOS = _scenarios()
order = st.fixed_dictionaries(
    {
        "do": st.sampled_from([DO_NOTHING, DO_CANCEL, DO_PLACE, DO_PLACE, DO_PLACE]),
        "px": st.integers(-4, 4),  # cents from the mid
        "qty": st.sampled_from([1, 7, 100, 500, 1234, 5000]),
        "leg": st.sampled_from([YES, NO]),  # on either side one of them opens and the other sells what is held
        "tif": st.sampled_from([GTC, GTC, IOC, FOK]),
        "post_only": st.sampled_from([0, 0, 1]),
        "budget_uusd": st.sampled_from([0, 0, 3_000_000]),
    }
)
steps = st.lists(st.tuples(order, order, st.sampled_from([0.01, 0.2, 1.0, 5.0])), min_size=1, max_size=25)


def _intents(engine, bid, ask):
    result = np.zeros((1, 2), INTENT)
    for side, fields in ((BID, bid), (ASK, ask)):
        for name, value in fields.items():
            result[name][0, side] = value
        mid = int(engine.state.market["mid2_px"][0]) // 200 * 100
        result["px"][0, side] = mid + 100 * fields["px"]
    return result


@pytest.mark.parametrize("name", SCENARIOS)
@given(steps=steps, model=st.sampled_from(FILL_MODELS), seed=st.integers(0, 5))
@settings(max_examples=25)
def test_cash_is_constant_over_any_sequence(name, steps, model, seed):
    engine = Engine(SCENARIOS[name], 1, seed=seed, window_s=np.inf, cash_uusd=SMALL_CASH, ruin_uusd=0, fill_model=model)
    engine.reset()
    for bid, ask, seconds in steps:
        engine.submit(_intents(engine, bid, ask)[:, None])
        engine.advance(seconds)
        check_books_balance(engine)
        assert account(engine, "cash_uusd") >= 0
        if engine.terminated[0]:
            assert account(engine, "escrow_uusd") == 0
            assert account(engine, "equity_uusd") == account(engine, "cash_uusd")
            engine.reset()
            check_books_balance(engine)


def test_a_whole_batch_balances_at_every_step():
    """Environments of both sorts of order for a whole life, positions and settlements included."""
    count = 16 if INTERPRETED else 256
    engine = Engine(
        synthetic(make_rows(1, **LIVELY)), count, window_s=np.inf, cash_uusd=10**9, fill_model="probabilistic"
    )
    engine.reset()
    random = np.random.default_rng(1)
    traded = 0
    for _ in range(40):
        engine.submit(_random_batch(engine, random)[:, None])
        engine.advance(1.0)
        traded += int(engine.state.account["n_fills"].sum())
        check_books_balance(engine)
    assert engine.terminated.all()
    assert traded > 8 * count
    assert (engine.state.pool["escrow_uusd"] == 0).all()


def _random_batch(engine, random):
    result = np.zeros((engine.num_envs, 2), INTENT)
    result["do"] = random.choice([DO_NOTHING, DO_CANCEL, DO_PLACE, DO_PLACE], result.shape)
    mid = engine.state.market["mid2_px"][:, None] // 200 * 100
    result["px"] = (mid + 100 * random.integers(-3, 4, result.shape)).clip(100, 9900)
    result["qty"] = random.integers(1, 5000, result.shape)
    result["leg"] = np.where(random.random(result.shape) < 0.3, [NO, YES], [YES, NO])  # some sell what is held
    result["tif"] = random.choice([GTC, IOC, FOK], result.shape)
    return result


@pytest.mark.parametrize("tif", [GTC, IOC, FOK])
def test_takers_get_no_more_than_the_book_showed(tif):
    """Orders that arrive at once: what they took is missing from the book, level by level, and nothing else is."""
    count = 40 if INTERPRETED else 400
    engine = Engine(synthetic(make_rows(1, order_delay_ms=0.0)), count, seed=2, window_s=np.inf, cash_uusd=10**12)
    engine.reset()
    random = np.random.default_rng(3)
    for _ in range(10):
        engine.advance(3.0)
        before = engine.state.book.copy()
        orders = np.zeros((count, 2), INTENT)
        side = random.integers(0, 2, count)
        every = np.arange(count)
        orders["do"][every, side] = DO_PLACE
        orders["qty"] = random.integers(1, 100_000, count)[:, None]
        orders["px"] = (engine.state.market["mid2_px"] // 200 * 100 + 100 * random.integers(-3, 4, count)).clip(
            100, 9900
        )[:, None]
        orders["leg"], orders["tif"] = [YES, NO], tif
        engine.submit(orders[:, None])
        engine.advance(1e-9)
        taken = np.zeros_like(before)
        for slot in range(engine.state.fills.shape[1]):
            env = np.flatnonzero(engine.state.account["n_fills"] > slot)
            fill = engine.state.fills[env, slot]
            resting = np.where(fill["qty"] > 0, ASK, BID)
            taken[env, resting, engine.grid.level_of[fill["px"]]] += abs(fill["qty"])
            limit = orders["px"][env, 1 - resting]
            assert ((fill["qty"] > 0) == (side[env] == BID)).all()
            assert np.where(fill["qty"] > 0, fill["px"] <= limit, fill["px"] >= limit).all()
        assert (engine.state.book == before - taken).all()
        asked = orders["qty"][every, side]
        got = taken.sum(axis=(1, 2))
        assert (got <= asked).all()
        if tif == FOK:
            assert ((got == 0) | (got == asked)).all()
        market = engine.state.market
        assert (market["best_bid"] < market["best_ask"]).all()
        own = engine.state.orders[:, 0]
        ours = own["id"] > 0
        assert (own["level"] < market["best_ask"])[ours & (own["side"] == BID)].all()
        assert (own["level"] > market["best_bid"])[ours & (own["side"] == ASK)].all()
        assert ours.any() == (tif == GTC)
        cancel = np.zeros((count, 2), INTENT)
        cancel["do"] = DO_CANCEL
        engine.submit(cancel[:, None])


def test_releases_on_cancel_and_on_fill():
    """Twenty at .47 lock 9.40; a print takes five: 7.05 stay locked; the cancel frees them."""
    engine = engine_on(tape(*opening({4500: 9}, {5200: 9}), trade(2, ASK, 4700, 5), fees=(FREE,)))
    send(engine, bid=buy(4700, 20))
    assert account(engine, "reserved_uusd") >= 9_400_000
    spare = account(engine, "reserved_uusd") - 9_400_000  # what rounding of fees may need
    wait(engine, until=3)
    assert account(engine, "reserved_uusd") == 7_050_000 + spare
    assert account(engine, "cash_uusd") == account(engine, "start_uusd") - 2_350_000
    send(engine, bid={"do": DO_CANCEL})
    assert account(engine, "reserved_uusd") == 0


def test_netting_shrinks_orders_that_promised_the_netted_lots():
    """Ten YES held, eight promised to a resting sale; buying six NO nets six: the sale shrinks to the four left."""
    # the taker replaces the sale on our ask side, but the sale's cancel takes a minute
    engine = engine_on(tape(*opening({5000: 50}, {5200: 50}), fees=(FREE,)), cancel_delay_ms=60_000.0)
    send(engine, bid=buy(5200, 10, tif=IOC))
    send(engine, ask=sell(5500, 8, leg=YES), seconds=0.01)
    assert position(engine, "yes_held_qty") == lots(8)
    send(engine, ask=sell(5000, 6, tif=IOC), seconds=0.01)
    assert (position(engine, "yes_qty"), position(engine, "yes_held_qty")) == (lots(4), lots(4))
    assert engine.state.orders["qty"][0].tolist() == [lots(4), 0, 0, 0]
    check_books_balance(engine)
    send(engine, ask=sell(5000, 4, tif=IOC), seconds=0.01)
    assert not engine.state.orders["id"].any()
    assert (position(engine, "yes_qty"), position(engine, "yes_held_qty")) == (0, 0)
    check_books_balance(engine)


def test_closing_part_of_a_position_takes_its_share_of_the_cost():
    engine = engine_on(tape(*opening({5000: 50}, {5100: 3, 5200: 50}), fees=(FREE,)))
    send(engine, bid=buy(5200, 10, tif=IOC))  # 3 x .51 + 7 x .52 = 5.17
    assert position(engine, "yes_cost_uusd") == 5_170_000
    send(engine, ask=sell(5000, 4, leg=YES, tif=IOC))
    assert position(engine, "yes_cost_uusd") == 5_170_000 - 2_068_000  # four tenths of 5.17 = 2.068
    assert position(engine, "realised_uusd") == 2_000_000 - 2_068_000
    check_books_balance(engine)


def test_marks_leave_our_own_orders_out():
    engine = engine_on(tape(*opening({4900: 50}, {5300: 50}), fees=(FREE,)))
    send(engine, bid=buy(5300, 10, tif=IOC))
    before = account(engine, "equity_uusd")
    send(engine, bid=buy(5100, 100), ask=sell(5200, 100))
    assert account(engine, "equity_uusd") == before  # the mid is still 51, though we quote 51 and 52
    assert before == account(engine, "cash_uusd") + 10 * 510_000


def test_a_one_sided_book_keeps_its_last_mark():
    engine = engine_on(tape(*opening({4900: 50}, {5300: 50}), level(5, BID, 4900, 0), fees=(FREE,)))
    send(engine, bid=buy(5300, 10, tif=IOC))
    before = account(engine, "equity_uusd")
    wait(engine, until=6)
    assert account(engine, "equity_uusd") == before


def test_nothing_is_marked_above_an_offer_that_stands_alone():
    falls = (level(5, BID, 4900, 0), level(6, ASK, 5300, 0), level(6, ASK, 100, 20))
    engine = engine_on(tape(*opening({4900: 50}, {5300: 50}), *falls, fees=(FREE,)))
    send(engine, bid=buy(5300, 10, tif=IOC))
    wait(engine, until=7)
    # ten contracts that anybody may buy at a cent are worth ten cents, not the 5.10 of the last two-sided book
    assert account(engine, "equity_uusd") == account(engine, "cash_uusd") + 100_000


@kernel
def _take_out(position, qty):
    return take_out(position, YES, qty)


def test_costs_of_millions_are_shared_out_exactly():
    state = allocate(1, 1)
    position = state.position[0]
    position["yes_qty"], position["yes_cost_uusd"] = 200_000_001, 10**12 + 7  # two million contracts at 50 cents
    assert _take_out(position, 100_000_000) == (10**12 + 7) * 10**8 // 200_000_001
    assert position["yes_cost_uusd"] == 10**12 + 7 - (10**12 + 7) * 10**8 // 200_000_001
