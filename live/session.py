"""A policy beside a stream: the two halves of an environment's step, one when it decides, one when time has passed.

``observe -> decide -> certify`` is what :meth:`envs.core.Core.prepare` and :meth:`~envs.core.Core.proceed` do in
training, in the same order and by the same kernels: a session that is fed the events of a tape makes the same
observations and certified orders, byte for byte, as an environment that replays it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.buffers import Buffers, make_buffers
from envs.vector import TradingVectorEnv
from live.stream import Stream
from sim.types import SECOND_NS


class Look(NamedTuple):
    """What is seen at a decision. N accounts, M markets, F features, A rows."""

    ns: int
    obs: np.ndarray  # (N, F) or (N, M x F) float32
    masks: np.ndarray  # (N, [M], A) bool


class Certified(NamedTuple):
    """What became of a decision; nothing of it is copied: it holds until the next one."""

    orders: np.ndarray  # (N, M, 2) INTENT, columns BID and ASK: what may be sent
    reject: np.ndarray  # (N, [M]) int32: why a row could not be decoded
    reason: np.ndarray  # (N, M, 2) int32: why the shield changed or refused an order
    cut: np.ndarray  # (N, M, 2) int64: lots it took off


class Session:
    """N accounts in the markets of a stream, one for each policy that plays.

    Args:
        env: made on ``stream.scenario``, with a shield, before its first reset.
        stream: attached here.

    Raises ValueError for an environment without a shield: nothing decides here without one.
    """

    def __init__(self, env: TradingVectorEnv, stream: Stream) -> None:
        if env.limits is None:
            raise ValueError("session: the environment has no limits; the shield cannot be switched off here")
        stream.attach(env.engine)
        self.env, self.stream = env, stream
        self._now: Buffers | None = None

    def begin(self) -> Look:
        """Flat accounts, at the moment when every market had a whole book."""
        obs, info = self.env.reset()
        sheet, rows = self.env.spec_sheet, info["action_mask"].shape[-1]
        self._now = make_buffers(
            self.env.num_envs, self.env.engine.num_markets, len(self.env.schema.features), rows, len(sheet["rewards"]),
            len(sheet["costs"]), guarded=True,
        )  # fmt: skip
        self._shapes = obs.shape, info["action_mask"].shape
        return Look(self.now_ns, obs.copy(), info["action_mask"].copy())

    @property
    def now_ns(self) -> int:
        """Up to when the accounts have seen the stream."""
        return int(self.env.engine.state.account["now_ns"][0])

    @property
    def buffers(self) -> Buffers:
        """What the last half step wrote. Raises ValueError before `begin`."""
        if self._now is None:
            raise ValueError("session: call begin first")
        return self._now

    def certify(self, actions: np.ndarray) -> Certified:
        """Decode the accounts' actions and certify their orders; they go out with the next `proceed`."""
        now = self.buffers
        self.env.core.prepare(actions.reshape(-1), now)
        return Certified(self.env.sent, now.reject, now.shield_reason, now.shield_cut)

    def proceed(self, until_ns: int) -> Look:
        """Send what was certified, play what came up to ``until_ns``, and look.

        Raises ValueError where that is not after ``now_ns``.
        """
        step_ns = until_ns - self.now_ns
        if step_ns <= 0:
            raise ValueError(f"session: expected a moment after {self.now_ns} ns, got {until_ns}")
        now = self.buffers
        self.env.core.proceed(step_ns, now)
        return Look(until_ns, now.obs.reshape(self._shapes[0]), now.action_mask.reshape(self._shapes[1]))

    def proceed_s(self, seconds: float) -> Look:
        """As `proceed`, by so much market time."""
        return self.proceed(self.now_ns + round(seconds * SECOND_NS))
