"""What stops a run: numbers that are not finite, with the place where they came up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import numpy as np
import torch

from agents.loss import Sample


class NonFiniteError(FloatingPointError):
    """A number that must be finite was not; the message says which and when."""


def refuse_output(update: int, obs: np.ndarray, drawn: Sample) -> NoReturn:
    """Raise NonFiniteError naming the update and the first bad row, and whether its observation is to blame."""
    seen = torch.from_numpy(np.isfinite(obs).all(1))
    good = (torch.isfinite(drawn.values).all(1) & torch.isfinite(drawn.log_probs)).cpu() & seen
    row = int(good.int().argmin())
    bad = np.flatnonzero(~np.isfinite(obs[row])).tolist()
    cause = f"features {bad} of its observation are not finite" if bad else "its observation is finite"
    raise NonFiniteError(
        f"update {update}: in row {row} the policy gives values {drawn.values[row].tolist()} and log-probability "
        f"{drawn.log_probs[row].item()}; {cause}"
    )


def refuse_observations(update: int, obs: np.ndarray) -> None:
    """Raise NonFiniteError where ``obs`` (B, F), the last of episodes or of a rollout, holds a number that is not."""
    finite = np.isfinite(obs)
    if not finite.all():
        row = int(finite.all(1).argmin())
        bad = np.flatnonzero(~finite[row]).tolist()
        raise NonFiniteError(f"update {update}: features {bad} of a last observation are not finite: {obs[row, bad]}")


def refuse_step(loss: float, norm: float, parts: Mapping[str, float], where: str) -> NoReturn:
    """Raise NonFiniteError naming ``where`` a loss or a gradient is not finite, and the ``parts`` of the loss."""
    listed = ", ".join(f"{name} {value:.6g}" for name, value in parts.items())
    raise NonFiniteError(
        f"{where}: loss {loss:.6g}, gradient norm {norm:.6g} ({listed}); the parameters are those before this "
        f"minibatch. A smaller learning_rate may help"
    )
