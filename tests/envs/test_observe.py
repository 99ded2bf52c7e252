"""Feature values against numbers worked out by hand, and what holds for every state."""

import numpy as np
import pytest
from hand import START, cent_rules, empty_state, hold, quote, random_state, rest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import memory as memories
from envs.features import FEATURES, GROUPS, make_schema
from envs.links import compile_bounds
from envs.observe import make_scratch, observe
from sim.scales import part, soft
from sim.types import ASK, BID, CLOSED, NO, SECOND_NS, UUSD, YES


class Watcher:
    """Observes a hand-made state; ``look()`` gives {name: value} of environment 0."""

    def __init__(self, state, rules=None, groups=GROUPS, bounds=()):
        self.state, self.rules = state, rules or cent_rules()
        self.schema = make_schema(groups)
        count, markets = len(state.account), (state.clock.shape[1] - 1)
        self.links = compile_bounds(bounds, markets)
        self.scratch = make_scratch(len(self.schema.features), len(bounds))
        self.everyone = np.ones(count, np.bool_)
        self.memory = memories.allocate(count, markets)
        memories.begin(self.memory, state.account, self.everyone)
        self.out = np.full((count * markets, len(self.schema.features)), np.nan, np.float32)

    def observe(self, mask=None):
        columns = np.array(self.schema.columns)
        wanted = self.everyone if mask is None else mask
        state = self.state
        observe(self.rules, state, self.memory, self.links, columns, self.scratch, wanted, 0, len(wanted), self.out)
        return self.out

    def look(self):
        return dict(zip(self.schema.names, self.observe()[0].tolist(), strict=True))


def approx(value):
    return pytest.approx(value, abs=1e-6)  # float32


def test_book_features_by_hand():
    state = empty_state()
    # bid 48 cents x 60, 47 x 100, 44 x 300 (levels with a gap); ask 51 x 20, 52 x 100
    quote(state, 0, {48: 60, 47: 100, 44: 300}, {51: 20, 52: 100})
    state.market[0]["bought_qty"] = 15_000  # 150 contracts
    state.market[0]["sold_qty"] = 5_000
    state.market[0]["bid_added_qty"] = 20_000
    state.market[0]["bid_removed_qty"] = 5_000
    state.market[0]["ask_added_qty"] = 1_000
    state.market[0]["ask_removed_qty"] = 6_000
    state.market[0]["n_prints"] = 10
    seen = Watcher(state).look()
    assert seen["bid"] == approx(2 * 0.48 - 1)
    assert seen["ask"] == approx(2 * 0.51 - 1)
    assert seen["mid"] == approx(2 * 0.495 - 1)
    assert seen["spread"] == approx(0.03 / (0.03 + 0.02))
    assert seen["tick"] == approx(0.01 / (0.01 + 0.01))
    assert [seen[f"bid_size_{i}"] for i in range(1, 6)] == approx([60 / 160, 100 / 200, 300 / 400, 0, 0])
    assert [seen[f"ask_size_{i}"] for i in range(1, 6)] == approx([20 / 120, 100 / 200, 0, 0, 0])
    assert seen["imbalance"] == approx((60 - 20) / (60 + 20))
    assert seen["depth_imbalance"] == approx((460 - 120) / (460 + 120))
    # microprice = (60 x 51 + 20 x 48) / 80 = 50.25 cents; less the mid 49.5 = 0.75 cents
    assert seen["micro"] == approx(0.0075 / (0.0075 + 0.01))
    assert seen["flow"] == approx((150 - 50) / (100 + 100))
    assert seen["order_flow"] == approx((200 - 50 - 10 + 60) / (200 + 100))
    assert seen["prints"] == approx(10 / 20)


def test_counts_start_again_after_an_observation():
    state = empty_state()
    quote(state, 0, {48: 60}, {51: 20})
    state.market[0]["bought_qty"] = 15_000
    state.market[0]["n_prints"] = 3
    watcher = Watcher(state)
    watcher.look()
    seen = watcher.look()
    assert seen["flow"] == 0.0
    assert seen["prints"] == 0.0


@pytest.mark.parametrize(
    ("bids", "asks", "bid", "ask"), [({}, {51: 20}, -1.0, 0.02), ({48: 60}, {}, -0.04, 1.0), ({}, {}, -1.0, 1.0)]
)
def test_a_one_sided_book_keeps_its_mid_and_says_that_a_side_is_empty(bids, asks, bid, ask):
    state = empty_state()
    quote(state, 0, bids, asks)
    seen = Watcher(state).look()
    assert seen["bid"] == approx(bid)
    assert seen["ask"] == approx(ask)
    assert seen["mid"] == 0.0
    assert seen["spread"] == 1.0
    assert seen["micro"] == 0.0
    assert abs(seen["imbalance"]) == (1.0 if bids or asks else 0.0)


def test_returns_look_back_1_5_and_30_observations():
    state = empty_state()
    watcher = Watcher(state)
    seen = {}
    for second in range(41):  # the mid rises by 0.1 cent an observation, from 30 to 34 cents
        state.market[0]["mid2_px"] = 2 * (3000 + 10 * second)
        seen[second] = watcher.look()
    move = 0.001
    assert [seen[0][f"return_{n}"] for n in (1, 5, 30)] == [0.0, 0.0, 0.0]
    assert seen[3]["return_5"] == approx(3 * move / (3 * move + 0.01))  # the episode is 3 observations old
    for n in (1, 5, 30):
        assert seen[40][f"return_{n}"] == approx(n * move / (n * move + 0.01))
    # after n equal moves the variance is move^2 (1 - 0.9^n)
    deviation = move * (1 - 0.9**40) ** 0.5
    assert seen[40]["volatility"] == approx(deviation / (deviation + 0.01))


def test_time_features_by_hand():
    state = empty_state()  # 60 s of a 300 s window, 300 s to the close
    seen = Watcher(state).look()
    assert seen["close_minute"] == approx(300 / 360)
    assert seen["close_hour"] == approx(300 / 3900)
    assert seen["window_used"] == approx(60 / 300)
    assert seen["since_trade"] == seen["since_book"] == 1.0  # never
    assert seen["market_open"] == 1.0
    state.market[0]["trade_ns"] = state.account[0]["now_ns"] - 10 * SECOND_NS
    state.market[0]["book_ns"] = state.account[0]["now_ns"] - 3 * SECOND_NS
    state.market[0]["status"] = CLOSED
    state.market[0]["close_ns"] = 0  # it closed early
    seen = Watcher(state).look()
    assert seen["since_trade"] == approx(0.5)
    assert seen["since_book"] == approx(0.75)
    assert seen["market_open"] == seen["close_minute"] == seen["close_hour"] == 0.0


def test_portfolio_features_by_hand():
    state = empty_state()
    quote(state, 0, {48: 60}, {52: 20})  # mid 50 cents
    hold(state, 0, yes=50, yes_price=0.40, no=25, no_price=0.60)
    state.position[0]["realised_uusd"] = -100 * UUSD
    state.account[0]["equity_uusd"] = START - 100 * UUSD
    state.account[0]["peak_uusd"] = START + 200 * UUSD
    state.pool[0, 0]["reserved_uusd"] = 1000 * UUSD
    seen = Watcher(state).look()
    assert seen["position_yes"] == approx(50 / 150)
    assert seen["position_no"] == approx(25 / 125)
    assert seen["cost_yes"] == approx(0.40)
    assert seen["cost_no"] == approx(0.60)
    # worth 75 x 0.50 = 37.50, cost 20 + 15 = 35: +2.50 dollars = 0.00025 of 10,000
    assert seen["unrealised"] == approx(0.00025 / (0.00025 + 0.01))
    assert seen["realised"] == approx(-0.01 / (0.01 + 0.01))
    assert seen["equity_change"] == approx(-0.5)
    assert seen["drawdown"] == approx(0.03 / 0.04)
    assert seen["cash_free"] == approx((9965 - 1000) / (9965 - 1000 + 10_000))
    assert seen["exposure"] == approx(37.5 / (37.5 + 9965))
    assert seen["fee"] == approx(0.0175 / (0.0175 + 0.01))  # 7 % of 0.5 x 0.5


def test_own_orders_by_hand():
    state = empty_state()
    quote(state, 0, {48: 60}, {52: 20})
    rest(state, 0, 1, BID, 46, 25, ahead=75, age_s=30)
    rest(state, 0, 0, ASK, 51, 100, leg=NO, ahead=0, age_s=10)
    seen = Watcher(state).look()
    names = ("live", "distance", "size", "queue", "age")
    # 2 ticks behind: 2 / (2 + 5); 1 tick in front of the touch: -1 / (1 + 5)
    assert [seen[f"own_bid_{name}"] for name in names] == approx([1, 2 / 7, 25 / 125, 75 / 100, 30 / 40])
    assert [seen[f"own_ask_{name}"] for name in names] == approx([1, -1 / 6, 100 / 200, 0, 0.5])


def test_the_newest_own_order_counts_and_none_gives_zeros():
    state = empty_state()
    quote(state, 0, {48: 60}, {52: 20})
    assert {v for k, v in Watcher(state).look().items() if k.startswith("own_")} == {0.0}
    rest(state, 0, 0, BID, 46, 25)
    rest(state, 0, 3, BID, 48, 10)
    seen = Watcher(state).look()
    assert seen["own_bid_distance"] == 0.0
    assert seen["own_bid_size"] == approx(10 / 110)


def test_own_orders_are_in_no_book_feature_and_in_no_mark():
    state = empty_state()
    quote(state, 0, {48: 60}, {52: 20})
    hold(state, 0, yes=50)
    book = slice(0, 25)
    before = Watcher(state).observe().copy()
    rest(state, 0, 0, BID, 49, 500)
    rest(state, 0, 1, ASK, 50, 500, leg=YES, reduce=1)
    after = Watcher(state).observe()
    np.testing.assert_array_equal(before[:, book], after[:, book])
    names = make_schema().names
    for name in ("unrealised", "equity_change", "exposure"):
        assert before[0, names.index(name)] == after[0, names.index(name)]


def test_signal_features_by_hand():
    state = empty_state()
    quote(state, 0, {48: 60}, {52: 20})  # mid 50 cents
    names = ("live", "edge", "error", "age")
    assert [Watcher(state).look()[f"signal_{name}"] for name in names] == [0, 0, 0, 0]
    state.market[0]["signal_ppm"] = 600_000
    state.market[0]["signal_err_ppm"] = 20_000
    state.market[0]["signal_ns"] = state.account[0]["now_ns"] - 15 * SECOND_NS
    seen = Watcher(state).look()
    assert [seen[f"signal_{name}"] for name in names] == approx([1.0, 0.10 / 0.15, 0.5, 15 / 20])
    state.market[0]["signal_ppm"] = 450_000
    assert Watcher(state).look()["signal_edge"] == approx(-0.5)


def test_only_wanted_environments_and_chosen_groups_are_written():
    state = random_state(4, 1)
    mask = np.array([True, False, True, False])
    watcher = Watcher(state)
    watcher.observe(mask)
    assert np.isfinite(watcher.out[mask]).all()
    assert np.isnan(watcher.out[~mask]).all()
    assert list(watcher.memory.track["seen"][:, 0]) == [1, 0, 1, 0]
    part_of = Watcher(random_state(4, 1), groups=("time", "signal"))
    part_of.observe(mask)
    np.testing.assert_array_equal(part_of.out[mask], watcher.out[mask][:, [*range(25, 31), *range(52, 56)]])


def test_a_scan_stops_after_64_ladder_levels():
    state = empty_state()
    quote(state, 0, {90: 10, 27: 10, 26: 10}, {91: 10})
    seen = Watcher(state).look()
    assert seen["bid_size_2"] == approx(10 / 110)  # 27 cents: the 64th level from the touch
    assert seen["bid_size_3"] == 0.0  # 26 cents: the 65th


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_every_feature_is_finite_and_within_its_range(seed):
    watcher = Watcher(random_state(8, seed))
    low, high = np.array([(f.low, f.high) for f in FEATURES]).T
    for _ in range(2):
        obs = watcher.observe()
        assert np.isfinite(obs).all()
        assert (obs >= low).all()
        assert (obs <= high).all()


def test_scales_are_halved_at_their_half():
    assert part(100.0, 100.0) == 0.5
    assert soft(-0.05, 0.05) == -0.5
    assert part(0, 1.0) == soft(0, 1.0) == 0.0


def test_the_kernel_is_compiled_once():
    watcher = Watcher(random_state(4, 1))
    watcher.observe()
    watcher.observe(np.array([True, False, True, False]))
    assert len(getattr(observe, "signatures", [0])) == 1


def test_a_wall_at_an_anchor_is_seen_and_remembered():
    state = empty_state()
    quote(state, 0, bids={47: 5, 48: 10}, asks={50: 30, 52: 15, 54: 500})
    watcher = Watcher(state)
    seen = watcher.look()
    # 30 at 50 cents, 60 from 47 to 53; the 500 at 54 lie farther
    assert seen["anchor_size"] == pytest.approx(0.5)
    assert seen["anchor_wall"] == pytest.approx(0.5)  # the first look is all that is known
    state.book[0, ASK, 49] = 10 * 100  # 10 of 40
    state.account["now_ns"] += 64 << 29  # a slow half-life: half of what was known has faded
    seen = watcher.look()
    assert seen["anchor_size"] == pytest.approx(0.25)
    assert seen["anchor_wall"] == pytest.approx(0.5 + 0.5 * (0.25 - 0.5))
    assert watcher.look()["anchor_wall"] == pytest.approx(0.375)  # looking twice adds nothing
    state.market["mid2_px"] = 2 * 6100  # eleven cents away
    assert watcher.look()["anchor_size"] == 0.0


def test_a_crossed_book_has_no_spread_for_its_anchor():
    """Bid 40, ask 35: mean spread 10 cents before, now 0, so (10 - 0) / (10 + 0) = 1, times 5 / (5 + 12.5) for the way
    of the mid, 37.5, from the nearest anchor. Reckoned with -5 it were 15 / 5."""
    state = empty_state()
    quote(state, 0, bids={40: 10}, asks={35: 10})
    state.market["activity"]["spread"] = 1000.0
    seen = Watcher(state).look()
    assert seen["anchor_spread"] == pytest.approx(5 / (5 + 12.5))
