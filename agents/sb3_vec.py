"""SB3's `VecEnv` over any Gymnasium `VectorEnv`, batch in, batch out.

SB3 wants the reset to happen in the step that ends an episode, the last observation of the old episode in that row's
info, and one info dictionary per row. Gymnasium gives the first two in SAME_STEP mode; the third would cost a Python
loop over the batch at every step. Here the list of infos holds one shared empty dictionary, and only the rows that
ended get their own.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv


class _EmptyInfo(dict):
    """The info of every row that did not end. Shared, so nobody may write to it."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("this info is shared by all rows that did not end; copy it before writing to it")

    __setitem__ = update = setdefault = __ior__ = _refuse


_EMPTY = _EmptyInfo()


class SB3VecEnv(VecEnv):
    """A Gymnasium vector environment with SB3's face.

    ``step`` returns ``(obs, rewards, dones, infos)``: obs ``(N, ...)`` of the space's dtype, rewards ``(N,)`` float32,
    dones ``(N,)`` bool = terminated or truncated. A row that ended carries in its info ``terminal_observation``,
    ``TimeLimit.truncated`` (truncated and not terminated) and ``episode`` = ``{"r": return, "l": steps}``. Returned
    arrays are copies: a later step does not change them.

    Costs and masks stay arrays: `get_step_costs` and `action_masks`.

    Raises ValueError where the environment does not reset in SAME_STEP mode.
    """

    def __init__(self, env: VectorEnv) -> None:
        _check_mode(env)
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.last_info: dict[str, Any] = {}
        self.last_dones = np.zeros(env.num_envs, np.bool_)
        self._no_infos: list[dict] = [_EMPTY] * env.num_envs
        self._actions: np.ndarray | None = None
        self._returns = np.zeros(env.num_envs, np.float64)
        self._lengths = np.zeros(env.num_envs, np.int64)

    def reset(self) -> np.ndarray:
        """Reset all rows, with the seed of the last `seed` call if there was one; observations ``(N, ...)``."""
        obs, self.last_info = self.env.reset(seed=self._seeds[0], options=self._shared_options())
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0.0
        self._lengths[:] = 0
        return np.array(obs)

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions ``(N, ...)`` of the step that `step_wait` takes."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict]]:
        """Take the step; see the class."""
        obs, reward, terminated, truncated, info = self.env.step(self._actions)
        self.last_info = info
        self._returns += reward
        self._lengths += 1
        self.last_dones = dones = np.logical_or(terminated, truncated)
        infos = self._end_episodes(dones, terminated, info) if dones.any() else self._no_infos
        return np.array(obs), np.array(reward, np.float32), dones, infos

    def _end_episodes(self, dones: np.ndarray, terminated: np.ndarray, info: dict[str, Any]) -> list[dict]:
        """The list of infos with the rows that ended filled in; clears their return and length."""
        rows = np.flatnonzero(dones)
        final = info.get("final_obs")
        if final is None:
            raise ValueError(
                f"{_name(self.env)}: rows {rows[:8].tolist()} ended but info has no 'final_obs'; "
                f"in SAME_STEP mode the last observation of an ended episode belongs there"
            )
        infos = self._no_infos.copy()
        for row in rows:
            infos[row] = {
                "terminal_observation": np.array(final[row]),
                "TimeLimit.truncated": not terminated[row],
                "episode": {"r": float(self._returns[row]), "l": int(self._lengths[row])},
            }
        self._returns[rows] = 0.0
        self._lengths[rows] = 0
        return infos

    @property
    def resumable(self) -> bool:
        """Whether the environment has ``snapshot`` and ``restore``: what else runs on it cannot be resumed."""
        return hasattr(self.env, "snapshot") and hasattr(self.env, "restore")

    @property
    def staggered(self) -> bool:
        """Whether first episodes are cut short, so that rows do not all end at once: they do not count as episodes."""
        return bool(getattr(self.env, "staggered", False))

    def snapshot(self) -> tuple:
        """A copy of all that decides how the batch goes on: arrays in tuples and dictionaries, and the masks."""
        mask = self.last_info.get("action_mask")
        return (
            self.env.snapshot(),  # type: ignore[attr-defined]
            self._returns.copy(),
            self._lengths.copy(),
            () if mask is None else (np.array(mask),),
        )

    def restore(self, saved: tuple) -> None:
        """Go back to a snapshot of an environment with the same settings. The costs of its last step are forgotten."""
        state, returns, lengths, masks = saved
        self.env.restore(state)  # type: ignore[attr-defined]
        self._returns[:] = returns
        self._lengths[:] = lengths
        self.last_info = {"action_mask": masks[0]} if masks else {}

    @property
    def masked(self) -> bool:
        """Whether the last observation came with masks; an environment need not have any."""
        mask = self.last_info.get("action_mask")
        return mask is not None and mask.size > 0

    def get_step_costs(self) -> np.ndarray:
        """Costs of the last step, ``(N, K)``, in the order of the environment's cost names."""
        return self._info_array("costs")

    def get_step_rewards(self) -> np.ndarray:
        """Terms of the reward of the last step, ``(N, R)``, unweighted."""
        return self._info_array("reward_terms")

    def action_masks(self) -> np.ndarray:
        """Which actions can be taken from the last observation, ``(N, A)`` bool."""
        return self._info_array("action_mask")

    def _info_array(self, key: str) -> np.ndarray:
        if key not in self.last_info:
            raise KeyError(f"{_name(self.env)}: info has no {key!r}; it has {sorted(self.last_info)}")
        return self.last_info[key]

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The batch's one attribute, once per asked row."""
        value = getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set the batch's one attribute. Raises ValueError for single rows."""
        if indices is not None:
            raise ValueError(f"set_attr({attr_name!r}): the rows are one object; call it without indices")
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> NoReturn:
        """Not offered: there are no separate environments to call. Use ``.env.<method>`` for the batch."""
        raise NotImplementedError(
            f"env_method({method_name!r}): the {self.num_envs} rows are one object; call .env.{method_name}(...) on it"
        )

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """False for each row: single-environment wrappers do not apply to a batch."""
        return [False for _ in self._get_indices(indices)]

    def _shared_options(self) -> dict | None:
        """SB3 keeps reset options per row, a vector environment takes one set of them for all rows."""
        first = self._options[0]
        if any(options != first for options in self._options):
            raise ValueError("set_options: rows differ, but this vector environment takes one set of options for all")
        return first or None


def _check_mode(env: VectorEnv) -> None:
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(
            f"{_name(env)} resets in mode {mode}; SB3 needs {AutoresetMode.SAME_STEP}: "
            f"make it with autoreset_mode=AutoresetMode.SAME_STEP"
        )


def _name(env: VectorEnv) -> str:
    return type(env.unwrapped).__name__
