"""A running normaliser of observations that lives inside the network and is saved with it."""

from __future__ import annotations

import torch

CLIP = 10.0  # standard deviations a normalised observation may lie from the mean
MIN_STD = 1e-3  # a feature that hardly varied in training must not explode when it does


class RunningNorm(torch.nn.Module):
    """``(x - mean) / max(std, MIN_STD)``, clipped to 10, with the mean and std of all observations seen so far.

    The statistics move only when `observe` is called: between an update and the next rollout, so that the probability
    of a stored action does not change under the learner's feet.
    """

    mean: torch.Tensor  # (F,) float32
    scale: torch.Tensor  # (F,) float32, 1 / std
    moments: torch.Tensor  # (3, F) float64: count, mean, sum of squared deviations

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("moments", torch.zeros(3, features, dtype=torch.float64))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Normalised observations, ``(N, F)`` float32."""
        return ((observations - self.mean) * self.scale).clamp(-CLIP, CLIP)

    @torch.no_grad()
    def observe(self, observations: torch.Tensor) -> None:
        """Take ``(N, F)`` observations into the statistics (Chan, Golub and LeVeque 1979, parallel moments).

        A batch is summed in float32, which is twenty times as fast; batches are joined in float64.
        """
        size = len(observations)
        count, mean, spread = self.moments
        new_count = count + size
        batch_mean = observations.mean(0)
        deviation = observations - batch_mean
        shift = batch_mean.double() - mean
        spread = spread + (deviation * deviation).sum(0).double() + shift**2 * count * size / new_count
        mean = mean + shift * size / new_count
        self.moments.copy_(torch.stack((new_count, mean, spread)))
        self.mean.copy_(mean)
        self.scale.copy_(1.0 / (spread / new_count).sqrt().clamp(min=MIN_STD))
