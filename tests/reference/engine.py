"""The clock of one environment: market events and our messages in time order."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

from reference.account import Account, Order
from reference.fees import Schedule
from reference.flow import Flow
from reference.market import Market, Venue
from reference.philox import LATENCY, RESET, below, philox, uniform
from reference.recording import Recording, allowed_prices, apply, keyframes
from sim.types import (
    ASK,
    BID,
    DO_CANCEL,
    DO_NOTHING,
    DO_RESET_GROUP,
    GTC,
    HALTED,
    IOC,
    NO,
    OPEN,
    REJECT_HALTED,
    REJECT_IN_DELAY,
    REJECT_NO_SLOT,
    REJECT_RATE_LIMIT,
    SECOND_NS,
    SETTLED,
)

MESSAGES_IN_FLIGHT = 8
KEYFRAME_NS = 15 * SECOND_NS
SYNTHETIC_PRICES = allowed_prices(((0, 10_000, 100),))
NEVER = math.inf


@dataclass
class Message:
    """An order or a cancel on its way to the venue."""

    number: int
    due_ns: int
    kind: str  # "new", "cancel", "amend" or "reset"
    order: Order | None = None  # a new one
    id: int = 0  # of the order that a cancel or an amend is about
    count: int = 0  # an amend: what has been filled and what is wanted besides
    expiry: int = 0
    held: bool = False  # it has arrived, and waits at the venue


class Setting(NamedTuple):
    """What an environment is told once."""

    rows: list[dict]
    recordings: list[Recording]
    venue: Venue
    schedule: Schedule  # of the synthetic market
    replay_share: float
    sequential: bool
    fill_model: int
    window_ns: float
    cash: int
    ruin: int
    seed: int


class ReferenceEngine:
    """One environment. ``number`` is its global number."""

    def __init__(self, setting: Setting, number: int) -> None:
        self.setting, self.number = setting, number
        self.episode = -1
        self.seen: Counter = Counter()

    def draw(self, purpose: int, step: int, stream: int) -> tuple[int, int, int, int]:
        """Four random words."""
        return philox((self.setting.seed, self.episode), (step, purpose, self.number, stream))

    def reset(self) -> None:
        """Begin the next episode."""
        setting = self.setting
        self.episode += 1
        first, second, third, fourth = self.draw(RESET, 0, 0)
        in_turn = setting.sequential and not setting.recordings
        count = len(setting.rows)
        self.row = setting.rows[(self.number + self.episode) % count if in_turn else below(fourth, count)]
        self.account = Account(setting.cash, setting.venue.netting, self.seen)
        self.equity = self.peak = setting.cash
        self.slots: list[Message | None] = [None] * MESSAGES_IN_FLIGHT
        self.next_number = 1
        self.sent_qty = self.step = 0
        self.paid_until = 0
        self.ruined = self.done = self.terminated = self.truncated = False
        self._clear_step()
        if uniform(first) >= setting.replay_share:
            self._start_flow()
        else:
            self._start_recording(second, third)
        self.market.observed()
        self.market.events = 0
        self.start = self.now
        self.end = self.now + setting.window_ns

    def _fresh_market(self, row: dict, schedule: Schedule, prices: set[int], recording: Recording | None) -> Market:
        setting = self.setting
        return Market(
            self.account, row, setting.fill_model, setting.venue, schedule, prices, self._draw_for_market, self.seen,
            recorded=recording is not None, has_prints=recording is None or recording.has_prints,
        )  # fmt: skip

    def _draw_for_market(self, purpose: int, step: int, stream: int) -> tuple[int, int, int, int]:
        return self.draw(purpose, step, stream)

    def _start_flow(self) -> None:
        self.recording, self.rows_applied = None, 0
        self.market = self._fresh_market(self.row, self.setting.schedule, SYNTHETIC_PRICES, None)
        self.flow = Flow(self.market, self.row)
        self.now = SECOND_NS

    def _start_recording(self, second: int, third: int) -> None:
        setting = self.setting
        count = len(setting.recordings)
        index = (self.number + self.episode) % count if setting.sequential else below(second, count)
        self.recording = recording = setting.recordings[index]
        found = keyframes(self._market_of(recording), recording, KEYFRAME_NS)
        pick = 0 if setting.sequential else below(third, len(found))
        self.seen["starts inside a tape"] += pick > 0
        self.rows_applied, self.now = found[pick]
        self.market = self._market_of(recording)
        now = 0
        for event in recording.events[: self.rows_applied]:
            now = max(now, event.ns)
            apply(self.market, event, recording, now)
        self.market.row = self.row
        self.market.gap = False
        self.market.in_snapshot = False
        self.market.book.used = [{}, {}]

    def _market_of(self, recording: Recording) -> Market:
        """A market before the first row; the rows before an episode's start split drops as scenario row 0 says."""
        row = self.setting.rows[0]
        market = self._fresh_market(row, recording.schedules[0], recording.tick_sets[0], recording)
        market.status, market.open_ns, market.close_ns = OPEN, recording.open_ns, recording.close_ns
        return market

    def _clear_step(self) -> None:
        self.account.fills.clear()
        self.sent = self.rejects = self.last_reject = 0

    @property
    def wire(self) -> list[Message]:
        """Our messages under way, by slot: where slots run out, the order decides whose cancel still finds one."""
        return [message for message in self.slots if message]

    def _reject(self, reason: int) -> None:
        self.rejects += 1
        self.last_reject = reason
        self.seen[f"reject {reason}"] += 1

    # our messages

    def submit(self, intents: list[dict]) -> None:
        """Say what we want on the bid side and on the ask side."""
        self._clear_step()
        if self.done:
            return
        for side, intent in enumerate(intents):
            if intent["do"] != DO_NOTHING:
                self._want(side, intent)

    def _want(self, side: int, intent: dict) -> None:
        if intent["do"] == DO_RESET_GROUP:
            self._post("reset", "cancel")
            return
        there = self._clear_side(side, intent)
        if there:
            self.seen["the wanted order rests already"] += 1
        elif intent["do"] != DO_CANCEL:
            self._send_order(side, intent)

    def _clear_side(self, side: int, intent: dict) -> bool:
        """Cancel what rests or is under way on a side, but for the wanted order if it rests already."""
        wants = intent["do"] != DO_CANCEL and intent["tif"] == GTC
        kept = False
        for order in [o for o in self.account.resting if o.side == side and not self._leaving(o.id)]:
            if wants and not kept and (order.px, order.leg) == (intent["px"], intent["leg"]):
                kept = self._keep_or_shrink(order, intent)
                if kept:
                    continue
            self._send_cancel(order.id)
        for message in self.wire:
            order = message.order
            if order and order.side == side and order.may_rest and not self._leaving(order.id):
                wanted = (order.px, order.qty, order.leg, order.post_only, order.expiry, 0) == (
                    intent["px"], intent["qty"], intent["leg"], bool(intent["post_only"]), intent["expiry_ns"],
                    intent["budget_uusd"],
                )  # fmt: skip
                if wanted and wants and not kept:
                    self.seen["the wanted order is under way already"] += 1
                    kept = True
                else:
                    self.seen["cancel of an order still under way"] += 1
                    self._send_cancel(order.id)
        return kept

    def _keep_or_shrink(self, order: Order, intent: dict) -> bool:
        """Whether a resting order at the wanted price can stay, as it is or amended. An amend on its way counts."""
        qty, ends = order.qty, order.ends_ns
        amends = [message for message in self.wire if message.kind == "amend" and message.id == order.id]
        if amends:
            last = max(amends, key=lambda message: message.number)
            qty, ends = min(qty, last.count - order.filled), self.market.ends(last.expiry)
        if (qty, ends) == (intent["qty"], self.market.ends(intent["expiry_ns"])):
            self.seen["the amend is under way already"] += bool(amends)
            return True
        if not self.setting.venue.amends or not 0 < intent["qty"] <= qty:
            return False
        message = self._post("amend", "cancel")
        if message:
            message.id, message.count, message.expiry = order.id, order.filled + intent["qty"], intent["expiry_ns"]
        return True

    def _leaving(self, order_id: int) -> bool:
        """Whether a cancel of an order is on its way."""
        return any(message.kind == "cancel" and message.id == order_id for message in self.wire)

    def _post(self, kind: str, speed: str) -> Message | None:
        if None not in self.slots:
            self.seen["no slot for a message"] += 1
            self._reject(REJECT_NO_SLOT)
            return None
        due = self.now + self._delay(speed)
        if self.row["fifo"]:
            behind = max([m.due_ns for m in self.wire if not m.held], default=due)
            self.seen["kept from overtaking"] += behind > due
            due = max(due, behind)
        message = Message(self.next_number, due, kind)
        self.next_number += 1
        self.sent += 1
        self.slots[self.slots.index(None)] = message
        return message

    def _delay(self, speed: str) -> int:
        """How long the next message takes, an "order" or a "cancel"; what is neither is as slow as a cancel."""
        row, draws = self.row, self.draw(LATENCY, self.next_number, 0)
        delay = float(round(row[f"{speed}_delay_ms"] * 1e6) + round(row["feed_delay_ms"] * 1e6))
        for name, word in ((speed, draws[0]), ("feed", draws[1])):
            median, high = row[f"{name}_tail_ms"], row[f"{name}_tail99_ms"]
            if median and high:
                self.seen["log-normal delay"] += 1
                normal = NormalDist()
                sigma = math.log(high / median) / normal.inv_cdf(0.99)
                delay += median * 1e6 * math.exp(sigma * normal.inv_cdf(uniform(word)))
            elif median:
                self.seen["exponential delay"] += 1
                delay += -math.log(uniform(word)) * (median * 1e6 / math.log(2.0))
        factor = 1.0 + row["delay_activity"] * math.log(1.0 + self.market.memory.print_rate(self.now))
        bid, ask = self.market.quotes()
        if bid is not None and ask is not None:
            factor += row["delay_spread"] * max(0.0, (ask - bid) / 100 - 1.0)
        self.seen["slower in a busy or wide market"] += factor > 1.0
        return math.floor(min(delay * factor, 600e9))

    def _send_order(self, side: int, intent: dict) -> None:
        self.sent_qty += intent["qty"]
        message = self._post("new", "order")
        if message:
            tif = IOC if intent["budget_uusd"] and intent["tif"] == GTC else intent["tif"]  # a budget is for taking
            message.order = Order(
                message.number, side, intent["leg"], side == (BID if intent["leg"] == NO else ASK), intent["px"],
                intent["qty"], tif,
                bool(intent["post_only"]), intent["budget_uusd"], self.market.book.mid2,
                expiry=intent["expiry_ns"],
            )  # fmt: skip

    def _send_cancel(self, order_id: int) -> None:
        message = self._post("cancel", "cancel")
        if message:
            message.id = order_id

    def _too_many(self) -> bool:
        """Whether a message is one too many for the venue; if not, it takes its turn."""
        if not self.row["rate_limit"]:
            return False
        turn = round(1e9 / self.row["rate_limit"])
        used = max(self.now, self.paid_until)
        if used + turn > self.now + SECOND_NS:
            return True
        self.paid_until = used + turn
        return False

    def _deliver(self) -> None:
        """Our earliest message reaches the venue."""
        message = min(self.wire, key=lambda m: (m.due_ns, m.number))
        reason = 0
        if not message.held and self._too_many():
            reason = REJECT_RATE_LIMIT
        elif message.kind == "new":
            reason = self._accept(message)
            if reason is None:
                self.seen["held back"] += 1
                message.held, message.due_ns = True, self.now + round(self.row["taker_delay_ms"] * 1e6)
                return
            self.seen["a held order that traded"] += message.held and message.order.filled > 0
            self.seen["a held order that found nothing"] += message.held and message.order.filled == 0
        elif message.kind == "cancel":
            reason = self._cancel(message.id)
        elif message.kind == "amend":
            reason = self.market.amend(message.id, message.count, message.expiry, self.now)
        else:
            self.market.reset_group()
        self.slots[self.slots.index(message)] = None
        if reason:
            self._reject(reason)

    def _accept(self, message: Message) -> int | None:
        """A new order arrives; the synthetic market's opponents hear of what it takes."""
        shown = [sum(self.market.book.shown[side].values()) for side in (BID, ASK)]
        reason = self.market.accept(message.order, self.now, may_wait=not message.held)
        if self.recording is None:
            now_shown = [sum(self.market.book.shown[side].values()) for side in (BID, ASK)]
            taken = (shown[ASK] - now_shown[ASK]) - (shown[BID] - now_shown[BID])
            if taken:
                self.flow.we_took(taken, self.now)
        return reason

    def _cancel(self, order_id: int) -> int:
        """A cancel arrives. Returns why it is refused, or 0."""
        if self.market.status == HALTED:
            return REJECT_HALTED
        self.market.cancel(order_id)
        under_way = [m for m in self.wire if m.order and m.order.id == order_id]
        self.seen["cancel overtook its order"] += bool(under_way)
        return REJECT_IN_DELAY if under_way and under_way[0].held else 0

    # time

    def _next_event_ns(self) -> float:
        if self.recording:
            if self.rows_applied == len(self.recording.events):
                return NEVER
            return max(self.now, self.recording.events[self.rows_applied].ns)
        return self.flow.next_ns

    def _market_event(self) -> None:
        if self.recording:
            event = self.recording.events[self.rows_applied]
            self.rows_applied += 1
            apply(self.market, event, self.recording, self.now)
        else:
            self.flow.happen(self.now)

    def advance(self, *, ns: float = NEVER, events: float = NEVER) -> None:
        """Let time or a number of market events pass; at one stamp, the market comes before our messages."""
        if self.done:
            return
        self.step += 1
        until = min(self.now + ns, self.end)
        enough = self.market.events + events
        while self.market.events < enough and not self.market.gap:
            event_ns = self._next_event_ns()
            message_ns = min((message.due_ns for message in self.wire), default=NEVER)
            expiry_ns = min((order.ends_ns for order in self.account.resting if order.ends_ns), default=NEVER)
            upcoming = min(event_ns, message_ns, expiry_ns)
            if upcoming > until or upcoming == NEVER:
                break
            self.now = upcoming
            if event_ns == upcoming:
                self._market_event()
            elif expiry_ns == upcoming:
                self.market.expire(self.now)
            else:
                self._deliver()
        if self.market.events < enough and until != NEVER:
            self.now = max(self.now, until)
        self._mark()

    def _mark(self) -> None:
        self.equity = self.account.worth(self.market.book.mid2)
        self.peak = max(self.peak, self.equity)
        self.ruined = self.ruined or self.equity < self.setting.ruin
        over = self.ruined or self.market.status == SETTLED
        dry = self.recording is not None and self.rows_applied == len(self.recording.events)
        cut = self.now >= self.end or self.market.gap or dry
        self.terminated, self.truncated = over, cut and not over
        self.done = over or cut
        self.seen["terminated"] += self.terminated
        self.seen["truncated"] += self.truncated
        self.seen["window over"] += self.now >= self.end
        self.seen["tape over"] += dry
        self.seen["ruined"] += self.ruined
        self.seen["gap"] += self.market.gap
