"""A policy beside a stream: the two halves of an environment's step, one when it decides, one when time has passed.

``observe -> decide -> certify`` is what :meth:`envs.core.Core.prepare` and :meth:`~envs.core.Core.proceed` do in
training, in the same order and by the same kernels: a session that is fed the events of a tape makes the same
observations and certified orders, byte for byte, as an environment that replays it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from envs.actions import check_actions
from envs.buffers import Buffers, make_buffers
from envs.surface import check_controls
from envs.vector import TradingVectorEnv
from live.stream import Stream
from sim.latency import NEVER_NS
from sim.types import DO_CANCEL, DO_NOTHING


class Look(NamedTuple):
    """What is seen at a decision. N accounts, M markets, F features, A rows."""

    ns: int
    obs: np.ndarray  # (N, F) or (N, M x F) float32
    masks: np.ndarray  # (N, [M], A) bool
    lost: np.ndarray  # (M,) bool, no copy: the book is not known; what is seen of it is what was known last
    ended: np.ndarray  # (N,) bool: the account is ruined, or all of its markets have settled


class Certified(NamedTuple):
    """What became of a decision; nothing of it is copied: it holds until the next one."""

    orders: np.ndarray  # (N, M, 2) INTENT, columns BID and ASK: what may be sent
    reject: np.ndarray  # (N, [M]) int32: why a row could not be decoded
    reason: np.ndarray  # (N, M, 2) int32: why the shield changed or refused an order
    cut: np.ndarray  # (N, M, 2) int64: lots it took off
    held: np.ndarray  # (N, M, 2) bool: an order that was not let through: the market's book is not known, or stale


class Session:
    """N accounts in the markets of a stream, one for each policy that plays.

    Args:
        env: made on ``stream.scenario``, with a shield, before its first reset.
        stream: attached here.

    Raises ValueError for an environment without a shield, since nothing decides here without one, and for one whose
    episodes end after a time.
    """

    def __init__(self, env: TradingVectorEnv, stream: Stream) -> None:
        if env.limits is None:
            raise ValueError("session: the environment has no limits; the shield cannot be switched off here")
        if (env.engine.state.account["window_ns"] != NEVER_NS).any():
            raise ValueError("session: the environment's episodes end after a time; expected window_s = inf")
        stream.attach(env.engine)
        self.env, self.stream = env, stream
        self.now_ns = 0  # up to when the accounts have seen the stream
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
        self._held = np.zeros(self.env.sent.shape, np.bool_)
        self._done = self.env.engine.state.account["done"]
        self.now_ns = self.stream.played_ns = int(self.env.engine.state.account["now_ns"][0])
        return self._look(obs.copy(), info["action_mask"].copy())

    @property
    def buffers(self) -> Buffers:
        """What the last half step wrote. Raises ValueError before `begin`."""
        if self._now is None:
            raise ValueError("session: call begin first")
        return self._now

    def checked(self, actions: np.ndarray) -> np.ndarray:
        """The actions of some accounts, one a row, as the environment's core takes them.

        Raises ValueError as the environment's ``step`` does for actions that are none.
        """
        if self.env.surface is None:
            shape = self._shapes[1]
            return check_actions(actions, (len(actions), *shape[1:-1]), shape[-1])
        return check_controls(actions, len(actions), self.env.engine.num_markets)

    def certify(self, actions: np.ndarray, stale: np.ndarray | None = None, *, cancel: bool = False) -> Certified:
        """Decode the accounts' actions and certify their orders; they go out with the next `proceed`.

        Where a market's book is not known, or ``stale`` bool ``(M,)`` says that it is too old, no order goes out, but
        cancels do. ``cancel``: whatever rests is cancelled, and nothing else goes out. Raises ValueError as
        :meth:`checked` does, and for actions of another number of accounts.
        """
        now, env = self.buffers, self.env
        if len(actions) != env.num_envs:
            raise ValueError(f"actions: expected those of {env.num_envs} accounts, got {len(actions)}")
        env.core.prepare(self.checked(actions), now)
        orders, unknown = env.sent, self.stream.unknown
        if stale is not None:
            unknown = unknown | stale
        if cancel:
            orders["do"] = DO_CANCEL
        self._held[:] = False
        if np.count_nonzero(unknown):
            np.greater(orders["do"], DO_NOTHING, out=self._held)
            self._held &= (orders["do"] != DO_CANCEL) & unknown[:, None]
            orders["do"][self._held] = DO_NOTHING
        return Certified(orders, now.reject, now.shield_reason, now.shield_cut, self._held)

    def proceed(self, until_ns: int, between: Callable[[], None] | None = None) -> Look:
        """Send what was certified, play what came up to ``until_ns``, and look.

        ``between`` is called when it has been played and nothing has been measured or observed yet.

        Raises ValueError where that is not after ``now_ns``, and once every account has ended.
        """
        now, step_ns = self.buffers, until_ns - self.now_ns
        if step_ns <= 0:
            raise ValueError(f"session: expected a moment after {self.now_ns} ns, got {until_ns}")
        if np.count_nonzero(self._done) == len(self._done):
            raise ValueError("session: every account has ended; nothing goes on")
        if between is None:
            self.env.core.proceed(step_ns, now)
        else:
            self.env.core.advance(step_ns)
            between()
            self.env.core.judge(now)
        self.now_ns = self.stream.played_ns = until_ns
        return self._look(now.obs.reshape(self._shapes[0]), now.action_mask.reshape(self._shapes[1]))

    def _look(self, obs: np.ndarray, masks: np.ndarray) -> Look:
        return Look(self.now_ns, obs, masks, self.stream.unknown, self._done == 1)
