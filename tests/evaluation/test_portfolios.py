"""Rollouts over several markets: lanes, sums, attribution to the micro-dollar, strategies that write their orders."""

import numpy as np
import pytest
from rich.console import Console
from worlds import make_env

from evaluation.arbitrage import arbitrage_parts, arbitrage_report
from evaluation.attribution import attribute, attribute_lanes
from evaluation.compare import evaluate
from evaluation.compiled import COMPILED, check_names, trader
from evaluation.estimates import estimate
from evaluation.report import write_report
from evaluation.rollout import rollout
from evaluation.scorecard import legend, scorecard
from evaluation.terminal import print_scorecard
from sim.backtest import backtest
from sim.scenarios import Scenario
from sim.scenarios.portfolio import cross_venue, exclusive, single
from sim.scenarios.row import make_rows
from sim.types import DO_NOTHING, DO_PLACE, INTENT

ROWS = make_rows(4, life_s=np.array([9.5, 14.5, 19.5, 40.0]), news_size=0.06, maker_rate=0.5)
CONVERTS = Scenario(ROWS, portfolio=exclusive(3, neg_risk=True, venue="polymarket"))
TWO = Scenario(ROWS, portfolio=cross_venue())


class Dice:
    """Rows that can be done, at random."""

    name, masked = "dice", True

    def __init__(self, rows, weight=1.0):
        self.random = np.random.default_rng(0)
        self.weight = np.where(np.isin([row[0] for row in rows], ["merge", "convert"]), weight, 1.0)

    def act(self, observations, masks):
        return np.where(masks, self.random.random(masks.shape) * self.weight, -1.0).argmax(axis=-1)


def played(scenario, *, episodes=24, **settings):
    env = make_env(8, scenario=scenario, actions="portfolio", flatten=True, **{"window_s": 25.0, **settings})
    return rollout(env, Dice(env.table.listed, weight=4.0), episodes)


def test_an_episode_has_a_lane_for_each_market():
    episodes = played(CONVERTS)
    assert episodes.mid2_px.shape == (72, episodes.equity_uusd.shape[1]) and episodes.action.shape[0] == 72
    assert episodes.places == ("0 polymarket", "1 polymarket", "2 polymarket")
    np.testing.assert_array_equal(episodes.lane_episode, np.repeat(np.arange(24), 3))
    assert (episodes.fill_lane // 3 == episodes.fill_episode).all()
    assert (episodes.payout_px.reshape(24, 3)[episodes.all_settled].sum(axis=1) == 10_000).all()  # one of three pays
    assert 0 < episodes.all_settled.sum() < 24


@pytest.mark.parametrize(
    "scenario",
    [
        CONVERTS,
        TWO,
        Scenario(ROWS, portfolio=exclusive(3, neg_risk=True)),
        Scenario(ROWS, portfolio=cross_venue() + single()),
    ],
    ids=["converts", "two venues", "returns", "three"],
)
def test_the_markets_results_add_up_to_the_accounts(scenario):
    episodes = played(scenario)
    parts = attribute(episodes)  # raises where they do not
    np.testing.assert_array_equal(parts.total_uusd(), episodes.result_uusd)
    lanes = attribute_lanes(episodes).total_uusd().reshape(len(episodes), -1).sum(axis=1)
    np.testing.assert_array_equal(lanes - episodes.conversion_uusd, episodes.result_uusd)
    assert (episodes.conversion_uusd > 0).any() == (scenario is CONVERTS)
    assert np.isfinite(estimate(episodes, resamples=20)["result_usd"].value)


def test_fills_lost_or_conversions_not_counted_are_found():
    episodes = played(CONVERTS)
    object.__setattr__(episodes, "conversion_uusd", np.zeros(24, np.int64))
    with pytest.raises(ValueError, match="a fill was lost or the account is wrong"):
        attribute(episodes)


def test_a_compiled_strategy_plays_as_in_its_own_backtest():
    env = make_env(6, scenario=TWO, window_s=np.inf)
    episodes = rollout(env, trader("baseline:arbitrageur?margin=0.0&least=1", env), 6)
    engine = make_env(6, scenario=TWO, window_s=np.inf).engine
    alone = backtest(engine, COMPILED["arbitrageur"], {"margin": 0.0, "least": 1.0}, dt_s=1.0)
    assert len(alone.fills) > 10
    np.testing.assert_array_equal(episodes.fill, alone.fills)
    np.testing.assert_array_equal(episodes.fill_episode, alone.fill_env)
    np.testing.assert_array_equal(episodes.final_uusd, engine.state.account["equity_uusd"])
    assert (episodes.action == -1).all()


def test_it_forgets_between_two_episodes():
    env = make_env(2, scenario=TWO, window_s=10.0)
    strategy = trader("baseline:arbitrageur?margin=0.0&least=1", env)
    strategy.memory[:] = 1e18  # an attempt sent in the far future: it would wait for ever
    again = rollout(env, strategy, 6)
    env = make_env(2, scenario=TWO, window_s=10.0)
    np.testing.assert_array_equal(
        again.fill, rollout(env, trader("baseline:arbitrageur?margin=0.0&least=1", env), 6).fill
    )


def test_baselines_play_every_market_and_compiled_ones_stand_beside_them():
    def make(fill_model):
        return make_env(4, scenario=TWO, fill_model=fill_model, flatten=True, window_s=10.0)

    policies = {name: f"baseline:{name}" for name in ("random", "arbitrageur", "noop")}
    runs = evaluate(policies, make, 8, fill_models=["queue"], progress=False).shown
    assert (runs["noop"].result_uusd == 0).all()
    assert set(runs["random"].fill["market"].tolist()) == {0, 1}
    with pytest.raises(ValueError, match=r"no baseline 'arbitrager'; the baselines are noop, .*, arbitrageur, hedger"):
        check_names({"it": "baseline:arbitrager?size=3"})
    with pytest.raises(ValueError, match="strategy arbitrageur: no parameter 'sise'"):
        trader("baseline:arbitrageur?sise=3", make("queue"))


def test_orders_of_another_shape_are_refused():
    env = make_env(2, scenario=TWO)
    with pytest.raises(ValueError, match="step_orders: call reset first"):
        env.step_orders(env.sent)
    env.reset()
    with pytest.raises(ValueError, match=r"expected INTENT orders \(2, 2, 2\)"):
        env.step_orders(env.sent[:1])


def test_every_fill_of_the_arbitrageur_is_a_leg_or_an_orphan_given_up():
    env = make_env(6, scenario=TWO, window_s=np.inf)
    episodes = rollout(env, trader("baseline:arbitrageur?margin=0.0&least=1", env), 12)
    linked = episodes.linked
    made = arbitrage_report(linked.sent, episodes.fill, episodes.fill_episode, linked.links, linked.fees)
    attempts = made.attempts
    assert len(attempts) > 5 and set(linked.links.packages["count"]) == {2}
    bought = 2 * attempts["whole_qty"] + attempts["orphan_qty"]
    assert int((bought + attempts["unwound_qty"]).sum()) == int(np.abs(episodes.fill["qty"]).sum())
    parts = arbitrage_parts(episodes)
    assert parts["arb_attempts"][0].sum() == len(attempts)
    assert parts["arb_realised_usd"][0].sum() == pytest.approx(made.realised_uusd / 1e6)
    shares = {
        "arb_complete": made.complete_share, "arb_orphaned": made.orphaned_share, "arb_empty": made.empty_share,
        "arb_unwind_rate": made.unwind_rate, "arb_gap_s": made.mean_gap_s,
    }  # fmt: skip
    for name, value in shares.items():
        part, whole = parts[name]
        assert (part.dtype, whole.dtype) == (np.float64, np.float64)
        assert part.sum() / whole.sum() == pytest.approx(value, nan_ok=True), name


def test_the_report_shows_arbitrage_and_markets_where_there_are_links(tmp_path, capsys):
    def make(fill_model):
        return make_env(6, scenario=TWO, fill_model=fill_model, flatten=True, window_s=np.inf)

    policies = {"arbitrageur": "baseline:arbitrageur?margin=0.0&least=1", "noop": "baseline:noop"}
    judged = evaluate(policies, make, 6, fill_models=["queue"], progress=False)
    card = scorecard(judged, resamples=50)
    ours, nobody = (card["results"]["queue"][name] for name in ("arbitrageur", "noop"))
    assert ours["metrics"]["arb_attempts"]["value"] > 0 and nobody["metrics"]["arb_attempts"]["value"] == 0
    assert nobody["metrics"]["arb_orphaned"]["value"] is None
    assert [one["market"] for one in ours["markets"]] == ["0 kalshi", "1 polymarket"]
    assert sum(one["result_uusd"] for one in ours["markets"]) == ours["total_uusd"]
    page = write_report(tmp_path / "report", judged, {}, card).read_text()
    assert 'id="arbitrage"' in page and "Attempts with orphaned legs" in page and "Market 1 polymarket" in page
    assert (tmp_path / "report" / "plots" / "arbitrage.png").is_file()
    print_scorecard(card, Console(width=100))
    assert "Attempts with orphaned legs" in capsys.readouterr().out


def test_without_links_there_is_no_such_section():
    env = make_env(2, flatten=True, window_s=5.0)
    episodes = rollout(env, Dice(env.table.listed), 2)
    assert episodes.linked is None and "arb_attempts" not in legend(episodes) and not arbitrage_parts(episodes)


def test_finished_episodes_sent_none_whoever_wrote_the_orders():
    env = make_env(2, scenario=TWO, window_s=3.0)
    env.reset()
    orders = np.zeros((2, 2, 2), INTENT)
    orders["do"], orders["qty"], orders["px"] = DO_PLACE, 100, 5000
    given = orders.copy()
    for _ in range(3):
        _, _, _, truncated, _ = env.step_orders(orders)
        assert (env.sent["do"] == DO_PLACE).all()  # also in the step that ends them
    assert truncated.all()
    env.reset(options={"reset_mask": np.array([True, False])})
    env.step_orders(orders)
    assert (env.sent["do"][0] == DO_PLACE).all() and (env.sent["do"][1] == DO_NOTHING).all()
    np.testing.assert_array_equal(orders, given)  # the caller's array is left alone
