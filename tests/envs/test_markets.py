"""Several markets an environment: every market is what it is alone, actions are legs, shapes flatten."""

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.links import Bound
from envs.vector import TradingVectorEnv
from sim.scenarios import Place, Scenario, synthetic
from sim.scenarios.row import make_rows
from sim.types import REJECT_NOTHING_TO_REDUCE, UUSD

ROWS = make_rows(1, life_s=8.5, signal_rate=1.0)
THREE = Scenario(rows=ROWS, places=(Place("kalshi"), Place("kalshi"), Place("polymarket")))


def make(num_envs=4, **settings):
    return TradingVectorEnv(num_envs, **{"scenario": THREE, "actions": "full", **settings})


def test_the_first_market_sees_what_a_market_alone_sees():
    calm = make_rows(1, life_s=8.5, signal_rate=1.0, news_rate=0.0)  # news strikes one of the markets: others' moments
    three = make(scenario=replace(THREE, rows=calm))
    one = make(scenario=synthetic(calm))
    seen, alone = three.reset(seed=0)[0], one.reset(seed=0)[0]
    names = three.spec_sheet["observation"]
    # the cash of the venue and its share of the account differ: two venues split the start
    same = [column for column, name in enumerate(names) if name != "cash_free"]
    for _ in range(7):
        np.testing.assert_array_equal(seen[:, 0, same], alone[:, same])
        seen, alone = three.step(np.zeros((4, 3), np.int64))[0], one.step(np.zeros(4, np.int64))[0]
    assert (seen[:, 0] != seen[:, 1]).any()


def test_flat_is_the_same_side_by_side():
    axis, flat = make(), make(flatten=True)
    seen, row = axis.reset(seed=0)[0], flat.reset(seed=0)[0]
    features = len(axis.spec_sheet["observation"])
    assert row.shape == (4, 3 * features)
    np.testing.assert_array_equal(seen.reshape(4, -1), row)
    assert flat.spec_sheet["observation"][features] == f"market_1.{axis.spec_sheet['observation'][0]}"
    digests = {env.spec_sheet["observation_digest"] for env in (axis, flat, make(scenario=synthetic(ROWS)))}
    assert len(digests) == 3  # a policy of one is refused by the others


def test_one_step_takes_a_leg_in_every_market():
    env = make(autoreset_mode=AutoresetMode.DISABLED, costs=("inventory",))
    env.reset(seed=0)
    buy_yes, buy_no = (env.table.listed.index(["buy", leg, 10, "cross"]) for leg in ("YES", "NO"))
    *_, info = env.step(np.tile([buy_yes, buy_no, 0], (4, 1)))
    held = env.engine.state.position.reshape(4, 3)
    assert (held["yes_qty"][:, 0] == 1000).all()
    assert (held["no_qty"][:, 1] == 1000).all()
    assert (held["yes_qty"][:, 2] == 0).all()
    assert info["costs"][:, 0] == pytest.approx(20 * 1.0 / 100)  # 10 + 10 contracts for a second: gross
    pool = env.engine.state.pool
    assert (pool["cash_uusd"][:, 0] < 5_000 * UUSD).all()  # each venue started with half
    assert (pool["cash_uusd"][:, 1] == 5_000 * UUSD).all()


def test_each_market_has_its_own_mask_and_reason():
    env = make()
    _, info = env.reset(seed=0)
    sell = env.table.listed.index(["sell", "YES", 5, "cross"])
    buy = env.table.listed.index(["buy", "YES", 10, "cross"])
    assert not info["action_mask"][:, :, sell].any()
    *_, info = env.step(np.tile([buy, sell, 0], (4, 1)))
    assert info["reject"].tolist() == [[0, REJECT_NOTHING_TO_REDUCE, 0]] * 4
    assert info["action_mask"][:, 0, sell].all()
    assert not info["action_mask"][:, 1:, sell].any()


def test_an_action_outside_the_table_names_the_market():
    env = make(2)
    env.reset()
    with pytest.raises(ValueError, match="environment 1, market 2, chose 99; the table has rows 0 to 43"):
        env.step(np.array([[0, 0, 0], [0, 0, 99]]))
    with pytest.raises(ValueError, match=r"for each of 3 markets, shape \(2, 3\), got int64 \(2,\)"):
        env.step(np.zeros(2, np.int64))


def test_an_episode_resolves_when_the_last_market_has():
    rows = make_rows(3, life_s=np.array([3.5, 5.5, 4.5])).reshape(1, 3)
    env = make(2, scenario=Scenario(rows=rows, places=THREE.places), autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    ends = [env.step(np.zeros((2, 3), np.int64))[2].all() for _ in range(7)]
    assert ends == [False] * 5 + [True, False]


def test_render_draws_every_market():
    env = make(1, render_mode="ansi")
    env.reset(seed=0)
    (text,) = env.render()
    assert [f"market {index}  step 0" in text for index in range(3)] == [True] * 3
    assert text.count("equity") == 1


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        (Bound(((0, 1), (3, 1)), 0, 1), "no market 3; the environment has 0 to 2"),
        (Bound(((0, 1),), 0, 1), r"two or more different markets, got \[0\]"),
        (Bound(((0, 1), (0, 1)), 0, 1), "two or more different markets"),
        (Bound(((0, 1), (1, 0.5)), 0, 1), "weight of market 1 is 0.5"),
        (Bound(((0, 1), (1, 1)), 1, 0), r"low <= high, got \[1, 0\]"),
        (Bound(((0, 1), (1, 1)), -np.inf, np.inf), "low <= high"),
    ],
)
def test_a_link_that_makes_no_sense(bound, message):
    with pytest.raises(ValueError, match=message):
        make(links=(bound,))
