"""Observations of tapes in three ways: they agree, and a fault planted in one of them is found."""

import pytest
from worlds import make_env, tape_scenario

from evaluation.promotion import slow_features
from evaluation.promotion.features import feature_gate, no_tapes
from evaluation.promotion.gates import Gate
from sim.scenarios import replay
from sim.scenarios.record import record
from sim.scenarios.row import default_rows, make_rows
from sim.tape import FeeRates, Header, Market, Source, seal, write


def replayed(scenario):
    def make(num_envs, first_env):
        return make_env(num_envs, scenario=scenario, first_env=first_env, window_s=float("inf"))

    return make


TAPES = tape_scenario([20, 12])


def test_observations_of_tapes_agree():
    gate = feature_gate(replayed(TAPES), TAPES.tapes, TAPES.names)
    assert gate.passed, gate.came
    assert gate.figures["tapes"]["M0"]["observations"] == 21 and gate.figures["tapes"]["M0"]["compared"] == 78


def test_a_formula_that_is_another_is_found_out(monkeypatch):
    monkeypatch.setattr(slow_features, "DEPTH", 1)
    gate = feature_gate(replayed(TAPES), TAPES.tapes, TAPES.names)
    assert gate.passed is False and "bid_size_2" not in gate.came and "depth_imbalance" in gate.came


def test_a_tape_of_another_market_is_found_out():
    swapped = tape_scenario([12, 20])
    gate = feature_gate(replayed(swapped), TAPES.tapes, TAPES.names)
    assert gate.passed is False and "M0" in gate.came


def test_a_batch_that_sees_otherwise_than_one_alone_is_found_out():
    def make(num_envs, first_env):
        scenario = TAPES if num_envs == 1 else tape_scenario([20, 13])
        return replayed(scenario)(num_envs, first_env)

    gate = feature_gate(make, TAPES.tapes, TAPES.names)
    assert gate.passed is False and gate.came == "M1: alone and in a batch of 2 differ"


class Loud:
    """An environment whose observations are three times what they should be."""

    def __init__(self, env):
        self.env = env

    def __getattr__(self, name):
        return getattr(self.env, name)

    def reset(self):
        observations, info = self.env.reset()
        return 3 * observations, info

    def step_orders(self, orders):
        observations, *rest = self.env.step_orders(orders)
        return 3 * observations, *rest


def test_an_observation_out_of_range_is_found_out():
    gate = feature_gate(lambda *where: Loud(replayed(TAPES)(*where)), TAPES.tapes, TAPES.names)
    assert gate.passed is False and gate.figures["tapes"]["M0"]["outside"]["since_trade"] == 3.0
    assert "M0: spread = 2.73" in gate.came


def test_no_tape_is_not_run_and_refuses_unless_somebody_lets_it_be():
    assert no_tapes().refuses and no_tapes().verdict == "not run" and no_tapes().came == "not run: no tapes"
    assert not no_tapes("--without-tapes").refuses and no_tapes("--without-tapes").verdict == "waived"
    with pytest.raises(ValueError, match="only what was not run"):
        Gate("x", False, "", "", waived="me")


@pytest.mark.compiled
@pytest.mark.parametrize("events", [None, 5])
def test_a_busy_market_that_is_written_down_reads_the_same(tmp_path, events):
    """Prints, forecasts, halts, other ticks and fees: a generated market as a tape."""
    rows = make_rows(1, life_s=120.0, noise_rate=4.0, cascade_rate=0.1, outage_rate=0.05, signal_rate=0.5)
    events_of = record(rows, 200.0, seed=3)[0]
    second = 1_000_000_000
    header = Header(
        venue="polymarket", markets=(Market("m", "made", second, 121 * second),),
        tick_tables=(((0, 10_000, 100),),) * 4, fee_schedules=(FeeRates("taker", "polymarket", 70_000),) * 4,
        sources=(Source("made up", "0" * 64, "MIT", "these tests"),),
    )  # fmt: skip
    write(tmp_path / "m.tape.parquet", seal(events_of, header))
    scenario = replay([tmp_path / "m.tape.parquet"], default_rows(), sequential=True)

    def make(num_envs, first_env):
        steps = {} if events is None else {"events_per_step": events}
        return make_env(num_envs, scenario=scenario, first_env=first_env, window_s=float("inf"), **steps)

    gate = feature_gate(make, scenario.tapes, scenario.names, events_per_step=events)
    assert gate.passed, gate.came
    found = gate.figures["tapes"][scenario.names[0]]
    assert found["compared"] == 87 and found["observations"] > 50
