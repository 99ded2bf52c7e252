"""What every textbook task has in common: a native batch of small problems whose best policy can be computed.

A task says how an episode starts, what a step does and what is seen; the batch counts steps and episodes, draws the
random numbers and begins episodes anew. A random number belongs to (seed, episode, step, environment), so no result
depends on how many environments run beside it.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.autoreset import Autoreset, Seen
from sim.kernel import kernel
from sim.rng import RESET, TASK, fold, philox, uniform

DRAWS = 4  # uniforms that a step and a start have at their disposal; of a start the last one staggers
_NEVER = np.iinfo(np.int64).max


class State(NamedTuple):
    """All that changes, the environment first."""

    values: np.ndarray  # (N, D) float64: what the task keeps; its class names the columns
    step: np.ndarray  # (N,) int64: steps taken in this episode
    end: np.ndarray  # (N,) int64: steps after which it is cut off
    episode: np.ndarray  # (N,) int64: episodes of this row before this one


class Snapshot(NamedTuple):
    """All that decides how a batch goes on."""

    state: State
    word: np.ndarray  # () int64: of the seed
    resting: np.ndarray  # (N,) bool: the episode is over and the next one has not begun
    obs: np.ndarray  # (N, F) float32: what was last seen


class Buffers(NamedTuple):
    """What a step returns. There are two sets, written in turn."""

    obs: np.ndarray  # (N, F) float32
    action_mask: np.ndarray  # (N, 0) bool: nothing is ever ruled out
    reward: np.ndarray  # (N,) float64
    reward_terms: np.ndarray  # (N, R) float64
    costs: np.ndarray  # (N, K) float32
    terminated: np.ndarray  # (N,) bool
    truncated: np.ndarray  # (N,) bool: cut off after `horizon` steps


@kernel
def draw(word, state, purpose, first, chosen, out):
    """Uniforms float64 ``(N, 4)`` in (0, 1) of this step of the environments in ``chosen`` bool ``(N,)``."""
    for env in range(len(out)):
        if chosen[env]:
            a, b, c, d = philox(word, state.episode[env], state.step[env], purpose, first + env, 0)
            out[env, 0] = uniform(a)
            out[env, 1] = uniform(b)
            out[env, 2] = uniform(c)
            out[env, 3] = uniform(d)


class TextbookVectorEnv(VectorEnv):
    """Native :class:`gymnasium.vector.VectorEnv` of N independent copies of one textbook problem.

    ``step`` takes ``(N,)`` integers or ``(N, D)`` numbers inside of the action space and returns ``obs`` float32
    ``(N, F)``, ``reward`` float64 ``(N,)``, ``terminated`` and ``truncated`` bool ``(N,)``, and an ``info`` of arrays:

    * ``costs`` float32 ``(N, K)`` of this step, in the order of ``spec_sheet["costs"]``
    * ``reward_terms`` float64 ``(N, R)``, in the order of ``spec_sheet["rewards"]``; what they weigh the task says
    * in SAME_STEP mode, in steps that end an episode: ``final_obs``, valid where ``_final_obs``

    The arrays of a step stay as they are during the next step, and are written again in the one after it. A problem
    that has no end of its own is cut off, truncated, after ``horizon`` steps. The first episodes are ``staggered``: cut
    off earlier, each after another number of steps, so that not all end at once.

    Subclasses set ``observation``, ``actions``, ``rewards``, ``costs`` and ``columns`` (names), and write ``_start``,
    ``_advance`` and ``_look``.

    Args:
        num_envs: N.
        horizon: steps after which an episode is cut off; None = it ends by itself.
        seed: decides everything random, together with an environment's global number; 0 is a seed.
        first_env: global number of the first environment.
        autoreset_mode: one of Gymnasium's three; see ``envs.autoreset``.

    Raises ValueError where an argument is not as described.
    """

    observation: Sequence[str]
    actions: Sequence[str]
    rewards: ClassVar[tuple[str, ...]]
    costs: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        num_envs: int,
        observation_space: gym.spaces.Box,
        action_space: gym.spaces.Discrete | gym.spaces.Box,
        *,
        horizon: int | None = None,
        seed: int = 0,
        first_env: int = 0,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
    ) -> None:
        if num_envs < 1 or first_env < 0:
            raise ValueError(f"task: expected num_envs >= 1 and first_env >= 0, got {num_envs} and {first_env}")
        self.num_envs, self.first_env = num_envs, first_env
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self._box = action_space if isinstance(action_space, gym.spaces.Box) else None
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.state = State(
            values=np.zeros((num_envs, len(self.columns))),
            step=np.zeros(num_envs, np.int64),
            end=np.full(num_envs, _NEVER),
            episode=np.full(num_envs, -1, np.int64),
        )
        self._horizon, self.staggered = horizon, horizon is not None
        self._word = fold(seed)
        self._uniforms = np.zeros((num_envs, DRAWS))
        self._buffers = (self._make_buffers(), self._make_buffers())
        self._autoreset = Autoreset(self, num_envs, AutoresetMode(autoreset_mode))
        self._begun = False
        self.spec_sheet: dict[str, Any] = self._make_sheet()
        self.metadata = {"autoreset_mode": self._autoreset.mode, "render_modes": []}

    @abstractmethod
    def _start(self, uniforms: np.ndarray, chosen: np.ndarray) -> None:
        """Write the first values of the episodes of ``chosen`` bool ``(N,)``."""

    @abstractmethod
    def _advance(self, actions: np.ndarray, uniforms: np.ndarray, awake: np.ndarray, now: Buffers) -> None:
        """Move the values of those ``awake`` bool ``(N,)`` one step on; write rewards, terms, costs, terminations.

        Rewards, costs and terminations are 0 on entry. ``state.step`` counts the steps before this one.
        """

    @abstractmethod
    def _look(self, chosen: np.ndarray, obs: np.ndarray) -> None:
        """Write the observations of ``chosen`` bool ``(N,)``."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode everywhere, or in the rows of ``options["reset_mask"]``, a bool ``(N,)`` array.

        With ``seed`` (0 to 2**63 - 1) episodes start over from that seed's first. Raises ValueError for a mask that is
        not as described, that comes with a seed, or before the first reset.
        """
        super().reset(seed=seed)
        mask = self._reset_mask(seed, options)
        if seed is not None:
            self._word = fold(seed)
            self.state.episode[:] = -1
        self._begun = True
        now = self._turn()
        self._autoreset.reset(mask, now)
        return now.obs, {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take a step; see the class. Raises ValueError for actions outside of their space, and before a reset."""
        if not self._begun:
            raise ValueError("step: call reset first")
        chosen = self._checked(actions)
        now, awake = self._turn(), ~self._autoreset.resting
        for array in (now.reward, now.reward_terms, now.costs, now.terminated):
            array[:] = 0
        draw(self._word, self.state, TASK, self.first_env, awake, self._uniforms)
        self._advance(chosen, self._uniforms, awake, now)
        self.state.step[awake] += 1
        np.logical_and(awake & ~now.terminated, self.state.step >= self.state.end, out=now.truncated)
        self._look(awake, now.obs)
        ended = now.terminated | now.truncated
        final_obs = self._autoreset.finish(ended, now)
        info: dict[str, Any] = {"costs": now.costs, "reward_terms": now.reward_terms}
        if final_obs is not None:
            info |= {"final_obs": final_obs, "_final_obs": ended}
        return now.obs, now.reward, now.terminated, now.truncated, info

    def begin(self, mask: np.ndarray) -> None:
        """Begin the next episode of the environments in ``mask`` bool ``(N,)``."""
        self.state.episode[mask] += 1
        self.state.step[mask] = 0
        draw(self._word, self.state, RESET, self.first_env, mask, self._uniforms)
        self._start(self._uniforms, mask)
        if self._horizon is not None:
            early = 1 + (self._uniforms[:, -1] * self._horizon).astype(np.int64)
            self.state.end[mask] = np.where(self.state.episode == 0, early, self._horizon)[mask]

    def observe(self, mask: np.ndarray, now: Buffers) -> None:
        """Write the observations of the environments in ``mask`` bool ``(N,)`` into ``now``."""
        self._look(mask, now.obs)

    def snapshot(self) -> Snapshot:
        """A copy of all that decides how the batch goes on, between two steps."""
        state = State(*(array.copy() for array in self.state))
        return Snapshot(state, np.array(self._word), self._autoreset.resting.copy(), self._buffers[0].obs.copy())

    def restore(self, saved: Snapshot) -> None:
        """Go back to a snapshot of an environment with the same settings. Raises ValueError where shapes differ."""
        if saved.state.values.shape != self.state.values.shape:
            raise ValueError(f"restore: expected state {self.state.values.shape}, got {saved.state.values.shape}")
        for array, other in zip(self.state, saved.state, strict=True):
            array[...] = other
        self._word = int(saved.word)
        self._autoreset.recall(saved.resting, Seen(saved.obs.copy(), self._buffers[0].action_mask))
        self._begun = True

    def _turn(self) -> Buffers:
        """The buffers that the last call did not write."""
        self._buffers = self._buffers[::-1]
        return self._buffers[0]

    def _make_buffers(self) -> Buffers:
        count = self.num_envs
        return Buffers(
            obs=np.zeros((count, *self.single_observation_space.shape), np.float32),  # type: ignore[misc]
            action_mask=np.zeros((count, 0), np.bool_),
            reward=np.zeros(count),
            reward_terms=np.zeros((count, len(self.rewards))),
            costs=np.zeros((count, len(self.costs)), np.float32),
            terminated=np.zeros(count, np.bool_),
            truncated=np.zeros(count, np.bool_),
        )

    def _make_sheet(self) -> dict[str, Any]:
        """Names and digests, as ``envs.sheet`` gives them for a market."""
        box = self._box
        bounds = [] if box is None else [box.low.tolist(), box.high.tolist()]
        return {
            "markets": 1,
            "observation": list(self.observation),
            "observation_digest": _digest(type(self).__name__, list(self.observation)),
            "actions": list(self.actions),
            "action_digest": _digest(type(self).__name__, list(self.actions), bounds),
            "costs": list(self.costs),
            "rewards": list(self.rewards),
        }

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        """Actions as int64 ``(N,)`` or float64 ``(N, D)``; ValueError naming the first that is outside of its space."""
        given, box = np.asarray(actions), self._box
        if given.shape != self.action_space.shape:
            raise ValueError(f"step: expected actions of shape {self.action_space.shape}, got {given.shape}")
        if box is None:
            last = len(self.actions) - 1
            good = (given == np.floor(given)) & (given >= 0) & (given <= last)
            expected = f"an integer from 0 to {last}"
        else:
            good = ((given >= box.low) & (given <= box.high)).all(1)
            expected = f"numbers in [{box.low.tolist()}, {box.high.tolist()}]"
        if not good.all():
            env = int(np.argmin(good))
            raise ValueError(f"step: environment {env}: expected {expected}, got {given[env].tolist()}")
        return given.astype(np.int64 if box is None else np.float64)

    def _reset_mask(self, seed: int | None, options: dict[str, Any] | None) -> np.ndarray | None:
        unknown = set(options or ()) - {"reset_mask"}
        if unknown:
            raise ValueError(f"reset: unknown options {', '.join(sorted(unknown))}; the only one is reset_mask")
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return None
        if seed is not None or not self._begun:
            raise ValueError("reset: a reset_mask comes without a seed, and after a first reset of all environments")
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ValueError(f"reset: reset_mask must be a bool array of shape ({self.num_envs},), got {mask!r}")
        return mask


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def check_numbers(task: str, bounds: dict[str, tuple[float, float, float]]) -> None:
    """Raise ValueError for the first of ``{name: (value, low, high)}`` that is not inside of its bounds, or NaN."""
    for name, (value, low, high) in bounds.items():
        if not low <= value <= high:
            raise ValueError(f"{task}.{name} = {value}: expected a number from {low} to {high}")
