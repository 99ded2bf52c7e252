"""Record a venue's market data: ``python -m live.record venue=kalshi markets=TICKER,TICKER``.

Every frame is kept as it came, safe from crashes, and read on the way; at the end the recording becomes tapes, one a
market. Ctrl-C ends it. One that was cut off, or that the venue refused to go on with, goes on under the same ``name``;
one that has ended does not.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from tqdm import tqdm

from live.clock import Clock, SystemClock
from live.doors import Addresses, open_door
from live.errors import VenueError
from live.logs import keep_quiet_about
from live.options import OptionError, describe_options, read_options
from live.program import ASKED, GivenUpError, asked_to_end, recording_header, session_name
from live.recording.layout import LogError
from live.recording.recorder import Recorder
from live.recording.rotation import MIB, Rotation, SessionWriter
from live.recording.seal import seal
from live.secrets import SecretError
from live.source import Source
from sim.types import SECOND_NS

_LOOK_S = 0.25  # how often a batch is looked at, and the progress is shown


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """What is recorded, where and for how long."""

    venue: Literal["kalshi", "polymarket"]
    markets: list[str]
    out: str = "recordings"
    name: str = ""
    minutes: float = 0.0
    seal: bool = True
    segment_mib: int = 64
    cap_gib: float = 50.0
    delete_sealed: bool = False
    keyless: bool = False
    rest: str = ""
    socket: str = ""
    clob: str = ""


MEANINGS = {
    "venue": "whose market data", "markets": "Kalshi's tickers, Polymarket's slugs or condition ids",
    "out": "folder of recordings", "name": "of this one; by default venue and seconds since 1970",
    "minutes": "after which it ends; 0 = Ctrl-C ends it", "seal": "make tapes at the end",
    "segment_mib": "size of a segment of the raw log", "cap_gib": "most that all recordings in the folder may take",
    "delete_sealed": "at the cap, delete the oldest segments that have become tapes, instead of stopping",
    "keyless": "Kalshi: poll REST about once a second instead of the socket, which asks for a key",
    "rest": "another address of REST (Polymarket: Gamma)", "socket": "another address of the socket",
    "clob": "another address of Polymarket's CLOB",
}  # fmt: skip


async def record(options: Options, clock: Clock, rng: random.Random) -> Path:
    """Record until time is up or a signal comes; the recording's folder.

    Raises LogError where nothing can be written, VenueError or ValueError where the venue refuses, GivenUpError where
    it refuses to go on.
    """
    at = Addresses(options.rest, options.socket, options.clob)
    ends = asked_to_end()
    async with open_door(options.venue, options.markets, clock, rng, at=at, keyless=options.keyless) as door:
        keep_quiet_about(door.secrets)
        writer = SessionWriter(
            options.out,
            session_name(options.name, options.venue, clock),
            recording_header(options.venue, door),
            clock.now_ns,
            _rotation(options),
        )
        recorder = Recorder(writer, door.reader)
        source = door.source(recorder, lambda taken: None)
        try:
            await _run(source, recorder, clock, options, ends)
        finally:
            recorder.close()
    if source.why != ASKED:
        name = writer.folder.name
        raise GivenUpError(f"{source.why}; {writer.folder} is kept as it is, and goes on with name={name}")
    return writer.folder


async def _run(source: Source, recorder: Recorder, clock: Clock, options: Options, ends: asyncio.Event) -> None:
    """Until the source gives up, or somebody asks for the end."""
    end_ns = clock.monotonic_ns() + round(options.minutes * 60 * SECOND_NS) if options.minutes > 0 else None
    running = asyncio.create_task(source.run())
    with tqdm(unit="frame", unit_scale=True, desc=f"recording {options.venue}") as bar:
        while not running.done() and not ends.is_set():
            if end_ns is not None and clock.monotonic_ns() >= end_ns:
                break
            recorder.idle(clock.now_ns())
            found = recorder.statistics()
            bar.update(found.frames - bar.n)
            bar.set_postfix_str(f"{source.state}, {found.file_bytes / MIB:.1f} MiB, {found.failures} not read")
            await asyncio.wait({running}, timeout=_LOOK_S)
    if not running.done():
        await source.stop(ASKED)
    await running


def _rotation(options: Options) -> Rotation:
    return Rotation(
        segment_bytes=options.segment_mib * MIB,
        cap_bytes=round(options.cap_gib * 1024 * MIB),
        at_cap="delete_sealed" if options.delete_sealed else "stop",
    )


def main(words: Sequence[str] | None = None) -> int:
    """Command line; 0 = recorded, 1 = the venue or the disk refused, 2 = the command line cannot be read."""
    words = sys.argv[1:] if words is None else words
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(f"{__doc__}\n{describe_options(Options, MEANINGS)}\n")
        return 0 if words else 2
    try:
        options = read_options(words, Options)
        if not options.markets or options.minutes < 0:
            raise OptionError(f"markets={options.markets} minutes={options.minutes}; expected a market, and 0 or more")
        folder = asyncio.run(record(options, SystemClock(), random.Random()))
        sys.stdout.write(f"recording  {folder}\n")
        if options.seal:
            manifest = seal(folder)
            for tape in manifest.tapes:
                sys.stdout.write(f"tape       {folder / 'tapes' / tape.name}: {tape.events:,} events\n")
    except OptionError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (GivenUpError, LogError, SecretError, VenueError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
