"""What a session has come to: counts, lives of orders, latencies, curves. Fed every decision, read now and then."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence, Set
from typing import NamedTuple

import numpy as np

from envs.shield.codes import CRITICAL
from live.monitor.view import HISTORY, LatencyView, StageView
from live.shadow.runner import Runner, Step
from live.shadow.seats import OBEYED
from sim.types import DO_CANCEL, DO_NOTHING

_KEPT = 4096  # latencies
_STAGES = ("play", "policies", "certify", "keep")


class Curve:
    """A curve of bounded length: where it is full every second point goes, and it is written half as often."""

    def __init__(self, most: int = HISTORY) -> None:
        self._most, self._every, self._told = most, 1, 0
        self._points: list[tuple[int, int]] = []
        self._last: tuple[int, int] | None = None

    def add(self, ns: int, value: int) -> None:
        """A point behind the others."""
        self._last = (ns, value)
        if self._told % self._every == 0:
            self._points.append(self._last)
        self._told += 1
        if len(self._points) >= self._most:
            self._points = self._points[::2]
            self._every *= 2

    @property
    def points(self) -> tuple[tuple[int, int], ...]:
        """Oldest first; the last one told is always among them."""
        if self._last is None or self._points[-1] == self._last:
            return tuple(self._points)
        return (*self._points, self._last)


class Lives(NamedTuple):
    """Of a real account's orders, which the simulator does not fill: `live.shadow.mirror` numbers them."""

    filled: Set[int]  # orders that have traded at the venue
    emergency: bool  # the order manager has cancelled everything


class Tally:
    """Counts of N accounts in M markets."""

    def __init__(self, runner: Runner) -> None:
        self._state = runner.session.env.engine.state
        count = len(runner.seats)
        self.fills = np.zeros(count, np.int64)
        self.messages = np.zeros(count, np.int64)
        self.rejects = np.zeros(count, np.int64)
        self.orders = np.zeros(count, np.int64)  # that policies asked for
        self.cut = np.zeros(count, np.int64)  # of them changed, refused or held
        self.fallbacks = np.zeros(count, np.int64)
        self.start_uusd = self._state.account["start_uusd"].copy()
        self.curves = tuple(Curve() for _ in range(count))
        self.shortest_life_ns: list[int | None] = [None] * count  # of orders that were taken out before they filled
        self.decisions = 0
        self.counts: Counter[str] = Counter()
        self._resting: list[dict[int, int]] = [{} for _ in range(count)]  # of each account: order -> since when
        self._excused: list[set[int]] = [set() for _ in range(count)]  # that rested in an emergency
        self._spent: deque[tuple[int, ...]] = deque(maxlen=_KEPT)
        self._fresh: list[int] = []  # latencies since they were last asked for

    def add(self, step: Step, real: Lives | None = None) -> None:
        """A decision, and what happened since the one before; ``real`` where the first account is a real one."""
        accounts = self._state.account
        self.decisions += 1
        self.fills += accounts["n_fills"]
        self.messages += accounts["n_messages"]
        self.rejects += accounts["n_rejects"]
        orders = step.certified.orders
        asked = (orders["do"] > DO_NOTHING) & (orders["do"] != DO_CANCEL)
        changed = (step.certified.reason > 0) | step.certified.held
        self.orders += (asked | changed).sum((1, 2))
        self.cut += changed.sum((1, 2))
        for place, account in enumerate(step.decision.accounts):
            self.fallbacks[place] += account.why != OBEYED
            self.curves[place].add(step.decision.ns, account.equity_uusd)
            emergency = step.decision.cancel or account.regime == CRITICAL
            lives = real if place == 0 else None
            if emergency or (lives is not None and lives.emergency):
                self._excuse(place)
            else:
                self._lives(place, step.decision.ns, lives)
        self._spent.append(step.spent)
        self._fresh.append(step.spent.total)

    def latency(self) -> LatencyView:
        """Of the last decisions."""
        if not self._spent:
            return LatencyView()
        spent = np.array(self._spent)
        total = spent.sum(1)
        p50, p90, p99 = (int(np.percentile(total, share)) for share in (50, 90, 99))
        stages = tuple(
            StageView(name, int(np.percentile(spent[:, place], 50)), int(np.percentile(spent[:, place], 99)))
            for place, name in enumerate(_STAGES)
        )
        return LatencyView(len(total), p50, p90, p99, int(total.max()), stages)

    def fresh_latencies(self) -> Sequence[int]:
        """Nanoseconds of the decisions since this was last asked."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def _lives(self, place: int, ns: int, real: Lives | None) -> None:
        """Orders that no longer rest, and were not filled: how long they did."""
        now = self._now(place)
        filled = self._filled(place) if real is None else real.filled
        for order, since_ns in self._resting[place].items():
            if order not in now and order not in filled:
                shortest = self.shortest_life_ns[place]
                life_ns = ns - since_ns
                self.shortest_life_ns[place] = life_ns if shortest is None else min(shortest, life_ns)
        self._excused[place] &= now.keys()
        self._resting[place] = {order: ns for order, ns in now.items() if order not in self._excused[place]}

    def _excuse(self, place: int) -> None:
        """An emergency takes out what rests, perhaps only by the next decision: none of it is measured."""
        self._excused[place] = set(self._now(place))
        self._resting[place] = {}

    def _now(self, place: int) -> dict[int, int]:
        """Orders that rest, and since when."""
        orders = self._state.orders.reshape(len(self.fills), -1)[place]
        return {int(one["id"]): int(one["entry_ns"]) for one in orders if one["id"] > 0}

    def _filled(self, place: int) -> set[int]:
        """Orders that the simulator has filled since the last decision."""
        account = self._state.account[place]
        return {int(fill["order_id"]) for fill in account["fills"][: account["n_fills"]]}
