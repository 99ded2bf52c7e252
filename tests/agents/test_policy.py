"""Policies: what they refuse, and that inference is the network that was trained."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from fake_envs import SHEET, ClockEnv, small_ppo
from test_checkpoint import make_run

from agents.checkpoint import load_parameters, read_manifest, save_policy
from agents.policy import TrainedPolicy, choose, load


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder and the model it holds."""
    model = small_ppo(ClockEnv(lives=(3, 5, 7)), hidden=[16, 8]).learn(96)
    run = make_run(tmp_path_factory.mktemp("runs"), network=model.policy.spec)
    save_policy(model, run.policy_path)
    run.record("finished")
    return run.path, model


def observations(count, seed=0):
    return np.random.default_rng(seed).uniform(0, 300, (count, 2)).astype(np.float32)


def test_inference_is_the_network_that_was_trained(trained):
    path, model = trained
    policy = load(path, SHEET)
    obs = observations(1000)
    actions, _ = model.predict(obs, deterministic=True)
    assert policy.name == "run"
    assert policy.act(obs).dtype == np.int64 and (policy.act(obs) == actions).all()
    with torch.no_grad():
        logits = model.network.act(model.network.body(torch.from_numpy(obs))).numpy()
    assert np.allclose(policy.outputs(obs), logits, atol=1e-5)


def test_a_row_does_not_depend_on_its_batch(trained):
    policy = load(trained[0], SHEET)
    obs = observations(1024)
    whole = policy.outputs(obs)
    for first, last in ((0, 1), (1, 8), (8, 73), (73, 700), (1023, 1024)):
        assert (policy.outputs(obs[first:last]) == whole[first:last]).all()


def test_sampling_follows_the_probabilities_and_the_seed(trained):
    obs = np.repeat(observations(1), 20_000, 0)
    policy = load(trained[0], SHEET, deterministic=False, seed=0)
    logits = policy.outputs(obs[:1])[0].astype(np.float64)
    probability = np.exp(logits[1]) / np.exp(logits).sum()
    first, second = policy.act(obs), policy.act(obs)
    assert abs(first.mean() - probability) < 4 * np.sqrt(probability * (1 - probability) / len(obs))
    assert (first != second).any()
    again = load(trained[0], SHEET, deterministic=False, seed=0)
    assert (again.act(obs) == first).all() and (again.act(obs[:7]) == second[:7]).all()
    assert (load(trained[0], SHEET, deterministic=False, seed=1).act(obs) != first).any()


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"observation": ["clock", "size"], "observation_digest": "zz"},
            "trained on observation schema aa, the environment has zz; features only in the run: row; "
            "only in the environment: size",
        ),
        (
            {"observation": ["row", "clock"], "observation_digest": "zz"},
            "the features are the same in another order, from number 0: clock became row",
        ),
        ({"observation_digest": "zz"}, "the features have the same names, but their definition or version differs"),
        (
            {"actions": [["hold", "YES", 0, "cross"], ["buy", "NO", 5, "cross"]], "action_digest": "yy"},
            "trained on action schema bb, the environment has yy; rows only in the run: buy YES 5 cross; "
            "only in the environment: buy NO 5 cross",
        ),
    ],
)
def test_another_schema_is_refused_naming_digests_and_differences(trained, change, message):
    with pytest.raises(ValueError, match=message):
        load(trained[0], {**SHEET, **change})


def test_nan_is_refused_with_row_and_feature(trained):
    policy = load(trained[0], SHEET)
    obs = observations(5)
    obs[3, 1] = np.nan
    with pytest.raises(FloatingPointError, match="observation of row 3 is not finite: row = nan"):
        policy.act(obs)
    policy.network.actor.head.bias[1] = np.inf
    with pytest.raises(FloatingPointError, match=r"policy run: the outputs of row 0 are not finite .* broken"):
        policy.act(observations(5))
    with pytest.raises(ValueError, match=r"expected observations \(N, 2\), got \(5, 3\)"):
        policy.act(np.zeros((5, 3), np.float32))


def test_a_manifest_of_another_network_is_refused(trained, tmp_path):
    run = make_run(tmp_path, network=trained[1].policy.spec, sheet={**SHEET, "observation": ["clock", "row", "more"]})
    save_policy(trained[1], run.policy_path)
    with pytest.raises(ValueError, match=r"a network of 2 features, its manifest says 3"):
        load(run.path, {**SHEET, "observation": ["clock", "row", "more"]})


def test_inference_does_not_import_the_learner():
    code = "import agents.policy, sys; print({'stable_baselines3', 'hydra', 'gymnasium'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "spec, message",
    [
        ("baseline:clever", "no baseline 'clever'; the baselines are noop, random"),
        ("baseline:random?rat=1", "strategy random: no parameter 'rat'; it has rate"),
        ("baseline:random?rate=7", r"rate = 7.0 lies outside \[0.0, 1.0\]"),
        ("baseline:random?rate=x", "parameter rate = 'x' is not a number"),
        ("baseline:random?rate", "parameter rate = '' is not a number"),
    ],
)
def test_a_baseline_that_does_not_exist_is_named(spec, message):
    with pytest.raises(ValueError, match=message):
        load(spec, SHEET)


def test_baseline_files_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "p.json"
    for text, message in (("{", "is not JSON"), ("[1]", "expected an object of parameters")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            load(f"baseline:random@{path}", SHEET)
    path.write_text(json.dumps({"rate": 0.5}))
    assert load(f"baseline:random@{path}", SHEET).params[0] == 0.5


def test_masked_rows_are_never_chosen_unless_the_run_had_no_masks(trained):
    policy = load(trained[0], SHEET)
    obs = observations(9)
    free = policy.act(obs)
    masks = np.ones((9, 2), bool)
    masks[np.arange(9), free] = False
    assert (choose(policy, obs, masks) == 1 - free).all()
    assert (policy.act(obs) == free).all() and (policy.act(obs, np.ones((9, 2), bool)) == free).all()
    sampled = load(trained[0], SHEET, deterministic=False, seed=3)
    assert all((choose(sampled, obs, masks) == 1 - free).all() for _ in range(20))
    manifest = read_manifest(trained[0])
    unmasked = {**manifest, "network": {**manifest["network"], "masks": False}}
    policy = TrainedPolicy(unmasked, load_parameters(trained[0]), SHEET["observation"])
    assert (choose(policy, obs, masks) == free).all()
    with pytest.raises(ValueError, match=r"expected masks \(9, 2\), got \(9, 3\)"):
        load(trained[0], SHEET).act(obs, np.ones((9, 3), bool))
