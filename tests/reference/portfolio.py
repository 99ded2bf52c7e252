"""The clock of one environment with several markets: each a reference market of its own, over shared purses."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from reference.engine import KEYFRAME_NS, NEVER, SYNTHETIC_PRICES, ReferenceEngine, Setting
from reference.fees import Schedule
from reference.outside import LinkedFlow, Outside
from reference.philox import FILL, LATENCY, RESET, below, uniform
from reference.purse import LinkedMarket, MarketAccount, NettingSet, Purse, merge
from reference.recording import Recording, apply, keyframes
from sim.types import (
    DO_CONVERT,
    DO_MERGE,
    DO_NOTHING,
    REJECT_CANNOT_CONVERT,
    REJECT_NOTHING_TO_MERGE,
    SECOND_NS,
    SETTLED,
)


class PortfolioSetting(NamedTuple):
    """What an environment of several markets is told once."""

    markets: list[Setting]  # recordings: one for each recording of the portfolio, all played in order
    venue_of: list[int]
    pays: list[list[list[int]]]  # px by group, market and state
    void_px: list[int | None]  # what YES of a market pays where its group is void; None = as the row says
    sets: list[list[int]]
    cash: list[int]  # by venue
    seed: int


def _shared(name: str) -> property:
    return property(lambda self: getattr(self.parent, name), lambda self, value: setattr(self.parent, name, value))


class Side(ReferenceEngine):
    """One market of a portfolio: its orders, messages and events; clock and numbers are the portfolio's."""

    now, next_number, sent, sent_qty, rejects, last_reject, episode, seen = map(
        _shared, ("now", "next_number", "sent", "sent_qty", "rejects", "last_reject", "episode", "seen")
    )
    start, step, equity, peak, ruined, done, terminated, truncated = map(
        _shared, ("start", "step", "equity", "peak", "ruined", "done", "terminated", "truncated")
    )

    def __init__(self, parent: Portfolio, index: int, setting: Setting) -> None:
        self.parent, self.index, self.setting = parent, index, setting

    @property
    def row(self) -> dict:
        """The market's own of the episode's rows."""
        return self.setting.rows[self.parent.picked]

    @property
    def paid_until(self) -> int:
        """The rate limit is the venue's."""
        return self.account.purse.paid_until

    @paid_until.setter
    def paid_until(self, stamp: int) -> None:
        self.account.purse.paid_until = stamp

    def draw(self, purpose: int, step: int, stream: int) -> tuple[int, int, int, int]:
        """Every market has streams of its own; orders and messages have numbers that no other market's have."""
        own = 0 if purpose in (FILL, LATENCY) else self.index << 16
        return self.parent.draw(purpose, step, stream + own)

    def _fresh_market(
        self, row: dict, schedule: Schedule, prices: set[int], recording: Recording | None
    ) -> LinkedMarket:
        setting = self.setting
        return LinkedMarket(
            self.account, row, setting.fill_model, setting.venue, schedule, prices, self._draw_for_market, self.seen,
            recorded=recording is not None, has_prints=recording is None or recording.has_prints,
        )  # fmt: skip

    def begin(self, account: MarketAccount) -> None:
        """No order, no message."""
        self.account, self.slots = account, [None] * 8

    def begin_flow(self, outside: Outside) -> None:
        """A synthetic market."""
        self.recording, self.rows_applied = None, 0
        self.market = self._fresh_market(self.row, self.setting.schedule, SYNTHETIC_PRICES, None)
        self.flow = LinkedFlow(self.market, self.row, outside, self.index)
        outside.flows.append(self.flow)

    def begin_recording(self, index: int) -> list[tuple[int, int]]:
        """A recorded market; returns its keyframes."""
        self.recording = self.setting.recordings[index]
        return keyframes(self._market_of(self.recording), self.recording, KEYFRAME_NS)

    def catch_up(self, found: list[tuple[int, int]], start: int) -> None:
        """Go on from the last keyframe at or before ``start``, and play what happened up to then."""
        recording = self.recording
        self.rows_applied, stamp = [frame for frame in found if frame[1] <= start][-1]
        self.market = self._market_of(recording)
        now = 0
        for event in recording.events[: self.rows_applied]:
            now = max(now, event.ns)
            apply(self.market, event, recording, now)
        self.market.row, self.market.gap, self.market.in_snapshot = self.row, False, False
        self.market.book.used = [{}, {}]
        while stamp < start and self.rows_applied < len(recording.events):
            event = recording.events[self.rows_applied]
            if event.ns > start:
                break
            self.rows_applied += 1
            apply(self.market, event, recording, event.ns)

    def upcoming(self) -> tuple[float, float, float]:
        """When the market next moves, an order of ours ends, and our next message arrives, as they are written down."""
        message = min((message.due_ns for message in self.wire), default=NEVER)
        expiry = min((order.ends_ns for order in self.account.resting if order.ends_ns), default=NEVER)
        if self.recording:
            return (NEVER if self.dry else self.recording.events[self.rows_applied].ns), expiry, message
        return self.flow.next_ns, expiry, message

    def move(self) -> None:
        """What is due first happens: the market before what is ours, an order's end before a message."""
        event, expiry, message = self.upcoming()
        if event <= min(expiry, message):
            self._market_event()
            if self.market.status == SETTLED and self.recording is None:
                self.flow.outside.settled(self.index, self.now)
        elif expiry <= message:
            self.market.expire(self.now)
        else:
            self._deliver()

    @property
    def dry(self) -> bool:
        """Whether its recording is over."""
        return self.recording is not None and self.rows_applied == len(self.recording.events)


class Portfolio:
    """One environment. ``number`` is its global number."""

    def __init__(self, setting: PortfolioSetting, number: int) -> None:
        self.setting, self.number = setting, number
        self.episode = -1
        self.seen: Counter = Counter()
        self.sides = [Side(self, index, one) for index, one in enumerate(setting.markets)]

    draw = ReferenceEngine.draw

    def reset(self) -> None:
        """Begin the next episode."""
        setting, first_market = self.setting, self.setting.markets[0]
        self.episode += 1
        first, _, _, fourth = self.draw(RESET, 0, 0)
        self.picked = below(fourth, len(first_market.rows))
        self.row = first_market.rows[self.picked]
        self.fills: dict = {}
        self.purses = [Purse(cash, False) for cash in setting.cash]
        for side, venue in zip(self.sides, setting.venue_of, strict=True):
            self.purses[venue].netting = side.setting.venue.netting
            side.begin(MarketAccount(self.purses[venue], self.seen, self.fills))
        self.equity = self.peak = sum(setting.cash)
        self.next_number = 1
        self.sent_qty = self.step = self.sent = self.rejects = self.last_reject = 0
        self.ruined = self.done = self.terminated = self.truncated = False
        self.outside: Outside | None = None
        if uniform(first) >= first_market.replay_share:
            self.outside = Outside(self.draw, self.row, setting.pays, setting.void_px)
            for side in self.sides:
                side.begin_flow(self.outside)
            self.now = SECOND_NS
        else:
            self._start_recordings()
        for side in self.sides:
            side.market.observed()
            side.market.events = 0
        self.sets = [NettingSet([self.sides[m].market for m in members], self.seen) for members in setting.sets]
        self.start, self.end = self.now, self.now + first_market.window_ns

    def _start_recordings(self) -> None:
        index = (self.number + self.episode) % len(self.sides[0].setting.recordings)
        found = [side.begin_recording(index) for side in self.sides]
        start = max(frames[0][1] for frames in found)
        later = [stamp for _, stamp in found[0] if stamp >= start]
        self.now = start = max(start, later[0]) if later else start
        for side, frames in zip(self.sides, found, strict=True):
            side.catch_up(frames, start)

    # wishes

    def submit(self, wishes: list[list[dict]]) -> None:
        """Orders and cancels of every market, then merges, then conversions."""
        self.fills.clear()
        self.sent = self.rejects = self.last_reject = 0
        if self.done:
            return
        for side, pair in zip(self.sides, wishes, strict=True):
            for column, wish in enumerate(pair):
                if DO_NOTHING < wish["do"] < DO_MERGE:
                    side._want(column, wish)
        in_sets = {market for members in self.setting.sets for market in members}
        for index, (side, pair) in enumerate(zip(self.sides, wishes, strict=True)):
            if (qty := _asked(pair, DO_MERGE)) is not None:
                self._request(merge(side.account, qty), REJECT_NOTHING_TO_MERGE)
            if _asked(pair, DO_CONVERT) is not None and index not in in_sets:
                self._request(False, REJECT_CANNOT_CONVERT)
        for one, members in zip(self.sets, self.setting.sets, strict=True):
            asked = {place: _asked(wishes[market], DO_CONVERT) for place, market in enumerate(members)}
            asked = {place: qty for place, qty in asked.items() if qty is not None}
            if asked:
                self._request(one.convert(asked), REJECT_CANNOT_CONVERT)

    def _request(self, done: bool, reason: int) -> None:
        self.sent += 1
        if not done:
            self.rejects += 1
            self.last_reject = reason
            self.seen[f"reject {reason}"] += 1

    # time

    @property
    def events(self) -> int:
        """Market events of the episode."""
        return sum(side.market.events for side in self.sides)

    @property
    def gap(self) -> bool:
        """Whether a feed broke."""
        return any(side.market.gap for side in self.sides)

    def advance(self, ns: int) -> None:
        """Let time pass: the market that is due first moves, the first of equals."""
        if self.done:
            return
        self.step += 1
        until = min(self.now + ns, self.end)
        while not self.gap:
            side = min(self.sides, key=lambda one: (min(one.upcoming()), one.index))
            soonest = min(side.upcoming())
            shock_ns = self.outside.next_ns if self.outside else NEVER
            if min(soonest, shock_ns) > until:
                break
            self.now = max(self.now, min(soonest, shock_ns))
            if shock_ns < soonest:
                self.outside.happen(self.now)
            else:
                side.move()
            for one in self.sets:
                one.look()
        self.now = max(self.now, until)
        self._mark()

    def _mark(self) -> None:
        self.equity = sum(purse.cash for purse in self.purses) - sum(one.returned for one in self.sets)
        for side in self.sides:
            if side.market.status != SETTLED:
                self.equity += side.account.worth(side.market.book.mid2) - side.account.cash
        self.peak = max(self.peak, self.equity)
        self.ruined = self.ruined or self.equity < self.setting.markets[0].ruin
        over = self.ruined or all(side.market.status == SETTLED for side in self.sides)
        cut = self.now >= self.end or self.gap or all(side.dry for side in self.sides)
        self.terminated, self.truncated = over, cut and not over
        self.done = over or cut
        self.seen["terminated"] += self.terminated


def _asked(pair: list[dict], do: int) -> int | None:
    """Lots of a request; of two the bid column's."""
    return next((max(0, wish["qty"]) for wish in pair if wish["do"] == do), None)
