"""The control surface: what its numbers stand for, on states made by hand. Prices in cents, sizes in contracts."""

import numpy as np
import pytest
from hand import cent_rules, empty_state, hold, quote, random_state, rest

from envs.actions import make_table
from envs.quotes import decode_controls
from envs.surface import COORDINATES, SURFACES, check_controls, make_surface
from sim.latency import NEVER_NS
from sim.types import (
    ASK,
    BID,
    CLOSED,
    DO_CANCEL,
    DO_NOTHING,
    DO_PLACE,
    GTC,
    INTENT,
    LOTS_PER_CONTRACT,
    NO,
    PX_ONE,
    REJECT_CASH,
    REJECT_MARKET_CLOSED,
    REJECT_NO_QUOTE,
    REJECT_NONE,
    UUSD,
    YES,
)
from sim.venues.fees import fee_bound

NAMES = [coordinate.name for coordinate in COORDINATES]


def point(surface=None, **values):
    """A point of the surface by its coordinates' values, the others at their defaults."""
    wanted = dict.fromkeys(NAMES, 0.0)
    for name, _, low, default, high in (surface or make_surface()).listed:
        value = values.get(name, default)
        if value != default:
            wanted[name] = (value - default) / (high - default if value > default else default - low)
    return np.array([wanted[name] for name in NAMES])


def decode(state, points, *, surface=None, rules=None):
    """Intents (N, 2) and rejects (N,) of one point an environment."""
    count = len(state.account)
    state.market["due_ns"] = NEVER_NS
    intents, rejects = np.zeros((count, 1, 2), INTENT), np.zeros(count, np.int32)
    ranges = (surface or make_surface()).ranges
    decode_controls(rules or cent_rules(), state, ranges, 0, count, np.atleast_2d(points), intents, rejects)
    return intents[:, 0], rejects


def one(state, *, surface=None, rules=None, **values):
    intents, rejects = decode(state, point(surface, **values), surface=surface, rules=rules)
    return intents[0], rejects[0]


def book():
    """Bid 48 x 60, ask 51 x 20: the mid is 49.5."""
    state = empty_state()
    quote(state, 0, {48: 60, 47: 100}, {51: 20, 52: 100})
    return state


def cents(intents):
    return tuple(px / 100 for px in intents["px"].tolist())


def test_the_middle_of_the_surface_joins_the_touch_on_both_sides():
    intents, reason = one(book())
    assert reason == REJECT_NONE
    assert cents(intents) == (48, 51)
    assert intents["do"].tolist() == [DO_PLACE] * 2 and intents["qty"].tolist() == [2000] * 2
    assert intents["leg"].tolist() == [YES, NO]  # nothing is held: both sides open
    assert intents["tif"].tolist() == [GTC] * 2 and intents["post_only"].tolist() == [1, 1]
    assert intents["budget_uusd"].tolist() == intents["expiry_ns"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("values", "prices"),
    [
        ({"spread": 1}, (47, 52)),
        ({"spread": -1}, (49, 50)),
        ({"offset": 1}, (49, 52)),
        ({"offset": -1, "spread": 2}, (45, 52)),  # 48 - 2 - 1 and 51 + 2 - 1
        ({"offset": 0.5}, (48, 52)),  # 48.5 and 51.5: halves go outwards
        ({"offset": 0.51}, (49, 52)),
        ({"offset": -0.5}, (47, 51)),
        ({"offset": 3}, (50, 54)),  # the bid would reach the ask at 51: it stops below it
        ({"offset": -4}, (44, 49)),  # 47 would reach the bid: it stops above it
        ({"spread": -2}, (49, 50)),  # 50 and 49 would meet: their middle is 49.5
    ],
)
def test_prices_by_hand_from_the_touch(values, prices):
    intents, reason = one(book(), **values)
    assert cents(intents) == prices
    assert reason == REJECT_NONE


@pytest.mark.parametrize(
    ("values", "prices"),
    [
        ({}, (48, 51)),  # 49.5 - 1 = 48.5 and 50.5, halves outwards
        ({"spread": 0}, (49, 50)),
        ({"spread": 2}, (47, 52)),
        ({"offset": 0.5}, (49, 51)),  # 49.5 + 0.5 = 50, a tick off it
    ],
)
def test_prices_by_hand_from_the_mid(values, prices):
    assert cents(one(book(), surface=make_surface("surface_mid"), **values)[0]) == prices


@pytest.mark.parametrize(("yes", "no", "prices"), [(100, 0, (46, 49)), (0, 100, (50, 53)), (75, 0, (46, 50))])
def test_what_is_held_moves_both_quotes_against_it(yes, no, prices):
    """2 ticks for each 100 contracts; 75 net move them by 1.5: 46.5 and 49.5 are 46 and 50, halves outwards."""
    state = book()
    hold(state, 0, yes=yes, no=no)
    assert cents(one(state)[0]) == prices
    assert cents(one(state, skew=0)[0]) == (48, 51)


@pytest.mark.parametrize(
    ("contracts", "lots"), [(0, None), (2.4, None), (2.5, 500), (5, 500), (12, 1000), (12.5, 1500), (100, 10_000)]
)
def test_sizes_are_whole_steps_and_none_means_no_quote(contracts, lots):
    intents, reason = one(book(), bid_size=contracts)
    assert reason == REJECT_NONE and intents[ASK]["do"] == DO_PLACE
    assert (intents[BID]["do"], intents[BID]["qty"]) == ((DO_NOTHING, 0) if lots is None else (DO_PLACE, lots))


def test_a_size_below_the_venues_smallest_is_no_quote():
    state = book()
    state.pool["min_qty"] = 600
    intents, reason = one(state, bid_size=5, ask_size=10)
    assert intents["do"].tolist() == [DO_NOTHING, DO_PLACE] and reason == REJECT_NONE


@pytest.mark.parametrize(
    ("no", "leg", "qty"), [(30, NO, 2000), (12, NO, 1200), (10, NO, 1000), (9.99, YES, 2000), (0, YES, 2000)]
)
def test_what_is_held_of_the_other_leg_is_sold_where_it_makes_half_the_quote(no, leg, qty):
    state = book()
    hold(state, 0, no=no)
    intents, _ = one(state, skew=0)
    assert (intents[BID]["leg"], intents[BID]["qty"]) == (leg, qty)
    assert intents[ASK]["leg"] == NO  # opens


@pytest.mark.parametrize(
    ("price", "size", "stays"), [(48, 20, True), (48, 10, True), (48, 9.99, False), (48, 20.01, False), (47, 20, False)]
)
def test_an_order_that_fits_keeps_its_place(price, size, stays):
    state = book()
    rest(state, 0, 0, BID, price, size, ahead=60)
    intents, reason = one(state)
    assert intents[BID]["do"] == (DO_NOTHING if stays else DO_PLACE)
    assert intents[ASK]["do"] == DO_PLACE and reason == REJECT_NONE


def test_what_is_leaving_or_doubled_is_no_quote_to_keep():
    state = book()
    rest(state, 0, 0, BID, 48, 20)
    state.orders[0, 0]["leaving"] = 1
    assert one(state)[0][BID]["do"] == DO_PLACE
    state.orders[0, 0]["leaving"] = 0
    assert one(state)[0][BID]["do"] == DO_NOTHING
    for other in (47, 48):
        rest(state, 0, 1, BID, other, 20)
        assert one(state)[0][BID]["do"] == DO_PLACE


def test_a_side_that_is_not_wanted_is_taken_back():
    state = book()
    rest(state, 0, 0, BID, 48, 20)
    assert one(state, bid_size=0)[0]["do"].tolist() == [DO_CANCEL, DO_PLACE]
    assert one(state, bid_size=0, ask_size=0)[0]["do"].tolist() == [DO_CANCEL, DO_NOTHING]


@pytest.mark.parametrize("closed", [True, False])
def test_without_a_market_or_a_reference_nothing_is_quoted(closed):
    state = empty_state()
    quote(state, 0, {48: 60}, {51: 20} if closed else {})
    if closed:
        state.market["status"] = CLOSED
    assert one(state)[1] == (REJECT_MARKET_CLOSED if closed else REJECT_NO_QUOTE)
    rest(state, 0, 0, ASK, 51, 20, leg=NO)
    assert one(state)[0]["do"].tolist() == [DO_NOTHING, DO_CANCEL]


def test_a_finished_episode_sends_nothing():
    state = book()
    rest(state, 0, 0, BID, 40, 20)
    state.account["done"] = 1
    intents, reason = one(state)
    assert intents["do"].tolist() == [DO_NOTHING] * 2 and reason == REJECT_NONE


def test_off_the_ends_of_the_price_grid_there_is_no_quote():
    state = empty_state()
    quote(state, 0, {1: 60}, {98: 20})
    intents, reason = one(state, spread=1)  # 0 and 99 cents
    assert intents["do"].tolist() == [DO_NOTHING, DO_PLACE] and reason == REJECT_NO_QUOTE
    assert intents[ASK]["px"] == 9900


def test_prices_keep_to_the_tick_table():
    """Legal prices every 5 cents: 48 and 51 are quotes of an older table. 47 goes down to 45, 52 up to 55."""
    intents, _ = one(book(), spread=1, rules=cent_rules(legal=np.arange(500, PX_ONE, 500)))
    assert cents(intents) == (45, 55)


def test_the_bid_is_paid_for_first():
    """$10: 20 YES at 48 cents lock 9.60, and 20 NO at 49 cents would lock 9.80."""
    state = book()
    state.pool["cash_uusd"] = 10 * UUSD
    intents, reason = one(state)
    assert intents["do"].tolist() == [DO_PLACE, DO_NOTHING] and reason == REJECT_CASH
    state.pool["cash_uusd"] = 20 * UUSD
    assert one(state)[1] == REJECT_NONE
    state.pool["cash_uusd"] = 10 * UUSD  # without a bid that is enough for the ask
    assert one(state, bid_size=0)[0]["do"].tolist() == [DO_NOTHING, DO_PLACE]


def test_without_the_cash_to_open_what_is_held_is_sold():
    state = book()
    hold(state, 0, no=6)
    state.pool["cash_uusd"] = 0
    intents, reason = one(state, ask_size=0)
    assert (intents[BID]["leg"], intents[BID]["qty"]) == (NO, 600) and reason == REJECT_NONE


def test_a_quote_that_cannot_be_paid_for_takes_the_old_one_back():
    state = book()
    rest(state, 0, 0, BID, 40, 20)
    state.pool["cash_uusd"] = state.pool["reserved_uusd"][0, 0]
    intents, reason = one(state, ask_size=0)
    assert intents[BID]["do"] == DO_CANCEL and reason == REJECT_CASH


# ---------------------------------------------------------------- properties


def random_points(count, seed):
    return np.random.default_rng(seed).uniform(-1, 1, (count, len(NAMES)))


@pytest.mark.parametrize("name", SURFACES)
def test_quotes_are_legal_and_reach_neither_the_other_side_nor_each_other(name):
    state = random_state(400, 1)
    intents, rejects = decode(state, random_points(400, 2), surface=make_surface(name))
    placed = intents["do"] == DO_PLACE
    px = intents["px"]
    assert placed.sum() > 300
    assert (px[placed] % 100 == 0).all() and (px[placed] > 0).all() and (px[placed] < PX_ONE).all()
    best_bid, best_ask = (state.market["best_bid"] + 1) * 100, (state.market["best_ask"] + 1) * 100
    assert (px[placed[:, BID], BID] < best_ask[placed[:, BID]]).all()
    assert (px[placed[:, ASK], ASK] > best_bid[placed[:, ASK]]).all()
    both = placed.all(axis=1)
    assert (px[both, BID] < px[both, ASK]).all()
    assert (rejects[both] == REJECT_NONE).all()


@pytest.mark.parametrize("cancels_first", [True, False])
def test_quotes_never_promise_more_than_is_free(cancels_first):
    """What new orders lock at most, less what the orders that they replace set free, fits the free cash; and no more
    is sold than is held and not promised."""
    state = random_state(400, 3)
    state.pool["cash_uusd"] = np.random.default_rng(4).integers(0, 60, (400, 1)) * UUSD + state.pool["reserved_uusd"]
    rules = cent_rules(cancels_first=cancels_first)
    intents, rejects = decode(state, random_points(400, 5), rules=rules)
    short = 0
    for env in range(400):
        free = int(state.pool[env, 0]["cash_uusd"] - state.pool[env, 0]["reserved_uusd"])
        for side in (BID, ASK):
            intent = intents[env, side]
            if intent["do"] != DO_PLACE:
                continue
            opens = (side == BID) == (intent["leg"] == YES)
            price = int(intent["px"] if intent["leg"] == YES else PX_ONE - intent["px"])
            if opens:
                free -= price * int(intent["qty"]) + fee_bound(rules.fees, 0, price, price, int(intent["qty"]), True)
            else:
                held = state.position[env]["yes_qty" if intent["leg"] == YES else "no_qty"]
                assert intent["qty"] <= held
            if cancels_first:
                resting = state.orders[env]
                free += int(resting["reserved_uusd"][(resting["id"] > 0) & (resting["side"] == side)].sum())
        assert free >= 0, env
        short += rejects[env] == REJECT_CASH
    assert short > 50


def plain_prices(state, env, surface, values):
    """Prices of both quotes in cents as the module's text says them, in fractions."""
    from fractions import Fraction as F
    from math import ceil, floor

    offset, spread, skew = (F(values[index]) for index in range(3))
    market, position = state.market[env], state.position[env]
    bid, ask = int(market["best_bid"]) + 1, int(market["best_ask"]) + 1
    shift = offset - skew * F(int(position["yes_qty"] - position["no_qty"]), 100 * LOTS_PER_CONTRACT)
    middle = F(int(market["mid2_px"]), 200)
    below, above = (middle, middle) if surface.reference == "mid" else (bid, ask)
    own_bid = min(ceil(below + shift - spread - F(1, 2)), ask - 1)
    own_ask = max(floor(above + shift + spread + F(1, 2)), bid + 1)
    if own_bid >= own_ask and 0 < own_ask < 100:
        own_bid = (own_bid + own_ask) // 2
        own_ask = own_bid + 1
    return own_bid, own_ask


@pytest.mark.parametrize("name", SURFACES)
def test_prices_are_those_of_a_plain_calculation(name):
    """On quarters, where floats are exact."""
    surface = make_surface(name, ranges={"bid_size": (5, 5, 5), "ask_size": (5, 5, 5)})
    state = random_state(300, 6)
    state.position["yes_qty"] = np.random.default_rng(7).integers(-4, 5, 300) * 2500  # 25 contracts: 1/4 of the unit
    state.position["no_qty"] = 0
    state.orders["id"] = 0
    state.market["live_orders"] = 0
    rng = np.random.default_rng(8)
    controls = np.stack([rng.integers(-4, 5, 300) / 4, np.zeros(300), rng.integers(-1, 2, 300), *np.zeros((2, 300))], 1)
    intents, _ = decode(state, controls, surface=surface)
    compared = 0
    for env in range(300):
        if state.market[env]["best_bid"] < 0 or state.market[env]["best_ask"] >= 99:
            continue
        values = [
            default + at * (high - default if at > 0 else default - low)
            for at, (_, _, low, default, high) in zip(controls[env], surface.listed, strict=True)
        ]
        for side, wanted in zip((BID, ASK), plain_prices(state, env, surface, values), strict=True):
            placed = intents[env, side]["do"] == DO_PLACE
            assert placed == (0 < wanted < 100), (env, side)
            assert not placed or intents[env, side]["px"] == wanted * 100, (env, side)
            compared += placed
    assert compared > 400


# ---------------------------------------------------------------- data


def test_digests_tell_surfaces_apart():
    made = [make_surface(name) for name in SURFACES]
    made += [make_surface(reference="mid"), make_surface(ranges={"skew": (0, 2, 9)})]
    digests = {surface.digest for surface in made} | {make_table("full").digest}
    assert len(digests) == 5
    assert make_surface(ranges={"skew": (0, 2, 10)}).digest == make_surface().digest
    assert make_surface("surface_mid").digest == make_surface(reference="mid", ranges={"spread": (0, 1, 8)}).digest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "surf"}, "no control surface 'surf'; the surfaces are surface, surface_mid"),
        ({"reference": "last"}, "reference 'last' is not one of touch, mid"),
        ({"ranges": {"size": (0, 1, 2)}}, "no coordinate 'size'; they are offset, spread, skew, bid_size, ask_size"),
        ({"ranges": {"skew": (0, 3, 2)}}, "skew: expected low <= default <= high"),
        ({"ranges": {"skew": (0, 3)}}, "skew: expected low <= default <= high, three numbers"),
        ({"ranges": {"skew": (0, 3, np.nan)}}, "skew: expected low <= default <= high"),
        ({"ranges": {"bid_size": (-5, 3, 5)}}, r"bid_size: \(-5, 3, 5\) leaves \[0, "),
    ],
)
def test_a_wrong_surface_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_surface(**settings)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "environment 2, market 1: skew = nan lies outside"),
        (1.0001, "environment 2, market 1: skew = 1.0001 lies outside"),
        (-np.inf, "environment 2, market 1: skew = -inf lies outside"),
    ],
)
def test_a_wrong_action_names_environment_and_coordinate(value, message):
    actions = np.zeros((3, 10))
    actions[2, 7] = value
    with pytest.raises(ValueError, match=message):
        check_controls(actions, 3, 2)


@pytest.mark.parametrize("actions", [np.zeros((3, 5)), np.zeros((3, 2, 5)), np.zeros((3, 10), bool), [["a"] * 10] * 3])
def test_an_action_of_another_shape_or_type_is_refused(actions):
    with pytest.raises(ValueError, match=r"expected numbers in \[-1, 1\], shape \(3, 10\), got"):
        check_controls(actions, 3, 2)
