"""What is shown of a session: a `View`, taken about once a second and never for each decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from envs.shield.codes import ORDER_REASONS, REGIMES
from live.monitor.checklist import Statistics, Thresholds, check
from live.monitor.view import (
    LEVELS,
    AccountView,
    Alert,
    MarketView,
    Mode,
    PositionView,
    Proposal,
    RestingView,
    Trading,
    View,
    Word,
)
from live.recording.decode import failures
from live.shadow.divergence import Divergence, FillsCompared
from live.shadow.runner import Runner, Step
from live.shadow.staleness import PARTS
from live.shadow.tally import Tally
from live.shadow.trading import RealHands
from sim.state import State
from sim.types import ASK, BID, DO_CANCEL, DO_NOTHING, DO_PLACE, NO, YES
from sim.wire.listing import Rules

_MOST_ALERTS = 50
_LEAST_LATENCIES = 100  # of fewer the 99th percentile is the largest
_SIDES = {BID: "bid", ASK: "ask"}
_LEGS = {YES: "yes", NO: "no"}


class Alerts:
    """The newest alerts; another one of the same code about the same thing takes the older one's place."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Alert] = {}

    def add(self, ns: int, level: Word, code: str, text: str, do: str, about: str = "") -> None:
        """Something that a person should know. ``about``: the account, market or measure, where there are several."""
        self._kept.pop((code, about), None)
        self._kept[code, about] = Alert(ns, level, code, text, do)
        if len(self._kept) > _MOST_ALERTS:
            del self._kept[next(iter(self._kept))]

    @property
    def newest(self) -> tuple[Alert, ...]:
        """The newest first."""
        return tuple(reversed(self._kept.values()))


class Watch:
    """What a session has come to, for people."""

    def __init__(
        self,
        runner: Runner,
        rules: Sequence[Rules],
        *,
        session: str,
        mode: Mode,
        roles: Sequence[str],
        divergence: Divergence,
        compared: FillsCompared,
        thresholds: Thresholds,
        started_ns: int,
        watched: int,
        twin: int | None = None,
        hands: RealHands | None = None,
    ) -> None:
        self.tally, self.alerts = Tally(runner), Alerts()
        self.divergence, self.compared = divergence, compared
        self._runner, self._rules, self._session, self._mode = runner, rules, session, mode
        self._roles, self._thresholds, self._started_ns = roles, thresholds, started_ns
        self._watched = watched  # the account that the checklist judges
        self._hands = hands  # of the first account, where it is a real one
        self._twin = twin  # the account that trades on paper what another one trades at the venue
        self._step: Step | None = None

    def add(self, step: Step) -> None:
        """A decision."""
        self._step = step
        self.tally.add(step, None if self._hands is None else self._hands.lives)
        if self._hands is not None:  # the simulator does not know
            self.tally.fills[0], self.tally.messages[0] = self._hands.fills, self._hands.messages
            self.tally.rejects[0] = self._hands.rejects
        state = self._state
        count = len(self._roles)
        net = (state.position["yes_qty"] - state.position["no_qty"]).reshape(count, -1)
        self.divergence.add(step.certified.orders, net, self._runner.equity_uusd)
        if self._twin is not None:
            account = state.account[self._twin]
            for fill in account["fills"][: account["n_fills"]]:
                lots = int(fill["qty"])
                self.compared.add(
                    live=False, market=int(fill["market"]), side=BID if lots > 0 else ASK, px=int(fill["px"]),
                    lots=abs(lots),
                )  # fmt: skip
        for place, seat in enumerate(self._runner.seats):
            if step.decision.accounts[place].why:
                self.alerts.add(
                    step.decision.ns, "warning", "fallback", f"{seat.name}: {seat.returned or seat.last_fault}",
                    "The baseline decides meanwhile. The log has the decision; mend the policy, or its deadline.",
                    seat.name,
                )  # fmt: skip

    def gate(self, ns: int) -> list[str]:
        """What diverges too far; alerts say so."""
        words = self.divergence.breaches() | self.compared.breaches()
        for measure, text in words.items():
            self.alerts.add(
                ns, "critical", "divergence", text, "Do not trade with it; find out why on the recording.", measure
            )
        return list(words.values())

    def view(
        self, ns: int, *, state: str, why: str, feed: str, heard_ns: int, counts: dict[str, int], killed: bool,
        trading: Trading,
    ) -> View:  # fmt: skip
        """All that is shown, now."""
        tally, runner = self.tally, self._runner
        markets = tuple(self._market(place) for place in range(len(self._rules)))
        accounts = tuple(self._account(place, ns) for place in range(len(self._roles)))
        statistics = self._statistics(ns, heard_ns, counts)
        waiting = tuple(f"{one.id}: {', '.join(one.stale) or 'lost'}" for one in markets if one.lost or one.stale)
        return View(
            ns=ns, session=self._session, venue=self._rules[0].listing.venue, mode=self._mode, state=state, why=why,
            started_ns=self._started_ns, decisions=tally.decisions,
            policies=tuple(seat.policy.name for seat in runner.seats), feed=feed, ready=waiting, markets=markets,
            accounts=accounts, latency=tally.latency(), alerts=self.alerts.newest,
            checks=check(statistics, self._thresholds), counts=counts, killed=killed, trading=trading,
        )  # fmt: skip

    @property
    def _state(self) -> State:
        return self._runner.session.env.engine.state

    def _statistics(self, ns: int, heard_ns: int, counts: dict[str, int]) -> Statistics:
        tally, place = self.tally, self._watched
        lost = self._runner.session.stream.unknown
        latency = tally.latency()
        return Statistics(
            span_ns=ns - self._started_ns,
            feed_age_ns=max(ns - heard_ns, 0),
            lost=tuple(self._rules[index].listing.market.id for index in np.flatnonzero(lost).tolist()),
            frames=counts.get("frames", 0),
            frames_unread=sum(failures(Counter(counts)).values()),
            quotes=counts.get("quotes_agree", 0) + counts.get("quotes_differ", 0),
            quotes_differing=counts.get("quotes_differ", 0),
            orders=int(tally.orders[place]),
            orders_cut=int(tally.cut[place]),
            messages=int(tally.messages[place]),
            rejects=int(tally.rejects[place]),
            fills=int(tally.fills[place]),
            decisions=tally.decisions,
            fallbacks=int(tally.fallbacks[place]),
            latency_p99_ns=latency.p99_ns if latency.count >= _LEAST_LATENCIES else None,
            shortest_life_ns=tally.shortest_life_ns[place],
            divergence=self.divergence.worst,
        )

    def _market(self, index: int) -> MarketView:
        state, step = self._state, self._step
        slot = self._runner.shown * len(self._rules) + index
        record, listing = state.market[slot], self._rules[index].listing
        px_of = self._runner.session.env.engine.world.px_of
        book = state.book[slot]
        bids = np.flatnonzero(book[BID] > 0)[::-1][:LEVELS]
        asks = np.flatnonzero(book[ASK] > 0)[:LEVELS]
        return MarketView(
            id=listing.market.id,
            title=listing.market.title or listing.market.id,
            bids=tuple((int(px_of[level]), int(book[BID, level])) for level in bids),
            asks=tuple((int(px_of[level]), int(book[ASK, level])) for level in asks),
            mark_px=int(record["mid2_px"]) // 2 if record["mid2_px"] > 0 else None,
            last_px=int(record["last_px"]) if record["last_px"] >= 0 else None,
            book_age_ns=None if step is None else int(self._runner.freshness.quote_age_ns(step.decision.ns)[index]),
            lost=bool(self._runner.session.stream.unknown[index]),
            quality=0.0 if step is None else float(step.verdict.quality[index]),
            stale=() if step is None else tuple(PARTS[part] for part in np.flatnonzero(step.verdict.parts[index])),
            proposals=() if step is None else self._proposals(step, index),
            divergence=float(self.divergence.by_market[index]),
        )

    def _proposals(self, step: Step, index: int) -> tuple[Proposal, ...]:
        found = []
        for place, seat in enumerate(self._runner.seats):
            for side, name in _SIDES.items():
                order = step.certified.orders[place, index, side]
                reason, cut = (
                    int(step.certified.reason[place, index, side]),
                    int(step.certified.cut[place, index, side]),
                )
                held = bool(step.certified.held[place, index, side])
                if order["do"] == DO_NOTHING and not (reason or held):
                    continue
                places = order["do"] == DO_PLACE
                why = ((ORDER_REASONS[reason],) if reason else ()) + (("held: stale",) if held else ())
                lots = int(order["qty"]) if places else 0
                found.append(
                    Proposal(
                        account=seat.name,
                        do="cancel" if order["do"] == DO_CANCEL else "place",
                        side=name,  # type: ignore[arg-type]
                        leg=_LEGS[int(order["leg"])],  # type: ignore[arg-type]
                        px=int(order["px"]),
                        lots=lots,
                        asked_lots=lots + cut if not held else int(order["qty"]),
                        reasons=why,
                    )
                )
        return tuple(found)

    def _account(self, place: int, ns: int) -> AccountView:
        state, tally, count = self._state, self.tally, len(self._rules)
        record = state.account[place]
        slots = slice(place * count, (place + 1) * count)
        regime = self._runner.session.buffers.regime[place]
        equity = int(record["equity_uusd"])
        return AccountView(
            name=self._runner.seats[place].name,
            role=self._roles[place],  # type: ignore[arg-type]
            start_uusd=int(record["start_uusd"]),
            equity_uusd=equity,
            cash_uusd=int(state.pool["cash_uusd"][place].sum()),
            reserved_uusd=int(state.pool["reserved_uusd"][place].sum()),
            drawdown_uusd=max(int(record["peak_uusd"]) - equity, 0),
            regime=REGIMES[int(regime)],
            positions=tuple(self._position(index, slot) for index, slot in enumerate(range(slots.start, slots.stop))),
            resting=tuple(
                RestingView(
                    self._rules[index].listing.market.id, _SIDES[int(one["side"])], _LEGS[int(one["leg"])],  # type: ignore[arg-type]
                    int(one["px"]), int(one["qty"]), max(ns - int(one["entry_ns"]), 0),
                )
                for index, slot in enumerate(range(slots.start, slots.stop))
                for one in state.orders[slot]
                if one["id"] > 0
            ),
            fills=int(tally.fills[place]),
            rejects=int(tally.rejects[place]),
            history=tally.curves[place].points,
        )  # fmt: skip

    def _position(self, index: int, slot: int) -> PositionView:
        held = self._state.position[slot]
        return PositionView(
            self._rules[index].listing.market.id, int(held["yes_qty"]), int(held["no_qty"]),
            int(held["yes_cost_uusd"] + held["no_cost_uusd"]),
        )  # fmt: skip
