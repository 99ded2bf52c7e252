"""What every registered environment keeps, in batches of every mode, with one market and with three."""

from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.registration import IDS, register_all
from sim.links import Exclusive, Same
from sim.scenarios import Place, Scenario, synthetic
from sim.scenarios.portfolio import Group, Portfolio
from sim.scenarios.row import default_rows, make_rows
from sim.types import REJECT_NAMES

MODES = list(AutoresetMode)
# a set of two on one venue, and one of the same event on another
TIED = Portfolio(
    (Place("kalshi"), Place("kalshi"), Place("polymarket")),
    (Group(((10_000, 0, 0), (0, 10_000, 0), (10_000, 0, 0))),),
)
THREE = {
    "scenario": Scenario(
        default_rows(), portfolio=TIED, links=(Exclusive((0, 1), exhaustive=False, nets=True), Same(0, 2))
    ),
}
SMALL = [
    ["hold", "YES", 0, "cross"],
    *([verb, leg, size, style] for verb, leg, size, style in product(
        ("buy", "sell"), ("YES", "NO"), (0.01, 0.5, 3, 40), ("cross", "passive")
    )),
]  # fmt: skip
KINDS = {
    "one": (1, {}),
    "three": (3, THREE),
    "three_flat": (3, {**THREE, "flatten": True}),
    "one_shielded": (1, {"limits": "balanced"}),
    # three markets of one event begin with $300 each: more than the preset allows an event
    "three_shielded": (3, {**THREE, "limits": {"preset": "conservative", "per_event": 0.1}}),
}


def make(name, kind="one", num_envs=6, **settings):
    return gym.make_vec(name, num_envs=num_envs, window_s=12.0, **KINDS[kind][1], **settings)


def rows_of(env):
    """How many rows a market's action chooses from; 0 on a control surface."""
    return 0 if isinstance(env.single_action_space, gym.spaces.Box) else len(env.spec_sheet["actions"])


def some_actions(env, rng):
    """A batch of actions."""
    if rows_of(env) == 0:
        return rng.uniform(-1.0, 1.0, env.action_space.shape).astype(np.float32)
    return rng.integers(0, rows_of(env), env.action_space.shape)


def axis(kind):
    """The markets' axis of an array: none for one market."""
    markets = KINDS[kind][0]
    return () if markets == 1 else (markets,)


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("kind", KINDS)
class TestEnvironment:
    """Inherit nothing: a new environment joins by its id in ``envs.registration.IDS``."""

    def test_registering_twice_changes_nothing(self, name, kind):
        register_all()
        assert name in gym.registry

    def test_spaces_are_batches_of_single_spaces(self, name, kind):
        env = make(name, kind)
        features = len(env.spec_sheet["observation"])
        flat = kind not in ("three", "three_shielded")
        assert env.single_observation_space.shape == ((features,) if flat else (3, features))
        assert env.observation_space.shape == (6, *env.single_observation_space.shape)
        if rows_of(env) > 0:
            assert env.action_space.shape == (6, *axis(kind))
        else:
            assert env.action_space.shape == (6, KINDS[kind][0] * len(env.spec_sheet["actions"]))
        assert np.isfinite(env.single_observation_space.low).all()
        assert np.isfinite(env.single_observation_space.high).all()

    @pytest.mark.parametrize("mode", MODES)
    def test_steps_stay_within_the_spaces_and_report_everything(self, name, kind, mode):
        env = make(name, kind, autoreset_mode=mode)
        assert env.metadata["autoreset_mode"] is mode
        obs, info = env.reset(seed=1)
        env.action_space.seed(1)
        sheet = env.spec_sheet
        ended = np.zeros(6, int)
        for _ in range(30):
            assert obs in env.observation_space
            assert info["action_mask"].shape == (6, *axis(kind), rows_of(env))
            assert info["action_mask"].any(axis=-1).all() or rows_of(env) == 0
            obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
            assert reward.shape == terminated.shape == truncated.shape == (6,)
            assert np.isfinite(reward).all()
            assert info["costs"].shape == (6, len(sheet["costs"]))
            signed = [name == "loss" for name in sheet["costs"]]
            assert ((info["costs"] >= 0) | signed).all()
            assert info["reward_terms"].shape == (6, len(sheet["rewards"]))
            assert info["reject"].shape == (6, *axis(kind))
            assert info["venue_reject"].shape == (6,)
            over = terminated | truncated
            assert not (terminated & truncated).any()
            np.testing.assert_array_equal(over, info["reason"] > 0)
            ended += over
            if mode is AutoresetMode.SAME_STEP and over.any():
                np.testing.assert_array_equal(info["_final_obs"], over)
                final = info["final_obs"][over]
                assert final in gym.spaces.Box(-1, 1, (over.sum(), *obs.shape[1:]), np.float32)
            if mode is AutoresetMode.DISABLED and over.any():
                obs, info = env.reset(options={"reset_mask": over})
        assert (ended == 2).all()  # 30 steps of 12-second windows

    def test_the_first_legal_rows_can_be_done(self, name, kind):
        env = make(name, kind)
        if rows_of(env) == 0:
            pytest.skip("a control surface has no rows")
        _, info = env.reset(seed=2)
        rng = np.random.default_rng(2)
        for _ in range(40):
            noise = rng.random(info["action_mask"].shape)
            *_, ended, _, info = env.step(np.where(info["action_mask"], noise, -1).argmax(axis=-1))
            decoded = info["reject"][~ended]
            assert set(np.ravel(decoded).tolist()) <= {0, 4, 6}  # only the venue may refuse: cash, a quote that moved

    def test_the_same_seed_gives_the_same_bytes(self, name, kind):
        digests = []
        for _ in range(2):
            env = make(name, kind)
            env.reset(seed=0)
            env.action_space.seed(0)
            for _ in range(20):
                env.step(env.action_space.sample())
            digests.append(env.digest())
        assert digests[0] == digests[1]

    def test_rewards_telescope_to_equity(self, name, kind):
        env = make(name, kind, autoreset_mode=AutoresetMode.DISABLED)
        env.reset(seed=3)
        env.action_space.seed(3)
        total = np.zeros(6, np.int64)
        for _ in range(12):
            *_, info = env.step(env.action_space.sample())
            total += info["reward_uusd"]
        np.testing.assert_array_equal(total, info["equity_uusd"] - env.engine.state.account["start_uusd"])
        assert total.any()

    def test_a_restored_batch_goes_on_as_before(self, name, kind):
        env, other = make(name, kind), make(name, kind)
        env.reset(seed=0)
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(20)]
        for action in actions[:9]:
            env.step(action)
        saved = env.snapshot()
        other.restore(saved)
        for action in actions[9:]:
            for ours, theirs in zip(env.step(action)[:2], other.step(action)[:2], strict=True):
                np.testing.assert_array_equal(ours, theirs)
        assert env.digest() == other.digest()

    def test_results_do_not_depend_on_batch_or_threads(self, name, kind):
        whole, part = make(name, kind), make(name, kind, num_envs=3, first_env=2, threads=2)
        whole.reset(seed=0)
        part.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(15):
            actions = some_actions(whole, rng)
            of_whole, of_part = whole.step(actions)[0], part.step(actions[2:5])[0]
            np.testing.assert_array_equal(of_whole[2:5], of_part)
        assert whole.digest(2, 3) == part.digest()

    def test_both_faces_have_the_same_sheet(self, name, kind):
        single = gym.make(name, **KINDS[kind][1]).unwrapped
        assert single.spec_sheet == make(name, kind).spec_sheet
        assert single.observation_space == make(name, kind).single_observation_space
        obs, _ = single.reset(seed=0)
        assert obs in single.observation_space
        obs, *_, info = single.step(single.action_space.sample())
        assert obs in single.observation_space
        assert info["action_mask"].shape == (*axis(kind), rows_of(single.vector))

    def test_closing_twice_is_allowed(self, name, kind):
        env = make(name, kind)
        env.close()
        env.close()


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("venue", ["kalshi", "polymarket"])
@pytest.mark.parametrize("actions", ["full", SMALL], ids=["full", "small"])
def test_what_the_mask_allows_no_venue_refuses(name, venue, actions):
    """Without delays size, value, price, cash and holdings are what the mask saw."""
    # cheap and dear markets, and an account that runs out of cash
    rows = make_rows(
        8, belief_low=np.array([0.02, 0.9] * 4), belief_high=np.array([0.1, 0.98] * 4), news_size=0.05,
        order_delay_ms=0.0, cancel_delay_ms=0.0, taker_delay_ms=0.0,
    )  # fmt: skip
    env = gym.make_vec(
        name, num_envs=16, scenario=synthetic(rows, venue=venue), actions=actions, window_s=60.0, cash=40.0,
        start_contracts=0.0,
    )  # fmt: skip
    _, info = env.reset(seed=4)
    rng = np.random.default_rng(4)
    sent = 0
    for _ in range(60):
        chosen = np.where(info["action_mask"], rng.random(info["action_mask"].shape), -1).argmax(axis=-1)
        *_, info = env.step(chosen)
        refused = {REJECT_NAMES[reason] for reason in info["venue_reject"].tolist()}
        assert refused <= {"none", "self_trade"}
        sent += int((chosen > 0).sum())
    assert sent > 500
