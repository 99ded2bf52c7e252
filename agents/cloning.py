"""Behaviour cloning: a fresh learner is taught to act, and to value, as a teacher did, before it learns on its own.

The actor is fitted by maximum likelihood: cross entropy among the rows that could be done, or for a box the normal
density at the policy's initial spread, which stays as it is so that exploration is left. The critics are fitted to what
the teacher's episodes really returned and cost, so that the first updates do not undo what was learnt. The normaliser
sees the teacher's observations first.

A tenth of the episodes is held out. The fit ends once their actions are not predicted better for `PATIENCE` passes. Of
all passes the actor that predicts them best is kept (Prechelt 1998), and the critics that value them best: what
episodes return is mostly luck, and critics begin to learn it by heart long before the actor is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.heads import Choices, Gaussian
from agents.learner import Learner
from agents.lessons import BLOCK, Lesson, Lessons, value_targets
from agents.network import Network
from agents.trajectories import Trajectories

HELD_OUT = 0.1  # share of the episodes
LEARNING_RATE = 3e-3  # of Adam, falling linearly to 0: a fit to given answers bears more than PPO's
PATIENCE = 5  # passes without a better prediction of held-out episodes
_VALUE_WEIGHT = 0.5


class Cloned(NamedTuple):
    """What came of it; all of held-out episodes. A decision is one action, or of each of several markets one."""

    rows: int  # that were learnt from
    held_out_rows: int
    epochs: int  # passes made
    best_epoch: int  # the one that was kept
    action_error: float  # share of decisions where the clone's most likely action is another; box: mean |difference|
    acting_error: float | None  # the same where the teacher did other than what it does most; None = never, or a box
    cross_entropy: float  # mean -log p of the teacher's action, nats a decision
    value_error: list[float | None]  # root mean square error of each critic / spread of what it values; None = unfitted


def clone(model: Learner, data: Trajectories, *, epochs: int, seed: int) -> Cloned:
    """Fit ``model``, freshly built, to ``data``. Its optimiser is not touched, nor any generator of random numbers.

    Raises ValueError where the data are of another space or too few to hold an episode out, FloatingPointError where
    the loss is not finite.
    """
    with _on_the_host(model.network):
        return _clone(model, data, epochs=epochs, seed=seed)


def _clone(model: Learner, data: Trajectories, *, epochs: int, seed: int) -> Cloned:
    network = model.network
    _check_fits(network, data)
    generator = torch.Generator().manual_seed(seed)
    teach, held = _split(len(data.lengths), generator)
    targets, trusted = value_targets(data, model.constraints, model.gamma)
    source = Lessons(network, data, targets, trusted, masked=model._masked)
    _prepare(network, data, teach, targets, trusted)
    learnt = [entry for name, entry in network.named_parameters() if name != "head.log_std"]
    optimizer = torch.optim.Adam(learnt, lr=LEARNING_RATE, eps=1e-5, fused=True)
    best = _Best(network, _judge(network, source, held))
    epoch = 0
    while epoch < epochs and epoch - best.epoch < PATIENCE:
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1.0 - epoch / epochs)
        epoch += 1
        for batch in source.minibatches(teach, generator):
            _one_step(network, optimizer, batch, model.max_grad_norm, f"pass {epoch}")
        best.see(epoch, network, _judge(network, source, held))
    network.load_state_dict(best.kept)
    optimizer.zero_grad()
    rows = int(data.lengths[teach].sum())
    return Cloned(rows, len(data.obs) - rows, epoch, best.epoch, **_judge(network, source, held))


@contextmanager
def _on_the_host(network: Network) -> Iterator[None]:
    """In float32 on the processor, where the lessons are: there are few of them."""
    device, mixed = network.device, network.mixed
    network.to("cpu").mixed = False
    try:
        yield
    finally:
        network.to(device).mixed = mixed


class _Best:
    """The best actor and the best critics so far. With a memory, which both share, they are kept together."""

    def __init__(self, network: Network, errors: Mapping[str, Any]) -> None:
        self.epoch, self.kept = 0, _copy(network)
        self.apart = network.memory is None
        self.cross_entropy, self.value_error = errors["cross_entropy"], _total(errors["value_error"])

    def see(self, epoch: int, network: Network, errors: Mapping[str, Any]) -> None:
        """Keep what is better in ``network`` after pass ``epoch``."""
        now = _copy(network)
        critics = [name for name in now if self.apart and name.startswith("critic.")]
        if _total(errors["value_error"]) < self.value_error:
            self.value_error = _total(errors["value_error"])
            self.kept |= {name: now[name] for name in critics}
        if errors["cross_entropy"] < self.cross_entropy:
            self.cross_entropy, self.epoch = errors["cross_entropy"], epoch
            self.kept |= {name: now[name] for name in now if name not in critics}


def _copy(network: Network) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _total(errors: list[float | None]) -> float:
    return sum(error for error in errors if error is not None)


def _split(episodes: int, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Episodes to learn from and episodes held out, at least one each."""
    if episodes < 2:
        raise ValueError(
            "cloning: expected at least 2 episodes, one of them to be held out, got 1: record more with "
            "agent.warm_start_steps"
        )
    order = torch.randperm(episodes, generator=generator).numpy()
    held = max(1, round(HELD_OUT * episodes))
    return np.sort(order[held:]), np.sort(order[:held])


def _check_fits(network: Network, data: Trajectories) -> None:
    """Raise ValueError where the data are not of the network's observations and actions."""
    head = network.head
    features = network.features * network.markets
    if data.obs.shape[1] != features:
        raise ValueError(f"cloning: the data have {data.obs.shape[1]} features, the network {features}")
    whole = isinstance(head, Choices)
    size = int(np.prod(data.actions.shape[1:]))
    if (data.actions.dtype.kind == "i") != whole or size != int(np.prod(head.action_shape)):
        raise ValueError(
            f"cloning: the data's actions are {data.actions.dtype} with {size} numbers a step, the network's "
            f"{'choices of rows' if whole else 'points of a box'} with {int(np.prod(head.action_shape))}"
        )
    if isinstance(head, Choices) and not 0 <= data.actions.min() <= data.actions.max() < head.rows:
        raise ValueError(
            f"cloning: actions from {data.actions.min()} to {data.actions.max()}, there are {head.rows} rows"
        )
    if isinstance(head, Choices) and data.masks is not None and data.masks.shape[-1] != head.rows:
        raise ValueError(f"cloning: masks of {data.masks.shape[-1]} rows, the network has {head.rows}")


@torch.no_grad()
def _prepare(network: Network, data: Trajectories, teach: np.ndarray, targets: np.ndarray, trusted: np.ndarray) -> None:
    """Show the normaliser the teacher's observations, and give the critics the units of what followed them."""
    seen = np.isin(data.episode, teach)
    if network.normaliser is not None:
        rows = data.obs[seen]
        for first in range(0, len(rows), BLOCK):
            network.normaliser.observe(torch.from_numpy(rows[first : first + BLOCK]).view(-1, network.features))
    counted = trusted & seen[:, None]
    squares = (np.square(targets, dtype=np.float64) * counted).sum(0) / np.maximum(counted.sum(0), 1)
    network.rescale(torch.from_numpy(np.where(squares > 0.0, np.sqrt(squares), 1.0)).float())


def _look(network: Network, batch: Lesson) -> torch.Tensor:
    if batch.starts is None:
        return network.body(batch.obs)
    return network.recall(batch.obs, batch.starts, torch.zeros(batch.starts.shape[1], network.state_width))[0]


def _one_step(network: Network, optimizer: torch.optim.Optimizer, batch: Lesson, max_norm: float, where: str) -> None:
    """One Adam step on -log p of the teacher's actions and the squared errors of the values."""
    seen = _look(network, batch)
    log_prob, _ = network.head.judge(network.act(seen), batch.actions, batch.masks)
    count = batch.real.sum()
    errors = (network.scaled_values(seen) - batch.targets / network.scale).square() * batch.trusted
    loss = (_VALUE_WEIGHT * errors.sum() - (log_prob * batch.real).sum()) / count
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], max_norm)
    if not torch.isfinite(loss.detach() + norm):
        raise FloatingPointError(
            f"cloning, {where}: loss {loss.item():.6g}, gradient norm {norm.item():.6g}; a smaller learning_rate "
            f"may help"
        )
    optimizer.step()


@torch.no_grad()
def _judge(network: Network, source: Lessons, episodes: np.ndarray) -> dict[str, Any]:
    """Errors on ``episodes``, as `Cloned` names them."""
    head = network.head
    differ, decided, log_probs, errors = [], [], 0.0, []
    for batch in source.minibatches(episodes, None):
        seen, real = _look(network, batch), batch.real > 0
        outputs = network.act(seen)
        log_probs += head.judge(outputs, batch.actions, batch.masks)[0][real].double().sum().item()
        best = head.mode(outputs, batch.masks)
        best = head.clip(best) if isinstance(head, Gaussian) else best
        differ.append((best - batch.actions)[real])
        decided.append(batch.actions[real])
        wrong = (network.values(seen) - batch.targets) * batch.trusted
        errors.append(torch.stack((wrong, batch.targets * batch.trusted, batch.trusted), -1)[real])
    off, done = torch.cat(differ), torch.cat(decided)
    decisions = done.numel() if isinstance(head, Choices) else len(done)
    return {
        **_action_errors(off, done, whole=isinstance(head, Choices)),
        "cross_entropy": -log_probs / decisions,
        "value_error": _value_errors(torch.cat(errors).double()),
    }


def _action_errors(off: torch.Tensor, done: torch.Tensor, *, whole: bool) -> dict[str, float | None]:
    if not whole:
        return {"action_error": off.abs().double().mean().item(), "acting_error": None}
    wrong = (off != 0).double()
    acting = done != done.flatten().mode().values
    return {
        "action_error": wrong.mean().item(),
        "acting_error": wrong[acting].mean().item() if acting.any() else None,
    }


def _value_errors(parts: torch.Tensor) -> list[float | None]:
    """Of ``(n, C, 3)``: error, target, and whether it is trusted; relative to the spread of the trusted targets."""
    result: list[float | None] = []
    for column in parts.unbind(1):
        wrong, target, trusted = column.unbind(1)
        kept = trusted > 0
        spread = target[kept].std(correction=0).item() if kept.any() else 0.0
        result.append(wrong[kept].square().mean().sqrt().item() / spread if spread > 0.0 else None)
    return result
