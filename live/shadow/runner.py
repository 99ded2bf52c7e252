"""Policies beside a stream, decision by decision: what a venue said goes in, certified orders come out.

No socket, no clock: who owns it feeds what came and says when to decide. Everything that a decision rests on is
handed to ``keep`` before its orders can go anywhere, so a session can be played again, `live.shadow.replay`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from live.monitor.traces import trace_id
from live.orders.sights import Sight
from live.session import Certified, Look, Session
from live.shadow.mirror import Image, Mirror
from live.shadow.records import Account, Decision, encode
from live.shadow.seats import Seat
from live.shadow.staleness import Ages, Freshness, Verdict
from live.stream import StreamError
from sim.types import CLEAR, DELTA, LEVEL, OPEN, PX_ONE
from sim.wire.units import Row

_LOG = logging.getLogger(__name__)
_BOOK = (DELTA, LEVEL, CLEAR)

Keep = Callable[[bytes, int], None]  # a DECISION record and its local_ns


class Hands(Protocol):
    """A real account, which has the place of the first one."""

    def image(self, mirror: Mirror) -> Image:
        """The account as it is known now, to be shown by ``mirror``."""
        ...

    def send(self, ns: int, orders: np.ndarray) -> None:
        """What was certified for it at ``ns``, ``(M, 2)`` INTENT. Nothing waits."""
        ...


class Spent(NamedTuple):
    """Nanoseconds that a decision took."""

    play: int
    policies: int
    certify: int
    keep: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


class Step(NamedTuple):
    """A decision, for those who watch. Nothing is copied: it holds until the next one."""

    decision: Decision
    look: Look
    certified: Certified
    verdict: Verdict
    spent: Spent


class Runner:
    """N accounts of a session, a seat each.

    Args:
        session: not begun.
        seats: as many as the session has accounts.
        freshness: says what is too old.
        keep: is given each decision, durable or not, before :meth:`decide` returns.
        monotonic_ns: reads a clock, for what decisions take.
        name: of the session; trace ids come from it.
        signals: whether the accounts observe forecasts, so that one may be too old.
        step_ns: usual market time between two decisions; None = they come after so many events.
        hands: the first account is a real one; None = all are on paper.
    """

    def __init__(
        self,
        session: Session,
        seats: Sequence[Seat],
        freshness: Freshness,
        keep: Keep,
        monotonic_ns: Callable[[], int],
        name: str,
        *,
        signals: bool,
        step_ns: int | None,
        hands: Hands | None = None,
    ) -> None:
        if len(seats) != session.env.num_envs:
            raise ValueError(f"runner: {len(seats)} seats for {session.env.num_envs} accounts; expected one each")
        self.session, self.seats, self.freshness = session, seats, freshness
        self.number = 0  # decisions so far
        self.broken: list[str] = []  # why markets cannot go on
        self.killed = ""  # why nothing but cancels goes out any more
        self._keep, self._monotonic_ns, self._name, self._signals = keep, monotonic_ns, name, signals
        self._step_ns = step_ns
        engine = session.env.engine
        self._markets = engine.state.market.reshape(engine.num_envs, engine.num_markets)
        self._done = engine.state.account["done"]
        self._hands, self._mirror = hands, None if hands is None else Mirror(engine, 0)
        self._image: Image | None = None
        self._stale = np.ones(engine.num_markets, np.bool_)

    def take(self, rows: Sequence[Row]) -> None:
        """What the venue said, in the order in which it holds."""
        try:
            self.session.stream.append(rows)
        except StreamError as error:
            _LOG.error("%s", error)
            self.broken.append(str(error))
        for index, local_ns in {row[6]: row[0] for row in rows if row[7] in _BOOK}.items():
            self.freshness.changed(index, local_ns)

    def begin(self, heard_ns: int) -> Step | None:
        """The first decision, on flat accounts; ``heard_ns``: wall time when the connection last brought anything.

        A real account is seen first when time has passed: None, then.
        """
        began_ns = self._monotonic_ns()
        for index, tape in enumerate(self.session.stream.scenario.tapes):
            for local_ns in tape.events["local_ns"][np.isin(tape.events["kind"], _BOOK)].tolist():
                self.freshness.changed(index, local_ns)
        look = self.session.begin()
        return self._decide(look, look.ns, heard_ns, began_ns) if self._hands is None else None

    def decide(self, ns: int, heard_ns: int) -> Step:
        """Play what came up to ``ns``, then decide. The orders of the last decision go out first.

        Raises ValueError where ``ns`` is not after the last decision, and once every account has ended.
        """
        began_ns, before_ns = self._monotonic_ns(), self.session.now_ns
        if self._mirror is not None:
            self._mirror.clear(self.session.env.sent[0])
        look = self.session.proceed(ns, None if self._mirror is None else self._show)
        return self._decide(look, before_ns, heard_ns, began_ns)

    @property
    def status(self) -> np.ndarray:
        """``(M,)``: each market's STATUS code."""
        return self._markets["status"][self.shown]

    @property
    def shown(self) -> int:
        """An account that still plays: all see the same markets, but for those that have ended, who see no more."""
        return int(np.argmin(self._done))

    @property
    def ended(self) -> bool:
        """Whether every account has ended: its markets have settled, or it is ruined."""
        return bool(self._done.all())

    def crossed(self) -> np.ndarray:
        """``(M,)`` bool: the best bid is not below the best ask."""
        market = self._markets[self.shown]
        return market["best_bid"] >= market["best_ask"]

    def _decide(self, look: Look, before_ns: int, heard_ns: int, began_ns: int) -> Step:
        played_ns = self._monotonic_ns()
        choices = [
            seat.choose(look.obs[place : place + 1], look.masks[place : place + 1])
            for place, seat in enumerate(self.seats)
        ]
        chosen_ns = self._monotonic_ns()
        verdict = self._judged(look, before_ns, heard_ns, chosen_ns - played_ns)
        self._stale = verdict.stale
        actions = np.concatenate([choice.action for choice in choices])
        certified = self.session.certify(actions, verdict.stale, cancel=bool(self.killed))
        certified_ns = self._monotonic_ns()
        now, rows = self.session.buffers, self.session.env.surface is None
        reject = certified.reject.reshape(len(choices), -1)
        accounts = tuple(
            Account(
                obs=look.obs[place].tobytes(),
                reward_uusd=int(now.reward_uusd[place]),
                equity_uusd=int(self.equity_uusd[place]),
                reward_terms=now.reward_terms[place].tobytes(),
                costs=now.costs[place].tobytes(),
                regime=int(now.regime[place]),
                regime_reason=int(now.regime_reason[place]),
                ended=bool(look.ended[place]),
                action=choice.action.astype(np.int64 if rows else np.float64).tobytes(),
                why=choice.why,
                took_ns=choice.took_ns,
                orders=certified.orders[place].tobytes(),
                reject=reject[place].tobytes(),
                reason=certified.reason[place].tobytes(),
                cut=certified.cut[place].tobytes(),
                held=certified.held[place].tobytes(),
            )
            for place, choice in enumerate(choices)
        )
        decision = Decision(
            self.number, look.ns, self.session.stream.events, trace_id(self._name, self.number), bool(self.killed),
            verdict.stale.tobytes(), verdict.quality.tobytes(), accounts,
            b"" if self._image is None else self._image.encode(),
        )  # fmt: skip
        self._keep(encode(decision), look.ns)
        kept_ns = self._monotonic_ns()
        if self._hands is not None:
            self._hands.send(look.ns, certified.orders[0])
        self.number += 1
        spent = Spent(played_ns - began_ns, chosen_ns - played_ns, certified_ns - chosen_ns, kept_ns - certified_ns)
        return Step(decision, look, certified, verdict, spent)

    @property
    def equity_uusd(self) -> np.ndarray:
        """``(N,)``: at the last mark."""
        return self.session.env.engine.state.account["equity_uusd"]

    def _show(self) -> None:
        """Put the real account in its place."""
        assert self._hands is not None and self._mirror is not None
        self._image = self._hands.image(self._mirror)
        self._mirror.show(self._image)

    def sights(self, heard_ns: int) -> list[Sight]:
        """The markets as they are seen now; ``heard_ns`` as for :meth:`decide`. What is stale is not known."""
        px_of, market = self.session.env.engine.world.px_of, self._markets[self.shown]
        return [
            Sight(
                heard_ns,
                int(px_of[one["best_bid"]]) if one["best_bid"] >= 0 else 0,
                int(px_of[one["best_ask"]]) if one["best_ask"] < len(px_of) else PX_ONE,
                known=not (stale or lost),
                open=bool(one["status"] == OPEN),
            )
            for one, stale, lost in zip(market, self._stale.tolist(), self.session.stream.unknown.tolist(), strict=True)
        ]

    def _judged(self, look: Look, before_ns: int, heard_ns: int, feature_ns: int) -> Verdict:
        """How old everything is. What the machine took to decide is the observation's age."""
        forecast = np.full(len(self.status), -1, np.int64)
        if self._signals:
            market = self._markets[self.shown]
            told_ns, known = market["signal_ns"], market["signal_ppm"] >= 0
            forecast[known] = look.ns - told_ns[known]
        ages = Ages(
            connection_ns=max(look.ns - heard_ns, 0),
            quote_ns=self.freshness.quote_age_ns(look.ns),
            bar_ns=0 if self._step_ns is None else max(look.ns - before_ns - self._step_ns, 0),
            feature_ns=feature_ns,
            prediction_ns=forecast,
        )
        return self.freshness.judge(ages, self.status, look.lost, self.crossed())
