"""Begin training with the policy of another run, so that what was learnt before is where learning goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agents.checkpoint import load_parameters, read_manifest
from agents.learner import Learner
from agents.network import Network
from agents.normaliser import MIN_STD, RunningNorm
from agents.policy import check_sheet


def adopt(model: Learner, run: str | Path, sheet: Mapping[str, Any]) -> None:
    """Put the networks and the normaliser of ``run`` into a freshly built ``model`` on an environment of ``sheet``.

    The policy acts as it did: features that it has never seen vary, because they were hidden, enter with weights of 0
    (as in Chen, Goodfellow and Shlens 2016, "Net2Net"), and unnormalised. The normaliser's count is cut to one rollout,
    so that it follows the new observations. Optimiser and multipliers begin anew.

    Raises FileNotFoundError where there is no policy, ValueError where it is of another schema or network.
    """
    manifest = read_manifest(run)
    check_sheet(str(run), manifest["sheet"], sheet, each=bool(manifest["network"]["shared"]))
    try:
        model.policy.load_state_dict(load_parameters(run))
    except RuntimeError as error:
        raise ValueError(
            f"{run}: its networks are not those of this config ({error}); give agent.hidden, agent.memory and "
            f"agent.budgets as that run had them"
        ) from None
    norm = model.network.normaliser
    if norm is not None:
        _open_inputs(model.network, norm)
        _shorten(norm, model.n_envs * model.n_steps * model.network.markets)


@torch.no_grad()
def _open_inputs(network: Network, norm: RunningNorm) -> None:
    """Weights 0 and no normalisation for features that never varied."""
    count, _, spread = norm.moments
    unseen = (spread / count.clamp(min=1.0)).sqrt() < MIN_STD
    entrances = [network.actor.layers[0].weight, network.critic.layers[0].weight]
    if network.memory is not None:
        entrances.append(network.memory.cell.weight_ih)
    for weight in entrances:
        weight[:, : network.features][:, unseen] = 0.0  # type: ignore[index]
    norm.mean[unseen] = 0.0
    norm.scale[unseen] = 1.0
    norm.moments[:, unseen] = 0.0


@torch.no_grad()
def _shorten(norm: RunningNorm, most: int) -> None:
    """Let the statistics count as if they were of ``most`` observations."""
    count, _, spread = norm.moments
    share = (most / count.clamp(min=1.0)).clamp(max=1.0)
    norm.moments[0] = count * share
    norm.moments[2] = spread * share
