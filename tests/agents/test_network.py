"""Networks: markets that share one, memories that forget where they must, scales that change no value."""

import numpy as np
import pytest
import torch

from agents.network import Network
from agents.trained import spec_for


def spec(markets=1, memory=None, kind="choices", **changes):
    space = {"kind": "choices", "count": markets, "rows": 3}
    if kind == "box":
        space = {"kind": "box", "low": [-1.0, 0.0] * markets, "high": [1.0, 2.0] * markets}
    return {
        "features": 5, "markets": markets, "shared": markets > 1, "space": space, "hidden": [16, 8],
        "activation": "tanh", "normalise": True, "memory": memory, "memory_size": 6, "initial_std": 1.0,
        "masks": True, **changes,
    }  # fmt: skip


def make(seed=0, critics=3, **settings):
    """A network none of whose numbers are 0, so that nothing is equal by accident."""
    torch.manual_seed(seed)
    network = Network(spec(**settings), critics)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.5)
        network.scale.copy_(torch.tensor([2.0, 0.1, 30.0])[:critics])
    network.normaliser.observe(torch.randn(100, 5) * 2.0 + 1.0)
    return network


def through(network, obs, starts=None, state=None):
    """Outputs and values ``(T, B, ..)`` of observations ``(T, B, M x F)``, and the state at the end."""
    steps, rows = obs.shape[:2]
    starts = torch.zeros(steps, rows, dtype=torch.bool) if starts is None else starts
    state = torch.zeros(rows, network.state_width) if state is None else state
    with torch.no_grad():
        seen, state = network.recall(obs, starts, state)
        return network.act(seen).view(steps, rows, -1), network.values(seen).view(steps, rows, -1), state


@pytest.mark.parametrize("memory", [None, "gru", "lstm"])
@pytest.mark.parametrize("kind", ["choices", "box"])
def test_markets_in_another_order_give_outputs_in_that_order_and_the_same_values(memory, kind):
    network = make(markets=4, memory=memory, kind=kind)
    obs, order = torch.randn(3, 7, 4, 5), torch.tensor([2, 0, 3, 1])
    outputs, values, _ = through(network, obs.flatten(2))
    moved, again, _ = through(network, obs[:, :, order].flatten(2))
    assert torch.allclose(moved.view(3, 7, 4, -1), outputs.view(3, 7, 4, -1)[:, :, order], atol=1e-5)
    assert torch.allclose(again, values, rtol=1e-4, atol=1e-5) and values.std() > 0.1


def test_a_market_sees_the_others_of_its_own_row_and_of_no_other():
    network = make(markets=4)
    obs = torch.randn(1, 6, 20)
    before, values, _ = through(network, obs)
    obs[0, 2, :5] += 3.0  # market 0 of row 2
    after, again, _ = through(network, obs)
    moved = ((after - before).abs() > 1e-6)[0].view(6, 4, 3).any(2)
    assert moved[2].all() and not moved[[0, 1, 3, 4, 5]].any()
    assert ((values - again)[0].abs() > 1e-6).any(1).tolist() == [False, False, True, False, False, False]


def test_parameters_of_4_markets_act_in_9():
    small = make(markets=4, memory="gru")
    large = Network(spec_for(spec(markets=4, memory="gru"), 9), 3)
    large.load_state_dict(small.state_dict())
    outputs, values, state = through(large, torch.randn(2, 3, 45))
    assert outputs.shape == (2, 3, 27) and values.shape == (2, 3, 3) and state.shape == (3, 54)
    # the mean and the maximum over markets do not change where every market is shown twice over
    obs = torch.randn(2, 3, 4, 5)
    eight = Network(spec_for(spec(markets=4, memory="gru"), 8), 3)
    eight.load_state_dict(small.state_dict())
    outputs, values, _ = through(small, obs.flatten(2))
    twice, again, _ = through(eight, obs.repeat(1, 1, 2, 1).flatten(2))
    assert torch.allclose(twice, outputs.repeat(1, 1, 2), atol=1e-5) and torch.allclose(again, values, rtol=1e-4)


def test_another_number_of_markets_needs_a_shared_network():
    apart = spec(markets=4, shared=False)
    assert spec_for(apart, 4) == apart
    with pytest.raises(ValueError, match=r"a network of 4 markets .* \(agent.shared=false\) cannot act in 9"):
        spec_for(apart, 9)
    box = spec_for(spec(markets=4, kind="box"), 2)["space"]
    assert box["low"] == [-1.0, 0.0] * 2 and box["high"] == [1.0, 2.0] * 2


@pytest.mark.parametrize("memory", ["gru", "lstm"])
@pytest.mark.parametrize("markets", [1, 3])
def test_step_by_step_is_the_sequence_and_a_start_forgets(memory, markets):
    network = make(markets=markets, memory=memory)
    obs, starts = torch.randn(9, 4, 5 * markets), torch.rand(9, 4) < 0.3
    first = torch.randn(4, network.state_width)
    outputs, values, last = through(network, obs, starts, first)
    state = first
    for step in range(9):
        one, value, state = through(network, obs[step : step + 1], starts[step : step + 1], state)
        assert torch.allclose(one[0], outputs[step], atol=1e-5)
        assert torch.allclose(value[0], values[step], rtol=1e-4, atol=1e-5)
    assert torch.allclose(state, last, atol=1e-6)
    # at a start nothing is left of what was before
    begun = starts.clone()
    begun[4] = True
    begin, _, _ = through(network, obs, begun, first)
    afresh, _, _ = through(network, obs[4:], starts[4:] | begun[4:])
    assert torch.allclose(begin[4:], afresh, atol=1e-5)
    going = ~starts[1]
    assert going.any()
    other, _, _ = through(network, obs, starts, first + 1.0)
    assert not torch.allclose(other[0][~starts[0]], outputs[0][~starts[0]], atol=1e-3)


@pytest.mark.parametrize("markets", [1, 3])
def test_another_scale_changes_no_value(markets):
    network = make(markets=markets)
    obs = torch.randn(2, 50, 5 * markets)
    _, before, _ = through(network, obs)
    network.rescale(torch.tensor([100.0, 0.003, 1.0]))
    _, after, _ = through(network, obs)
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-6)
    assert network.scale.tolist() == pytest.approx([100.0, 0.003, 1.0])


def test_new_critics_say_0_and_new_policies_hardly_choose():
    torch.manual_seed(0)
    network = Network(spec(), 2)
    outputs, values, _ = through(network, torch.randn(1, 50, 5))
    assert (values == 0.0).all() and np.abs(outputs.numpy()).max() < 0.2


@pytest.mark.parametrize(
    "change, message",
    [
        ({"memory": "elman"}, "agent.memory = 'elman' of size 6: expected lstm or gru"),
        ({"memory": "gru", "memory_size": 0}, "agent.memory = 'gru' of size 0: .* at least 1"),
        ({"hidden": []}, "agent.hidden is empty"),
    ],
)
def test_settings_that_cannot_be_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Network(spec(**change), 1)
