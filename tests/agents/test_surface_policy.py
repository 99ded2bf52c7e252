"""Policies that act on a control surface: a network's mean or a draw around it, and the same point for ever."""

import numpy as np
import pytest
import torch

from agents.policy import TrainedPolicy, load

ROWS = [["hold", "YES", 0, "cross"], ["buy", "YES", 5, "passive"]]
SHEET = {
    "markets": 2,
    "observation": ["one", "two"],
    "action_form": "surface",
    "actions": [["offset", "ticks", -4.0, 0.0, 4.0], ["size", "contracts", 0.0, 20.0, 100.0]],
    "rows": ROWS,
}


def trained(deterministic=True, seed=0, log_std=(0.0, -1.0, -2.0, -3.0)):
    """Means: first market (x, 0), second (y, 3 x); no hidden layer."""
    manifest = {"run": "run", "sheet": SHEET, "network": {"activation": "tanh"}}
    parameters = {
        "action_net.weight": torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [3.0, 0.0]]),
        "action_net.bias": torch.zeros(4),
    }
    if log_std is not None:
        parameters["log_std"] = torch.tensor(log_std)
    return TrainedPolicy(manifest, parameters, SHEET["observation"], deterministic, seed)


def test_the_mean_is_clipped_to_the_surface():
    policy = trained()
    action = policy.act(np.array([[0.25, -0.5], [-0.5, 2.0]], np.float32), np.zeros((2, 2, 0), bool))
    assert action.dtype == np.float32 and not policy.masked
    np.testing.assert_array_equal(action, [[0.25, 0, -0.5, 0.75], [-0.5, 0, 1, -1]])


def test_draws_have_the_runs_deviation_and_follow_the_seed():
    obs = np.zeros((20_000, 2), np.float32)
    drawn = trained(deterministic=False).act(obs)
    assert np.abs(drawn).max() == 1.0
    # exp(-2) and exp(-3) are far from the ends, so clipping does not change them
    np.testing.assert_allclose(drawn[:, 2:].std(axis=0), np.exp([-2.0, -3.0]), rtol=0.03)
    np.testing.assert_array_equal(trained(deterministic=False).act(obs), drawn)
    assert (trained(deterministic=False, seed=1).act(obs) != drawn).any()
    np.testing.assert_array_equal(trained(deterministic=False).act(obs[:7]), drawn[:7])
    with pytest.raises(ValueError, match="has no log_std to sample with"):
        trained(deterministic=False, log_std=None).act(obs)


def test_a_network_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"a network of \(2, 4\) features and actions, its manifest says \(2, 2\)"):
        TrainedPolicy(
            {"run": "run", "sheet": {**SHEET, "markets": 1}, "network": {"activation": "tanh"}},
            {"action_net.weight": torch.zeros(4, 2), "action_net.bias": torch.zeros(4)},
            SHEET["observation"],
        )


@pytest.mark.parametrize(
    ("query", "point"),
    [("", (0, 0)), ("?offset=-1", (-0.25, 0)), ("?offset=4&size=60", (1, 0.5)), ("?size=5", (0, -0.75))],
)
def test_a_fixed_point_is_given_in_its_units(query, point):
    policy = load(f"baseline:fixed{query}", SHEET)
    assert policy.name == "fixed"
    action = policy.act(np.zeros((3, 2), np.float32))
    assert action.dtype == np.float32
    np.testing.assert_array_equal(action, [[*point, *point]] * 3)


@pytest.mark.parametrize(
    ("spec", "sheet", "message"),
    [
        ("baseline:fixed?width=1", SHEET, "no coordinate 'width'; they are offset, size"),
        ("baseline:fixed?size=101", SHEET, r"size = 101.0 lies outside \[0.0, 100.0\]"),
        ("baseline:fixed?size=nan", SHEET, "size = nan lies outside"),
        ("baseline:fixed", {**SHEET, "action_form": "table"}, "its points are of a control surface"),
    ],
)
def test_a_fixed_point_that_cannot_be_is_refused(spec, sheet, message):
    with pytest.raises(ValueError, match=message):
        load(spec, sheet)


def test_baselines_act_through_the_table_beside_the_surface():
    sheet = {**SHEET, "markets": 1, "observation": ["bid"]}
    policy = load("baseline:random", sheet)
    assert policy.chooses_rows and len(policy.table.verb) == 2
