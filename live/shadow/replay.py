"""A session again, from its folder alone: every observation, order, reward and cost is made anew and compared.

The raw log holds frames and decisions in the order in which they happened. Frames go through the reader and the stream,
and at each decision the same actions are certified, on what was seen then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from envs.vector import TradingVectorEnv
from live.reading import MarketReader
from live.recording.decode import first_header, reader_for, take
from live.recording.folder import number_of, read_manifest
from live.recording.layout import DECISION, LogError, Record
from live.recording.log import read_log
from live.recording.validate import recorded_paths
from live.session import Look, Session
from live.shadow.mirror import Image, Mirror
from live.shadow.opening import Gathering
from live.shadow.records import Account, Decision, SessionSaid, Shapes, arrays_of, decode, read_session
from live.stream import Stream, StreamError
from sim.scenarios import Scenario
from sim.wire.units import Row

_MOST = 100
SUMMARY_FILE = "summary.json"
# the environment of a session: on a stream's scenario, N accounts, dollars each (None = as configured)
Make = Callable[[Scenario, int, float | None], TradingVectorEnv]


@dataclass
class Replayed:
    """What a replay has found."""

    decisions: int = 0
    orders: int = 0  # certified, of all accounts
    differ: list[str] = field(default_factory=list)  # what was not the same, the first hundred
    notes: list[str] = field(default_factory=list)  # worth knowing, and no difference

    def note(self, what: str) -> None:
        """Keep ``what`` was not the same."""
        if len(self.differ) < _MOST:
            self.differ.append(what)


def decisions_of(folder: str | Path) -> Iterator[Decision]:
    """The decisions of a session, in order, as far as its log is whole. Raises LogError for one that cannot be read."""
    for record in _records(folder, [], []):
        if record.kind == DECISION:
            yield decode(record.data)


def shapes_of(said: SessionSaid) -> Shapes:
    """Shapes of the arrays in a session's decisions."""
    return Shapes(len(said.markets), said.table)


def replay(folder: str | Path, make: Make) -> Replayed:
    """Play the session in ``folder`` again, and compare.

    A log is played up to its last whole batch. What is missing inside of it, and what the folder's ``sealed.json`` and
    ``summary.json`` say of more than is there, are differences; so is a log without any decision. Raises LogError where
    the folder is none, or ``make`` makes what sees or does otherwise.
    """
    said, ended = read_session(folder), _ended(folder)
    reader = reader_for(first_header(recorded_paths(folder)))
    again = _Again(reader, make, said)
    missing: list[str] = []
    torn: list[str] = []
    for record in _records(folder, missing, torn):
        if record.kind == DECISION:
            again.decide(decode(record.data))
        else:
            again.take(take(reader, record).rows)
    found = again.found
    for what in [*missing, *_unlike_sealed(folder), *(torn if ended else [])]:
        found.note(what)
    found.notes += [] if ended else torn
    if not found.decisions:
        found.note(f"{folder}: no decision in its log")
    if ended and found.decisions < ended.decisions:
        found.note(f"{found.decisions:,} decisions in the log; {SUMMARY_FILE} says {ended.decisions:,}")
    return found


class _Ended(msgspec.Struct, frozen=True):
    """What a session that came to its end says of itself, as far as a replay asks."""

    decisions: int


def _ended(folder: str | Path) -> _Ended | None:
    """From the summary; None where the session was killed before it wrote one. Raises LogError where it is broken."""
    path = Path(folder) / SUMMARY_FILE
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Ended)
    except msgspec.MsgspecError as error:
        raise LogError(f"{path}: does not read: {error}") from error


def _unlike_sealed(folder: str | Path) -> Iterator[str]:
    """Segments that are not as they were when the session was sealed, if it was."""
    manifest = read_manifest(Path(folder))
    for segment in () if manifest is None else manifest.segments:
        path = Path(folder).resolve() / segment.name
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            yield f"{path}: is missing; it was sealed with {segment.records:,} records"
        elif size != segment.bytes:
            yield f"{path}: {size:,} bytes; it was sealed with {segment.bytes:,}"


def _records(folder: str | Path, missing: list[str], torn: list[str]) -> Iterator[Record]:
    """Records up to where the first ones are missing; ``missing`` then says where, ``torn`` that the end is."""
    paths = recorded_paths(folder)
    for number, path in enumerate(paths, 1):
        log = read_log(path)
        for records in log.runs() if number_of(path) == number else [None]:
            if records is None:
                missing.append(f"{path}: records are missing; what is behind them was not played")
                return
            yield from records
        if log.result.torn_bytes and path != paths[-1]:
            missing.append(f"{path}: its end is torn; the segments behind it were not played")
            return
        if log.result.torn_bytes:
            torn.append(f"{path}: its end is torn: {log.result.torn_bytes:,} bytes were not played")


class _Again:
    """A session that makes the decisions of a log."""

    def __init__(self, reader: MarketReader, make: Make, said: SessionSaid) -> None:
        self.found = Replayed()
        self._make, self._said, self._shapes = make, said, shapes_of(said)
        self._gathering = Gathering(reader.rules)
        self._session: Session | None = None

    def take(self, rows: list[Row]) -> None:
        if self._session is None:
            if self._gathering.take(rows):
                self._begin()
            return
        with contextlib.suppress(StreamError):  # the stream says so in `unknown`, as it did then
            self._session.stream.append(rows)

    def decide(self, decision: Decision) -> None:
        session = self._session
        if session is None:
            raise LogError(f"decision {decision.number}: it comes before every market has told its book")
        look = self._look(session, decision)
        if look.ns != decision.ns:
            raise LogError(f"decision {decision.number} at {decision.ns} ns: this log begins at {look.ns} ns")
        if (decision.number, decision.events) != (self.found.decisions, session.stream.events):
            self.found.note(
                f"decision {decision.number} after {decision.events} events: here number {self.found.decisions} after "
                f"{session.stream.events}"
            )
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

    def _begin(self) -> None:
        """Every market has told its book: the accounts begin, as they did."""
        said = self._said
        stream = Stream(self._gathering.opening)
        env = self._make(stream.scenario, len(said.seats), said.cash)
        for what in ("observation_digest", "action_digest"):
            ours, theirs = env.spec_sheet[what], getattr(said, what)
            if ours != theirs:
                raise LogError(f"{what} {ours}; the session's is {theirs}: play it with the version that made it")
        self._session, self._mirror = Session(env, stream), Mirror(env.engine, 0)
        self._first = self._session.begin()

    def _look(self, session: Session, decision: Decision) -> Look:
        """What is seen at a decision; the first one of paper accounts is made on the books that they begin with."""
        if decision.image:
            image = Image.decode(decision.image, self._shapes.markets)
            self._mirror.clear(session.env.sent[0])
            return session.proceed(decision.ns, lambda: self._mirror.show(image))
        return session.proceed(decision.ns) if self.found.decisions else self._first

    def _compare(
        self, number: int, place: int, account: Account, told: dict[str, np.ndarray], made: dict[str, np.ndarray]
    ) -> None:
        assert self._session is not None
        now, name = self._session.buffers, self._said.seats[place].name
        different = [what for what, array in made.items() if array.tobytes() != told[what].tobytes()]
        accounts = self._session.env.engine.state.account
        numbers = {
            "reward_uusd": now.reward_uusd[place], "equity_uusd": accounts["equity_uusd"][place],
            "regime": now.regime[place], "regime_reason": now.regime_reason[place],
            "ended": accounts["done"][place] == 1,
        }  # fmt: skip
        different += [what for what, value in numbers.items() if value != getattr(account, what)]
        if different:
            self.found.note(f"decision {number}, {name}: {', '.join(different)}")
