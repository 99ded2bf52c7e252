"""Histograms, intervals and shards: numbers computed by hand, slow oracles, and nothing depends on who played when."""

import itertools
import json
import math
import weakref
from functools import partial

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given
from hypothesis import strategies as st

from envs.through import OUTCOME
from envs.vector import TradingVectorEnv
from evaluation.bootstrap import tail_draws, tail_note
from evaluation.compare import policy_for
from evaluation.metrics import expected_shortfall, value_at_risk
from evaluation.montecarlo import report
from evaluation.montecarlo.histogram import Histogram, histogram, merged, whole_cents
from evaluation.montecarlo.intervals import cvar, cvar_interval, mean_interval, order_ranks, quantile_interval
from evaluation.montecarlo.run import Task, run
from evaluation.montecarlo.shards import counted, joined, play_shard, read_shard, save_shard, seed_of
from evaluation.plan import PLAN
from evaluation.rollout import rollout
from sim.scenarios import Scenario
from sim.scenarios.row import draw_rows

NUMBERS = st.lists(st.integers(-50, 50), min_size=1, max_size=60)


def test_cents_are_the_nearest():
    # 0.5 cent up to 1, -0.5 cent up to 0; 1.4999 cents down
    assert whole_cents(np.array([5_000, -5_000, 14_999, -14_999, -15_001, 0])).tolist() == [1, 0, 1, -1, -2, 0]


@given(st.lists(NUMBERS, max_size=5))
def test_merging_is_counting_together_in_any_order(parts):
    listed = [histogram(np.array(part)) for part in parts]
    whole = sorted(itertools.chain(*parts))
    for order in (listed, listed[::-1]):
        found = merged(order)
        assert np.repeat(found.values, found.counts).tolist() == whole


@given(NUMBERS, st.floats(0.0, 1.0))
def test_ranks_and_mirrors(values, share):
    found, ordered = histogram(np.array(values)), sorted(values)
    rank = max(1, math.ceil(share * len(values)))
    assert found.ranked(rank) == ordered[rank - 1]
    assert found.mirrored().ranked(rank) == -ordered[-rank]


def test_a_rank_that_is_none_is_named():
    with pytest.raises(ValueError, match="no value of rank 4 among 3"):
        histogram(np.array([1, 1, 2])).ranked(4)


def test_ranks_by_hand():
    """n = 10, median. P[Bin(10, 1/2) <= 1] = 11/1024 = 0.0107 <= 0.025 < P[<= 2] = 56/1024 = 0.0547: l - 1 = 1.

    By symmetry u = 9: P[Bin >= 9] = 11/1024. The interval from rank 2 to rank 9 covers 1 - 22/1024 = 97.85 %.
    """
    assert order_ranks(10, 0.5) == (2, 9)
    # n = 5: even rank 1 misses with 1/32 > 0.025, so there are no ends
    assert order_ranks(5, 0.5) == (0, 6)
    found = quantile_interval(histogram(np.arange(10, 20)), 0.5)
    assert found == (14.0, 11.0, 18.0)  # the fifth, the second and the ninth of 10 ... 19
    assert math.isnan(quantile_interval(histogram(np.arange(5)), 0.5).low)


@pytest.mark.parametrize(("n", "share"), [(40, 0.95), (1000, 0.95), (1000, 0.99), (30_000, 0.99), (73, 0.3)])
def test_ranks_are_the_closest_that_keep_their_promise(n, share):
    """Slowly: binomial probabilities summed up in logarithms."""
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        + k * math.log(share) + (n - k) * math.log1p(-share)
        for k in range(n + 1)
    ]  # fmt: skip
    at_most = np.cumsum(np.exp(logs))
    low, high = order_ranks(n, share)
    assert (at_most[low - 1] if low else 0.0) <= 0.025 < at_most[low]
    assert high == n + 1 or 1.0 - at_most[high - 1] <= 0.025 + 1e-12
    assert 1.0 - at_most[high - 2] > 0.025


def test_the_mean_by_hand():
    """1, 1, 4: mean 2, variance ((1 + 1 + 4) / 2) = 3, standard error 1; 1.96 either way."""
    found = mean_interval(histogram(np.array([1, 4, 1])))
    assert found.value == 2.0 and found.high - 2.0 == pytest.approx(1.959964) and found.low == pytest.approx(0.040036)
    assert mean_interval(histogram(np.array([1, 4, 1])), 6.3).value == pytest.approx(2.1)
    assert math.isnan(mean_interval(histogram(np.array([3]))).low)


def test_cvar_by_hand():
    """Of losses 0 ... 9 the worst 25 %, two and a half draws: (9 + 8 + 7 / 2) / 2.5 = 8.2."""
    assert cvar(histogram(np.arange(10)), 0.75) == pytest.approx(8.2)
    assert cvar(Histogram(np.array([1, 5]), np.array([98, 2])), 0.95) == pytest.approx((2 * 5 + 3 * 1) / 5)


@given(NUMBERS, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_tail_is_that_of_the_other_metrics(values, share):
    losses, ones = np.array(values), np.ones(len(values))
    found = histogram(losses)
    assert cvar(found, share) == pytest.approx(expected_shortfall(losses, ones, share))
    assert quantile_interval(found, share).value == value_at_risk(losses, ones, share)


def test_the_poisson_bootstrap_has_the_spread_of_the_theory():
    """CVaR's standard error is the root of the mean squared influence / n; the interval is about 3.92 of them wide."""
    losses = np.random.default_rng(2).integers(0, 10_000, 40_000)
    found = cvar_interval(histogram(losses), 0.95, resamples=1000)
    # uniform: VaR 9500, CVaR 9750; influence VaR + 20 (x - VaR)+ - CVaR has the variance 400 E[(x - 9500)+^2] - 250^2
    # = 400 x 0.05 x 500^2 / 3 - 62,500 = 1,604,167
    error = math.sqrt(1_604_167 / 40_000)
    assert found.value == pytest.approx(9750, abs=4 * error)
    assert (found.high - found.low) / error == pytest.approx(3.92, rel=0.1)
    assert cvar_interval(histogram(losses), 0.95, resamples=1000) == found  # the seed decides
    assert cvar_interval(histogram(losses), 0.95, resamples=1000, seed=1) != found


def test_drawing_the_far_bins_as_one_changes_nothing():
    """Two thousand draws: the tail and all bins, against the bootstrap with every bin drawn by itself."""
    losses = histogram(np.random.default_rng(3).integers(0, 500, 2000))
    found = cvar_interval(losses, 0.95, resamples=4000)
    random = np.random.default_rng(4)
    drawn = [cvar(Histogram(losses.values, random.poisson(losses.counts)), 0.95) for _ in range(4000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=1.0)


def test_no_interval_without_a_hundred_draws_in_the_tail():
    """CVaR 99 % of 9,999 losses is a mean of 99.99; of 10,000 it is one of 100."""
    assert math.isnan(cvar_interval(histogram(np.arange(9_999)), 0.99).low)
    found = cvar_interval(histogram(np.arange(10_000)), 0.99, resamples=50)
    assert found.low < found.value < found.high and tail_draws(10_000, 0.99) == 100
    assert tail_note(10_000, (0.95, 0.99)) == ""
    note = tail_note(1_000, (0.95, 0.99))
    assert "CVaR 95 % has no interval: 50 of 1,000 draws lie in the tail" in note and "2,000 draws do" in note
    assert "CVaR 99 % has no interval: 10 of 1,000" in note and "10,000 draws do" in note


def outcomes(results, drawdowns, kills):
    made = np.zeros(len(results), OUTCOME)
    made["result_uusd"], made["drawdown_uusd"], made["kill"], made["steps"] = results, drawdowns, kills, 3
    return made


def test_figures_by_hand():
    """100 episodes: 94 make a dollar, five lose two, one loses ten, and is killed.

    Mean (94 - 10 - 10) / 100 = 0.74. VaR 95 %: 95 of 100 lose no more than 2. CVaR 95 %: (10 + 4 x 2) / 5 = 3.6.
    VaR 99 %: 99 lose no more than 2; CVaR 99 % is the one that lost 10.
    """
    results = np.array([1_000_000] * 94 + [-2_000_000] * 5 + [-10_000_000])
    shard = counted(outcomes(results, np.maximum(-results, 0), results < -5_000_000))
    found = report.figures(shard, resamples=50)
    values = {name: one.value for name, one in found.items()}
    assert values == pytest.approx({
        "result_usd": 0.74, "var95_usd": 2.0, "var99_usd": 2.0, "cvar95_usd": 3.6, "cvar99_usd": 10.0,
        "drawdown_usd": 0.2, "drawdown95_usd": 2.0, "drawdown99_usd": 2.0, "kill": 0.01,
    })  # fmt: skip
    # Clopper and Pearson, one of a hundred: low solves 1 - (1 - p)^100 = 0.025, p = 0.000253
    assert found["kill"].low == pytest.approx(1.0 - 0.975 ** (1 / 100), rel=1e-6)
    card = report.make_card({"one": shard}, {"episodes": 100}, resamples=50)
    assert card["results"]["one"]["metrics"]["cvar95_usd"] == {"value": pytest.approx(3.6), "low": None, "high": None}
    assert card["tails"].startswith("CVaR 95 % has no interval: 5 of 100 draws")
    assert card["results"]["one"]["worst_usd"] == -10.0 and card["results"]["one"]["steps"] == 300
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_joining_holds_few_shards_at_a_time():
    """Of 200 shards ten are alive at most: eight powers of two, one that comes and one that is being made."""
    alive = weakref.WeakSet()

    class Kept(np.ndarray):
        __hash__ = object.__hash__

        def __eq__(self, other):
            return self is other

    def shards():
        for number in range(200):
            made = counted(outcomes([10_000 * number, 0], [0, 10_000 * number], [0, 1]))
            kept = made.results.values.view(Kept)
            alive.add(kept)
            yield made._replace(results=made.results._replace(values=kept))
            del made, kept
            assert len(alive) <= 10

    whole = joined(shards())
    assert (whole.episodes, whole.kills, whole.result_uusd) == (400, 200, 10_000 * 199 * 100)
    assert np.asarray(whole.results.values).tolist() == list(range(200)) and whole.results.counts[0] == 201
    with pytest.raises(ValueError, match="no shard to join"):
        joined(iter(()))


def test_a_shard_is_kept_exactly_and_a_torn_one_is_named(tmp_path):
    shard = counted(outcomes([5, -(10**10), 70_000], [0, 10**10, 3], [0, 1, 0]))
    save_shard(tmp_path / "a.npz", shard)
    again = read_shard(tmp_path / "a.npz")
    assert again[2:] == shard[2:] == (5 - 10**10 + 70_000, 10**10 + 3, 1, 0, 9)
    assert all((one == other).all() for one, other in zip(again.results, shard.results, strict=True))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"a\.npz: not a shard .*; remove it, and it is played again"):
        read_shard(tmp_path / "a.npz")


def test_seeds_of_shards_differ_and_0_is_a_seed():
    found = {seed_of(seed, number) for seed in range(3) for number in range(200)}
    assert len(found) == 600 and all(0 <= seed < 2**63 for seed in found)


def make_env(life_s, episodes, seed):
    """As `configs.montecarlo.make_shard` does it; of a module, so that processes can send it to each other."""
    rows = draw_rows(episodes, {"life_s": life_s, "noise_rate": 4.0}, seed)
    return TradingVectorEnv(
        episodes, scenario=Scenario(rows, sequential=True), actions="maker21", costs=("kill",), window_s=np.inf,
        seed=seed, autoreset_mode=AutoresetMode.DISABLED, kill_drawdown=0.0002,
    )  # fmt: skip


SHORT = partial(make_env, (3.0, 6.0))
BOTH = {"joiner": "baseline:joiner?size=80", "quoter": "baseline:quoter"}


def bytes_of(shards):
    return {
        name: (*(part.tobytes() for part in (*one.results, *one.drawdowns)), *one[2:]) for name, one in shards.items()
    }


@pytest.mark.parametrize("spec", BOTH.values(), ids=BOTH)
def test_a_shard_is_what_the_rollout_sees(spec):
    """The recorder keeps everything; the shard's histograms are those of its episodes."""
    found = play_shard(spec, SHORT, 12, 5)
    env = SHORT(12, 5)
    episodes = rollout(env, policy_for(spec, env, 5), 12)
    falls = (np.maximum.accumulate(episodes.equity_uusd, axis=1) - episodes.equity_uusd).max(axis=1)
    again = counted(
        np.rec.fromarrays(
            [episodes.result_uusd, falls, episodes.costs[:, 0] > 0, episodes.ruined, episodes.steps],
            names="result_uusd,drawdown_uusd,kill,ruined,steps",
        )
    )
    assert bytes_of({"": found}) == bytes_of({"": again}) and episodes.row.tolist() == list(range(12))
    assert found.steps == episodes.env_steps and found.results.total == 12


class Imbalanced:
    """Buys or sells by what it sees of a row, and counts the rows it was asked about."""

    masked = False

    def __init__(self, rowwise):
        self.rowwise, self.asked = rowwise, 0

    def act(self, observations):
        self.asked += len(observations)
        return np.where(observations[:, 0] > 0.5, 3, 8)


def test_who_looks_at_rows_one_by_one_is_asked_only_about_those_that_play():
    asked = []

    def source(rowwise, sheet):
        asked.append(Imbalanced(rowwise))
        return asked[-1]

    alike = [play_shard(partial(source, rowwise), SHORT, 12, 5) for rowwise in (True, False)]
    assert bytes_of({"": alike[0]}) == bytes_of({"": alike[1]}) and alike[0].result_uusd != 0
    assert asked[0].asked == alike[0].steps < asked[1].asked


def test_a_run_is_the_sum_of_its_shards_in_any_order(tmp_path):
    task = Task({"joiner": BOTH["joiner"]}, SHORT, 22, seed=7, shard=8)
    found = run(task, tmp_path, progress=False)["joiner"]
    parts = [play_shard(BOTH["joiner"], SHORT, size, seed_of(7, number)) for number, size in ((2, 6), (0, 8), (1, 8))]
    assert bytes_of({"": joined(parts)}) == bytes_of({"": found}) and found.episodes == 22
    assert len({part.result_uusd for part in parts}) == 3


def test_a_run_goes_on_with_what_is_missing(tmp_path, monkeypatch):
    task = Task({"joiner": BOTH["joiner"]}, SHORT, 20, shard=5)
    whole = run(task, tmp_path, progress=False)
    files = sorted((tmp_path / "shards" / "00").iterdir())
    kept = {path.name: path.read_bytes() for path in files}
    files[1].unlink()
    (tmp_path / ".plan.json.1.tmp").write_text("half a")
    played = []

    def count(source, make_env, episodes, seed):
        played.append(seed)
        return play_shard(source, make_env, episodes, seed)

    monkeypatch.setattr("evaluation.montecarlo.run.play_shard", count)
    assert bytes_of(run(task, tmp_path, progress=False)) == bytes_of(whole)
    assert played == [seed_of(0, 1)]
    assert {path.name: path.read_bytes() for path in (tmp_path / "shards" / "00").iterdir()} == kept
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 2}, "begun with seed = 1, not 2"),
        ({"episodes": 9}, "begun with episodes = 4, not 9"),
        ({"facts": {"fill_model": "queue"}}, "begun with fill_model = None, not queue"),
        ({"facts": {"evaluator": {"source": "ab", "versions": {}}}}, "begun with evaluator.source = None, not ab"),
        ({"policies": {"joiner": "baseline:joiner?size=5"}}, "begun with policies.joiner = "),
    ],
)
def test_another_plan_is_refused(tmp_path, change, message):
    task = {"policies": {"joiner": "baseline:joiner"}, "make_env": SHORT, "episodes": 4, "seed": 1}
    run(Task(**task), tmp_path, progress=False)
    with pytest.raises(ValueError, match=rf"{PLAN}: {message}.*: go on with what it was begun with, or name another"):
        run(Task(**(task | change)), tmp_path, progress=False)


@pytest.mark.parametrize("change", [{"episodes": 0}, {"shard": 0}, {"seed": -1}, {"policies": {}}])
def test_a_task_that_cannot_be_is_named(change):
    with pytest.raises(
        ValueError, match="montecarlo: expected a policy, an episode, a shard of at least one and a seed"
    ):
        Task(**{"policies": BOTH, "make_env": SHORT, "episodes": 4, **change})


def test_the_picture_and_the_file(tmp_path):
    shard = counted(outcomes(np.arange(-50, 150) * 20_000, np.arange(200) * 10_000, np.arange(200) > 190))
    card = report.make_card({"one": shard, "flat": counted(outcomes([0] * 9, [0] * 9, [0] * 9))}, {}, resamples=50)
    places = report.write(tmp_path, card, {"one": shard, "flat": counted(outcomes([0] * 9, [0] * 9, [0] * 9))})
    assert json.loads(places["figures"].read_text()) == card and places["plot"].stat().st_size > 10_000
    assert card["results"]["flat"]["metrics"]["var99_usd"] == {"value": 0.0, "low": 0.0, "high": None}
