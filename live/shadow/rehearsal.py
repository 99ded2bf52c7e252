"""A few decisions on books that are made up, before anything is connected.

They find out whether policies, shield and markets fit together, and fetch the compiled code, so that the first real
decision is as quick as the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from envs.vector import TradingVectorEnv
from live.session import Session
from live.shadow.opening import Gathering
from live.shadow.runner import Runner
from live.shadow.seats import Health, Seat
from live.shadow.staleness import Freshness, TimeToLive
from live.stream import Stream
from sim.scenarios import Scenario
from sim.types import ASK, BID, CLEAR, END_OF_BATCH, LEVEL, MICRO_PER_LOT, PX_ONE, SECOND_NS
from sim.wire.listing import Listing, Rules
from sim.wire.units import Row

_DECISIONS = 20
_LOTS = 10_000


def rehearse(
    make_env: Callable[[Scenario, int, float | None], TradingVectorEnv],
    seats: Callable[[dict[str, Any]], Sequence[tuple[Any, Any]]],
    listings: Sequence[Listing],
    accounts: int,
    now_ns: int,
    monotonic_ns: Callable[[], int],
    *,
    real: bool = False,
) -> None:
    """Play ``accounts`` in markets listed like ``listings``; ``seats``: policy and baseline of each;
    ``real``: the first one will be a real account.

    Raises what making the environment and the policies raises, ValueError where the policies do not fit it.
    """
    gathering = Gathering([Rules(listing) for listing in listings])
    gathering.take([row for index in range(len(listings)) for row in _book(index, now_ns)])
    stream = Stream(gathering.opening)
    env = make_env(stream.scenario, accounts, None)
    session = Session(env, stream)
    placed = [
        Seat("rehearsal", policy, baseline, session.checked, Health(deadline_ms=60_000.0), monotonic_ns)
        for policy, baseline in seats(env.spec_sheet)
    ]
    runner = Runner(
        session, placed, Freshness(TimeToLive(), len(listings)), lambda *_: None, monotonic_ns, "rehearsal",
        signals=False, step_ns=SECOND_NS,
    )  # fmt: skip
    runner.begin(now_ns)
    for number in range(1, _DECISIONS):
        runner.decide(now_ns + number * SECOND_NS, now_ns)
    if real:
        session.proceed(now_ns + _DECISIONS * SECOND_NS, lambda: None)
    for seat in placed:
        if seat.last_fault:
            raise ValueError(f"{seat.policy.name} does not decide on a quiet book: {seat.last_fault}")


def _book(index: int, ns: int) -> list[Row]:
    """A bid and an ask around half a dollar."""
    half, tick = PX_ONE // 2, PX_ONE // 100
    qty = _LOTS * MICRO_PER_LOT
    return [
        (ns, ns, 0, 0, -1, 0, index, CLEAR, 0),
        (ns, ns, qty, half - tick, -1, 0, index, LEVEL, BID),
        (ns, ns, qty, half + tick, -1, END_OF_BATCH, index, LEVEL, ASK),
    ]
