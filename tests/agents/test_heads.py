"""Heads: probabilities, masks and entropies of choices; densities, spreads and clipping of a box."""

import numpy as np
import pytest
import torch

from agents.heads import MAX_LOG_STD, MIN_LOG_STD, Choices, Gaussian


def test_what_is_sampled_is_judged_alike_and_never_masked():
    torch.manual_seed(0)
    head, outputs = Choices(3, 4), torch.randn(500, 12)
    masks = torch.rand(500, 3, 4) < 0.5
    masks[..., 0] = True
    actions, log_probs = head.sample(outputs, masks)
    judged, entropy = head.judge(outputs, actions, masks)
    assert actions.dtype == torch.int64 and torch.equal(judged, log_probs)
    assert masks.gather(2, actions.unsqueeze(-1)).all() and masks.gather(2, head.mode(outputs, masks)[..., None]).all()
    probs = head.log_probs(outputs, masks).exp()
    assert (probs[~masks] == 0.0).all()
    by_hand = -(probs * probs.clamp(min=1e-30).log()).sum((1, 2))
    assert torch.allclose(entropy, by_hand, atol=1e-5)


def test_choices_are_drawn_by_their_probabilities():
    torch.manual_seed(1)
    outputs = torch.log(torch.tensor([[0.1, 0.2, 0.7, 0.25, 0.25, 0.5]])).repeat(40_000, 1)
    actions, _ = Choices(2, 3).sample(outputs, None)
    for place, probs in enumerate(([0.1, 0.2, 0.7], [0.25, 0.25, 0.5])):
        shares = np.bincount(actions[:, place], minlength=3) / 40_000
        assert np.abs(shares - probs).max() < 4 * 0.5 / 200


def test_where_nothing_can_be_done_every_row_is_as_likely():
    outputs = torch.tensor([[1.0, 5.0]])
    assert Choices(1, 2).log_probs(outputs, torch.zeros(1, 1, 2, dtype=torch.bool)).exp().tolist() == [[[0.5, 0.5]]]


def make_box(std=0.5):
    return Gaussian(torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 2.0]), std)


def test_a_density_is_that_of_independent_normals():
    head = make_box()
    with torch.no_grad():
        head.log_std.copy_(torch.log(torch.tensor([0.5, 2.0])))
    means, actions = torch.tensor([[0.0, 1.0], [3.0, -1.0]]), torch.tensor([[1.0, 1.0], [2.0, 5.0]])
    judged, entropy = head.judge(means, actions, None)
    normal = torch.distributions.Normal(means, torch.tensor([0.5, 2.0]))
    assert torch.allclose(judged, normal.log_prob(actions).sum(1), atol=1e-6)
    assert torch.allclose(entropy, normal.entropy().sum(1), atol=1e-6)


def test_the_learner_keeps_raw_actions_and_acts_clipped_ones():
    torch.manual_seed(0)
    head = make_box(std=3.0)
    outputs = torch.zeros(5000, 2)
    actions, log_probs = head.sample(outputs, None)
    assert actions.abs().max() > 5.0  # not clipped: the density is of what was drawn
    assert torch.allclose(head.judge(outputs, actions, None)[0], log_probs)
    assert actions.std(0).tolist() == pytest.approx([3.0, 3.0], rel=0.05)
    clipped = head.clip(actions)
    assert clipped.amin(0).tolist() == [-1.0, -2.0] and clipped.amax(0).tolist() == [1.0, 2.0]
    inside = (actions.abs() <= torch.tensor([1.0, 2.0])).all(1)
    assert torch.equal(clipped[inside], actions[inside]) and torch.equal(head.mode(outputs, None), outputs)


def test_a_spread_has_bounds():
    head = make_box()
    with torch.no_grad():
        head.log_std.copy_(torch.tensor([-50.0, 50.0]))
    assert head.spread().tolist() == [MIN_LOG_STD, MAX_LOG_STD]


def test_markets_share_their_spreads():
    head = Gaussian(torch.tensor([0.0, 1.0] * 3), torch.tensor([2.0, 3.0] * 3), 1.0, repeats=3)
    with torch.no_grad():
        head.log_std.copy_(torch.tensor([0.1, 0.2]))
    assert head.spread().tolist() == pytest.approx([0.1, 0.2] * 3)


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan")])
def test_a_spread_that_cannot_be_is_named(std):
    with pytest.raises(ValueError, match=r"agent.initial_std = .*: expected a positive standard deviation"):
        make_box(std)
