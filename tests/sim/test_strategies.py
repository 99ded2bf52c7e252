"""Baselines: decisions by hand, rows of an action table, views. How they play: tests/envs/test_baselines.py."""

import numpy as np
import pytest

from envs.features import GROUPS, make_schema
from sim.strategies import (
    STRATEGIES,
    UNIFORMS,
    VIEW,
    decide,
    find_strategy,
    nearest_actions,
    rows_from_table,
    strategy_params,
    table_from_rows,
    view_from_observation,
)
from sim.strategies.decision import LEGS, STYLES, VERBS, Decision


def view(**values):
    """An open market: bid 48 cents x 60, ask 51 x 20, nothing held, no orders, no forecast, fee 1.75 cents."""
    made = np.zeros(1, VIEW)
    usual = {
        "open": 1, "bid": 0.48, "ask": 0.51, "mid": 0.495, "tick": 0.01, "bid_size": 60, "ask_size": 20,
        "imbalance": 0.5, "fee": 0.0175, "seconds_left": 300,
    }  # fmt: skip
    for name, value in (usual | values).items():
        made[name] = value
    return made


def say(name, views, uniforms=None, **values):
    """The decision in words: (verb, leg, contracts, style)."""
    made = decide(name, views, strategy_params(name, values), np.zeros((1, UNIFORMS)) if uniforms is None else uniforms)
    verb, leg, contracts, style = (part[0] for part in made)
    return VERBS[verb], LEGS[leg], contracts, STYLES[style]


def said(name, views, **values):
    words = say(name, views, **values)
    return words[0] if words[0] == "hold" else words


@pytest.mark.parametrize("name", STRATEGIES)
def test_everyone_holds_while_the_market_is_closed(name):
    assert said(name, view(open=0, imbalance=1, signal_live=1, signal=0.9)) == "hold"


def test_noop_holds():
    assert said("noop", view(imbalance=1, signal_live=1, signal=0.9)) == "hold"


@pytest.mark.parametrize(
    ("state", "values", "words"),
    [
        ({"imbalance": 0.7}, {}, ("buy", "YES", 10, "cross")),
        ({"imbalance": -0.7}, {}, ("buy", "NO", 10, "cross")),
        ({"imbalance": 0.5}, {}, "hold"),
        ({"imbalance": 0.5}, {"threshold": 0.5, "size": 25}, ("buy", "YES", 25, "cross")),
        ({"imbalance": 0.7, "no": 4}, {}, ("sell", "NO", 4, "cross")),  # first what is held of the other leg
        ({"imbalance": -0.7, "yes": 30}, {}, ("sell", "YES", 10, "cross")),
        ({"imbalance": 0.7, "yes": 91}, {}, "hold"),  # 91 + 10 passes the limit of 100
        ({"imbalance": -0.7, "no": 91}, {}, "hold"),
        ({"imbalance": 1, "ask": 1}, {}, "hold"),  # nobody asks: one side is no imbalance
    ],
)
def test_imbalance(state, values, words):
    assert said("imbalance", view(**state), **values) == words


# fee 1.75 cents, error 1 cent, caution 1: a forecast must beat the touch by more than 2.75 cents
@pytest.mark.parametrize(
    ("state", "values", "words"),
    [
        ({"signal": 0.5380}, {}, ("buy", "YES", 20, "cross")),  # 51 + 2.75 = 53.75; no more than the 20 shown
        ({"signal": 0.5370}, {}, "hold"),
        ({"signal": 0.5370}, {"caution": 0.5}, ("buy", "YES", 20, "cross")),
        ({"signal": 0.5380}, {"margin": 0.001}, "hold"),
        ({"signal": 0.4520}, {}, ("buy", "NO", 25, "cross")),  # 48 - 2.75 = 45.25; 60 shown
        ({"signal": 0.4530}, {}, "hold"),
        ({"signal": 0.4520, "yes": 8}, {}, ("sell", "YES", 8, "cross")),
        ({"signal": 0.5380, "yes": 190}, {}, ("buy", "YES", 10, "cross")),  # limit 200
        ({"signal": 0.5380, "yes": 200}, {}, "hold"),
        ({"signal": 0.99, "ask": 1.0, "ask_size": 0}, {}, "hold"),
        ({"signal": 0.01, "bid": 0.0, "bid_size": 0}, {}, "hold"),
        ({"signal": 0.99, "signal_live": 0}, {}, "hold"),
        ({"signal": 0.5380, "signal_age": 1.1}, {}, "hold"),  # an old forecast says little
        ({"signal": 0.5380, "signal_age": 1.1}, {"max_age_s": 2.0}, ("buy", "YES", 20, "cross")),
    ],
)
def test_signal(state, values, words):
    assert said("signal", view(**{"signal_live": 1, "signal_err": 0.01, **state}), **values) == words


BOTH_QUOTED = {"own_bid": 1, "own_ask": 1}


@pytest.mark.parametrize(
    ("state", "values", "words"),
    [
        ({}, {}, ("buy", "YES", 10, "passive")),
        ({"own_bid": 1}, {}, ("buy", "NO", 10, "passive")),
        (BOTH_QUOTED, {}, "hold"),
        ({**BOTH_QUOTED, "own_bid_ticks": 1}, {}, ("buy", "YES", 10, "passive")),  # the touch moved away
        ({**BOTH_QUOTED, "own_ask_ticks": -1}, {}, ("buy", "NO", 10, "passive")),
        ({"yes": 20}, {}, ("sell", "YES", 10, "passive")),  # the side that reduces comes first
        ({"no": 20}, {}, ("sell", "NO", 10, "passive")),
        ({"yes": 50, "own_ask": 1}, {}, "hold"),  # at the limit only the ask is wanted
        ({"yes": 50, **BOTH_QUOTED}, {}, ("cancel", "YES", 0, "passive")),
        ({"no": 50, **BOTH_QUOTED}, {}, ("cancel", "NO", 0, "passive")),
        ({"imbalance": -0.9}, {}, ("buy", "NO", 10, "passive")),  # the touch leans against the bid
        ({"imbalance": 0.9, **BOTH_QUOTED}, {}, ("cancel", "NO", 0, "passive")),
        ({"seconds_left": 10, **BOTH_QUOTED}, {}, ("cancel", "YES", 0, "passive")),
        ({"seconds_left": 10}, {}, "hold"),
        ({}, {"min_ticks": 4}, "hold"),  # the spread is 3 ticks
        ({}, {"min_ticks": 3}, ("buy", "YES", 10, "passive")),
        ({"ask": 1.0}, {}, "hold"),
    ],
)
def test_quoter(state, values, words):
    assert said("quoter", view(**state), **values) == words


def test_random_uses_its_rate_verbs_legs_sizes_and_styles_alike():
    count = 40_000
    views, uniforms = np.repeat(view(), count), np.random.default_rng(0).random((count, UNIFORMS))
    made = decide("random", views, strategy_params("random", {"rate": 0.5, "passive": 0.25}), uniforms)
    acts = made.verb > 0
    assert acts.mean() == pytest.approx(0.5, abs=0.01)
    kinds, counts = np.unique(np.stack([made.verb, made.leg, made.contracts])[:, acts], axis=1, return_counts=True)
    assert kinds.shape[1] == 20  # {buy, sell} x {YES, NO} x five sizes
    assert counts == pytest.approx(np.full(20, count / 40), rel=0.15)
    assert (made.style[acts] == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_parameters_have_names_bounds_and_defaults():
    assert strategy_params("noop").shape == (0,)
    assert strategy_params("signal", {"margin": 0.02}).tolist() == [25.0, 0.02, 1.0, 200.0, 1.0]
    for name in STRATEGIES:
        params = strategy_params(name)
        for parameter, value in zip(find_strategy(name).parameters, params, strict=True):
            assert parameter.low <= value <= parameter.high
    with pytest.raises(
        ValueError, match=r"signal: no parameter 'sise'; it has size, margin, caution, limit, max_age_s"
    ):
        strategy_params("signal", {"sise": 5.0})
    for wrong in (5000.0, float("nan")):
        with pytest.raises(ValueError, match=r"size = .* lies outside \[5.0, 100.0\]"):
            strategy_params("quoter", {"size": wrong})
    with pytest.raises(ValueError, match="no strategy 'quotr'; the strategies are noop, random"):
        find_strategy("quotr")


def test_wrong_arrays_say_what_was_expected():
    good, uniforms = view(), np.zeros((1, UNIFORMS))
    with pytest.raises(ValueError, match="expected views of dtype VIEW"):
        decide("noop", np.zeros(1), strategy_params("noop"), uniforms)
    with pytest.raises(ValueError, match="expected 5 float64 parameters"):
        decide("signal", good, np.zeros(3), uniforms)
    with pytest.raises(ValueError, match=r"uniforms of shape \(1, 4\)"):
        decide("random", good, strategy_params("random"), np.zeros((2, UNIFORMS)))


TABLE = [
    ["buy", "YES", 5, "cross"], ["buy", "YES", 25, "cross"], ["hold", "YES", 0, "cross"], ["buy", "YES", 25, "passive"],
    ["sell", "NO", 10, "cross"], ["cancel", "NO", 0, "passive"],
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "row"),
    [
        (("buy", "YES", 100, "cross"), 1),
        (("buy", "YES", 14, "cross"), 0),
        (("buy", "YES", 15, "cross"), 0),  # of two as near the first
        (("buy", "YES", 1, "passive"), 3),
        (("buy", "NO", 5, "cross"), 2),  # no such row: hold
        (("sell", "NO", 1, "passive"), 2),
        (("sell", "NO", 0.5, "cross"), 4),
        (("cancel", "NO", 0, "cross"), 5),  # a cancel has no style
        (("cancel", "YES", 0, "passive"), 2),
        (("hold", "YES", 0, "passive"), 2),
    ],
)
def test_the_nearest_row(words, row):
    verb, leg, contracts, style = words
    wanted = Decision(
        np.array([VERBS.index(verb)]), np.array([LEGS.index(leg)]), np.array([float(contracts)]),
        np.array([STYLES.index(style)]),
    )  # fmt: skip
    table = table_from_rows(TABLE)
    assert rows_from_table(table) == TABLE
    assert nearest_actions(table, wanted).tolist() == [row]


def test_a_view_without_a_forecast_or_with_a_feature_missing():
    groups = [group for group in GROUPS if group != "signal"]
    names = make_schema(groups).names
    views = view_from_observation(names, np.zeros((2, len(names)), np.float32))
    assert (views["signal_live"] == 0).all()
    names[names.index("imbalance")] = "lean"
    with pytest.raises(ValueError, match="the observation lacks imbalance"):
        view_from_observation(names, np.zeros((2, len(names)), np.float32))
    with pytest.raises(ValueError, match=r"expected an observation of shape \(N, 83\)"):
        view_from_observation(names, np.zeros((2, 51), np.float32))


def test_a_view_by_hand():
    names = make_schema().names
    obs = np.zeros((1, len(names)), np.float32)
    for name, value in (
        ("market_open", 1), ("bid", 2 * 0.48 - 1), ("ask", 2 * 0.51 - 1), ("mid", 2 * 0.495 - 1), ("tick", 0.01 / 0.02),
        ("bid_size_1", 60 / 160), ("ask_size_1", 20 / 120), ("imbalance", 0.5), ("fee", 0.0175 / 0.0275),
        ("close_hour", 300 / 3900), ("position_yes", 7.25 / 107.25), ("own_ask_live", 1), ("own_ask_distance", -2 / 7),
        ("signal_live", 1), ("signal_edge", 0.05 / 0.10), ("signal_error", 0.5), ("signal_age", 15 / 20),
    ):  # fmt: skip
        obs[0, names.index(name)] = value
    seen = {name: view_from_observation(names, obs)[name][0] for name in VIEW.names}
    assert (seen["bid"], seen["ask"], seen["mid"], seen["tick"]) == (0.48, 0.51, 0.495, 0.01)
    assert (seen["bid_size"], seen["ask_size"], seen["yes"], seen["no"]) == (60, 20, 7.25, 0)
    expected = {"open": 1, "imbalance": 0.5, "fee": 0.0175, "seconds_left": 300, "own_bid": 0, "own_ask": 1}
    expected |= {"own_ask_ticks": -2, "signal_live": 1, "signal": 0.545, "signal_err": 0.02, "signal_age": 15}
    for name, value in expected.items():
        assert seen[name] == pytest.approx(value, rel=1e-5), name
