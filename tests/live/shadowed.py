"""A told session through the whole of a shadow session but its sockets: recorder, runner, log."""

from __future__ import annotations

import weakref

import numpy as np

from envs.vector import TradingVectorEnv
from live.monitor.checklist import Thresholds
from live.recording.layout import Header
from live.recording.recorder import Recorder
from live.recording.rotation import Rotation, SessionWriter
from live.session import Session
from live.shadow.divergence import Divergence, FillsCompared, Gate
from live.shadow.opening import Gathering
from live.shadow.plan import Placed, Plan, said_of
from live.shadow.records import SeatSaid, write_session
from live.shadow.runner import Runner
from live.shadow.seats import Health, Seat
from live.shadow.staleness import Freshness, TimeToLive
from live.shadow.watch import Watch
from live.stream import Stream
from sim.types import SECOND_NS
from tests.live.parity import SETTINGS, reader_of


class Drawn:
    """Rows by a generator of its own, whatever it sees; keeps what it saw."""

    masked = False

    def __init__(self, seed, markets=1, rows=21, name=""):
        self.name = name or f"drawn-{seed}"
        self.rng, self.shape, self.rows, self.seen, self.done = np.random.default_rng(seed), (1, markets), rows, [], []

    def act(self, observations, masks=None):
        self.seen.append(observations.copy())
        row = self.rng.integers(0, self.rows, self.shape)
        self.done.append(row if self.shape[1] > 1 else row[0])
        return self.done[-1]


class Steady:
    """The same row everywhere."""

    masked = False

    def __init__(self, row, markets=1, name="steady"):
        self.name, self.rows = name, np.full((1, markets) if markets > 1 else 1, row)

    def act(self, observations, masks=None):
        return self.rows.copy()


class Ticks:
    """A clock that takes a microsecond whenever it is looked at."""

    def __init__(self):
        self.ns = 0

    def __call__(self):
        self.ns += 1_000
        return self.ns


def make_env(scenario, accounts, cash=None, **settings):
    more = {} if cash is None else {"cash": cash}
    return TradingVectorEnv(accounts, scenario=scenario, **SETTINGS | settings | more)


class Shadowed:
    """A session of ``policies`` in what ``told`` says, recorded in ``root / name``."""

    def __init__(self, root, told, policies, *, name="s", health=None, freshness=None, rotation=None, **settings):
        reader, self._frames, self._next = reader_of(told), told.frames, 0
        header = Header(told.venue, tuple(told.listings), ("books",), "test", "test", 0)
        self.now_ns = told.frames[0][0]
        self.writer = SessionWriter(root, name, header, lambda: self.now_ns, rotation or Rotation())
        self.recorder, self.folder = Recorder(self.writer, reader), self.writer.folder
        weakref.finalize(self, self.recorder.close)
        self.recorder.connected(1, self.now_ns)
        gathering = Gathering(reader.rules)
        while not gathering.take(self._frame().rows):
            pass
        stream = Stream(gathering.opening)
        env = make_env(stream.scenario, len(policies), **settings)
        self.session, ticks = Session(env, stream), Ticks()
        quiet = Steady(0, len(told.listings), "baseline")
        self.seats = [
            Seat(f"seat-{place}", policy, quiet, self.session.checked, health or Health(), ticks)
            for place, policy in enumerate(policies)
        ]
        self.kept = []
        self.runner = Runner(
            self.session, self.seats, Freshness(freshness or TimeToLive(), len(told.listings)), self._keep, ticks,
            name, signals=False, step_ns=SECOND_NS,
        )  # fmt: skip
        placed = [
            Placed(SeatSaid(seat.name, seat.policy.name, "scripted", "none", place == 0), seat.policy, quiet)
            for place, seat in enumerate(self.seats)
        ]
        plan = Plan(
            lambda scenario, count, cash: make_env(scenario, count, cash, **settings), lambda _: placed,
            len(policies), len(policies) - 1, 0, 1.0, None, {}, {}, None,
        )  # fmt: skip
        self.make_env, self.rules = plan.make_env, gathering.opening.rules
        write_session(self.folder, said_of(plan, "shadow", told.venue, self.rules, env.spec_sheet, placed))
        self.steps = 0

    def _keep(self, data, ns):
        self.kept.append(data)
        self.recorder.decided(data, ns)

    def _frame(self):
        self.now_ns, frame = self._frames[self._next]
        self._next += 1
        return self.recorder.received(1, frame, self.now_ns)

    @property
    def over(self):
        return self._next == len(self._frames)

    def begin(self):
        return self.runner.begin(self.now_ns)

    def hear(self, ns):
        """All frames that arrive up to ``ns``."""
        while not self.over and self._frames[self._next][0] <= ns:
            self.runner.take(self._frame().rows)

    def second(self, seconds=1):
        """All that arrives within the next second, and a decision."""
        moment = self.session.now_ns + seconds * SECOND_NS
        self.hear(moment)
        return self.runner.decide(moment, moment)

    def play(self, most=10**9):
        """To the end; the folder."""
        self.begin()
        while not self.over and self.runner.number < most:
            self.second()
        self.recorder.close()
        return self.folder

    def watch(self, **gate):
        """Who is told each step, as the shell does."""
        count = len(self.seats)
        return Watch(
            self.runner, self.rules, session="s", mode="shadow",
            roles=["executes" if place == 0 else "proposes" for place in range(count)],
            divergence=Divergence(Gate(**gate), count - 1, 0, len(self.rules)), compared=FillsCompared(Gate()),
            thresholds=Thresholds(), started_ns=self.session.now_ns, watched=count - 1,
        )  # fmt: skip
