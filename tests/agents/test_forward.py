"""The forward pass in NumPy against the network in torch."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from agents.config import PPOConfig
from agents.describe import describe
from agents.network import Network
from agents.trained import TrainedPolicy

FEATURES, ROWS = 11, 7


def policies(markets=1, activation="tanh", hidden=(16, 8), memory=None, space=None, **settings):
    """The same random network with both backends."""
    torch.manual_seed(1)
    if space is None:
        space = Discrete(ROWS) if markets == 1 else MultiDiscrete([ROWS] * markets)
    config = PPOConfig(hidden=list(hidden), activation=activation, memory=memory, **settings)
    spec = describe(Box(-1, 1, (FEATURES * markets,)), space, config, markets)
    network = Network(spec, 2)
    if network.normaliser is not None:
        network.normaliser.observe(3.0 * torch.randn(100, FEATURES) + 1.0)
    for parameter in network.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    parameters = {f"network.{name}": value for name, value in network.state_dict().items()}
    names = [str(i) for i in range(FEATURES * markets)]
    manifest = {"run": "made up", "network": spec}
    return [TrainedPolicy(manifest, parameters, names, backend=backend) for backend in ("torch", "numpy")]


def seen(count, markets=1):
    # far outside what the normaliser has seen, so that its clip is at work
    return (20.0 * np.random.default_rng(0).standard_normal((count, FEATURES * markets))).astype(np.float32)


@pytest.mark.parametrize("activation", ["tanh", "relu", "silu"])
@pytest.mark.parametrize("markets", [1, 3])
@pytest.mark.parametrize("hidden", [(16,), (16, 8)])
def test_outputs_agree_and_so_do_the_choices(activation, markets, hidden):
    slow, fast = policies(markets, activation, hidden)
    obs = seen(300, markets)
    masks = np.random.default_rng(1).random((300, markets, ROWS)) < 0.7
    masks = masks[:, 0] if markets == 1 else masks
    wanted = slow.outputs(obs)
    for first, last in ((0, 1), (1, 2), (2, 9), (9, 300)):  # rooms of several sizes, the first twice
        assert np.allclose(fast.outputs(obs[first:last]), wanted[first:last], rtol=1e-5, atol=1e-5)
    assert (fast.act(obs, masks) == slow.act(obs, masks)).all()


def test_a_box_and_no_normaliser():
    slow, fast = policies(space=Box(-1, 1, (3,)), normalise_observations=False)
    obs = seen(20)
    assert np.abs(fast.act(obs) - slow.act(obs)).max() < 1e-5


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match="a policy with a memory acts with backend=torch only"):
        policies(memory="gru")
    slow, _ = policies()
    with pytest.raises(ValueError, match="no backend 'onnx'; the backends are torch, compiled, numpy"):
        TrainedPolicy({"run": "x", "network": slow.spec}, slow.network.state_dict(), [], backend="onnx")


def test_numbers_that_are_none_are_refused():
    _, fast = policies()
    obs = seen(4)
    obs[2, 5] = np.nan
    with pytest.raises(FloatingPointError, match="the observation of row 2 is not finite: 5 = nan"):
        fast.act(obs)
    fast._forward._head.bias[1] = np.inf
    with pytest.raises(FloatingPointError, match="the outputs of row 0 are not finite"):
        fast.act(seen(4))
