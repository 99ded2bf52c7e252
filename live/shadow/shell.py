"""A shadow session on a venue: connects, waits for whole books, decides at its pace, and says how it went.

The thin asyncio part. Its parts are put together in `live.shadow.assembly`; what is decided is
`live.shadow.runner`'s, what is kept the recorder's, what is shown `live.shadow.watch`'s and `live.shadow.showing`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from tqdm import tqdm

from agents.policy import Policy
from live.clock import Clock, Steady
from live.doors import Addresses, open_door
from live.logs import keep_quiet_about, stop_writing, write_json_lines
from live.monitor.metrics import Metrics
from live.monitor.summary import Summary, as_json, as_text, summarise
from live.monitor.terminal import show as draw
from live.monitor.traces import Decision as Traced
from live.monitor.traces import Traces
from live.monitor.view import Trading, View
from live.orders.sights import Sight
from live.program import ASKED, GivenUpError, asked_to_end, recording_header, session_name
from live.recording.layout import LogError
from live.recording.recorder import Recorder
from live.recording.rotation import MIB, Rotation, SessionWriter
from live.shadow.assembly import assemble
from live.shadow.config import LIVE, NO_PORT, ShadowConfig
from live.shadow.divergence import FillsCompared
from live.shadow.opening import Gathering
from live.shadow.pace import Pace
from live.shadow.plan import Plan
from live.shadow.rehearsal import rehearse
from live.shadow.runner import Runner, Step
from live.shadow.showing import before_books, in_a_line, open_page
from live.shadow.trading import RealHands, open_orders, real_hands
from live.shadow.watch import Watch
from live.source import Source
from sim.files import write_whole
from sim.types import DO_NOTHING, SECOND_NS
from sim.wire.listing import Listing
from sim.wire.units import Taken

_LOG = logging.getLogger(__name__)
_LOOK_S = 0.2  # at most between two looks at the clock, the log and the kill file
_KILL_FILE = "KILL"
_STAGES = ("play", "policies", "certify", "keep")


class Shadow:
    """One session. ``run`` it once. Raises LogError where its name is taken."""

    def __init__(self, config: ShadowConfig, plan: Plan, clock: Clock, rng: random.Random, console: Console) -> None:
        self.config, self.plan = config, plan
        self.folder = Path(config.out) / session_name(config.name, config.venue, clock)
        if self.folder.is_dir() and any(self.folder.iterdir()):
            raise LogError(f"{self.folder}: a session of that name is there; choose another name")
        self.view = View(
            clock.now_ns(), self.folder.name, config.venue, config.mode, "connecting", "", clock.now_ns(), 0, (), "",  # type: ignore[arg-type]
            ready=("no book has been told yet",),
        )  # fmt: skip
        self._clock, self._rng, self._console = clock, rng, console
        self._heard_ns = 0
        self._gathering: Gathering | None = None
        self._runner: Runner | None = None
        self._watch: Watch | None = None
        self._pace: Pace | None = None
        self._news = asyncio.Event()
        self._killed = ""
        self._steady, self._frames = Steady(clock), 0
        self._compared = FillsCompared(config.gate)
        self._hands: RealHands | None = None
        self._traced: list[Traced] = []

    async def run(self) -> Summary:
        """Until it is asked to end, its time is up, or its markets have settled.

        Raises LogError where nothing can be written; VenueError, SecretError or ValueError where the venue refuses, or
        the page's port is taken; GivenUpError where it refuses to go on. What was recorded is kept in any case.
        """
        config, ends = self.config, asked_to_end()
        at = Addresses(config.rest, config.socket, config.clob)
        self._catch_kill_signal()
        async with AsyncExitStack() as held:
            door = await held.enter_async_context(
                open_door(config.venue, config.markets, self._clock, self._rng, at=at, keyless=config.keyless)
            )
            keep_quiet_about(door.secrets)
            header = recording_header(config.venue, door)  # type: ignore[arg-type]
            self._rehearse(door.listings)
            writer = SessionWriter(config.out, self.folder.name, header, self._clock.now_ns, _rotation(config))
            recorder = Recorder(writer, door.reader)
            held.callback(recorder.close)
            log = write_json_lines(self.folder / "log.jsonl", alone=config.page.terminal)
            held.callback(stop_writing, log)
            self._traces = Traces(self.folder.name, _STAGES)
            self._metrics = Metrics(lambda: self.view)
            if config.page.port != NO_PORT:
                await open_page(
                    held, config.page.port, self.folder, self._clock, self._console, view=lambda: self.view,
                    kill=self.kill, metrics=self._metrics,
                )  # fmt: skip
            if config.page.terminal:
                drawing = asyncio.create_task(draw(lambda: self.view, self._clock, self._console))
                held.callback(drawing.cancel)
            self._door, self._recorder = door, recorder
            self._gathering = Gathering(door.reader.rules)
            if config.mode == LIVE:  # last: leaving cancels what rests, while log and page are still there
                opening = open_orders(
                    config.live, door.listings, at, self._clock, self._rng, self._sights, self.folder / _KILL_FILE,
                    config.freshness.silence_s,
                )  # fmt: skip
                self._hands = await real_hands(held, opening, self._compared)
                if self._killed:
                    self._hands.orders.kill(self._killed)
            source = door.source(recorder, self._take)
            await self._play(source, ends)
        return self._end(source)

    def _rehearse(self, listings: Sequence[Listing]) -> None:
        def seats(sheet: dict[str, Any]) -> list[tuple[Policy, Policy]]:
            return [(one.policy, one.baseline) for one in self.plan.seat(sheet)]

        clock = self._clock
        rehearse(
            self.plan.make_env, seats, listings, self.plan.accounts, clock.now_ns(), clock.monotonic_ns,
            real=self.config.mode == LIVE,
        )  # fmt: skip

    async def kill(self, reason: str) -> None:
        """The kill switch: whatever rests is cancelled, and nothing else goes out in this session."""
        if not self._killed:
            self._killed = reason
            _LOG.critical("killed: %s", reason)
            if self._watch is not None:
                self._watch.alerts.add(
                    self._clock.now_ns(), "critical", "killed", f"killed: {reason}",
                    "Nothing but cancels goes out. End the session (Ctrl-C), find the cause, begin a new one.",
                )  # fmt: skip
        if self._runner is not None:
            self._runner.killed = self._killed
        if self._hands is not None:
            self._hands.orders.kill(reason)

    def _sights(self) -> Sequence[Sight]:
        """The markets as they are seen now, for the order manager."""
        return () if self._runner is None else self._runner.sights(self._heard_ns)

    def _take(self, taken: Taken) -> None:
        """What a frame said, or REST, or a connection's end; only frames are heard from the venue's feed."""
        if self._recorder.frames != self._frames:
            self._frames, self._heard_ns = self._recorder.frames, self._steady.now_ns()
        if self._runner is not None:
            self._runner.take(taken.rows)
            if self._hands is not None:
                self._hands.take(taken.rows, self._door.reader.rules)
        elif self._gathering is not None and self._gathering.take(taken.rows):
            self._begin()
        if taken.rows:
            self._news.set()

    def _begin(self) -> None:
        """Every market has told its book: the accounts begin, at once, and make their first decision."""
        assert self._gathering is not None
        self._runner, self._watch = assemble(
            self.config, self.plan, self._gathering.opening, self.folder, self._clock, keep=self._recorder.decided,
            compared=self._compared, hands=self._hands,
        )  # fmt: skip
        self._runner.killed = self._killed
        first = self._runner.begin(self._heard_ns)
        if first is not None:
            self._decided(first)
        session = self._runner.session
        self._pace = Pace(session.now_ns, self.plan.dt_s, self.plan.events_per_step, session.stream)

    async def _play(self, source: Source, ends: asyncio.Event) -> None:
        """Until the source gives up, somebody asks for the end, time is up, or all is settled."""
        clock, config = self._clock, self.config
        end_ns = clock.monotonic_ns() + round(config.minutes * 60 * SECOND_NS) if config.minutes > 0 else None
        running, asked = asyncio.create_task(source.run()), asyncio.create_task(ends.wait())
        shown_ns, heard, why = 0, 0, ""
        try:
            with tqdm(unit="decision", desc=f"{config.mode} on {config.venue}", disable=config.page.terminal) as bar:
                while not why:
                    if source.heard != heard:
                        heard, self._heard_ns = source.heard, self._steady.now_ns()
                    self._recorder.idle(clock.now_ns())
                    if not self._killed and (self.folder / _KILL_FILE).exists():
                        await self.kill(f"the file {_KILL_FILE} is there")
                    self._decide()
                    if clock.monotonic_ns() - shown_ns >= config.page.every_s * SECOND_NS:
                        shown_ns = clock.monotonic_ns()
                        self._show(source.state)
                        bar.update(self.view.decisions - bar.n)
                        bar.set_postfix_str(in_a_line(self.view))
                    await self._wait({running, asked})
                    why = self._over(running, asked, end_ns)
        finally:
            asked.cancel()
            self._show(source.state)
            self.view = msgspec.structs.replace(self.view, state="killed" if self._killed else "ended", why=why)
            if not running.done():
                await source.stop(ASKED)
            await running

    def _over(self, running: asyncio.Task, asked: asyncio.Task, end_ns: int | None) -> str:
        """Why the session is over; "" = it is not."""
        if asked.done():
            return "asked to"
        if running.done():
            return "the venue's feed ended"
        if self._runner is not None and self._runner.ended:
            return "every account has ended: its markets have settled, or it is ruined"
        if self._hands is not None and self._hands.orders.error is not None:
            return f"the order manager ended: {self._hands.orders.error}"
        if end_ns is not None and self._clock.monotonic_ns() >= end_ns:
            return f"{self.config.minutes:g} minutes are up"
        return ""

    def _decide(self) -> None:
        """If it is time."""
        if self._runner is None or self._pace is None:
            return
        now_ns = self._steady.now_ns()
        if self._steady.behind_ns:
            what = f"the machine's clock was set back by {self._steady.behind_ns / SECOND_NS:.0f} s"
            self._alert(now_ns, "clock", what, "Decisions go on; books are stale until their stamps catch up.", "clock")
        moment = self._pace.due(now_ns)
        if moment is not None and moment > self._runner.session.now_ns:
            self._decided(self._runner.decide(moment, self._heard_ns))

    def _decided(self, step: Step) -> None:
        assert self._watch is not None
        self._watch.add(step)
        wanted = int((step.certified.orders["do"] > DO_NOTHING).sum())
        cut = int(((step.certified.reason > 0) | step.certified.held).sum())
        decision = step.decision
        self._traced.append(Traced(decision.number, decision.ns, step.spent.total, step.spent, wanted, cut))

    async def _wait(self, others: set[asyncio.Task]) -> None:
        """Until the next decision may be due, something is told that may bring it on, or another task ends."""
        seconds = _LOOK_S
        if self._pace is not None:
            seconds = min(seconds, max(self._pace.wait_s(self._steady.now_ns()), 0.0))
        self._news.clear()
        sleeping = asyncio.create_task(self._clock.sleep(seconds))
        waking = {asyncio.create_task(self._news.wait())} if self._pace is None or self._pace.counts else set()
        try:
            await asyncio.wait({sleeping, *waking, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeping, *waking):
                task.cancel()

    def _show(self, feed: str) -> None:
        """Take a view, and hand on what has come together since the last."""
        now_ns = self._steady.now_ns()
        if self._watch is None or self._runner is None:
            waiting = self._gathering.waiting if self._gathering is not None else []
            self.view = before_books(self.view, now_ns, feed, waiting, self._killed)
        else:
            self._obey(self._watch.gate(now_ns), now_ns)
            for text in self._runner.broken:
                self._alert(
                    now_ns, "market", text, "It is played no further. Begin a new session with its new rules.", text
                )
            self.view = self._watch.view(
                now_ns, state="killed" if self._killed else "running", why=self._killed, feed=feed,
                heard_ns=self._heard_ns, counts=self._counts(), killed=bool(self._killed),
                trading=Trading() if self._hands is None else self._hands.trading,
            )  # fmt: skip
            self._metrics.observe(self._watch.tally.fresh_latencies())
            self._traces.write(self._traced)
            self._traced.clear()

    def _obey(self, breaches: Sequence[str], now_ns: int) -> None:
        """A gate or budget that is breached sends a real account back to the baseline."""
        if self._hands is None or self._runner is None:
            return
        why = self._hands.obey(breaches, now_ns)
        if why:
            self._runner.seats[0].give_back(f"orders: {why}")
            self._alert(now_ns, "orders", why, "Find the cause; a new session with live.lift=NAME trades again.")

    def _counts(self) -> dict[str, int]:
        found = self._recorder.statistics()
        counts = dict(self._door.reader.counts)
        counts |= {"frames": found.frames, "rows": found.rows, "durable": found.durable, "pending": found.pending}
        if self._hands is not None:
            counts |= {f"refused_{why}": count for why, count in self._hands.orders.state.refusals.items()}
        if self._pace is not None and self._runner is not None:
            counts |= {"moments_skipped": self._pace.skipped, "rows_late": self._runner.session.stream.late}
        return counts

    def _alert(self, ns: int, code: str, text: str, do: str, about: str = "") -> None:
        assert self._watch is not None
        self._watch.alerts.add(ns, "warning", code, text, do, about)

    def _catch_kill_signal(self) -> None:
        loop = asyncio.get_running_loop()

        def thrown() -> None:
            self._thrown = loop.create_task(self.kill("SIGUSR1"))
            self._thrown.add_done_callback(_report)

        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(signal.SIGUSR1, thrown)

    def _end(self, source: Source) -> Summary:
        """Write the summary down."""
        if self._watch is None and source.why == ASKED:
            raise GivenUpError(f"{self.folder}: it ended before every market had told its book; nothing was decided")
        failed = "" if self._hands is None else self._hands.failed
        if failed:
            self.view = msgspec.structs.replace(self.view, state="failed", why=failed)
        summary = summarise(self.view)
        write_whole(self.folder / "summary.json", as_json(summary))
        write_whole(self.folder / "summary.txt", as_text(summary).encode())
        if failed:
            raise GivenUpError(f"{failed}; see {self.folder}")
        if source.why != ASKED:
            raise GivenUpError(f"{source.why}; {self.folder} is kept as it is")
        return summary


def _rotation(config: ShadowConfig) -> Rotation:
    recording = config.recording
    return Rotation(segment_bytes=recording.segment_mib * MIB, cap_bytes=round(recording.cap_gib * 1024 * MIB))


def _report(task: asyncio.Task[None]) -> None:
    """What ended a task that nobody waits for."""
    if not task.cancelled() and task.exception() is not None:
        _LOG.error("the kill switch failed", exc_info=task.exception())
