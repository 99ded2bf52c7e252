"""The two things that are done with a network in training, as functions of tensors alone: they can be compiled."""

from __future__ import annotations

from typing import NamedTuple

import torch

from agents.network import Network
from agents.rollout import Batch

PARTS = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")


class Sample(NamedTuple):
    """What a policy does at a batch of observations."""

    actions: torch.Tensor  # (N, ...)
    log_probs: torch.Tensor  # (N,)
    values: torch.Tensor  # (N, C)
    state: torch.Tensor  # (N, width): the memory afterwards


def sample(
    network: Network, obs: torch.Tensor, starts: torch.Tensor, state: torch.Tensor, masks: torch.Tensor | None
) -> Sample:
    """Draw actions at ``obs`` (N, F); ``starts`` (N,) bool, ``state`` (N, width) of the memory before."""
    if network.memory is None:
        seen = network.body(obs)
    else:
        seen, state = network.recall(obs.unsqueeze(0), starts.unsqueeze(0), state)
    actions, log_probs = network.head.sample(network.act(seen), masks)
    return Sample(actions, log_probs, network.values(seen), state)


def loss_of(network: Network, batch: Batch, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The clipped surrogate, value and entropy loss of a minibatch, and its `PARTS` ``(5,)``.

    ``weights`` (3,): clip range, coefficient of the entropy, coefficient of the value losses. A value loss is the mean
    squared error in units of the column's scale, summed over the columns.
    """
    clip, entropy_weight, value_weight = weights.unbind()
    if batch.starts is None or batch.state is None:
        seen = network.body(batch.obs)
    else:
        seen, _ = network.recall(batch.obs, batch.starts, batch.state)
    log_prob, entropies = network.head.judge(network.act(seen), batch.actions, batch.masks)
    log_ratio = log_prob - batch.log_probs
    ratio = log_ratio.exp()
    clipped = torch.maximum(torch.minimum(ratio, 1.0 + clip), 1.0 - clip)
    surrogate = torch.minimum(batch.advantages * ratio, batch.advantages * clipped).mean()
    value_loss = (network.scaled_values(seen) - batch.returns / network.scale).square().mean(0).sum()
    entropy = entropies.mean()
    loss = value_weight * value_loss - surrogate - entropy_weight * entropy
    with torch.no_grad():
        kl = ((ratio - 1.0) - log_ratio).mean()  # http://joschu.net/blog/kl-approx.html
        outside = ((ratio - 1.0).abs() > clip).float().mean()
        parts = torch.stack((-surrogate.detach(), value_loss.detach(), entropy.detach(), kl, outside))
    return loss, parts
