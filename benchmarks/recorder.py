"""What recording costs: the busiest traffic that is known of, 200 messages a second in each of 50 markets.

Frames are generated changes of a Kalshi book, numbered and about as long as real ones. They are fed with the stamps of
an injected clock as fast as it goes; CPU time is taken around the recorder alone: raw log, sync, and parse. Making the
frames is not counted. ``--socket`` sends them from another process over a real socket, at the pace of the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.machine import describe, print_result
from live.recording.decode import reader_for
from live.recording.layout import Header
from live.recording.recorder import Recorder
from live.recording.rotation import Rotation, SessionWriter
from sim.tape import FeeRates, Market
from sim.types import SECOND_NS
from sim.wire.listing import Listing

MARKETS, RATE = 50, 200  # messages a second and market
BEGIN_NS = 1_786_085_188 * SECOND_NS
WORST_SHARE = 0.25  # of a core
_LEVELS = 20  # a side
_NS_PER_MS = 1_000_000


def header_of(markets: int = MARKETS) -> Header:
    """Header of a recording of so many made-up markets."""
    listings = tuple(
        Listing(
            "kalshi", Market(f"KXBUSY-26AUG07-T{number:02d}", f"Busy {number}"), ((0, 10_000, 100),),
            FeeRates("quadratic", "kalshi", 70_000),
        )
        for number in range(markets)
    )  # fmt: skip
    return Header("kalshi", listings, ("orderbook_delta",), "shadowbook benchmark", "made up", BEGIN_NS)


class Traffic:
    """Frames of ``markets`` markets: snapshots first, then changes of random levels of random markets."""

    def __init__(self, markets: int = MARKETS, seed: int = 0) -> None:
        self._header = header_of(markets)
        self._rng = np.random.default_rng(seed)
        self._sizes = np.full((markets, 2 * _LEVELS), 100_00)  # hundredths of a contract; YES bids, then NO bids
        self._seq = 0

    def snapshots(self) -> Iterator[bytes]:
        """A whole book for each market."""
        for market in range(len(self._sizes)):
            sides = [
                ",".join(f'["{_price(level)}","100.00"]' for level in range(first, first + _LEVELS))
                for first in (0, _LEVELS)
            ]
            yield self._frame(
                "orderbook_snapshot", market, f'"yes_dollars_fp":[{sides[0]}],"no_dollars_fp":[{sides[1]}]'
            )

    def changes(self, stamps: np.ndarray) -> list[bytes]:
        """A change for each stamp, nanoseconds since epoch."""
        count = len(stamps)
        markets = self._rng.integers(0, len(self._sizes), count).tolist()
        levels = self._rng.integers(0, 2 * _LEVELS, count).tolist()
        sizes = self._rng.integers(1, 500_00, count).tolist()
        frames = []
        for market, level, size, ns in zip(markets, levels, sizes, stamps.tolist(), strict=True):
            change = size - int(self._sizes[market, level])
            self._sizes[market, level] = size
            side = "yes" if level < _LEVELS else "no"
            frames.append(self._frame(
                "orderbook_delta", market,
                f'"price_dollars":"{_price(level)}","delta_fp":"{change / 100:.2f}","side":"{side}",'
                f'"ts_ms":{ns // _NS_PER_MS}',
            ))  # fmt: skip
        return frames

    def _frame(self, kind: str, market: int, rest: str) -> bytes:
        self._seq += 1
        sent_ms = BEGIN_NS // _NS_PER_MS + self._seq
        ticker = self._header.markets[market].market.id
        return (
            f'{{"type":"{kind}","sid":1,"seq":{self._seq},"sending_ts_ms":{sent_ms},"msg":{{"market_ticker":"{ticker}",{rest}}}}}'
        ).encode()  # fmt: skip


def _price(level: int) -> str:
    """YES bids from 0.25 up, NO bids from 0.25 up: never crossed."""
    return f"0.{25 + level % _LEVELS:02d}00"


def measure(seconds: int, rate: int, markets: int, folder: Path) -> dict:
    """Record ``seconds`` of traffic below ``folder``."""
    now = BEGIN_NS
    header, traffic = header_of(markets), Traffic(markets)
    writer = SessionWriter(folder, "busy", header, lambda: now, Rotation())
    recorder = Recorder(writer, reader_for(header))
    recorder.connected(1, now)
    for frame in traffic.snapshots():
        recorder.received(1, frame, now)
    cpu = wall = 0.0
    step = SECOND_NS // (rate * markets)
    for _ in range(seconds):
        stamps = now + step * np.arange(1, rate * markets + 1)
        pairs = list(zip(traffic.changes(stamps), stamps.tolist(), strict=True))
        cpu -= time.process_time()
        wall -= time.perf_counter()
        for frame, now in pairs:
            recorder.received(1, frame, now)
        cpu += time.process_time()
        wall += time.perf_counter()
    recorder.close()
    done = recorder.statistics()
    assert done.failures == 0 and done.rows >= seconds * rate * markets
    return {
        "benchmark": "recorder",
        "core_share": round(cpu / seconds, 4),
        "below": WORST_SHARE,
        "wall_share": round(wall / seconds, 4),
        "frames_per_s": rate * markets,
        "recorded_s": seconds,
        "frames": done.frames,
        "bytes_per_message": round(done.file_bytes / done.frames, 2),
        "raw_bytes_per_message": round(done.frame_bytes / done.frames, 1),
        "batches": done.batches,
        "what": "CPU seconds a recorded second: raw log, compression, sync, parse to rows and books",
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks recorder``; status 1 where it takes too much of a core."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks recorder", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3_600, help="of traffic")
    parser.add_argument("--rate", type=int, default=RATE, help="messages a second and market")
    parser.add_argument("--markets", type=int, default=MARKETS)
    parser.add_argument("--socket", action="store_true", help="through a real socket, as long as the traffic takes")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if options.socket:
            from benchmarks.recorder_socket import measure as through_socket  # it takes this file's traffic

            result = through_socket(options.seconds, options.rate, options.markets, Path(folder))
        else:
            result = measure(options.seconds, options.rate, options.markets, Path(folder))
    print_result({**result, **describe()})
    return 0 if result["core_share"] < WORST_SHARE else 1
