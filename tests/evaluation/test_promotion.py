"""Promotion's gates, each with its failure planted: figures by hand, made-up episodes, small markets."""

import dataclasses
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import START_UUSD, made_up
from worlds import make_env, tape_scenario

from agents.policy import load
from evaluation.promotion.budgets import Budget, budget_gate, over, spent
from evaluation.promotion.card import card, checklist
from evaluation.promotion.diff import difference_view, features_that_tell, write_difference
from evaluation.promotion.features import no_tapes
from evaluation.promotion.gates import refusal
from evaluation.promotion.latency import latency_gate
from evaluation.promotion.record import make_record
from evaluation.promotion.replay import Witness, digest_episodes
from evaluation.promotion.table import table_gate
from evaluation.promotion.tails import CVAR, DRAWDOWN, MEAN, Terms, best_baseline, gains, tail_gate, tails
from evaluation.promotion.trial import Contender, Trial
from evaluation.promotion.walk import Walk, walk
from evaluation.source import ROOT, source_digest
from sim.scenarios import synthetic
from sim.scenarios.row import make_rows

COUNT = 2000
QUICK = Terms(resamples=400)
NOBODY = made_up(COUNT, 2, rate=0.0)


def of_results(results, falls=0.0, costs=None):
    """Episodes that came to ``results`` dollars, and fell by ``falls`` on the way; ``costs`` of (drawdown, kill)."""
    results = np.asarray(results, float)
    episodes = NOBODY if len(results) == COUNT else made_up(len(results), 2, rate=0.0)
    equity = np.full((len(results), 3), START_UUSD)
    equity[:, 1] -= np.round(1e6 * np.broadcast_to(falls, len(results))).astype(int)
    equity[:, 2] += np.round(1e6 * results).astype(int)
    changes = {} if costs is None else {"costs": np.asarray(costs, float)}
    return dataclasses.replace(episodes, equity_uusd=equity, final_uusd=equity[:, 2], **changes)


def every(nth, value, other, count=COUNT):
    return np.where(np.arange(count) % nth == 0, value, other)


# 4 % of the episodes lose. Thin: mean 0.96 x 50 - 0.04 x 20 = 47.2, CVaR (0.04 x 20 - 0.01 x 50) / 0.05 = 6.
# Fat: mean 0.96 x 51.4 - 0.04 x 40 = 47.744, CVaR (0.04 x 40 - 0.01 x 51.4) / 0.05 = 21.72.
# All fall by 60 dollars on the way: the drawdowns are equal.
THIN, FAT = of_results(every(25, -20.0, 50.0), falls=60.0), of_results(every(25, -40.0, 51.4), falls=60.0)


def test_figures_by_hand():
    assert tails(THIN, QUICK)[MEAN].value == pytest.approx(47.2)
    assert tails(THIN, QUICK)[CVAR].value == pytest.approx(6.0)
    assert tails(FAT, QUICK)[CVAR].value == pytest.approx(21.72)
    # of 20 episodes that fall by 1 to 20 dollars at least 95 % fall by no more than 19
    assert tails(of_results(np.zeros(20), falls=np.arange(1, 21)), QUICK)[DRAWDOWN].value == pytest.approx(19.0)
    assert gains(FAT, THIN, QUICK)[MEAN].value == pytest.approx(0.544)
    assert gains(FAT, THIN, QUICK)[CVAR].value == pytest.approx(6.0 - 21.72)


def test_better_on_average_and_worse_in_the_tail_is_refused_and_the_reverse_passes():
    refused = tail_gate("tails", FAT, THIN, "the incumbent", QUICK)
    assert refused.passed is False and refused.figures["missed"] == [CVAR]
    assert refused.figures["gain"][MEAN]["low"] > 0.0  # better on average, with confidence
    assert "CVaR 95 % of the loss -15.72" in refused.came and "against the incumbent" in refused.expected
    # the mean falls by 0.544 +- 2 x 21.4 x sqrt(0.04 x 0.96 / 1000) = 0.265, and 5 % of 47.744 = 2.39 may be lost
    assert tail_gate("tails", THIN, FAT, "the incumbent", QUICK).passed
    strict = dataclasses.replace(QUICK, mean_margin=0.0)
    assert tail_gate("tails", THIN, FAT, "the incumbent", strict).figures["missed"] == [MEAN]


def test_the_same_policy_again_is_no_better():
    gate = tail_gate("tails", THIN, THIN, "the incumbent", QUICK)
    assert gate.passed is False and gate.figures["missed"] == [CVAR]


def test_a_deeper_drawdown_is_refused_though_mean_and_cvar_are_better():
    results = every(25, -20.0, 50.0)
    deep = of_results(results + 1.0, falls=60.0)
    flat = of_results(results, falls=50.0)
    assert tail_gate("tails", deep, flat, "x", QUICK).figures["missed"] == [DRAWDOWN]
    near = of_results(results + 1.0, falls=52.4)  # 5 % of 50 = 2.5
    assert tail_gate("tails", near, flat, "x", QUICK).passed


def test_who_risks_nothing_is_beaten_by_the_mean_alone():
    idle = of_results(np.zeros(COUNT))
    assert tail_gate("baseline", THIN, idle, "noop", QUICK).passed
    assert tail_gate("baseline", idle, idle, "noop", QUICK).passed is False
    losing = of_results(every(2, -3.0, 2.9))
    assert tail_gate("baseline", losing, idle, "noop", QUICK).figures["missed"] == [MEAN]


def test_too_few_episodes_to_tell_are_refused():
    """Of 1,000 episodes 50 lie beyond the 95 % quantile: an interval of theirs would be too narrow."""
    thin, fat = (of_results(every(25, low, high, 1000), falls=60.0) for low, high in ((-20.0, 50.0), (-40.0, 51.4)))
    gate = tail_gate("tails", thin, fat, "x", QUICK)
    assert gate.passed is False and gate.figures["missed"] == [CVAR, DRAWDOWN]
    assert tail_gate("tails", thin, fat, "x", dataclasses.replace(QUICK, slack_usd=1e-9)).figures["missed"] != [CVAR]


def test_without_an_interval_nothing_is_better():
    one = made_up(3, 2, rate=0.0, tapes=1)  # one recorded market: nothing to draw from
    richer = dataclasses.replace(one, final_uusd=one.final_uusd + 5_000_000)
    assert tail_gate("tails", richer, one, "x", QUICK).passed is False


def test_other_episodes_and_wrong_terms_are_refused():
    with pytest.raises(ValueError, match="expected as many on both sides"):
        gains(THIN, of_results(np.zeros(20)), QUICK)
    with pytest.raises(ValueError, match="mean_margin = -1"):
        Terms(mean_margin=-1.0)


def test_the_best_baseline_is_the_richest_within_the_budgets():
    # the rich one spends 2 dollars of drawdown where 1 is allowed
    rich, poor = of_results(np.full(COUNT, 9.0), costs=np.tile([2.0, 0.0], (COUNT, 1))), of_results(np.full(COUNT, 1.0))
    budgets = (Budget("drawdown", 1.0),)
    assert best_baseline({"rich": rich, "poor": poor}, budgets) == "poor"
    assert best_baseline({"rich": rich, "poor": poor}, ()) == "rich"
    assert best_baseline({"rich": rich}, budgets) == "rich"  # nobody is within them
    assert over(budgets, rich) == ["drawdown"]


def costly(drawdown, killed):
    """1,000 episodes: a drawdown cost each, and the first ``killed`` of them killed."""
    return of_results(np.ones(1000), costs=np.stack([drawdown, np.arange(1000) < killed], axis=1))


def test_a_budget_is_kept_by_its_upper_end_only():
    spread = every(2, 0.0, 2.0, 1000)  # mean 1, upper end about 1.06
    assert budget_gate((Budget("drawdown", 1.1),), costly(spread, 0), None).passed
    gate = budget_gate((Budget("drawdown", 1.01),), costly(spread, 0), None)
    assert gate.passed is False and "limit 1.01" in gate.came
    # nothing of 1,000: the exact upper end is 1 - 0.025 ** (1 / 1000) = 0.00368
    kill = Budget("kill", 0.004, "probability")
    assert spent(kill, costly(spread, 0)).high == pytest.approx(1.0 - 0.025 ** (1 / 1000))
    assert budget_gate((kill,), costly(spread, 0), None).passed
    assert budget_gate((kill,), costly(spread, 3), None).passed is False  # 0.003 is within, its upper end is not
    # CVaR of the worst half: 2
    assert spent(Budget("drawdown", 1.0, "cvar", 0.5), costly(spread, 0)).value == pytest.approx(2.0)


def test_spending_more_than_the_incumbent_is_refused_within_the_limit_too():
    low, high = costly(np.ones(1000), 0), costly(np.full(1000, 1.2), 0)
    gate = budget_gate((Budget("drawdown", 5.0),), high, low)
    assert gate.passed is False and gate.figures["drawdown"]["worse"]
    assert "more than the incumbent's by 0.2" in gate.came
    assert budget_gate((Budget("drawdown", 5.0),), low, high).passed
    assert budget_gate((Budget("drawdown", 5.0),), low, low).passed
    assert budget_gate((), low, high).came == "the run has no budgets"
    with pytest.raises(ValueError, match="budget nope: the episodes have no such cost; they have drawdown, kill"):
        budget_gate((Budget("nope", 1.0),), low, None)


def test_the_table_is_passed_as_a_whole_or_allowed_by_name():
    cases = [
        {"name": name, "passed": passed, "text": "mean loss 2 %", "threshold": 1.0}
        for name, passed in (("a-1", True), ("b-2", False), ("c-3", None))
    ]
    gate = table_gate(cases)
    assert gate.passed is False and gate.came == "b-2: mean loss 2 %, at most 1"
    assert table_gate(cases, ["b-2"]).came == "2 cases played, 1 not, 1 allowed to fail"
    assert table_gate(cases[:1]).passed
    assert table_gate([]).passed is None and table_gate([]).refuses
    with pytest.raises(ValueError, match="no case z-9"):
        table_gate(cases, ["z-9"])


def contender(name, source, **settings):
    return Contender(name, source, lambda: make_env(**settings))


def trial(candidate, incumbent=None, *, episodes=12, **settings):
    return Trial(
        contender("candidate", candidate, **settings),
        None if incumbent is None else contender("incumbent", incumbent, **settings),
        (contender("noop", "baseline:noop", **settings),),
        episodes, terms=QUICK, progress=False,
    )  # fmt: skip


class Moody:
    """Does something else each time it is made."""

    made = itertools.count()

    def __init__(self, sheet):
        self.row = 1 + next(self.made)

    def act(self, obs):
        return np.full(len(obs), self.row)


def test_a_policy_that_is_not_the_same_twice_is_found_out():
    gate = trial(Moody).replay()
    assert gate.passed is False and gate.figures["differ"] == ["decisions", "results"]
    steady = trial("baseline:random?rate=0.5").replay()
    assert steady.passed and steady.figures["first"] == steady.figures["second"]


def test_the_same_results_from_other_decisions_have_another_digest():
    seen = np.zeros((3, 2), np.float32)
    digests = []
    for row in (0, 1):
        witness = Witness(SimpleNamespace(act=lambda obs, row=row: np.full(len(obs), row)))
        witness.act(seen)
        digests.append(witness.digest())
    assert digests[0] != digests[1]


def test_a_walk_leaves_out_what_is_over_and_thins_what_is_too_much():
    def places(**options):
        env = make_env(2, scenario=tape_scenario([20, 12]))
        return walk(env, load("baseline:noop", env.spec_sheet), **options)

    assert len(places().observations) == 32  # tapes of 20 and 12 seconds
    # beyond 30 rows every second step is kept: steps 0, 2, ... of the 20 and of the 12
    assert [len(array) for array in (*places(most=30)[:2], *places(most=30).actions)] == [10 + 6] * 3


def test_digests_see_every_array_and_the_witness_changes_nothing():
    one = made_up(8, 5)
    equity = one.equity_uusd.copy()
    equity[3, 2] += 1
    assert digest_episodes(one) == digest_episodes(made_up(8, 5))
    assert digest_episodes(one) != digest_episodes(dataclasses.replace(one, equity_uusd=equity))
    env = make_env()
    policy = load("baseline:signal", env.spec_sheet)
    obs, _ = env.reset()
    witness = Witness(policy)
    assert (witness.act(obs) == policy.act(obs)).all() and witness.digest() != Witness(policy).digest()
    assert (witness.masked, witness.chooses_rows) == (policy.masked, policy.chooses_rows)


@pytest.mark.compiled
def test_a_larger_stake_in_a_real_market_earns_more_on_average_and_is_refused():
    """Makers learn late and the forecast knows: twice the stake has a higher mean and a worse tail."""
    rows = make_rows(
        1, life_s=60.0, news_rate=0.5, news_size=0.05, signal_rate=2.0, signal_err_high=0.01, maker_rate=0.1,
        informed_rate=0.0,
    )  # fmt: skip
    market = {"scenario": synthetic(rows), "actions": "taker21", "num_envs": 512, "window_s": 30.0}
    small, large = (f"baseline:signal?size={size}&limit={5 * size}&margin=0.01" for size in (25, 50))
    refused = trial(large, small, episodes=2048, **market).tails()
    assert refused.passed is False and CVAR in refused.figures["missed"] and MEAN not in refused.figures["missed"]
    assert refused.figures["gain"][MEAN]["low"] > 0.0 and refused.figures["gain"][CVAR]["high"] < 0.0
    back = trial(small, large, episodes=2048, **market)
    assert back.tails().figures["missed"] == [MEAN]
    assert dataclasses.replace(back, terms=dataclasses.replace(QUICK, mean_margin=0.9)).tails().passed
    assert back.baseline().passed  # noop's mean is beaten
    found = back.standings()
    assert list(found) == ["incumbent", "noop"] and found["incumbent"][MEAN]["high"] < 0.0 < found["noop"][MEAN]["low"]


def clock_of(microseconds):
    """A clock that says so much passes between every second pair of looks."""
    times = itertools.chain.from_iterable((0, 1000 * us) for us in microseconds)
    return lambda: next(times)


def test_slow_decisions_are_refused():
    env = make_env()
    policy, places = load("baseline:noop", env.spec_sheet), walk(make_env(), load("baseline:noop", env.spec_sheet))
    # 1 in 50 is slow: the 99 % quantile is
    slow = [1000 if index % 50 == 0 else 10 for index in range(400)]
    gate = latency_gate(policy, places, 500.0, clock_of(slow), calls=200)
    assert gate.passed is False and gate.figures["p50_us"] == 10.0 and gate.figures["p99_us"] == 1000.0
    assert latency_gate(policy, places, 500.0, clock_of([10] * 400), calls=200).passed
    with pytest.raises(ValueError, match="positive number of microseconds"):
        latency_gate(policy, places, 0.0, clock_of([]))


class Where:
    """Buys where a feature is above a bar, else holds."""

    def __init__(self, feature, bar):
        self.feature, self.bar = feature, bar

    def __call__(self, sheet):
        self.column = sheet["observation"].index(self.feature)
        return self

    def act(self, obs):
        return (obs[:, self.column] > self.bar).astype(np.int64)


def test_the_difference_names_the_feature_that_parts_them(tmp_path):
    court = trial(Where("close_minute", 0.1), Where("close_minute", 0.2), actions="taker21", num_envs=30)
    view = court.difference()
    # of the 20 seconds of a market's life a decision is taken at 20, 19, ... 1 seconds before the close: part(x, 60) is
    # above 0.1 from 6.7 s and above 0.2 from 15 s, so they differ at 15 (0.2 is not above 0.2) to 7: 9 of 20
    assert view["share"] == pytest.approx(9 / 20) and view["decisions"] == 30 * 20
    names = view["pairs"][0][:2]
    assert view["pairs"] == [[*names, 270]] and names[1] == "hold" and names[0].startswith("buy")
    assert view["features"][0]["spread"] == 1.0
    # the three features of time say the same here, and one stands for them
    assert len({"close_minute", "close_hour", "window_used"} & {entry["name"] for entry in view["features"]}) == 1
    assert write_difference(tmp_path, view, "new", "old").stat().st_size > 10_000
    json.dumps(view, allow_nan=False)
    assert trial(Where("close_minute", 0.1)).difference() == {"refused": "nothing is promoted yet"}


def test_points_of_a_surface_differ_by_their_coordinates():
    sheet = {"observation": ["x"], "actions": [["spread", "", 0, 1, 2], ["skew", "", 0, 1, 2]]}
    ours, theirs = np.zeros((100, 2), np.float32), np.zeros((100, 2), np.float32)
    theirs[:25, 1] = 0.5  # a quarter of the range, in a quarter of the places
    theirs[25:50, 0] = 0.1  # a twentieth: not apart
    view = difference_view(Walk(np.linspace(0, 1, 100)[:, None], np.ones((100, 0), bool), (ours, theirs)), sheet)
    assert view["share"] == 0.25 and view["form"] == "surface"
    assert [one["mean"] for one in view["coordinates"]] == pytest.approx([0.25 * 0.05, 0.25 * 0.25])
    assert features_that_tell(np.zeros((100, 1)), np.zeros(100, bool), ["flat"]) == []


def a_record(gates, difference):
    return make_record(
        gates, difference, {"noop": {key: {"value": 1.5, "low": 1.0, "high": 2.0} for key in (MEAN, CVAR, DRAWDOWN)}},
        run={"name": "run-1", "files": {"policy.zip": "ab" * 32}, "seed": 3, "steps": 10, "trained_on": "x",
             "environment": "actions taker21"},
        incumbent="0000-old",
        judged_on={"title": "unseen synthetic episodes", "scenario": "kind synthetic", "episodes": 12, "seed": 9,
                   "fill_model": "queue", "rows": 4, "rows_digest": "cd" * 32, "data": {}},
        terms=QUICK,
        made={"date": "2026-01-31", "git": {"commit": "ef" * 20, "dirty": False}, "versions": {"numpy": "2"}},
    )  # fmt: skip


def test_card_and_checklist_say_what_the_record_says():
    budget = budget_gate((Budget("kill", 0.02, "probability"),), costly(np.ones(1000), 0), costly(np.ones(1000), 0))
    cases = [{"name": "b-2", "passed": False, "text": "mean loss 2 %", "threshold": 1.0}]
    gates = [
        tail_gate("tails", FAT, THIN, "0000-old", QUICK), budget, table_gate(cases, ["b-2"]),
        no_tapes("--without-tapes"),
    ]  # fmt: skip
    written = a_record(gates, {"refused": "they have another action schema"})
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["promoted"] is False and written["refused"] == ["tails"] and written["source"] == source_digest(ROOT)
    page = card(written)
    for text in (
        "Refused by: tails.", "| noop | 1.5 [1, 2] | 1.5 [1, 2] | 1.5 [1, 2] |",
        "| CVaR 95 % of the loss | 21.72 [", "| kill | probability | 0.02 | 0 [0, ",
        "- b-2 (allowed): mean loss 2 %, at most 1", "they have another action schema", "worlds of seed 9, queue fills",
        "Gate features was not run (--without-tapes): not run: no tapes.", "commit efefefefefef",
    ):  # fmt: skip
        assert text in page, text
    commands = {gate.name: f"do {gate.name}" for gate in gates} | {"read it": "cat it"}
    listed = checklist(written, commands)
    assert "- [ ] **tails**, failed" in listed and "- [x] **budgets**, passed" in listed
    assert "- [ ] **features**, waived by `--without-tapes`" in listed
    assert all(f"  - `{command}`" in listed for command in commands.values())
    assert refusal(gates).startswith("gate tails failed: expected against 0000-old") and "\n" not in refusal(gates)
