"""The largest feasible size by brute force, and totality, on random accounts; judged by the checker of the proof."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.shield_checker import BOOK, BROKEN, check
from benchmarks.shield_states import SCHEDULES, WORDS, fill_crowd, fill_orders, make_crowd, random_floats, random_limits
from envs.shield import PRESETS, certify, orders_from_floats
from sim.links import Same
from sim.types import BID, DO_CANCEL, DO_NOTHING, DO_PLACE, INTENT, YES

MARKETS = 2
TIED = (Same(0, 1),)


def crowd_of(rng, start_uusd, num_envs=1):
    crowd = make_crowd(num_envs, MARKETS)
    fill_crowd(crowd, rng.integers(0, 2**32, (num_envs * (MARKETS + 1), WORDS), np.uint32), start_uusd)
    return crowd


def random_orders(rng, crowd):
    shape = (len(crowd.account), MARKETS, 2)
    wanted = np.zeros(shape, INTENT)
    words = rng.integers(0, 2**32, (wanted.size, 24), np.uint32)
    fill_orders(crowd, words, random_floats(rng, shape), wanted)
    return wanted


def ask(crowd, limits, wanted, links):
    pools, markets = crowd.pool[0], crowd.market
    return certify(wanted, crowd.account, pools, markets, SCHEDULES, limits, crowd.watch, links)


def broken(crowd, limits, asked, safe, links):
    """Names of the rules that the orders ``safe`` (M, 2) break."""
    found = np.zeros(len(BROKEN), np.int64)
    event_of = np.zeros(MARKETS, np.int64) if links else np.arange(MARKETS)
    check(
        limits.record(), crowd.watch, crowd.account, crowd.pool, crowd.market, SCHEDULES, event_of,
        np.zeros(MARKETS, BOOK), asked[None], safe[None], found,
    )  # fmt: skip
    return [name for name, count in zip(BROKEN, found, strict=True) if count]


def largest_by_trial(crowd, limits, wanted, safe, place, links):
    """Lots: the orders before ``place`` as they came out, this one in every size, none after it."""
    trial = np.zeros_like(safe)
    before = np.arange(safe.size).reshape(safe.shape) < np.ravel_multi_index(place, safe.shape)
    trial[before] = safe[before]
    trial["do"][~before] = DO_CANCEL  # what the kill switch asks for at the least
    most, position = int(wanted[place]["qty"]), crowd.market["position"][place[0]]
    if (place[1] == BID) != (wanted[place]["leg"] == YES):  # a sale, of what is held at most
        most = min(most, int(position["no_qty" if place[1] == BID else "yes_qty"]))
    for qty in range(most, 0, -1):
        trial[place] = wanted[place]
        trial[place]["qty"] = qty
        # cancels after it would count as messages of theirs only
        if not set(broken(crowd, limits, wanted, trial, links)):
            return qty
    return 0


@pytest.mark.parametrize("seed", range(60))
def test_no_larger_size_is_feasible(seed):
    rng = np.random.default_rng(seed)
    limits, links = random_limits(rng), TIED if seed % 2 else ()
    crowd = crowd_of(rng, int(rng.integers(50_000, 400_000)))  # 5 to 40 cents: sizes of some lots
    crowd.pool["min_qty"] = rng.integers(1, 4, crowd.pool.shape)
    wanted = random_orders(rng, crowd)[0]
    wanted["qty"] = np.clip(wanted["qty"], 1, 40)
    safe = ask(crowd, limits, wanted, links).orders
    assert broken(crowd, limits, wanted, safe, links) == []
    for place in np.ndindex(safe.shape):
        if wanted[place]["do"] == DO_PLACE:
            granted = int(safe[place]["qty"]) if safe[place]["do"] == DO_PLACE else 0
            assert granted == largest_by_trial(crowd, limits, wanted, safe, place, links), place


FIELDS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-2, 12_000), st.sampled_from([0, 1, 2]))


@settings(max_examples=150)
@given(
    st.integers(0, 2**31), st.sampled_from([None, *PRESETS]), st.booleans(),
    st.lists(st.tuples(*[FIELDS] * 8), min_size=4, max_size=4),
)  # fmt: skip
def test_nothing_unsafe_comes_out_and_certifying_it_again_changes_nothing(seed, preset, tied, fields):
    rng = np.random.default_rng(seed)
    limits = random_limits(rng) if preset is None else PRESETS[preset]
    crowd, links = crowd_of(rng, int(10 ** rng.uniform(6, 11))), TIED if tied else ()
    wanted = np.array(fields, INTENT).reshape(MARKETS, 2)
    wanted["do"][:, 0] = DO_PLACE
    verdict = ask(crowd, limits, wanted, links)
    assert broken(crowd, limits, wanted, verdict.orders, links) == []
    again = ask(crowd, limits, verdict.orders, links)
    assert (again.orders == verdict.orders).all()
    changed = (verdict.orders["do"] != wanted["do"]) | (verdict.orders["qty"] != wanted["qty"])
    swept = np.isin(wanted["do"], (DO_NOTHING, 4, 5)) & (verdict.orders["do"] == DO_CANCEL)
    assert ((verdict.reasons > 0) | ~changed | swept).all()


@settings(max_examples=100)
@given(st.integers(0, 2**31))
def test_plausible_orders_too(seed):
    rng = np.random.default_rng(seed)
    limits, crowd = random_limits(rng), crowd_of(rng, int(10 ** rng.uniform(7.7, 12)))
    wanted = random_orders(rng, crowd)[0]
    verdict = ask(crowd, limits, wanted, ())
    assert broken(crowd, limits, wanted, verdict.orders, ()) == []
    assert (ask(crowd, limits, verdict.orders, ()).orders == verdict.orders).all()


def test_floats_that_are_no_numbers_become_orders_that_are_none():
    nan, inf = float("nan"), float("inf")
    prices = [0.5, 0.50004, nan, inf, -inf, 0.0, 1.0, -1.0, 0.5, 0.5, 0.5, 0.5]
    contracts = [5.019, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, nan, inf, -1.0, 1e300]
    made = orders_from_floats(np.array(prices), np.array(contracts))
    assert made["px"].tolist() == [5000, 5000, -1, -1, -1, -1, -1, -1, 5000, 5000, 5000, 5000]
    assert made["qty"].tolist() == [501, 500, 500, 500, 500, 500, 500, 500, -1, -1, -1, 10**11]
    budgets = orders_from_floats(0.5, 1.0, np.array([0.0, 1.5, 1e-9, nan, inf, -1.0, 1e30]))["budget_uusd"]
    assert budgets.tolist() == [0, 1_500_000, 1, -1, -1, -1, 10**15]
