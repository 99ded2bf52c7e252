"""Scripted faults: what goes wrong between a fake venue and its client, as data, without sockets.

A fault happens once for the whole venue, to the first message or request that fits it after its moment; ``times`` makes
it happen to as many in a row. Whoever reconnects does not meet it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import msgspec

from sim.types import SECOND_NS

Kind = Literal[
    "gap", "duplicate", "reorder", "torn", "garbage", "stall", "reset", "half_open", "skew", "snapshot_delay",
    "duplicate_fill", "late_fill", "too_many", "server_error", "order_reject", "cancel_race",
]  # fmt: skip
REQUESTS: tuple[Kind, ...] = ("too_many", "server_error", "order_reject", "cancel_race")
_SNAPSHOTS = ("orderbook_snapshot", "book")
_FILLS = ("fill", "trade_mine")
_CONTROL = ("subscribed", "unsubscribed", "ok", "error")
_STAMPS = ("ts_ms", "sending_ts_ms", "ts", "timestamp")
_GARBAGE = '{"type":"orderbook_delta","sid":"?","msg":[null,{"'


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault.

    Attributes:
        kind: ``gap`` loses a message with its number; ``reorder`` sends it after the next one; ``torn`` sends half of
            it; ``garbage`` sends nonsense before it; ``stall`` holds it and what follows back for ``for_s``; ``reset``
            cuts the connection; ``half_open`` keeps it and never says or hears anything more; ``skew`` moves its
            stamps by ``for_s``; ``snapshot_delay`` and ``late_fill`` hold that one back for ``for_s``, others overtake;
            ``too_many`` answers 429, ``server_error`` 500; ``order_reject`` refuses an order; ``cancel_race`` fills
            half an order before its cancel, and tells the fill ``for_s`` after it.
        at_s: seconds since the venue began; the fault waits for the first message from then on.
        after: messages sent on a connection, or requests taken by the venue, before it happens.
        times: how many messages or requests.
        for_s: seconds, where the kind has a duration.
    """

    kind: Kind
    at_s: float = 0.0
    after: int = 0
    times: int = 1
    for_s: float = 1.0

    def __post_init__(self) -> None:
        if self.at_s < 0 or self.after < 0 or self.times < 1 or abs(self.for_s) > 86_400:
            raise ValueError(f"{self}; expected at_s and after from 0, times from 1, for_s within a day")


class Close(NamedTuple):
    """The connection is cut, without a goodbye."""


Sent = list[tuple[int, "str | Close"]]  # delay in nanoseconds, frame


class Plan:
    """Faults, and how often each has happened."""

    def __init__(self, faults: Sequence[Fault] = (), start_ns: int = 0) -> None:
        self.faults = tuple(faults)
        self.start_ns = start_ns
        self.happened = [0] * len(self.faults)
        self.requests = 0

    def due(self, now_ns: int, count: int, kinds: Sequence[Kind]) -> Fault | None:
        """The next fault of ``kinds`` whose moment has come, which then counts as happened."""
        for index, fault in enumerate(self.faults):
            if fault.kind not in kinds or self.happened[index] >= fault.times:
                continue
            if now_ns >= self.start_ns + round(fault.at_s * SECOND_NS) and count >= fault.after:
                self.happened[index] += 1
                return fault
        return None

    def request(self, now_ns: int, kinds: Sequence[Kind]) -> Fault | None:
        """A fault of a request. ``too_many`` and ``server_error`` count every request that is asked about them."""
        if "too_many" in kinds:
            self.requests += 1
        return self.due(now_ns, self.requests - 1, kinds)


class FaultLayer:
    """What becomes of one connection's outgoing frames."""

    def __init__(self, plan: Plan) -> None:
        self.deaf = False  # nothing is heard or said any more
        self._plan = plan
        self._count = 0
        self._held: str | None = None  # waits for the next one
        self._until_ns = 0  # a stall's end

    def send(self, frame: str, now_ns: int, kind: str) -> Sent:
        """What is sent for a frame of a message ``kind``, and when. Order is kept but for ``reorder`` and late ones."""
        if self.deaf:
            return []
        fault = self._plan.due(now_ns, self._count, _kinds(kind))
        self._count += 1
        sent = [(0, frame)] if fault is None else self._spoil(fault, frame, now_ns)
        if self._held is not None and sent and not (fault and fault.kind == "reorder"):
            sent, self._held = [*sent, (0, self._held)], None
        wait_ns = max(self._until_ns - now_ns, 0)
        return [(delay_ns + wait_ns, one) for delay_ns, one in sent]

    def _spoil(self, fault: Fault, frame: str, now_ns: int) -> list[Any]:
        for_ns = round(fault.for_s * SECOND_NS)
        if fault.kind == "stall":
            self._until_ns = now_ns + for_ns
        elif fault.kind == "half_open":
            self.deaf = True
        elif fault.kind == "reorder":
            if self._held is None:
                self._held = frame
                return []
        simple: dict[str, list[Any]] = {
            "gap": [], "half_open": [], "duplicate": [(0, frame), (0, frame)], "torn": [(0, frame[: len(frame) // 2])],
            "garbage": [(0, _GARBAGE), (0, frame)], "reset": [(0, Close())],
            "duplicate_fill": [(0, frame), (0, frame)], "snapshot_delay": [(for_ns, frame)],
            "late_fill": [(for_ns, frame)],
        }  # fmt: skip
        if fault.kind == "skew":
            return [(0, _skewed(frame, for_ns))]
        return simple.get(fault.kind, [(0, frame)])


def _kinds(message: str) -> tuple[Kind, ...]:
    """Faults that may happen to a message. Answers to commands are only lost with their connection."""
    connection: tuple[Kind, ...] = ("stall", "reset", "half_open")
    if message in _CONTROL or not message:
        return connection
    anything: tuple[Kind, ...] = (*connection, "gap", "duplicate", "reorder", "torn", "garbage", "skew")
    if message in _SNAPSHOTS:
        return (*connection, "snapshot_delay", "skew")
    return (*connection, "duplicate_fill", "late_fill") if message in _FILLS else anything


def _skewed(frame: str, by_ns: int) -> str:
    said = msgspec.json.decode(frame)
    return msgspec.json.encode(_moved(said, by_ns // 1_000_000)).decode()


def _moved(value: Any, by_ms: int) -> Any:
    """``value`` with its stamps moved: numbers and digits of milliseconds or seconds; text of a date stays."""
    if isinstance(value, list):
        return [_moved(item, by_ms) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _stamp(item, by_ms) if key in _STAMPS else _moved(item, by_ms) for key, item in value.items()}


def _stamp(value: Any, by_ms: int) -> Any:
    if isinstance(value, int):
        return value + (by_ms if value > 10**11 else by_ms // 1000)
    if isinstance(value, str) and value.isdigit():
        return str(_stamp(int(value), by_ms))
    return value


def drawn(seed: int, count: int = 12, span_s: float = 120.0) -> tuple[Fault, ...]:
    """Faults of all kinds at random moments of a span; the same for the same arguments."""
    rng = Random(seed)
    kinds: list[Kind] = list(Kind.__args__)  # type: ignore[attr-defined]
    faults = [
        Fault(rng.choice(kinds), at_s=round(rng.uniform(0, span_s), 3), times=rng.randint(1, 3),
              for_s=round(rng.uniform(0.1, 5.0), 3))
        for _ in range(count)
    ]  # fmt: skip
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def load(text: str) -> tuple[Fault, ...]:
    """Faults of ``seed:N`` or of a JSON file with a list of them. Raises ValueError for anything else."""
    if text.startswith("seed:"):
        number = text.removeprefix("seed:")
        if not number.isdigit():
            raise ValueError(f"{text!r}; expected seed: and a number")
        return drawn(int(number))
    try:
        return tuple(msgspec.json.decode(Path(text).read_bytes(), type=list[Fault]))
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"{text}: no list of faults ({error}); expected JSON, or seed:N") from error
