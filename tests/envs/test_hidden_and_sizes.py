"""What a curriculum leaves out at first: groups of features that stay 0, and sizes that are not offered."""

import numpy as np
import pytest

from envs.actions import TABLES, make_table
from envs.features import make_schema
from envs.vector import TradingVectorEnv
from sim.types import DO_NOTHING, REJECT_SIZE

GROUPS = ("book", "time", "portfolio", "signal", "flow")


def make(**settings):
    return TradingVectorEnv(8, features=GROUPS, actions="full", seed=3, window_s=20.0, **settings)


def play(env, steps=30):
    """Observations of steps at random actions that are possible in both environments alike: hold and size 25."""
    obs, _ = env.reset()
    seen = [obs.copy()]
    rng = np.random.default_rng(0)
    offered = [row for row, (_, _, size, _) in enumerate(env.table.listed) if size in (0, 25)]
    for _ in range(steps):
        obs, *_ = env.step(rng.choice(offered, 8))
        seen.append(obs.copy())
    return np.array(seen)


def test_hidden_groups_are_0_and_all_else_is_as_it_was():
    whole, part = play(make()), play(make(hidden=["signal", "flow"]))
    column_group = np.array([feature.group for feature in make_schema(GROUPS).features])
    hidden = np.isin(column_group, ["signal", "flow"])
    assert (part[..., hidden] == 0.0).all() and (whole[..., hidden] != 0.0).any()
    assert (part[..., ~hidden] == whole[..., ~hidden]).all()


def test_the_sheet_is_the_same_so_that_a_policy_goes_on():
    assert make(hidden=["flow"], sizes=[25]).spec_sheet == make().spec_sheet


def test_only_offered_sizes_can_be_done():
    env = make(sizes=[25])
    _, info = env.reset()
    sizes = np.array([size for _, _, size, _ in env.table.listed])
    assert not info["action_mask"][:, ~np.isin(sizes, [0, 25])].any()
    assert info["action_mask"][:, sizes == 25].any()
    buy_ten = env.table.listed.index(["buy", "YES", 10.0, "cross"])
    _, _, _, _, info = env.step(np.full(8, buy_ten))
    assert (info["reject"] == REJECT_SIZE).all() and (env.sent["do"] == DO_NOTHING).all()


def test_offered_rows_are_masked_as_without_sizes():
    whole, part = make(), make(sizes=[5, 100])
    one, other = whole.reset()[1]["action_mask"], part.reset()[1]["action_mask"]
    offered = np.array([size in (0, 5, 100) for _, _, size, _ in whole.table.listed])
    assert (one[:, offered] == other[:, offered]).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hidden": ["links"]}, "hidden: expected some of"),
        ({"hidden": list(GROUPS)}, "and not all"),
        ({"sizes": [7]}, "sizes: expected some of 5, 10, 25, 50, 100"),
        ({"sizes": []}, "sizes: expected some of"),
    ],
)
def test_what_is_not_there_cannot_be_left_out(settings, words):
    with pytest.raises(ValueError, match=words):
        make(**settings)


def test_a_surface_has_no_sizes():
    with pytest.raises(ValueError, match="a control surface has none"):
        TradingVectorEnv(1, actions="surface", sizes=[25])


def test_digest_does_not_depend_on_sizes():
    assert make_table("full", sizes=[25]).digest == make_table("full").digest == make_table(TABLES["full"]).digest
