"""What is kept of every decision, and of the session it belongs to.

Decisions lie in the raw log of the session's recording, each behind the frames that it has seen (`DECISION` records):
with what the session's ``session.json`` says, the log alone rebuilds observations, orders, rewards and costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from live.recording.layout import LogError
from sim.files import write_whole
from sim.types import INTENT

SCHEMA_VERSION = 1  # of both
SESSION_FILE = "session.json"


class Account(msgspec.Struct, frozen=True, array_like=True):
    """An account at a decision. Arrays as bytes: M markets, F features, R reward terms, K costs."""

    obs: bytes  # (F,) or (M x F,) float32
    reward_uusd: int  # change of equity since the last decision
    equity_uusd: int
    reward_terms: bytes  # (R,) float64, since the last decision
    costs: bytes  # (K,) float32, since the last decision
    regime: int
    regime_reason: int
    ended: bool
    action: bytes  # as the environment takes it: int64 rows, or float64 points
    why: int  # live.shadow.seats.WHYS
    took_ns: int  # the policy's answer
    orders: bytes  # (M, 2) INTENT: certified
    reject: bytes  # (M,) int32: why a row could not be decoded
    reason: bytes  # (M, 2) int32: why the shield changed an order
    cut: bytes  # (M, 2) int64 lots it took off
    held: bytes  # (M, 2) bool: held back, the market's book was not known or stale


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """One moment."""

    number: int
    ns: int  # up to when the stream was played
    events: int  # that had been put behind it
    trace: str  # its trace id
    cancel: bool  # the kill switch: what rests is cancelled, and nothing else goes out
    stale: bytes  # (M,) bool
    quality: bytes  # (M,) float64
    accounts: tuple[Account, ...]
    image: bytes = b""  # of the first account, where it is a real one: live.shadow.mirror.Image


class SeatSaid(msgspec.Struct, frozen=True):
    """Who sits where."""

    name: str
    policy: str  # its name
    spec: str  # what was loaded
    digest: str  # of its manifest; of a baseline its name and parameters
    executes: bool


class SessionSaid(msgspec.Struct, frozen=True):
    """Content of ``session.json``."""

    name: str
    mode: str
    venue: str
    markets: tuple[str, ...]
    seats: tuple[SeatSaid, ...]
    features: tuple[str, ...]
    observation_digest: str
    action_digest: str
    rewards: tuple[str, ...]
    costs: tuple[str, ...]
    table: bool  # actions are rows of a table, not points of a surface
    config: dict[str, Any]  # resolved
    versions: dict[str, str]
    commit: str | None
    cash: float | None  # dollars that accounts begin with; None = the environment's
    created_ns: int
    schema_version: int = SCHEMA_VERSION


class Shapes(NamedTuple):
    """Of the arrays in a decision."""

    markets: int
    table: bool  # actions are rows of a table, not points of a surface


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Decision)


def encode(decision: Decision) -> bytes:
    """Bytes of a DECISION record."""
    return _encoder.encode(decision)


def decode(data: bytes) -> Decision:
    """The decision in a DECISION record. Raises LogError where it is none."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise LogError(f"a decision of {len(data)} bytes does not read: {error}") from error


def arrays_of(account: Account, shapes: Shapes) -> dict[str, np.ndarray]:
    """An account's arrays by name, no copies."""
    markets = shapes.markets
    return {
        "obs": np.frombuffer(account.obs, np.float32),
        "reward_terms": np.frombuffer(account.reward_terms, np.float64),
        "costs": np.frombuffer(account.costs, np.float32),
        "action": np.frombuffer(account.action, np.int64 if shapes.table else np.float64),
        "orders": np.frombuffer(account.orders, INTENT).reshape(markets, 2),
        "reject": np.frombuffer(account.reject, np.int32),
        "reason": np.frombuffer(account.reason, np.int32).reshape(markets, 2),
        "cut": np.frombuffer(account.cut, np.int64).reshape(markets, 2),
        "held": np.frombuffer(account.held, np.bool_).reshape(markets, 2),
    }


def write_session(folder: Path, said: SessionSaid) -> None:
    """Write ``session.json``, whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n"
    write_whole(folder / SESSION_FILE, text)


def read_session(folder: str | Path) -> SessionSaid:
    """Read ``session.json``. Raises LogError where it is missing, broken, or of another schema version."""
    path = Path(folder) / SESSION_FILE
    try:
        said = msgspec.json.decode(path.read_bytes(), type=SessionSaid)
    except FileNotFoundError:
        raise LogError(f"{path}: no such file; expected the folder of a shadow session") from None
    except msgspec.MsgspecError as error:
        raise LogError(f"{path}: does not read: {error}") from error
    if said.schema_version != SCHEMA_VERSION:
        raise LogError(f"{path}: schema version {said.schema_version}; this program reads {SCHEMA_VERSION}")
    return said
