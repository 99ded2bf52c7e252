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

from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode


class Seen(NamedTuple):
    """What everyone saw in a step."""

    obs: np.ndarray  # (N x M, F)
    action_mask: np.ndarray  # (N x M, A)


class Rows(Protocol):
    """What can be reset row by row."""

    def begin(self, mask: np.ndarray) -> None:
        """Begin the next episode of every row in ``mask`` bool ``(N,)``."""

    def observe(self, mask: np.ndarray, now: Any) -> None:
        """Write observation and action mask of the rows in ``mask`` into ``now``; leave the others."""


class Autoreset:
    """Begins episodes of a core's N rows and puts each observation where its mode wants it.

    A step has written the observations of all rows but the resting ones when ``finish`` is called. Of a step's buffers
    ``now`` the arrays ``obs`` and ``action_mask`` are touched, each with M rows an environment.
    ``resting`` bool ``(N,)``: the environments whose episode is over and whose next one has not begun.
    """

    def __init__(self, core: Rows, num_envs: int, mode: AutoresetMode) -> None:
        self.core = core
        self.mode = AutoresetMode(mode)
        self.resting = np.zeros(num_envs, np.bool_)
        self._everyone = np.ones(num_envs, np.bool_)
        self._last: Seen | None = None

    def reset(self, mask: np.ndarray | None, now: Any) -> None:
        """Begin the environments in ``mask`` (None = all) and observe them; the others keep what they last saw."""
        chosen = self._everyone if mask is None else mask
        if not chosen.all():
            self._repeat(~chosen, now)
        self.core.begin(chosen)
        self.core.observe(chosen, now)
        self.resting[chosen] = False
        self._last = Seen(now.obs, now.action_mask)

    def recall(self, resting: np.ndarray, last: Seen) -> None:
        """Go back to a saved moment: who rested, and what everyone last saw."""
        self.resting[:] = resting
        self._last = last

    def finish(self, ended: np.ndarray, now: Any) -> np.ndarray | None:
        """After a step in which the episodes of ``ended`` bool ``(N,)`` ended: begin what the mode says.

        Returns the last observations ``(N x M, F)`` of those that ended and began again, in SAME_STEP mode: an array of
        zeros elsewhere, which cost no memory until written. None where there are none.
        """
        final_obs = None
        if self.mode is AutoresetMode.SAME_STEP:
            final_obs = self._finish_same_step(ended, now) if ended.any() else None
        elif self.mode is AutoresetMode.NEXT_STEP:
            self._finish_next_step(ended, now)
        else:
            if self.resting.any():
                self._repeat(self.resting, now)
            self.resting |= ended
        self._last = Seen(now.obs, now.action_mask)
        return final_obs

    def _finish_same_step(self, ended: np.ndarray, now: Any) -> np.ndarray:
        slots = self._slots(ended, now.obs)
        final_obs = np.zeros(now.obs.shape, now.obs.dtype)
        final_obs[slots] = now.obs[slots]
        self.core.begin(ended)
        self.core.observe(ended, now)
        return final_obs

    def _finish_next_step(self, ended: np.ndarray, now: Any) -> None:
        if self.resting.any():
            self.core.begin(self.resting)
            self.core.observe(self.resting, now)
        self.resting[:] = ended

    def _slots(self, mask: np.ndarray, array: np.ndarray) -> np.ndarray:
        """Rows of an array with M rows for each environment in ``mask``."""
        width = len(array) // len(mask)
        return (np.flatnonzero(mask)[:, None] * width + np.arange(width)).ravel()

    def _repeat(self, mask: np.ndarray, now: Any) -> None:
        """Show the environments in ``mask`` what they last saw."""
        if self._last is not None:
            slots = self._slots(mask, now.obs)
            now.obs[slots] = self._last.obs[slots]
            now.action_mask[slots] = self._last.action_mask[slots]
