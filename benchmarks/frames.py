"""A million broken frames through the readers of both venues: nothing raises, every frame is counted, rows are valid.

Frames of two markets are told by the venues' writers; some are cut, flipped, spliced, swapped, blown up or repeated.
Books that are lost come whole again after a while, and the connection begins anew now and then. After every frame is
checked that the reader raised nothing, counted each message once and kept no size below zero. All rows of a market, put
on a tape, break no rule that validation knows.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from benchmarks.machine import describe, print_result
from sim.tape import FeeRates, Market, Source, seal
from sim.types import ASK, BID, CLEAR, EVENT, LEVEL, MICRO_PER_LOT, QUOTE, SECOND_NS, SETTLE, STATUS, TICKS, TRADE
from sim.validate import validate
from sim.wire.kalshi import KalshiReader
from sim.wire.kalshi_writer import KalshiWriter, Numbers
from sim.wire.listing import CENT_TICKS, MILL_TICKS, Listing
from sim.wire.polymarket import PolymarketReader
from sim.wire.polymarket_frames import parts
from sim.wire.polymarket_writer import PolymarketWriter
from sim.wire.units import BESIDE, Row

Reader = KalshiReader | PolymarketReader

NOW_NS = 1_790_000_000 * SECOND_NS
SESSION = 3000  # rows before all begins anew: what is settled by then does not stay so
STRETCH = 60  # rows between connections
ODD = (
    b"null", b"true", b"[]", b"{}", b"-1", b"0", b"1e308", b"1e999", b"-0", b"1.5", b"9" * 400, b'""', b'"NaN"',
    b'"-0"', b'"1e5"', b'"0x10"', b'"1_000"', b'"' + b"9" * 40 + b'"', b'"-5.00"', b'"0.0000"', b'"1.0000"',
    b'"0.00001"', b'"99999999999.99"', '"٣"'.encode(), b'"\\ud800"', b'"\xff"', b"18446744073709551616",
    b"9223372036854775807", b'[["0.5","1"]]', b'"A"', b'"0xb"',
)  # fmt: skip


def _listings(venue: str) -> list[Listing]:
    close_ns = NOW_NS + 20 * SECOND_NS
    return [
        Listing(
            venue, Market(name, name, 0, close_ns), CENT_TICKS, FeeRates("made up", venue, 70_000),  # type: ignore[arg-type]
            f"event {name}", None, (f"{name}1", f"{name}2"),
        )
        for name in (("A", "B") if venue == "kalshi" else ("0xa", "0xb"))
    ]  # fmt: skip


def session(dice: random.Random, count: int) -> Iterator[Row]:
    """Rows of two quiet markets: whole books, changes that never cross, prints, quotes, news and one settlement."""
    now, done = NOW_NS, 0
    for market in (0, 1, 0, 1):
        yield now, now, 0, 0, -1, 0, market, CLEAR, -1
        for step in range(1, 6):
            yield now, now, 100 * MICRO_PER_LOT, 4500 - 100 * step, -1, 0, market, LEVEL, BID
            yield now, now, 100 * MICRO_PER_LOT, 4500 + 100 * step, -1, step == 5, market, LEVEL, ASK
    while done < count:
        now += dice.randrange(20_000_000)
        market, kind, side = dice.randrange(2), dice.choice((LEVEL,) * 12 + (TRADE, TRADE, QUOTE)), dice.randrange(2)
        if dice.random() < 0.02:
            kind = dice.choice((STATUS, TICKS))
        sign = 1 if side == ASK else -1
        px, qty = 4500 + sign * 100 * dice.randrange(1, 20), dice.randrange(500) * MICRO_PER_LOT
        if kind == QUOTE:
            yield now, now, -1, 4400, -1, 0, market, QUOTE, BID
            yield now, now, -1, 4600, -1, 1, market, QUOTE, ASK
        elif kind == STATUS:
            yield now, now, dice.randrange(1, 3), 0, -1, 1, market, STATUS, -1
        else:
            yield now, now, dice.randrange(2) if kind == TICKS else qty + (kind == TRADE), px, -1, 1, market, kind, side
        done += 1
    yield now, now, 0, 0, -1, 1, 0, SETTLE, -1


class Venue:
    """One venue's connection: frames of rows, whole books, and a new connection."""

    def __init__(self, venue: str) -> None:
        self.is_kalshi = venue == "kalshi"
        tables = (CENT_TICKS, MILL_TICKS)
        self._kalshi = KalshiWriter(_listings("kalshi"), tables)
        self._polymarket = PolymarketWriter(_listings("polymarket"), tables)
        self._numbers = Numbers()

    def connect(self) -> list[bytes]:
        """The first frames of a connection."""
        self._numbers = Numbers()
        return [self.whole(market) for market in range(2)]

    def whole(self, market: int) -> bytes:
        """A market's book."""
        if self.is_kalshi:
            return self._numbers.frame(self._kalshi.snapshot(market)) or b""
        return msgspec.json.encode(self._polymarket.books_of(market))

    def say(self, row: Row) -> list[bytes]:
        """Frames of a row."""
        if self.is_kalshi:
            said = self._kalshi.say(row)
            frame = None if said is None else self._numbers.frame(said)
            return [] if frame is None else [frame]
        return [msgspec.json.encode(message) for message in self._polymarket.say(row)]


# Mutations: each takes a frame and another one -----------------------------------------------------------------------


def _cut(dice: random.Random, frame: bytes, _: bytes) -> bytes:
    return frame[: dice.randrange(len(frame) + 1)] if dice.random() < 0.5 else frame[dice.randrange(len(frame) + 1) :]


def _flip(dice: random.Random, frame: bytes, _: bytes) -> bytes:
    broken = bytearray(frame)
    for _time in range(dice.choice((1, 1, 1, 2, 8))):
        broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
    return bytes(broken)


def _splice(dice: random.Random, frame: bytes, other: bytes) -> bytes:
    return frame[: dice.randrange(len(frame))] + other[dice.randrange(len(other)) :]


def _swap(dice: random.Random, frame: bytes, other: bytes) -> bytes:
    """A value of the one in the place of a value of the other, or something odd there."""
    pieces = frame.split(b",")
    place = dice.randrange(len(pieces))
    key, colon, _ = pieces[place].rpartition(b":")
    value = dice.choice(ODD) if dice.random() < 0.6 else dice.choice(other.split(b",")).rpartition(b":")[2]
    end = b"".join(bytes((byte,)) for byte in pieces[place] if byte in b"}]")
    pieces[place] = key + colon + value.rstrip(b"}]" if colon else b"") + (end if colon else b"")
    return b",".join(pieces)


def _type(dice: random.Random, frame: bytes, other: bytes) -> bytes:
    """The type of one message on the body of another."""
    for key in (b'"type":"', b'"event_type":"'):
        if key in frame and key in other:
            name = other.partition(key)[2].partition(b'"')[0]
            head, _, tail = frame.partition(key)
            return head + key + (name if dice.random() < 0.8 else b"of_tomorrow") + b'"' + tail.partition(b'"')[2]
    return frame


def _number(dice: random.Random, frame: bytes, _: bytes) -> bytes:
    """Another subscription, number or stamp."""
    key = dice.choice((b'"sid":', b'"seq":', b'"ts_ms":', b'"timestamp":'))
    head, found, tail = frame.partition(key)
    digits = len(tail) - len(tail.lstrip(b'"0123456789'))
    value = dice.choice(
        (b"1", b"2", b"7", b"-1", b"0", b"null", b'"5"', b"9" * 30, b"1e9", str(dice.randrange(4000)).encode())
    )
    return head + found + value + tail[digits:] if found else frame


def _nest(dice: random.Random, frame: bytes, _: bytes) -> bytes:
    depth = dice.choice((1, 5, 100, 3000))
    deep = (b"[" * depth + b"]" * depth) if dice.random() < 0.5 else b'{"a":' * depth + b"1" + b"}" * depth
    return deep if dice.random() < 0.2 else frame[:1] + b'"x":' + deep + b"," + frame[1:]


def _array(dice: random.Random, frame: bytes, other: bytes) -> bytes:
    return b"[" + b",".join(dice.choice((frame, other, *ODD)) for _ in range(dice.randrange(5))) + b"]"


def _words(dice: random.Random, _: bytes, __: bytes) -> bytes:
    return dice.choice((b"", b" ", b"\x00", b"PONG", b"heartbeat", b"INVALID OPERATION", dice.randbytes(20), *ODD))


def _same(_: random.Random, frame: bytes, __: bytes) -> bytes:
    return frame


def _late(_: random.Random, __: bytes, other: bytes) -> bytes:
    return other


MUTATIONS: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    _cut, _flip, _flip, _splice, _swap, _swap, _swap, _type, _number, _number, _nest, _array, _words, _late,
)  # fmt: skip


def frames(venue: Venue, dice: random.Random, reader: Reader, count: int) -> Iterator[tuple[int, bytes | str | None]]:
    """A session: stretches with few and with many broken frames; None is a new connection."""
    before = [b"{}"]
    share = 0.0
    for number, row in enumerate(session(dice, count)):
        if number % STRETCH == 0:
            share = dice.choice((0.05, 0.3, 0.9))
            yield row[0], None
            for frame in venue.connect():
                yield row[0], frame
        if dice.random() < 0.1:
            for market in [market for market, book in enumerate(reader.books) if not book.known]:
                yield row[0], venue.whole(market)
        for frame in venue.say(row):
            broken = dice.choice(MUTATIONS)(dice, frame, dice.choice(before)) if dice.random() < share else frame
            before = [*before[-50:], frame]
            yield row[0], broken.decode("utf-8", "surrogateescape") if dice.random() < 0.2 else broken


# Checks --------------------------------------------------------------------------------------------------------------


def _messages(venue: str, frame: bytes | str) -> int:
    """How many messages are to be counted: of Polymarket's arrays each one, an empty one and all else as one."""
    if venue == "kalshi":
        return 1
    try:
        return max(len(parts(frame)), 1)
    except (ValueError, RecursionError):
        return 1


def _counted(reader: Reader) -> int:
    return sum(count for name, count in reader.counts.items() if name not in BESIDE)


def _check_rows(venue: str, reader: Reader, rows: list[Row]) -> None:
    """Raises AssertionError where rows would make a tape that breaks a rule of fields or has a size below zero."""
    events = np.array(rows, EVENT)  # raises where a number does not fit its field
    for index, rules in enumerate(reader.rules):
        own = events[events["market"] == index]
        own["market"] = 0
        report = validate(seal(own, rules.header([Source("made up", "", "", "")])))
        assert not report.errors, (venue, report.errors)


def play(name: str, reader: Reader, dice: random.Random, count: int) -> tuple[int, int]:
    """Frames and rows of one session, every check after each frame. Raises AssertionError where one fails."""
    rows: list[Row] = []
    played = 0
    for local_ns, frame in frames(Venue(name), dice, reader, SESSION):
        if frame is None:
            rows += reader.reconnected(local_ns).rows
            continue
        if played == count:
            break
        before = _counted(reader)
        taken = reader.take(frame, local_ns)
        played += 1
        assert _counted(reader) - before == _messages(name, frame), (name, frame)
        for index in {row[6] for row in taken.rows}:
            assert all(qty > 0 for side in reader.books[index].sizes for qty in side.values()), (name, frame)
        assert not any(reader.books[index].known for index in taken.lost), (name, frame)
        rows += taken.rows
    _check_rows(name, reader, rows)
    return played, len(rows)


def _reader(name: str) -> Reader:
    return (KalshiReader if name == "kalshi" else PolymarketReader)(_listings(name))


def measure(name: str, total: int, seed: int) -> dict:
    """``total`` frames of one venue, in sessions of some thousands."""
    dice = random.Random(f"{name} {seed}")
    counts: dict[str, int] = {}
    told = made = 0
    while told < total:
        reader = _reader(name)
        played, rows = play(name, reader, dice, total - told)
        told, made = told + played, made + rows
        for kind, count in reader.counts.items():
            kind = kind.partition(":")[0]
            counts[kind] = counts.get(kind, 0) + count
    return {"frames": told, "rows": made, "counts": dict(sorted(counts.items()))}


def plain_us(name: str, count: int = 10_000) -> float:
    """Microseconds that the reader takes for a frame of one change, the quickest of five rounds."""
    venue = Venue(name)
    said = [(row[0], row[7], frame) for row in session(random.Random(name), count) for frame in venue.say(row)]
    changes = sum(kind == LEVEL for _, kind, _ in said)
    best = float("inf")
    for _ in range(5):
        reader, spent = _reader(name), 0
        for local_ns, kind, frame in said:
            begin = time.perf_counter_ns()
            reader.take(frame, local_ns)
            spent += time.perf_counter_ns() - begin if kind == LEVEL else 0
        best = min(best, spent / changes / 1000)
    return best


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks frames``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks frames", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, help="of both venues together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    begin = time.perf_counter()
    found = {name: measure(name, options.frames // 2, options.seed) for name in ("kalshi", "polymarket")}
    result = {
        "benchmark": "frames",
        **found,
        "frames_per_s": round(options.frames / (time.perf_counter() - begin)),
        "change_us": {name: round(plain_us(name), 2) for name in found},
        "seed": options.seed,
        "what": "broken frames through both readers, every check after each; change_us: one plain change, no checks",
    }
    print_result({**result, **describe()})
    return 0
