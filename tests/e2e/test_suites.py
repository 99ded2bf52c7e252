"""The scenario library and Monte Carlo as evaluate.py plays them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from entry_points import call
from test_configs import config

from configs.build import library_digests, settled, training_env, training_scenario, trial, trial_env
from configs.evaluator import evaluator
from configs.montecarlo import facts_of, make_shard, shards_of
from configs.schema import DirectionalConfig, EvaluationConfig, LibraryConfig, SyntheticConfig
from configs.start import refuse_hopeless
from configs.suites import library_card
from curricula.entries import entry_names, load_entry
from evaluation.compare import evaluate, policy_for
from evaluation.episodes import clusters
from evaluation.rollout import rollout
from evaluation.source import source_digest
from sim.types import LOTS_PER_CONTRACT

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.compiled
@pytest.mark.parametrize("name", entry_names())
def test_every_entry_plays_fifty_steps(name):
    env = training_env(
        config("scenario=library", f"scenario.name={name}", "num_envs=8", "env.features=[book,portfolio]")
    )
    env.reset(seed=1)
    env.action_space.seed(1)
    for _ in range(50):
        obs, reward, _, _, _ = env.step(env.action_space.sample())
    assert np.isfinite(obs).all() and np.isfinite(reward).all()


class _Stop(Exception):
    """Raised in the middle of a suite."""


@pytest.mark.compiled
def test_a_suite_that_is_stopped_goes_on_behind_the_entries_it_has_played(tmp_path, monkeypatch):
    monkeypatch.setattr("configs.suites.entry_names", lambda: ("basis", "depth_thin", "reference"))
    evaluation = EvaluationConfig(synthetic_episodes=4, fill_models=["queue"])
    played = []

    def suite(policies, stop_at=9, settings=evaluation):
        def counted(able, make, episodes, **options):
            if len(played) == stop_at:
                raise _Stop
            played.append(list(able))
            return evaluate(able, make, episodes, **options)

        monkeypatch.setattr("configs.suites.evaluate", counted)
        env = DirectionalConfig(cash=700.0, window_s=5.0)
        return library_card({name: f"baseline:{name}" for name in policies}, env, settings, None, {}, tmp_path)

    with pytest.raises(_Stop):
        suite(["noop", "signal"], stop_at=2)
    card = suite(["noop", "signal"])
    assert len(played) == 3 and [entry["name"] for entry in card["entries"]] == ["basis", "depth_thin", "reference"]
    assert all(entry["results"] for entry in card["entries"])
    with pytest.raises(ValueError, match=r"plan\.json: begun with policies\.signal"):
        suite(["noop"])
    with pytest.raises(ValueError, match=r"joiner\?sise=5 can play no entry of the library: .*sise"):
        suite(["joiner?sise=5"])
    settings = DirectionalConfig(start_contracts=3.0)
    monkeypatch.setattr("configs.suites.entry_names", lambda: ("reference", "inventory_long"))
    with pytest.raises(ValueError, match=r"env\.start_contracts = 3\.0, but scenario\.name = inventory_long"):
        library_card({"noop": "baseline:noop"}, settings, evaluation, None, {}, tmp_path / "other")
    assert not (tmp_path / "other").exists() and len(played) == 3


def test_an_entry_is_what_training_and_judging_play():
    made = config("scenario=library", "scenario.name=depth_thin", "scenario.rows.depth=7", "scenario.row_count=32")
    rows = training_scenario(made).rows
    assert set(rows["depth"]) == {7.0} and rows["presence"].min() >= 0.3 and rows["presence"].max() <= 0.8
    judged = trial(made.scenario, EvaluationConfig(synthetic_episodes=5), 0)
    assert judged.episodes == 5 and judged.scenario.rows["presence"].max() <= 0.8
    assert library_digests(made.scenario) == {
        "library": {"depth_thin": f"version 1, {load_entry('depth_thin').digest}"}
    }
    phased = config("scenario=library", "scenario.name=depth_thin", "+curriculum=phase1")
    assert training_scenario(phased).rows["depth"].min() >= 200  # a phase goes before both


@pytest.mark.compiled
def test_every_judged_episode_has_a_row_of_its_own():
    """Seventy episodes of rows that differ: as many rows, each once, so episodes are independent draws of the entry."""
    evaluation = EvaluationConfig(synthetic_episodes=70)
    made = config("scenario=library", "scenario.name=depth_thin", "scenario.rows.life_s=4", "scenario.row_count=8")
    what = trial(made.scenario, evaluation, 0)
    env = trial_env(DirectionalConfig(), what, evaluation)(fill_model="queue")
    played = rollout(env, policy_for("baseline:noop", env, 0), what.episodes)
    assert sorted(played.row) == list(range(70)) and len(set(what.scenario.rows["depth"])) == 70
    assert len(set(clusters(played))) == 70


def test_two_venues_and_changing_fees():
    two = training_scenario(config("scenario=library", "scenario.name=basis"))
    assert [place.venue for place in two.places] == ["kalshi", "polymarket"] and len(two.links) == 1
    fees = training_scenario(config("scenario=library", "scenario.name=fee_changes"))
    assert fees.places[0].later_fees == "quadratic_with_combo_maker_fees"


def test_an_entry_says_what_the_environment_begins_with():
    made = config("scenario=library", "scenario.name=inventory_long", "num_envs=2")
    env = training_env(made)
    env.reset()
    assert (env.engine.state.position["yes_qty"] == 200 * LOTS_PER_CONTRACT).all()
    assert settled(DirectionalConfig(), made.scenario).start_contracts == 200.0
    assert settled(DirectionalConfig(start_contracts=200.0), made.scenario).start_contracts == 200.0
    assert settled(DirectionalConfig(start_contracts=7.0), SyntheticConfig()).start_contracts == 7.0
    refuse_hopeless(made, [object()])  # who begins with a position has no safe course
    with pytest.raises(
        ValueError, match=r"env\.start_contracts = 7\.0, but scenario\.name = inventory_long begins with"
    ):
        settled(DirectionalConfig(start_contracts=7.0), made.scenario)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["scenario.name=storm"], "no scenario 'storm' in the library"),
        (["scenario.name=basis", "scenario.version=2"], r"scenario\.version = 2, but basis is at version 1"),
    ],
)
def test_what_the_library_does_not_have_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        training_scenario(config("scenario=library", *overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["suite=all"], "suite = all: expected one of library, montecarlo"),
        (["suite=library", "scenario=synthetic"], "plays every entry of the library: leave scenario out"),
        (["suite=library", "tapes=DIR"], "suite=library plays generated markets; leave one of them out"),
        (["suite=montecarlo", "scenario=synthetic", "n=1.5"], r"n = 1\.5: expected a whole number"),
        (["suite=montecarlo", "scenario=synthetic", "workers=0"], "workers = 0: expected at least 1"),
        (["suite=montecarlo"], "need to know where to play"),
    ],
)
def test_a_suite_that_cannot_be_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        config("policies=[noop]", *overrides, name="evaluate")


@pytest.mark.compiled
def test_the_library_is_played_entry_by_entry(tmp_path):
    command = (
        "suite=library", "policies=[joiner,noop]", "evaluation.synthetic_episodes=6", "evaluation.fill_models=[queue]",
        "out=there",
    )  # fmt: skip
    done = call("evaluate.py", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "there" / "library.json").read_text())
    assert [entry["name"] for entry in card["entries"]] == list(entry_names())
    assert card["policies"] == ["joiner", "noop"] and card["fill_model"] == "queue"
    by_name = {entry["name"]: entry for entry in card["entries"]}
    assert by_name["reference"]["results"]["noop"]["result_usd"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert by_name["toxic_flow"]["results"]["joiner"]["kill"]["low"] == 0.0
    assert by_name["inventory_long"]["results"]["noop"]["result_usd"]["value"] != 0.0
    assert all(not entry["refused"] for entry in card["entries"]) and (tmp_path / "there" / "library.png").exists()
    assert "toxic_flow" in done.stdout and "comparisons at 95 %" in done.stdout
    again = call("evaluate.py", *command, cwd=tmp_path)
    assert again.returncode != 0 and "library.json exists: a report is never overwritten" in again.stderr


MONTE_CARLO = (
    "scenario=library", "scenario.name=toxic_crypto", "scenario.rows.life_s=[5,15]", "policies=[joiner,quoter]",
    "suite=montecarlo", "n=150", "shard=16", "evaluation.fill_models=[queue]",
    "env.actions=maker21", "env=directional",
)  # fmt: skip


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.compiled
def test_a_run_that_is_killed_ends_with_the_same_bytes(tmp_path):
    command = MONTE_CARLO
    whole = call("evaluate.py", *command, "out=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "VaR 99 %" in whole.stdout and (tmp_path / "whole" / "tails.png").exists()
    killed = subprocess.Popen(
        [sys.executable, str(ROOT / "evaluate.py"), *command, "out=killed"], cwd=tmp_path, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    shards = tmp_path / "killed" / "shards"
    while killed.poll() is None and not len(list(shards.rglob("*.npz"))) > 2:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = len(list(shards.rglob("*.npz")))
    assert 2 < done < 20 and not (tmp_path / "killed" / "montecarlo.json").exists()
    plan = tmp_path / "killed" / "plan.json"
    ours = plan.read_text()
    assert json.loads(ours)["evaluator"] == evaluator() and evaluator()["source"] == source_digest(ROOT)
    plan.write_text(ours.replace(source_digest(ROOT), "another"))
    other = call("evaluate.py", *command, "out=killed", cwd=tmp_path)
    assert other.returncode != 0 and "plan.json: begun with evaluator.source = another, not" in other.stderr
    plan.write_text(ours)
    again = call("evaluate.py", *command, "out=killed", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    first, second = (files_of(tmp_path / name) for name in ("whole", "killed"))
    assert first == second  # plan, shards, figures and plot


def test_the_source_digest_follows_the_source(tmp_path):
    for name in ("sim/a.py", "sim/tables/b.toml", "envs/c.py", "sim/notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    seen = set()
    for changed in ("", "sim/a.py", "sim/tables/b.toml", "envs/c.py"):
        if changed:
            (tmp_path / changed).write_text("2")
        source_digest.cache_clear()
        seen.add(source_digest(tmp_path))
    assert len(seen) == 4
    (tmp_path / "sim/notes.md").write_text("2")
    source_digest.cache_clear()
    assert source_digest(tmp_path) in seen


def test_a_shard_honours_the_config():
    wanted = config(
        "scenario=library", "scenario.name=inventory_long", "policies=[joiner]", "suite=montecarlo",
        "env=market_making", "env.limits={gross: 0.9, daily_loss: 0.9, per_event: 0.5, per_market: 0.5}",
        "env.cash=700", name="evaluate",
    )  # fmt: skip
    env = shards_of(wanted.env, wanted.scenario, "pessimistic")(5, 8)
    assert env.limits is not None and env.spec_sheet["costs"] == ["kill"]
    env.reset()
    account, state = env.engine.state.account, env.engine.state
    assert (account["window_ns"] == 300 * 10**9).all() and (state.position["yes_qty"] == 20_000).all()
    assert (account["fill_model"] == 0).all() and (account["start_uusd"] == 700 * 10**6).all()
    assert account["row"].tolist() == list(range(5)) and len(set(env.engine.scenario.rows["news_rate"])) == 5


def test_rows_of_a_table_are_drawn_at_random_for_every_shard():
    wanted = LibraryConfig(name="toxic_crypto")
    first, second = (make_shard(DirectionalConfig(), wanted, "queue", 64, seed).engine.scenario.rows for seed in (1, 2))
    kinds = load_entry("toxic_crypto").base_rows()["belief_low"]
    assert set(first["belief_low"]) <= set(kinds) and (first["belief_low"] != second["belief_low"]).any()
    assert (first["belief_low"] != np.resize(kinds, 64)).any()


def test_of_a_mix_the_generated_markets_are_played_and_recordings_are_refused():
    mix = config("scenario=mix", "scenario.rows.depth=9").scenario
    env = shards_of(DirectionalConfig(), mix, "queue")(3, 0)
    assert env.engine.scenario.places[0].venue == "polymarket" and (env.engine.scenario.rows["depth"] == 9).all()
    with pytest.raises(ValueError, match=r"scenario\.kind = replay: suite=montecarlo plays generated markets"):
        shards_of(DirectionalConfig(), config("scenario=replay", "scenario.tapes=DIR").scenario, "queue")


def test_the_plan_is_plain():
    made = config("scenario=library", "scenario.name=inventory_long")
    facts = facts_of(made.env, made.scenario, "queue", {"joiner": "baseline:joiner"})
    assert json.loads(json.dumps(facts))["env"]["start_contracts"] == 200.0
    assert facts["scenario"]["name"] == "inventory_long" and "version 1" in facts["library"]["inventory_long"]
