"""The same traffic over a real socket: the sender in another process, at the pace of the clock."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np
from aiohttp import WSMsgType, web

from benchmarks.recorder import WORST_SHARE, Traffic, header_of
from live.backoff import Backoff
from live.clock import SystemClock
from live.fake.server import HOST
from live.feed import Feed
from live.kalshi import Kalshi
from live.reconnect import Link
from live.recording.decode import reader_for
from live.recording.recorder import Recorder
from live.recording.rotation import Rotation, SessionWriter
from live.socket import Socket
from sim.types import SECOND_NS

_TURN_NS = 10_000_000  # frames of so long go out together
_LOOK_S = 0.25
_BOOK = "orderbook_delta"


def send(seconds: int, rate: int, markets: int, pipe: Connection) -> None:
    """A process: says its port, begins when somebody has subscribed, and tells how late it was at worst."""
    traffic = Traffic(markets)

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=True, compress=False)
        await socket.prepare(request)
        sid = 1  # the traffic's own is the book's
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            said = msgspec.json.decode(message.data)
            channel = said["params"]["channels"][0]
            sid += channel != _BOOK
            told = {"channel": channel, "sid": 1 if channel == _BOOK else sid}
            await socket.send_bytes(msgspec.json.encode({"id": said["id"], "type": "subscribed", "msg": told}))
            if channel == _BOOK:
                stream = asyncio.create_task(_stream(socket, traffic, seconds, rate * markets, pipe))
        await stream
        return socket

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/socket", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.to_thread(pipe.poll, None)  # until the other end is closed
        await runner.cleanup()

    asyncio.run(main())


async def _stream(socket: web.WebSocketResponse, traffic: Traffic, seconds: int, rate: int, pipe: Connection) -> None:
    """Snapshots, then ``rate`` changes a second."""
    for frame in traffic.snapshots():
        await socket.send_str(frame.decode())
    await asyncio.sleep(1.0)
    each = rate * _TURN_NS // SECOND_NS
    pipe.send("begin")
    begin_ns, late_ns = time.monotonic_ns(), 0
    for turn in range(seconds * SECOND_NS // _TURN_NS):
        now_ns = time.time_ns()
        for frame in traffic.changes(now_ns + np.zeros(each, np.int64)):
            await socket.send_str(frame.decode())
        ahead_ns = begin_ns + (turn + 1) * _TURN_NS - time.monotonic_ns()
        late_ns = max(late_ns, -ahead_ns)
        await asyncio.sleep(max(ahead_ns, 0) / SECOND_NS)
    pipe.send(late_ns / 1e6)


async def _record(url: str, recorder: Recorder, feed: Feed, pipe: Connection) -> tuple[float, float, float]:
    """CPU and wall seconds from the first change to the last, and how late the sender was, milliseconds."""
    clock = SystemClock()
    socket = Socket(url, feed, clock, lambda taken: None)
    running = asyncio.create_task(socket.run())
    begin: tuple[float, float] | None = None
    while True:
        done, _ = await asyncio.wait({running}, timeout=_LOOK_S)
        if done:
            raise RuntimeError(f"the connection has ended: {socket.why}")
        recorder.idle(clock.now_ns())
        if not pipe.poll():
            continue
        said = pipe.recv()
        if begin is None:
            begin = time.process_time(), time.perf_counter()
            continue
        cpu, wall = (now - then for now, then in zip((time.process_time(), time.perf_counter()), begin, strict=True))
        await socket.stop("the end")
        await running
        return cpu, wall, said


def measure(seconds: int, rate: int, markets: int, folder: Path) -> dict:
    """Record ``seconds`` of traffic below ``folder``, through a socket."""
    clock, header = SystemClock(), header_of(markets)
    recorder = Recorder(SessionWriter(folder, "busy", header, clock.now_ns, Rotation()), reader_for(header))
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    sender = spawn.Process(target=send, args=(seconds, rate, markets, there), daemon=True)
    sender.start()
    there.close()
    url = f"ws://{HOST}:{here.recv()}/socket"
    kalshi = Kalshi(list(header.markets))
    feed = Feed(kalshi, recorder, Link(url, kalshi.link_rules, Backoff(url, random.Random(0))))
    try:
        cpu, wall, late_ms = asyncio.run(_record(url, recorder, feed, here))
    finally:
        here.close()
        sender.join(10)
        recorder.close()
    done = recorder.statistics()
    assert done.failures == 0 and done.frames >= seconds * rate * markets, done
    return {
        "benchmark": "recorder", "socket": True, "core_share": round(cpu / seconds, 4), "below": WORST_SHARE,
        "wall_s": round(wall, 2),
        "frames_per_s": rate * markets, "recorded_s": seconds, "frames": done.frames,
        "sender_late_ms": round(late_ms, 1),
        "bytes_per_message": round(done.file_bytes / done.frames, 2), "batches": done.batches,
        "what": "CPU seconds a second: socket, raw log, compression, sync, parse to rows and books",
    }  # fmt: skip
