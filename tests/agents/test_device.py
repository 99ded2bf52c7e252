"""Where a learner computes. There is no GPU here: PyTorch's ``meta`` device stands for one.

A tensor there has no numbers, so that whoever copies from it to the host, or mixes it with the host's, gets an error.
"""

import numpy as np
import pytest
import torch
from learner_envs import ArmsEnv, MarketsEnv, PullEnv, RecallEnv, learner
from stable_baselines3.common.logger import Logger

from agents.budgets import Budget
from agents.config import PPOConfig
from agents.device import find_device, is_mixed
from agents.loss import loss_of, sample
from agents.network import Network
from agents.rollout import Rollout
from evaluation.known_answers import Reader

GPU = torch.device("meta")
WEIGHTS = torch.tensor([0.2, 0.01, 0.5])


def played(env, **settings):
    """A model, and its first rollout, charged."""
    model = learner(env, budgets={"cost": Budget(0.5)}, **settings)
    model.set_logger(Logger(None, []))
    model._setup_learn(1, None)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, model.n_steps)
    return model


ENVS = {
    "choices": (ArmsEnv, {}),
    "box": (PullEnv, {}),
    "markets": (MarketsEnv, {"markets": 4}),
    "memory": (RecallEnv, {"memory": "lstm", "memory_size": 4}),
}


@pytest.mark.parametrize("name", ENVS)
def test_an_update_copies_seven_numbers_of_a_minibatch_to_the_host_and_mixes_no_devices(name, monkeypatch):
    make, settings = ENVS[name]
    model = played(make(16), **settings)
    model._setup_learn(1, None)
    model.policy.network = Network(model.policy.spec, 2).to(GPU)
    model.policy.optimizer = torch.optim.Adam(model.network.parameters())
    model.rollout_buffer = roll = Rollout.joined([model.rollout_buffer], GPU)
    roll.finish(torch.tensor([0.9, 1.0]), 0.95)
    model.network.rescale(torch.tensor([2.0, 3.0]))
    roll.combine(torch.tensor([0.7]))
    copied = []

    def numbers(parts, *more):
        copied.append([tensor.device for tensor in (parts, *more)] + [len(parts) + len(more)])
        return [0.0] * copied[-1][-1]

    monkeypatch.setattr("agents.ppo.numbers", numbers)  # of the stand-in nothing can be copied
    model._n_updates = 1
    model._descend(WEIGHTS.to(GPU))
    model.network.normaliser.observe(roll.obs.view(-1, model.network.features))
    assert copied == [[GPU, GPU, GPU, 7]] * 4  # 2 epochs of 2 minibatches
    assert {roll.advantages.device, roll.returns.device, model.network.normaliser.mean.device} == {GPU}


def test_what_was_learnt_is_read_where_it_is():
    network = Network(played(ArmsEnv(16)).policy.spec, 2).to(GPU)
    assert Reader(network)._outputs(np.zeros((3, 1), np.float32)).device == GPU


@pytest.mark.parametrize("name", ENVS)
def test_actions_are_drawn_without_a_copy_to_the_host(name):
    make, settings = ENVS[name]
    model = played(make(16), **settings)
    network = Network(model.policy.spec, 2).to(GPU)
    obs = model.rollout_buffer.obs[0].to(GPU)
    starts, state = torch.ones(16, dtype=torch.bool, device=GPU), torch.zeros(16, network.state_width, device=GPU)
    assert {tensor.device for tensor in sample(network, obs, starts, state, None)} == {GPU}
    assert model.policy.to(GPU)(obs).device == GPU


def test_a_rollout_that_is_where_it_should_be_is_not_copied():
    model = played(ArmsEnv(16))
    roll = model.rollout_buffer
    assert Rollout.joined([roll], torch.device("cpu")) is roll
    assert Rollout.joined([roll], GPU).obs.device == GPU


@pytest.mark.parametrize("name", ENVS)
def test_in_mixed_precision_a_policy_says_nearly_the_same_in_float32(name):
    make, settings = ENVS[name]
    model = played(make(16), **settings)
    assert not model.network.mixed
    roll, network = model.rollout_buffer, model.network
    with torch.no_grad():
        # a fresh critic says 0 everywhere, and a fresh actor nearly nothing
        network.critic.head.weight.normal_(generator=torch.Generator().manual_seed(1))
        network.actor.head.weight.normal_(generator=torch.Generator().manual_seed(2))
    roll.combine(torch.tensor([0.7]))
    batch = next(roll.minibatches(1, sequences=network.memory is not None))
    batch = batch._replace(obs=torch.randn(batch.obs.shape, generator=torch.Generator().manual_seed(3)))
    losses, gradients = [], []
    for mixed in (False, True):
        network.mixed = mixed
        network.zero_grad()
        loss, parts = loss_of(network, batch, WEIGHTS)
        loss.backward()
        assert (loss.dtype, parts.dtype) == (torch.float32, torch.float32)
        losses.append(loss.item())
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    assert gradients[1].dtype == torch.float32
    assert losses[0] != losses[1], "nothing was rounded: is it bfloat16?"
    # bfloat16 has 8 bits: 2 ** -8 = 0.4 % a product, less in sums of several
    assert losses[1] == pytest.approx(losses[0], rel=0.05, abs=0.02)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


def test_what_auto_is_and_what_is_refused():
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("cuda:99", "meta", "gpu", ""):
        with pytest.raises(ValueError, match=r"agent\.device = .*expected auto, cpu, or a GPU"):
            find_device(name)


@pytest.mark.parametrize(
    "wanted, device, elsewhere, mixed",
    [
        (None, "cpu", False, False),
        (None, "cuda", False, True),
        (None, "cuda", True, False),
        (True, "cuda", True, True),
        (True, "cpu", False, True),
        (False, "cuda", False, False),
    ],
)
def test_when_layers_multiply_in_bfloat16(wanted, device, elsewhere, mixed):
    config = PPOConfig(mixed_precision=wanted)
    assert is_mixed(config, torch.device(device), played_elsewhere=elsewhere) is mixed
