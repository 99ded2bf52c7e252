"""Rollouts as RLlib's episodes: kept as the arrays that they were sampled into, cut into episodes when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from agents.collect import Played
from agents.rllib.module import MASKS
from agents.rollout import Rollout

COSTS = "costs"  # (T, K) of the environment's costs, in an episode's extra model outputs


class _Piece(NamedTuple):
    """Steps ``first`` to ``last`` of a row, of one episode; ``end``: its place in the list of the ends, None = none."""

    row: int
    first: int
    last: int
    end: tuple[int, int] | None


class Episodes(Sequence[SingleAgentEpisode]):
    """What an env runner sampled: T steps of N rows, one row after the other, in the order of time.

    An item is made when it is asked for, of views of the arrays: its last observation is the last one of that episode,
    not the first one of the next, which SAME_STEP autoreset gives in the same step. The learner takes
    ``rollout`` whole, and charges it: what truncated episodes are still worth is then in their last reward.
    """

    def __init__(
        self, rollout: Rollout, played: Played, first: int, *, cut_short: bool = False, report: Any = None
    ) -> None:
        self.rollout, self.last_obs = rollout, np.array(played.place.obs)
        self.env_seconds = played.env_seconds
        self.first = first  # number of the first environment
        self.cut_short = cut_short  # the rows' first episodes, so that they do not all end at once: they do not count
        self.report = report  # of the runner's `Watch`
        self._pieces: list[_Piece] | None = None

    @property
    def env_steps(self) -> int:
        """Steps of all rows."""
        return self.rollout.steps * self.rollout.rows

    def __len__(self) -> int:
        return len(self._cut())

    @overload
    def __getitem__(self, index: int) -> SingleAgentEpisode: ...
    @overload
    def __getitem__(self, index: slice) -> list[SingleAgentEpisode]: ...
    def __getitem__(self, index: int | slice) -> SingleAgentEpisode | list[SingleAgentEpisode]:
        """An episode, or the part of it that lies in the rollout."""
        found = self._cut()[index]
        return [self._make(piece) for piece in found] if isinstance(found, list) else self._make(found)

    def _cut(self) -> list[_Piece]:
        if self._pieces is None:
            ended = {
                (int(row), ends.step): (number, place)
                for number, ends in enumerate(self.rollout.ends)
                for place, row in enumerate(ends.rows)
            }
            self._pieces = []
            for row in range(self.rollout.rows):
                first = 0
                for last in np.flatnonzero(self.rollout.dones[:, row].numpy()).tolist():
                    self._pieces.append(_Piece(row, first, last, ended[row, last]))
                    first = last + 1
                if first < self.rollout.steps:
                    self._pieces.append(_Piece(row, first, self.rollout.steps - 1, None))
        return self._pieces

    def _make(self, piece: _Piece) -> SingleAgentEpisode:
        roll, row = self.rollout, piece.row
        steps = slice(piece.first, piece.last + 1)
        info = {} if piece.end is None else roll.ends[piece.end[0]].infos[piece.end[1]]
        over = piece.last + 1 == roll.steps
        after = self.last_obs[row] if over else roll.obs[piece.last + 1, row].cpu().numpy()
        extra: dict[str, Any] = {
            Columns.ACTION_LOGP: roll.log_probs[steps, row].cpu().numpy(),
            Columns.VF_PREDS: roll.values[steps, row].cpu().numpy(),
            COSTS: roll.costs[steps, row],
        }
        if roll.masks is not None:
            extra[MASKS] = roll.masks[steps, row].cpu().numpy()
        last = info.get("terminal_observation", after)
        return SingleAgentEpisode(
            observations=np.concatenate((roll.obs[steps, row].cpu().numpy(), last[None])),
            actions=roll.actions[steps, row].cpu().numpy(),
            rewards=roll.rewards[steps, row, 0].numpy(),
            infos=[{}] * (piece.last - piece.first + 2),
            terminated=bool(info) and not info["TimeLimit.truncated"],
            truncated=bool(info) and info["TimeLimit.truncated"],
            extra_model_outputs=extra,
            len_lookback_buffer=0,
        )
