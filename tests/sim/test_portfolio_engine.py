"""Several markets in one environment: one account, a purse a venue, one clock; copies that go their own way."""

import numpy as np
import pytest
from by_hand import INTERPRETED, START, check_books_balance, level, opening, settlement, tape

from sim.engine import Engine
from sim.scenarios import Place, Scenario
from sim.scenarios.row import make_rows
from sim.types import ASK, BID, DO_PLACE, INTENT, IOC, NO, YES

TWO_VENUES = (Place("kalshi"), Place("polymarket", "crypto"), Place("kalshi", "quadratic_with_maker_fees"))
LIVELY = {"noise_rate": 5.0, "informed_rate": 1.0, "depth": 20.0, "news_rate": 1.0, "life_s": 40.0}


def scenario(places=TWO_VENUES):
    return Scenario(make_rows(2, **LIVELY, order_delay_ms=np.array([0.0, 300.0])), places=places)


def wishes(numbers, markets, step):
    """Random intents, a function of an environment's global number, the market and the step."""
    random = np.random.default_rng([5, step])
    wanted = np.zeros((64, 8, 2), INTENT)
    wanted["do"] = random.integers(0, 3, wanted.shape)
    wanted["qty"] = random.integers(1, 3000, wanted.shape)
    wanted["px"] = 100 * random.integers(30, 70, wanted.shape)
    wanted["tif"] = random.integers(0, 3, wanted.shape)
    wanted["leg"] = np.where(random.random(wanted.shape) < 0.25, [NO, YES], [YES, NO])
    return wanted[numbers, :markets]


def play(engine, steps, first_step=0):
    if first_step == 0:
        engine.reset()
    for step in range(first_step, first_step + steps):
        engine.submit(wishes(engine.state.account["number"], engine.num_markets, step))
        engine.advance(1.0)
        check_books_balance(engine)
        if (over := engine.terminated | engine.truncated).any():
            engine.reset(over)
    return engine


@pytest.mark.parametrize("fill_model", ["queue", "probabilistic"])
def test_money_is_kept_on_every_venue_and_fills_happen_in_every_market(fill_model):
    engine = Engine(scenario(), 4, window_s=30, cash_uusd=[START, START // 2], fill_model=fill_model)
    seen = set()
    engine.reset()
    for step in range(20 if INTERPRETED else 60):
        engine.submit(wishes(engine.state.account["number"], 3, step))
        engine.advance(1.0)
        check_books_balance(engine)
        for env, count in enumerate(engine.state.account["n_fills"]):
            seen |= {(int(f["market"]), int(f["maker"])) for f in engine.state.fills[env, :count]}
        if (over := engine.terminated | engine.truncated).any():
            engine.reset(over)
    assert seen >= {(market, 0) for market in range(3)}
    assert {maker for _, maker in seen} == {0, 1}


def test_markets_are_not_copies_of_each_other():
    engine = Engine(scenario(), 2)
    engine.reset()
    engine.advance(5.0)
    latent = engine.state.market["latent_ppm"].reshape(2, 3)
    assert len(set(latent.ravel().tolist())) == 6


def test_a_batch_cut_into_pieces_plays_the_same():
    whole = play(Engine(scenario(), 4, seed=3, window_s=12), 20)
    for env in range(4):
        piece = play(Engine(scenario(), 1, seed=3, window_s=12, first_env=env), 20)
        assert piece.digest() == whole.digest(env, 1)


def test_copies_go_on_bit_for_bit_and_split_copies_go_their_own_way():
    engine = play(Engine(scenario(), 3, seed=4, window_s=50), 5)
    shared, split = engine.fork(2), engine.fork(3, split=True)
    play(engine, 4, first_step=5)
    play(shared, 4, first_step=5)
    play(split, 4, first_step=5)
    for env in range(3):
        assert engine.digest(env, 1) == shared.digest(2 * env, 1) == shared.digest(2 * env + 1, 1)
        assert engine.digest(env, 1) == split.digest(3 * env, 1)
        assert len({split.digest(3 * env + copy, 1) for copy in range(3)}) == 3


def test_split_copies_share_no_coming_arrival_but_the_time_of_the_next():
    """Words of eight arrivals are computed at once: those still to come are the copy's own."""
    engine = play(Engine(scenario(), 8, seed=4, window_s=50), 5)
    split = engine.fork(2, split=True)
    before, after = engine.state.market.reshape(8, 3), split.state.market.reshape(8, 2, 3)
    coming = before["draws"] % 8
    assert (coming > 0).sum() > 10
    for env, market in np.argwhere(coming > 0):
        there, same, own = before[env, market], after[env, 0, market], after[env, 1, market]
        assert (same["words"] == there["words"]).all()
        assert (same["expo"] == there["expo"]).all()
        assert (own["draws"], own["flow_ns"]) == (there["draws"], there["flow_ns"])
        assert (own["words"] != there["words"])[:, coming[env, market] :].all()
        assert (own["expo"] != there["expo"]).reshape(2, 8)[:, coming[env, market] :].all()


def test_a_restored_engine_goes_on_bit_for_bit():
    engine = play(Engine(scenario(), 3, seed=4, window_s=50), 5)
    saved = engine.snapshot()
    play(engine, 5, first_step=5)
    expected = engine.digest()
    engine.restore(saved)
    assert play(engine, 5, first_step=5).digest() == expected


@pytest.mark.parametrize(("copies", "says"), [(0, "at least one copy, got 0")])
def test_a_fork_into_nothing_is_refused(copies, says):
    with pytest.raises(ValueError, match=says):
        Engine(scenario(), 1).fork(copies)


def recorded(ours_px, start_s, end_s=60.0, payout=10_000):
    """A market with one level a side; the ask goes up a cent at 10 s."""
    rows = [
        *opening({ours_px - 100: 50}, {ours_px: 40}, second=start_s),
        level(10, ASK, ours_px, 0), level(10, ASK, ours_px + 100, 60), settlement(end_s, payout),
    ]  # fmt: skip
    return tape(*rows, end_s=None)


def replay_of(*tapes):
    names = tuple(f"tape {index}" for index in range(len(tapes)))
    rows = make_rows(1, order_delay_ms=0.0)
    return Scenario(rows, (Place(), Place()), tapes=tapes, names=names, replay_share=1.0, sequential=True)


def test_a_recording_of_two_markets_starts_when_both_are_there():
    # the first is there from second 1 on, the second from second 5 on: both begin at 5, with their books of that moment
    engine = Engine(replay_of(recorded(5000, 1), recorded(3000, 5)), 1, window_s=np.inf)
    engine.reset()
    assert engine.state.account["start_ns"][0] == 5_000_000_000
    engine.advance(1.0)
    np.testing.assert_array_equal(engine.grid.px_of[engine.state.market["best_ask"]], [5000, 3000])
    engine.advance(5.0)
    np.testing.assert_array_equal(engine.grid.px_of[engine.state.market["best_ask"]], [5100, 3100])


def test_what_happened_before_the_common_start_has_happened():
    engine = Engine(replay_of(recorded(5000, 1), recorded(3000, 12)), 1, window_s=np.inf)
    engine.reset()
    np.testing.assert_array_equal(engine.grid.px_of[engine.state.market["best_ask"]], [5100, 3000])
    assert engine.state.account["events"][0] == 0


def test_legs_in_two_markets_fill_in_one_step_and_the_episode_ends_with_the_last_settlement():
    # YES at 50 in the first and NO at 1 - .29 in the second, 10 contracts each: 5 + 7.10 dollars and the fees
    # .07 x 10 x .25 = .175 and .07 x 10 x .29 x .71 = .14413 -> .1442; both pay: 10 + 0 dollars back
    engine = Engine(replay_of(recorded(5000, 1, 30), recorded(3000, 1, 40)), 1, window_s=np.inf)
    engine.reset()
    orders = np.zeros((1, 2, 2), INTENT)
    for market, side, px, leg in ((0, BID, 5000, YES), (1, ASK, 2900, NO)):
        order = orders[0, market, side]
        order["do"], order["qty"], order["px"], order["leg"], order["tif"] = DO_PLACE, 1000, px, leg, IOC
    engine.submit(orders)
    engine.advance(1.0)
    assert engine.state.account["n_fills"][0] == 2
    spent = 5_000_000 + 7_100_000 + 175_000 + 144_200
    assert engine.state.pool["cash_uusd"][0, 0] == START - spent
    engine.advance(30.0)
    assert not engine.terminated[0]
    assert engine.state.pool["cash_uusd"][0, 0] == START - spent + 10_000_000
    engine.advance(10.0)
    assert engine.terminated[0]
    assert engine.state.account["equity_uusd"][0] == START - spent + 10_000_000
    check_books_balance(engine)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"places": ()}, "expected 1 to 64 markets, got 0"),
        ({"places": (Place(),) * 65}, "expected 1 to 64 markets, got 65"),
        ({"rows": make_rows(6).reshape(2, 3)}, r"rows of shape \(2, 3\) do not fit 2 markets"),
        ({"tapes": (recorded(5000, 1),) * 3}, "3 tapes do not make recordings of 2 markets each"),
    ],
)
def test_contradictory_portfolios_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        Scenario(**{"rows": make_rows(1), "places": (Place(), Place()), **settings})


def test_cash_for_another_number_of_venues_is_refused():
    with pytest.raises(ValueError, match="expected cash for 2 venues, got"):
        Engine(scenario(), 1, cash_uusd=[START])


def test_rows_of_their_own_give_markets_of_their_own():
    rows = make_rows(2, half_spread=np.array([0.004, 0.03])).reshape(1, 2)
    engine = Engine(Scenario(rows, places=(Place(), Place())), 3)
    engine.reset()
    market = engine.state.market
    spread = (engine.grid.px_of[market["best_ask"]] - engine.grid.px_of[market["best_bid"]]).reshape(3, 2)
    assert (spread[:, 0] <= 200).all() and (spread[:, 1] >= 600).all()
