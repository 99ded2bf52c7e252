"""A session again, from its folder alone: every observation, order, reward and cost is made anew and compared.

The raw log holds frames and decisions in the order in which they happened. Frames go through the reader and the stream,
and at each decision the same actions are certified, on what was seen then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from envs.vector import TradingVectorEnv
from live.reading import MarketReader
from live.recording.decode import first_header, reader_for, take
from live.recording.layout import DECISION, LogError, Record
from live.recording.log import read_log
from live.recording.validate import recorded_paths
from live.session import Session
from live.shadow.mirror import Image, Mirror
from live.shadow.opening import Gathering
from live.shadow.records import Account, Decision, SessionSaid, Shapes, arrays_of, decode, read_session
from live.stream import Stream, StreamError
from sim.scenarios import Scenario
from sim.wire.units import Row

# the environment of a session: on a stream's scenario, N accounts, dollars each (None = as configured)
Make = Callable[[Scenario, int, float | None], TradingVectorEnv]


@dataclass
class Replayed:
    """What a replay has found."""

    decisions: int = 0
    orders: int = 0  # certified, of all accounts
    differ: list[str] = field(default_factory=list)  # what was not the same, the first hundred


def decisions_of(folder: str | Path) -> Iterator[Decision]:
    """The decisions of a session, in order. Raises LogError for one that cannot be read."""
    for record in _records(folder):
        if record.kind == DECISION:
            yield decode(record.data)


def shapes_of(said: SessionSaid) -> Shapes:
    """Shapes of the arrays in a session's decisions."""
    return Shapes(len(said.markets), said.table)


def replay(folder: str | Path, make: Make) -> Replayed:
    """Play the session in ``folder`` again, and compare. Raises LogError where the folder is none."""
    said = read_session(folder)
    reader = reader_for(first_header(recorded_paths(folder)))
    again = _Again(reader, make, said)
    for record in _records(folder):
        if record.kind == DECISION:
            again.decide(decode(record.data))
        else:
            again.take(take(reader, record).rows)
    return again.found


def _records(folder: str | Path) -> Iterator[Record]:
    for path in recorded_paths(folder):
        yield from read_log(path)


class _Again:
    """A session that makes the decisions of a log."""

    def __init__(self, reader: MarketReader, make: Make, said: SessionSaid) -> None:
        self.found = Replayed()
        self._make, self._said, self._shapes = make, said, shapes_of(said)
        self._gathering = Gathering(reader.rules)
        self._session: Session | None = None

    def take(self, rows: list[Row]) -> None:
        if self._session is None:
            self._gathering.take(rows)
            return
        with contextlib.suppress(StreamError):  # the stream says so in `unknown`, as it did then
            self._session.stream.append(rows)

    def decide(self, decision: Decision) -> None:
        if self._session is None:
            stream = Stream(self._gathering.opening)
            self._session = Session(self._make(stream.scenario, len(decision.accounts), self._said.cash), stream)
            look = self._session.begin()
            self._mirror = Mirror(self._session.env.engine, 0) if decision.image else None
        session, mirror = self._session, self._mirror
        if mirror is not None:
            image = Image.decode(decision.image, self._shapes.markets)
            mirror.clear(session.env.sent[0])
            look = session.proceed(decision.ns, lambda: mirror.show(image))
        elif self.found.decisions:
            look = session.proceed(decision.ns)
        if look.ns != decision.ns:
            raise LogError(f"decision {decision.number} at {decision.ns} ns: this log begins at {look.ns} ns")
        told = [arrays_of(account, self._shapes) for account in decision.accounts]
        actions = np.stack([arrays["action"] for arrays in told])
        if self._shapes.table and self._shapes.markets == 1:
            actions = actions[:, 0]
        stale = np.frombuffer(decision.stale, np.bool_)
        certified = session.certify(actions, stale, cancel=decision.cancel)
        now = session.buffers
        for place, (account, arrays) in enumerate(zip(decision.accounts, told, strict=True)):
            made = {
                "obs": look.obs[place], "reward_terms": now.reward_terms[place], "costs": now.costs[place],
                "orders": certified.orders[place], "reason": certified.reason[place], "cut": certified.cut[place],
                "held": certified.held[place], "reject": certified.reject.reshape(len(told), -1)[place],
            }  # fmt: skip
            self._compare(decision.number, place, account, arrays, made)
            self.found.orders += int(np.count_nonzero(arrays["orders"]["do"]))
        self.found.decisions += 1

    def _compare(
        self, number: int, place: int, account: Account, told: dict[str, np.ndarray], made: dict[str, np.ndarray]
    ) -> None:
        assert self._session is not None
        now, name = self._session.buffers, self._said.seats[place].name
        different = [what for what, array in made.items() if array.tobytes() != told[what].tobytes()]
        if int(now.reward_uusd[place]) != account.reward_uusd:
            different.append("reward_uusd")
        if int(self._session.env.engine.state.account["equity_uusd"][place]) != account.equity_uusd:
            different.append("equity_uusd")
        if different and len(self.found.differ) < 100:
            self.found.differ.append(f"decision {number}, {name}: {', '.join(different)}")
