"""When a new episode begins, and which observation a step returns: Gymnasium 1.2's three modes, in one place.

============  ==================================  ====================================================
mode          the step that ends an episode       the step after it
============  ==================================  ====================================================
SAME_STEP     returns the new episode's first     goes on in the new episode
              observation; the last one is
              ``info["final_obs"]``
NEXT_STEP     returns the last observation        ignores the action, begins the new episode and returns
                                                  its first observation with reward 0
DISABLED      returns the last observation        nothing happens there until ``reset`` with a
                                                  ``reset_mask``: reward 0, no end reported again
============  ==================================  ====================================================
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from gymnasium.vector import AutoresetMode


class Rows(Protocol):
    """What can be reset row by row."""

    def begin(self, mask: np.ndarray) -> None:
        """Begin the next episode of every row in ``mask`` bool ``(N,)``."""

    def observe(self, mask: np.ndarray, out: np.ndarray) -> None:
        """Write the observations of the rows in ``mask`` into ``out`` ``(N, F)``; leave the others."""


class Autoreset:
    """Begins episodes of a core's N rows and puts each observation where its mode wants it.

    ``resting`` bool ``(N,)``: the rows whose episode is over and whose next one has not begun.
    """

    def __init__(self, core: Rows, num_envs: int, mode: AutoresetMode) -> None:
        self.core = core
        self.mode = AutoresetMode(mode)
        self.resting = np.zeros(num_envs, np.bool_)
        self._everyone = np.ones(num_envs, np.bool_)
        self._last_obs: np.ndarray | None = None

    def reset(self, mask: np.ndarray | None, obs: np.ndarray) -> None:
        """Begin the rows in ``mask`` (None = all) and write ``obs`` ``(N, F)``; the others keep their last one."""
        chosen = self._everyone if mask is None else mask
        if not chosen.all() and self._last_obs is not None:
            np.copyto(obs, self._last_obs)
        self.core.begin(chosen)
        self.core.observe(chosen, obs)
        self.resting[chosen] = False
        self._last_obs = obs

    def recall(self, resting: np.ndarray, last_obs: np.ndarray) -> None:
        """Go back to a saved moment: who rested, and what everyone last observed."""
        self.resting[:] = resting
        self._last_obs = last_obs

    def finish(self, ended: np.ndarray, obs: np.ndarray, final_obs: np.ndarray) -> None:
        """After a step: write ``obs`` ``(N, F)`` and begin what the mode says.

        ``ended`` bool ``(N,)``: rows whose episode ended in this step. Their last observation goes to ``final_obs`` in
        SAME_STEP mode.
        """
        if self.mode is AutoresetMode.SAME_STEP:
            self._finish_same_step(ended, obs, final_obs)
        elif self.mode is AutoresetMode.NEXT_STEP:
            self._finish_next_step(ended, obs)
        else:
            self._finish_disabled(ended, obs)
        self._last_obs = obs

    def _finish_same_step(self, ended: np.ndarray, obs: np.ndarray, final_obs: np.ndarray) -> None:
        self.core.observe(self._everyone, obs)
        if ended.any():
            final_obs[ended] = obs[ended]
            self.core.begin(ended)
            self.core.observe(ended, obs)

    def _finish_next_step(self, ended: np.ndarray, obs: np.ndarray) -> None:
        if self.resting.any():
            self.core.begin(self.resting)
        self.core.observe(self._everyone, obs)
        self.resting[:] = ended

    def _finish_disabled(self, ended: np.ndarray, obs: np.ndarray) -> None:
        if self.resting.any() and self._last_obs is not None:
            np.copyto(obs, self._last_obs)
        self.core.observe(~self.resting, obs)
        self.resting |= ended
