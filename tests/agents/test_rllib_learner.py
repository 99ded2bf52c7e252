"""RLlib's learner beside SB3's: on the same batch the same loss, gradients, prices and parameters."""

import numpy as np
import pytest
import torch
from learner_envs import ArmsEnv, MarketsEnv, PullEnv, RecallEnv, learner
from rllib_settings import configured, make_learner, small
from stable_baselines3.common.logger import Logger

from agents.budgets import Budget
from agents.collect import Place, Played
from agents.errors import NonFiniteError
from agents.loss import PARTS
from agents.metrics import StepSums
from agents.rllib.episodes import Episodes
from agents.rllib.learner import TOTAL_STEPS

UPDATES = 3
KINDS = {
    "plain": (ArmsEnv, {}, {}),
    "episode": (ArmsEnv, {"budgets": {"cost": Budget(0.4)}}, {}),
    "cvar": (PullEnv, {"budgets": {"cost": Budget(0.4, "cvar", 0.8)}}, {}),
    "discounted": (PullEnv, {"budgets": {"cost": Budget(0.4, "discounted")}}, {"gamma": 0.9}),
    "memory": (RecallEnv, {"memory": "gru", "memory_size": 4}, {}),
    "markets": (MarketsEnv, {"memory": "lstm", "memory_size": 4}, {"markets": 4}),
    "near": (ArmsEnv, {"target_kl": 1e-5, "learning_rate": 0.05}, {}),
}


def pair(kind, rows=16, **more):
    """SB3's learner, and RLlib's with the same parameters."""
    make, settings, given = KINDS[kind]
    theirs = learner(make(rows), **given, **settings, **more)
    theirs.set_logger(Logger(None, []))
    theirs._setup_learn(UPDATES * rows * theirs.n_steps, None)
    ours = make_learner(configured(make, small(**settings, **more), num_envs=rows, **given))
    ours.network.load_state_dict(theirs.network.state_dict())
    return theirs, ours


def collect(theirs):
    """A rollout of SB3's learner, as RLlib's gets it: before anything is charged."""
    charge = theirs.lagrangian.charge
    theirs.lagrangian.charge = lambda *_: None
    theirs.collect_rollouts(theirs.env, theirs._init_callback(None), theirs.rollout_buffer, theirs.n_steps)
    theirs.lagrangian.charge = charge
    roll = theirs.rollout_buffer
    copied = type(roll).joined([part(roll, 0, 10), part(roll, 10, 16)], roll.device)
    charge(roll, theirs.ledger)
    return copied


def part(roll, first, last):
    """Some rows of a rollout, as an env runner of its own would have sampled them."""
    rows = slice(first, last)
    one = type(roll).__new__(type(roll))
    one.steps, one.rows, one.sums, one.device = roll.steps, last - first, StepSums(), roll.device
    for name in ("obs", "actions", "log_probs", "values", "rewards", "dones", "starts"):
        setattr(one, name, getattr(roll, name)[:, rows].clone())
    one.masks = None if roll.masks is None else roll.masks[:, rows].clone()
    one.state, one.costs = roll.state[rows].clone(), roll.costs[:, rows].copy()
    one.cuts = [inside(cut, first, last) for cut in roll.cuts if inside(cut, first, last)]
    one.ends = [inside(ends, first, last) for ends in roll.ends if inside(ends, first, last)]
    return one


def inside(entry, first, last):
    kept = (entry.rows >= first) & (entry.rows < last)
    if not kept.any():
        return None
    what = entry[2]
    if isinstance(what, torch.Tensor):
        what = what[torch.from_numpy(kept)]
    else:
        what = [x for x, k in zip(what, kept, strict=True) if k]
    return type(entry)(entry.step, entry.rows[kept] - first, what)


def place_of(roll):
    return Place(np.zeros((roll.rows, roll.obs.shape[2]), np.float32), None, None)


def episodes(roll):
    return [Episodes(roll, Played(place_of(roll), 0.0, True), 0)]


def update(ours, roll, done, total):
    times = {"num_env_steps_sampled_lifetime": done, TOTAL_STEPS: total}
    ours.update(episodes=episodes(roll), timesteps=times)


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_same_rollouts_both_learn_the_same(kind):
    theirs, ours = pair(kind)
    total = theirs._total_timesteps
    for number in range(UPDATES):
        roll, state = collect(theirs), torch.get_rng_state()
        theirs.train()
        torch.set_rng_state(state)  # of the order of minibatches
        update(ours, roll, number * total // UPDATES, total)
        assert ours.lagrangian.multipliers.values == pytest.approx(theirs.multipliers.values, rel=1e-9)
        found, wanted = ours.network.state_dict(), theirs.network.state_dict()
        assert all(torch.allclose(found[name], wanted[name], rtol=1e-6, atol=1e-7) for name in wanted)
    assert ours.updates == UPDATES and ours.outcome.learning_rate == theirs.policy.optimizer.param_groups[0]["lr"]
    if kind == "near":
        assert len(ours._parts) < 4  # an update that ended early


@pytest.mark.parametrize("kind", ["episode", "discounted", "memory"])
def test_the_loss_and_its_gradients_are_those_of_sb3(kind):
    theirs, ours = pair(kind)
    collect(theirs)
    roll = theirs.rollout_buffer
    theirs.lagrangian.settle(theirs.network, roll, theirs.ledger, 1)
    ours.network.load_state_dict(theirs.network.state_dict())
    batch = next(roll.minibatches(2, sequences=theirs.network.memory is not None))
    weights = torch.tensor([0.2, 0.01, 0.5])
    wanted, parts = theirs._loss(theirs.network, batch, weights)
    wanted.backward()
    given = {"batch": batch, "weights": weights}
    out = ours.module.forward_train({"default_policy": given})
    losses = ours.compute_losses(fwd_out=out, batch={"default_policy": given})
    gradients = ours.compute_gradients(losses)
    assert losses["default_policy"].item() == pytest.approx(wanted.item(), abs=1e-6)
    assert out["default_policy"]["parts"].tolist() == pytest.approx(parts.tolist(), abs=1e-6)
    for one, other in zip(gradients.values(), theirs.network.parameters(), strict=True):
        assert torch.allclose(one, other.grad, atol=1e-6)


def test_a_missing_runner_leaves_the_sums_of_its_rows_alone():
    theirs, ours = pair("discounted")
    roll = part(collect(theirs), 6, 16)
    ours.ledger.sums[:] = 7.0
    answered = Episodes(roll, Played(place_of(roll), 0.0, True), first=6)
    ours.update(episodes=[answered], timesteps={"num_env_steps_sampled_lifetime": 0, TOTAL_STEPS: 128})
    assert (ours.ledger.sums[:6] == 7.0).all()
    by_hand = theirs.ledger.sums[6:]  # the episodes began with the rollout
    assert ours.ledger.sums[6:] == pytest.approx(by_hand)


def test_what_is_not_finite_stops_it_before_the_parameters_move():
    theirs, ours = pair("episode")
    roll = collect(theirs)
    before = {name: tensor.clone() for name, tensor in ours.network.named_parameters()}
    roll.log_probs[:] = float("nan")
    with pytest.raises(NonFiniteError, match=r"update 1, epoch 1, minibatch 1: loss nan.*policy_loss nan"):
        update(ours, roll, 0, 100)
    rescaled = {"critic.head.weight", "critic.head.bias"}  # scales move before the first minibatch
    after = dict(ours.network.named_parameters())
    assert all((after[name] == before[name]).all() for name in before if name not in rescaled)
    assert len(PARTS) == 5


def test_its_state_goes_through_rllibs_own_checkpoint(tmp_path):
    theirs, ours = pair("cvar")
    for number in range(2):
        update(ours, collect(theirs), number * 128, 512)
    ours.save_to_path(tmp_path / "learner")
    _, again = pair("cvar")
    again.restore_from_path(tmp_path / "learner")
    assert again.updates == 2
    assert (again.lagrangian.multipliers.values == ours.lagrangian.multipliers.values).all()
    assert (again.lagrangian.squares == ours.lagrangian.squares).all()
    assert (again.ledger.sums == ours.ledger.sums).all()
    assert [list(losses) for losses in again.ledger.recent] == [list(losses) for losses in ours.ledger.recent]
    found, wanted = again.network.state_dict(), ours.network.state_dict()
    assert [name for name in wanted if (found[name] != wanted[name]).any()] == []
