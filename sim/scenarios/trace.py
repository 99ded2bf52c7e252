"""One pass over an event stream: what the facts of a market are computed from.

A trace keeps best prices where they changed, every change of the book with what it did to the touch, prints, and the
depth on a clock. Prices are 1e-4 dollar, sizes 1e-6 contract, times nanoseconds of the local clock (its running
maximum: a stamp that runs back counts as the latest one before it).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.scenarios.walk import (
    BEST_ASK,
    BEST_BID,
    DEPTHS,
    FIRST_SIZE,
    KNOWN,
    MEMORY,
    MESSAGES,
    MOST_LEVELS,
    NEXT_NS,
    STAMP,
    STATES,
    TRADES,
    TRADING,
    WEIGHT,
    walk,
)
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DELTA,
    EVENT,
    LEVEL,
    PX_ONE,
    SECOND_NS,
    TRADE,
)

FAMILIES = ("spread", "depth", "messages", "touch", "trades", "moves", "clustering", "flow")
_CLOCKS = ("local_ns", "venue_ns")


class Feed(NamedTuple):
    """What a recording can speak of, and how its book is looked at.

    A synthetic market that is compared with a recording is traced with the recording's feed, so that both are seen
    through the same window; only ``views`` is then off.
    """

    families: frozenset[str] = frozenset(FAMILIES)  # of FAMILIES: what the recording shows; others are not computed
    levels: int = MOST_LEVELS  # depth levels a side that it shows, at most 10
    period_ns: int = 0  # best prices are looked at on this clock; 0 = after every batch
    quiet_ns: int = 300 * SECOND_NS  # a longer stretch without any row counts as not recorded
    views: bool = False  # whole books far apart: each is one sample of the depth
    sample_ns: int = SECOND_NS // 4  # clock of the depth samples


FULL = Feed()


_NOTHING = np.zeros(0, np.int64)


class Trace(NamedTuple):
    """What one pass found. A state holds until the next one; the last ends at ``end_ns``."""

    state_ns: np.ndarray  # (S,) int64
    bid_px: np.ndarray  # (S,) int64 best bid; 0 = no whole two-sided book is known
    ask_px: np.ndarray  # (S,) int64
    end_ns: int
    message_ns: np.ndarray  # (M,) int64: changes of the book outside snapshots
    venue_ns: np.ndarray  # (M,) int64: the same by the venue's clock (its running maximum); 0 = not said
    message_mid2_px: np.ndarray  # (M,) int64: bid + ask before the change; 0 = not known
    touch_qty: np.ndarray  # (M,) int64: what the change added to (+) or removed from (-) the best level
    trade_ns: np.ndarray  # (T,) int64
    trade_side: np.ndarray  # (T,) int64: the taker's; -1 = not said
    trade_qty: np.ndarray  # (T,) int64
    depth_ns: np.ndarray  # (D,) int64: when the depth had stood so long
    depth_mid2_px: np.ndarray  # (D,) int64
    depth_weight: np.ndarray  # (D,) int64: clock ticks for which the depth stood
    depth_qty: np.ndarray  # (D, 2, 10) int64: sizes of the levels that hold orders, best first; 0 = fewer levels
    volume_ns: np.ndarray = _NOTHING  # (V,) int64: where a feed says how much was traded, but not in prints
    volume_qty: np.ndarray = _NOTHING  # (V,) int64: contracts traded until then


_OTHER_STAMPS = ("message_ns", "trade_ns", "depth_ns", "volume_ns")
_STAMP_OF = {
    **dict.fromkeys(("state_ns", "bid_px", "ask_px"), "state_ns"),
    **dict.fromkeys(("message_ns", "venue_ns", "message_mid2_px", "touch_qty"), "message_ns"),
    **dict.fromkeys(("trade_ns", "trade_side", "trade_qty"), "trade_ns"),
    **dict.fromkeys(("volume_ns", "volume_qty"), "volume_ns"),
    **dict.fromkeys(("depth_ns", "depth_mid2_px", "depth_weight", "depth_qty"), "depth_ns"),
}


def trace(events: np.ndarray, feed: Feed = FULL) -> Trace:
    """Walk ``events``, an ``(N,)`` array of EVENT rows of one market, once.

    Raises ValueError for another dtype, rows of several markets, level prices outside 1 to 9999, sides that are
    neither bid nor ask, or a feed that cannot be.
    """
    _check(events, feed)
    kind = np.ascontiguousarray(events["kind"]).astype(np.int64)
    px = events["px"].astype(np.int64)
    step = _step_px(px[(kind == DELTA) | (kind == LEVEL)])
    slots = PX_ONE // step + 1
    local_ns, venue_ns = (
        np.maximum.accumulate(events[name]) if len(events) else np.zeros(0, np.int64) for name in _CLOCKS
    )
    memory = np.zeros(MEMORY, np.int64)
    memory[BEST_BID], memory[BEST_ASK] = -1, slots
    memory[KNOWN] = not (kind == CLEAR).any()
    memory[TRADING] = 1
    memory[NEXT_NS] = local_ns[0] if len(events) else 0
    rows = len(events) + 1
    out = _Rows(rows, int((kind == TRADE).sum()), _depth_rows(local_ns, feed))
    side, qty, flags = (events[name].astype(np.int64) for name in ("side", "qty", "flags"))
    walk(
        local_ns, venue_ns, kind, side, px // step, qty, flags,
        np.zeros((2, slots), np.int64), memory, out.states, out.messages, out.trades, out.depths,
        int(feed.levels) if "depth" in feed.families else 0, int(feed.period_ns), int(feed.quiet_ns),
        0 if feed.views else int(feed.sample_ns),
    )  # fmt: skip
    return _unpack(memory, out, step, int(local_ns[-1]) if len(events) else 0)


def markets_of(events: np.ndarray) -> list[np.ndarray]:
    """Rows of each market of a stream, in order of the market's number."""
    return [events[events["market"] == market] for market in np.unique(events["market"])]


def cut(one: Trace, start_ns: int, end_ns: int) -> Trace:
    """The stretch of a trace from ``start_ns`` to ``end_ns`` (not included), with the state that stood at its start.

    A depth sample belongs to the stretch in which it ended.
    """
    first = max(int(np.searchsorted(one.state_ns, start_ns, "right")) - 1, 0)
    slices = {
        "state_ns": slice(first, int(np.searchsorted(one.state_ns, end_ns))),
        **{name: slice(*np.searchsorted(getattr(one, name), (start_ns, end_ns))) for name in _OTHER_STAMPS},
    }
    pieces = {name: getattr(one, name)[slices[stamp]] for name, stamp in _STAMP_OF.items()}
    pieces["state_ns"] = np.maximum(pieces["state_ns"], start_ns)
    return one._replace(**pieces, end_ns=max(min(one.end_ns, end_ns), start_ns))


class _Rows:
    """Room for what a walk over ``rows`` rows may find."""

    def __init__(self, rows: int, trades: int, depths: int) -> None:
        self.states = np.zeros((2 * rows, 3), np.int64)
        self.messages = np.zeros((rows, 4), np.int64)
        self.trades = np.zeros((trades, 3), np.int64)
        self.depths = np.zeros((depths, FIRST_SIZE + 2 * MOST_LEVELS), np.int64)


def _check(events: np.ndarray, feed: Feed) -> None:
    if events.dtype != EVENT or events.ndim != 1:
        raise ValueError(f"trace: expected one axis of sim.types.EVENT rows, got {events.ndim} axes of {events.dtype}")
    if len(events) and (events["market"] != events["market"][0]).any():
        raise ValueError(
            f"trace: rows of {len(np.unique(events['market']))} markets; expected one: split them with markets_of"
        )
    levels = (events["kind"] == DELTA) | (events["kind"] == LEVEL)
    outside = levels & ((events["px"] <= 0) | (events["px"] >= PX_ONE))
    sideless = levels & (events["side"] != BID) & (events["side"] != ASK)
    for wrong, name, what in ((outside, "px", f"1 to {PX_ONE - 1}"), (sideless, "side", "0 (bid) or 1 (ask)")):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"trace: row {row} is a level with {name} {events[name][row]}; expected {what}")
    unknown = sorted(feed.families - set(FAMILIES))
    if unknown:
        raise ValueError(f"trace: feed.families names {unknown[0]!r}; expected some of {', '.join(FAMILIES)}")
    if not 1 <= feed.levels <= MOST_LEVELS or feed.period_ns < 0 or feed.quiet_ns <= 0 or feed.sample_ns <= 0:
        raise ValueError(
            f"trace: feed has levels {feed.levels}, period_ns {feed.period_ns}, quiet_ns {feed.quiet_ns}, sample_ns "
            f"{feed.sample_ns}; expected 1 to {MOST_LEVELS} levels, a period of 0 or more, the others positive"
        )


def _step_px(px: np.ndarray) -> int:
    """The coarsest ladder that holds every level price; a whole dollar where there is none."""
    return int(np.gcd.reduce(np.append(np.unique(px), PX_ONE)))


def _depth_rows(local_ns: np.ndarray, feed: Feed) -> int:
    """Most depth samples there can be: one a batch, and where a clock samples one a tick."""
    if not len(local_ns) or "depth" not in feed.families:
        return 0
    ticks = len(local_ns) if feed.views else int((local_ns[-1] - local_ns[0]) // feed.sample_ns) + 1
    return min(ticks, len(local_ns)) + 1


def _unpack(memory: np.ndarray, out: _Rows, step: int, end_ns: int) -> Trace:
    states = out.states[: memory[STATES]]
    messages = out.messages[: memory[MESSAGES]]
    depths = out.depths[: memory[DEPTHS]]
    trades = out.trades[: memory[TRADES]]
    return Trace(
        states[:, 0].copy(), states[:, 1] * step, states[:, 2] * step, end_ns,
        messages[:, 0].copy(), messages[:, 3].copy(), messages[:, 1] * step, messages[:, 2].copy(),
        trades[:, 0].copy(), trades[:, 1].copy(), trades[:, 2].copy(),
        depths[:, STAMP].copy(), (depths[:, BID] + depths[:, ASK]) * step, depths[:, WEIGHT].copy(),
        depths[:, FIRST_SIZE:].reshape(-1, 2, MOST_LEVELS).copy(),
    )  # fmt: skip
