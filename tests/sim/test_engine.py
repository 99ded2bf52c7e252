"""The event loop: determinism, clocks, ends of episodes, markets that misbehave, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import (
    FREE,
    INTERPRETED,
    START,
    account,
    buy,
    check_books_balance,
    engine_on,
    event,
    intents,
    level,
    lots,
    opening,
    pass_time,
    play,
    position,
    sell,
    send,
    settlement,
    tape,
    trade,
    wait,
)

from sim import engine as engine_module
from sim.engine import Engine
from sim.scenarios import Scenario, synthetic
from sim.scenarios.row import make_rows
from sim.types import ASK, BID, CLOSED, FILL_MODELS, GAP, INTENT, IOC, OPEN, SECOND_NS, STATUS

BOOK = opening({4900: 100}, {5100: 100})


def mixed(replay_share=0.4):
    """Synthetic episodes and replays, several rows: everything random that the engine has."""
    rows = make_rows(3, life_s=np.array([12.0, 20.0, 300.0]), signal_rate=1.0, noise_rate=6.0)
    prints = [trade(2 + n, n % 2, 4900 if n % 2 else 5100, 3) for n in range(40)]
    tapes = (tape(*BOOK, *prints, settlement(60, 10_000), fees=(FREE,), end_s=None),)
    return Scenario(rows, tapes=tapes, names=("t",), replay_share=replay_share)


@pytest.mark.parametrize("fill_model", ["queue", "probabilistic"])
def test_the_same_bytes_in_one_environment_or_a_thousand(fill_model):
    count, middle = (32, 11) if INTERPRETED else (1024, 500)
    many = Engine(mixed(), count, seed=7, window_s=15.0, fill_model=fill_model)
    play(many, 20)
    seven = Engine(mixed(), 7, seed=7, first_env=middle, window_s=15.0, fill_model=fill_model)
    play(seven, 20)
    for index in range(7):
        assert seven.digest(index, 1) == many.digest(middle + index, 1)
    for number in (0, count - 1):
        one = Engine(mixed(), 1, seed=7, first_env=number, window_s=15.0, fill_model=fill_model)
        play(one, 20)
        assert one.digest() == many.digest(number, 1)
    assert len({many.digest(index, 1) for index in range(32)}) == 32


def test_the_same_bytes_on_two_threads():
    digests = set()
    for threads in (1, 2):
        engine = Engine(mixed(), 21 if INTERPRETED else 301, seed=3, window_s=15.0, threads=threads)
        play(engine, 20)
        digests.add(engine.digest())
    assert len(digests) == 1


def test_a_seed_decides_everything_and_zero_is_one():
    def digest(seed):
        engine = Engine(mixed(), 5, seed=seed)
        play(engine, 8)
        return engine.digest()

    assert digest(0) == digest(0)
    assert len({digest(seed) for seed in (0, 1, 2, 2**32, 2**63 - 1)}) == 5
    engine = Engine(mixed(), 5, seed=1)
    play(engine, 3)
    engine.reseed(0)
    play(engine, 8)
    assert engine.digest() == digest(0)


def test_episodes_of_one_environment_differ():
    engine = Engine(synthetic(), 50)
    starts = []
    for episode in range(3):
        engine.reset()
        assert (engine.state.account["episode"] == episode).all()
        starts.append(engine.state.market["latent_ppm"].copy())
    # of 600,001 beliefs two agree with probability 1.7e-6
    assert len(set(np.concatenate(starts).tolist())) == 150


def test_a_snapshot_goes_on_bit_for_bit():
    engine = Engine(mixed(), 40, seed=5, window_s=15.0)
    play(engine, 7)
    saved = engine.snapshot()
    kept = [array.copy() for array in (saved.account, saved.market, saved.book)]
    play(engine, 9, first_step=7)
    after = engine.digest()
    ends = engine.terminated.copy(), engine.truncated.copy()
    play(engine, 5)
    engine.restore(saved)
    play(engine, 9, first_step=7)
    assert engine.digest() == after
    assert (engine.terminated == ends[0]).all()
    assert (engine.truncated == ends[1]).all()
    for array, other in zip((saved.account, saved.market, saved.book), kept, strict=True):
        assert (array == other).all()  # a snapshot is a copy


def test_compiled_and_interpreted_agree(run_other_way):
    source = """
import sys
sys.path.insert(0, "tests/sim")
from test_engine import Engine, mixed, play
for model in ("queue", "probabilistic"):
    engine = Engine(mixed(), 6, seed=11, window_s=15.0, fill_model=model)
    play(engine, 12)
    print(engine.digest())
"""
    here = []
    for model in ("queue", "probabilistic"):
        engine = Engine(mixed(), 6, seed=11, window_s=15.0, fill_model=model)
        play(engine, 12)
        here.append(engine.digest())
    assert run_other_way(source).split() == here


@pytest.mark.skipif(INTERPRETED, reason="the kernels are interpreted: they have no signatures")
def test_every_kernel_is_compiled_once():
    play(Engine(mixed(), 3), 3)
    play(Engine(synthetic(), 3, fill_model="optimistic", threads=2), 3)
    for name in ("advance_slice", "submit_slice", "reset_slice", "finish_slice"):
        assert len(getattr(engine_module, name).signatures) == 1, name


def test_a_step_sees_all_events_up_to_its_end_and_none_later():
    engine = engine_on(tape(*BOOK, level(3.0, BID, 4900, 7), level(3.000000001, BID, 4900, 8)))
    wait(engine, until=3.0)
    assert account(engine, "now_ns") == 3 * SECOND_NS
    assert engine.state.market["bid_total_qty"][0] == lots(7)
    wait(engine, seconds=1e-9)
    assert engine.state.market["bid_total_qty"][0] == lots(8)


def test_event_steps_end_with_the_event():
    engine = engine_on(tape(*BOOK, *(level(2 + n, BID, 4900, 10 + n) for n in range(9)), trade(800, BID, 5100, 1)))
    for count, second in ((1, 2), (3, 5), (5, 10)):
        engine.submit(intents(engine))
        engine.advance_events(count)
        assert account(engine, "now_ns") == second * SECOND_NS
    assert account(engine, "events") == 9


def test_a_window_cuts_an_episode_at_its_nanosecond():
    engine = engine_on(tape(*BOOK, level(5.9, BID, 4900, 1), level(6.1, BID, 4900, 2)), window_s=5.0)
    wait(engine, seconds=4.0)
    assert not engine.truncated[0]
    wait(engine, seconds=4.0)
    assert engine.truncated[0]
    assert not engine.terminated[0]
    assert account(engine, "now_ns") == 6 * SECOND_NS
    assert engine.state.market["bid_total_qty"][0] == lots(1)


def test_a_finished_episode_stands_still_until_its_reset():
    engine = Engine(synthetic(make_rows(1, life_s=5.0)), 3, window_s=np.inf)
    engine.reset()
    engine.advance(10.0)
    assert engine.terminated.all()
    before = engine.digest()
    engine.advance(10.0)
    assert engine.digest() == before
    others = engine.digest(1)
    engine.reset(np.array([True, False, False]))
    assert engine.terminated.tolist() == [False, True, True]
    assert engine.digest(1) == others
    engine.advance(1.0)
    assert engine.digest(1) == others
    assert engine.state.account["episode"].tolist() == [1, 0, 0]


def test_ruin_ends_an_episode():
    """Ten contracts at .51 are marked at .50, then at .02: less than the smallest order."""
    rows = [level(5, BID, 4900, 0), level(5, ASK, 5100, 0), level(5, BID, 100, 9), level(5, ASK, 300, 9)]
    engine = engine_on(tape(*BOOK, *rows, fees=(FREE,)), cash=8 * 10**6)
    engine.state.account["ruin_uusd"] = 5 * 10**6
    send(engine, bid=buy(5100, 10, tif=IOC), until=4)
    assert not engine.terminated[0]
    wait(engine, until=6)
    assert account(engine, "equity_uusd") == 8_000_000 - 5_100_000 + 200_000
    assert engine.terminated[0]
    assert not engine.truncated[0]
    assert account(engine, "ruined") == 1


def test_a_market_that_closes_early():
    """Its header says 1,000 s; it stops at 20 s and settles at 25."""
    rows = [event(20, STATUS, code=CLOSED), settlement(25, 10_000)]
    engine = engine_on(tape(*BOOK, *rows, fees=(FREE,), end_s=None))
    send(engine, bid=buy(5100, 10, tif=IOC))
    send(engine, bid=buy(4800, 10), until=21)
    assert not engine.state.orders["id"].any()
    assert not engine.terminated[0]
    wait(engine, until=30)
    assert engine.terminated[0]
    assert account(engine, "cash_uusd") == START - 5_100_000 + 10_000_000


def test_a_reopened_market_takes_orders_again():
    engine = engine_on(tape(*BOOK, event(5, STATUS, code=CLOSED), event(6, STATUS, code=OPEN), fees=(FREE,)))
    wait(engine, until=7)
    assert send(engine, bid=buy(5100, 10, tif=IOC))[0] == lots(10)


@pytest.mark.parametrize("payout", [0, 3700, 5000, 10_000])
def test_any_payout_in_the_unit_interval_settles(payout):
    engine = engine_on(tape(*BOOK, settlement(9, payout), fees=(FREE,), end_s=None))
    send(engine, ask=sell(4900, 10, tif=IOC))
    wait(engine, until=10)
    assert engine.terminated[0]
    assert engine.state.market["payout_px"][0] == payout
    assert account(engine, "cash_uusd") == START - 5_100_000 + (10_000 - payout) * lots(10)
    check_books_balance(engine)


def test_the_end_of_a_tape_and_a_gap_truncate():
    short = engine_on(tape(*BOOK, level(3, BID, 4900, 1), end_s=None))
    wait(short, until=10)
    assert short.truncated[0]
    assert not short.terminated[0]
    broken = engine_on(tape(*BOOK, event(3, GAP), level(4, BID, 4900, 1)))
    wait(broken, until=3.5)
    assert broken.truncated[0]
    assert not broken.terminated[0]


def test_sequential_environments_play_the_tapes_in_turn():
    tapes = [tape(*opening({4900: n}, {5100: n}), settlement(5, 0), end_s=None) for n in (1, 2, 3)]
    engine = engine_on(*tapes, num_envs=4)
    assert engine.state.market["tape"].tolist() == [0, 1, 2, 0]
    assert engine.state.market["bid_total_qty"].tolist() == [100, 200, 300, 100]
    engine.reset()
    assert engine.state.market["tape"].tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize("model", FILL_MODELS)
@pytest.mark.parametrize(("bids", "asks"), [({}, {5100: 10}), ({4900: 10}, {}), ({4900: 10}, {5100: 10})])
def test_one_sided_and_emptied_books_are_traded_with_what_is_there(model, bids, asks):
    rows = [level(5, BID, px, 0) for px in bids] + [level(5, ASK, px, 0) for px in asks]
    engine = engine_on(
        tape(*opening(bids, asks), *rows, settlement(9, 10_000), fees=(FREE,), end_s=None), fill_model=model
    )
    got, reason = send(engine, bid=buy(9900, 20, tif=IOC), until=3)
    assert (got, reason) == (lots(sum(asks.values())), 0)
    got, reason = send(engine, ask=sell(100, 20, tif=IOC), until=4)
    assert (got, reason) == (-lots(sum(bids.values())), 0)
    wait(engine, until=6)  # nothing is shown now
    assert engine.state.market["best_bid"][0] == -1
    assert engine.state.market["best_ask"][0] == len(engine.grid.px_of)
    assert send(engine, bid=buy(9900, 20, tif=IOC), ask=sell(100, 20, tif=IOC), until=7)[0] == 0
    send(engine, bid=buy(4000, 5), until=8)
    check_books_balance(engine)
    wait(engine, until=10)
    assert engine.terminated[0]
    assert position(engine, "yes_qty") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
        ({"fill_model": "hopeful"}, "no fill model 'hopeful'; the models are pessimistic, queue"),
        ({"window_s": 0.0}, "window_s must be positive, got 0"),
        ({"window_s": float("nan")}, "window_s must be positive, got nan"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"seed": -1}, "seed: expected an integer from 0 to"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Engine(synthetic(), **{"num_envs": 2, **arguments})


@pytest.mark.parametrize("seed", [1.0, True, "1"])
def test_a_seed_is_an_integer(seed):
    with pytest.raises(TypeError, match="seed: expected an integer"):
        Engine(synthetic(), 1, seed=seed)


@pytest.mark.parametrize("wrong", [np.zeros((3, 1, 2), INTENT), np.zeros((2, 2), INTENT), np.zeros((2, 1, 2))])
def test_intents_of_another_shape_or_type_are_refused(wrong):
    engine = Engine(synthetic(), 2)
    engine.reset()
    with pytest.raises(ValueError, match=r"expected INTENT intents of shape \(2, 1, 2\), got"):
        engine.submit(wrong)


def test_a_snapshot_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"state\.account: cannot restore shape"):
        Engine(synthetic(), 2).restore(Engine(synthetic(), 3).snapshot())


def test_more_fills_than_the_journal_holds_raise():
    """Forty levels of one contract: the account is right, the journal cannot be."""
    engine = engine_on(tape(*opening({}, {5000 + 100 * n: 1 for n in range(40)}), fees=(FREE,)))
    engine.submit(intents(engine, bid=buy(9900, 40, tif=IOC)))
    with pytest.raises(RuntimeError, match="environment 0 had 40 fills in one step, the journal holds 32"):
        pass_time(engine)
    assert position(engine, "yes_qty") == lots(40)
    check_books_balance(engine)
