"""A trained policy in use: the network of a run, without what trained it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.device import compiled
from agents.exported import Exported
from agents.forward import BACKENDS, Forward
from agents.heads import MASKED, Choices
from agents.network import Network
from agents.randomness import uniforms

if TYPE_CHECKING:
    from agents.actor_critic import ActorCritic

_BLOCK = 64  # rows: batches are padded to a multiple, so that a row's result does not depend on the batch it came in


class TrainedPolicy:
    """The network of a run, acting on the rows of a batch, each for itself.

    A run that was trained with masks (``network.masks`` of its manifest) never chooses a row that ``masks`` rule out.
    A policy with a memory remembers each row from call to call: tell it by `begin` which rows begin an episode.

    ``markets``: how many lie side by side in an observation; another number than the run's only where its network is
    shared among them. ``backend``: what reckons, "torch"; "compiled", the same by
    torch.compile, seconds at the first call; "numpy" for few rows at a time; or ``exported`` does, and its note stands
    for the manifest. Then ``parameters`` are not looked at, and ``markets`` are those of the note.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        parameters: Mapping[str, torch.Tensor],
        features: Sequence[str],
        deterministic: bool = True,
        seed: int = 0,
        markets: int | None = None,
        backend: str = "torch",
        exported: Exported | None = None,
    ) -> None:
        self.name = manifest["run"]
        if backend not in BACKENDS:
            raise ValueError(f"{self.name}: no backend {backend!r}; the backends are {', '.join(BACKENDS)}")
        self.features = list(features)
        self.deterministic = deterministic
        self.seed = seed
        self.calls = 0
        self.spec = spec_for(manifest["network"], markets)
        self.masked = bool(self.spec["masks"]) and self.spec["space"]["kind"] == "choices"
        if exported is None:
            self.network = _load(self.name, self.spec, parameters)
        else:
            self.network = _head_alone(exported.note)
        expected = self.network.features * self.network.markets
        if len(self.features) != expected:
            raise ValueError(f"{self.name}: a network of {expected} features, its manifest says {len(self.features)}")
        self.backend = backend if exported is None else "onnx"
        self._exported = exported
        self._forward: Forward | Exported | None = exported
        if self.backend == "numpy":
            self._forward = Forward(self.network, self.spec["activation"], self.name)
        self._reckon = compiled(_reckon, self.backend == "compiled", any_size=True)
        # what a row's action is depends on that row alone: a batch may be asked in parts
        self.rowwise = deterministic and self.network.memory is None
        self._state = torch.zeros(0, self.network.state_width)
        self._starts = np.zeros(0, np.bool_)

    def begin(self, mask: np.ndarray) -> None:
        """The rows of ``mask`` bool ``(N,)`` begin an episode: what they remember is forgotten."""
        if self.network.memory is None:
            return
        self._remember_rows(len(mask))
        self._starts |= mask

    def outputs(self, observations: np.ndarray) -> np.ndarray:
        """What the head is given, ``(N, size)`` float32: logits, or the means of continuous actions.

        Moves the memory on. Raises FloatingPointError where an observation or an output is not finite.
        """
        check_observations(self.name, observations, self.features)
        if self._exported is not None and self.network.memory is not None:
            result = self._by_recall(self._exported, observations)
        else:
            result = self._forward(observations) if self._forward is not None else self._by_torch(observations)
        if np.count_nonzero(np.isfinite(result)) < result.size:
            self._refuse(result)
        return result

    def _by_torch(self, observations: np.ndarray) -> np.ndarray:
        count = len(observations)
        if self.network.memory is not None:
            self._remember_rows(count)
        x = _padded(torch.from_numpy(np.asarray(observations, np.float32)))
        starts = (
            _padded(torch.from_numpy(self._starts)) if self.network.memory else torch.zeros(len(x), dtype=torch.bool)
        )
        with torch.no_grad():
            outputs, state = self._reckon(self.network, x, starts, _padded(self._state, len(x)))
            result = outputs[:count]
        if self.network.memory is not None:
            self._state = state[:count]
            self._starts[:] = False
        return result.numpy()

    def _by_recall(self, exported: Exported, observations: np.ndarray) -> np.ndarray:
        self._remember_rows(len(observations))
        result, state = exported.recall(observations, self._starts, self._state.numpy())
        self._state = torch.from_numpy(state)
        self._starts[:] = False
        return result

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Actions for observations ``(N, F)`` float32.

        Of an action table its rows, int64 ``(N,)``, or ``(N, M)`` in several markets: none that ``masks`` bool
        ``(N, [M], A)`` rule out; without masks, or where every row is ruled out, any row. Of a box float32 ``(N, D)``
        inside it. Raises ValueError for masks of another shape.
        """
        outputs = self.outputs(observations)
        head = self.network.head
        self.calls += 1
        if isinstance(head, Choices):
            return self.rows_of(outputs, masks)
        means = torch.from_numpy(outputs)
        if not self.deterministic:
            drawn = torch.from_numpy(uniforms(self.seed, self.calls - 1, tuple(outputs.shape)))
            means = means + head.spread().exp() * torch.special.ndtri(drawn).float()
        with torch.no_grad():
            return head.clip(means).numpy()

    def rows_of(self, outputs: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
        """Rows int64 ``(N,)`` or ``(N, M)`` that `act` chooses of ``outputs``, of a policy that chooses rows."""
        head = self.network.head
        assert isinstance(head, Choices)
        logits = outputs.reshape(-1, head.count, head.rows)
        single = logits.shape[1] == 1
        if masks is not None and self.masked:
            wanted = logits[:, 0].shape if single else logits.shape
            if masks.shape != wanted:
                raise ValueError(f"policy {self.name}: expected masks {wanted}, got {masks.shape}")
            logits = np.where(masks.reshape(logits.shape), logits, np.float32(MASKED))
        if not self.deterministic:
            # argmax of logit + Gumbel noise is a sample of the softmax
            logits = logits - np.log(-np.log(uniforms(self.seed, self.calls - 1, logits.shape)))
        rows = logits.argmax(-1)
        return rows[:, 0] if single else rows

    def _remember_rows(self, count: int) -> None:
        if len(self._starts) != count:
            self._state = torch.zeros(count, self.network.state_width)
            self._starts = np.ones(count, np.bool_)

    def _refuse(self, outputs: np.ndarray) -> None:
        row = int(np.isfinite(outputs).all(1).argmin())
        raise FloatingPointError(
            f"policy {self.name}: the outputs of row {row} are not finite ({outputs[row].tolist()}) though its "
            f"observation is; the checkpoint is broken"
        )


def _reckon(
    network: Network, obs: torch.Tensor, starts: torch.Tensor, state: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs ``(N, size)`` and the memory afterwards."""
    seen, state = network.recall(obs.unsqueeze(0), starts.unsqueeze(0), state)
    return network.act(seen), state


def acting(learnt: ActorCritic, features: Sequence[str], name: str) -> TrainedPolicy:
    """What a model's policy would do now: its most likely action, by a copy of its parameters."""
    return TrainedPolicy({"run": name, "network": learnt.spec}, learnt.state_dict(), features)


def spec_for(spec: Mapping[str, Any], markets: int | None) -> dict[str, Any]:
    """A run's network ``spec`` with as many ``markets`` as an environment has; None = those of the run."""
    if markets is None or markets == spec["markets"]:
        return dict(spec)
    if not spec["shared"]:
        raise ValueError(
            f"a network of {spec['markets']} markets that it does not look at one by one (agent.shared=false) cannot "
            f"act in {markets}"
        )
    space = dict(spec["space"])
    if space["kind"] == "choices":
        space["count"] = space["count"] // spec["markets"] * markets
    else:
        each = len(space["low"]) // spec["markets"]
        space |= {side: space[side][:each] * markets for side in ("low", "high")}
    return {**spec, "markets": markets, "space": space}


def _load(name: str, spec: Mapping[str, Any], parameters: Mapping[str, torch.Tensor]) -> Network:
    """The network with its parameters, ready for inference."""
    try:
        network = Network(spec, len(parameters["network.scale"]))
        network.load_state_dict({key.removeprefix("network."): value for key, value in parameters.items()})
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"{name}: its parameters are not those of the network its manifest describes: {error}"
        ) from None
    return network.requires_grad_(False).eval()


def _head_alone(note: Mapping[str, Any]) -> Network:
    """A network whose head is that of an exported policy, and whose layers nobody asks."""
    network = Network(note["network"], 1)
    if note["log_std"] is not None:
        network.load_state_dict({"head.log_std": torch.tensor(note["log_std"])}, strict=False)
    return network.requires_grad_(False).eval()


def _padded(rows: torch.Tensor, count: int | None = None) -> torch.Tensor:
    """``rows`` with zeros below, up to ``count`` or the next multiple of `_BLOCK`."""
    wanted = -(-len(rows) // _BLOCK) * _BLOCK if count is None else count
    result = rows.new_zeros(wanted, *rows.shape[1:])
    result[: len(rows)] = rows
    return result


def check_observations(name: str, observations: np.ndarray, features: Sequence[str]) -> None:
    """Raise where observations have another shape than ``(N, F)``, or hold a number that is not finite."""
    if observations.ndim != 2 or observations.shape[1] != len(features):
        raise ValueError(f"policy {name}: expected observations (N, {len(features)}), got {observations.shape}")
    finite = np.isfinite(observations)
    if np.count_nonzero(finite) < finite.size:
        row = int(np.argmin(finite.all(1)))
        bad = ", ".join(f"{features[i]} = {observations[row, i]}" for i in np.flatnonzero(~finite[row]).tolist())
        raise FloatingPointError(f"policy {name}: the observation of row {row} is not finite: {bad}")
