"""A session's parts, put together once every market has told its book."""

from __future__ import annotations

from pathlib import Path

import msgspec

from live.clock import Clock
from live.session import Session
from live.shadow.config import LIVE_TWIN, ShadowConfig
from live.shadow.divergence import Divergence, FillsCompared
from live.shadow.plan import Plan, said_of
from live.shadow.records import write_session
from live.shadow.runner import Keep, Runner
from live.shadow.seats import Seat
from live.shadow.staleness import Freshness
from live.shadow.trading import RealHands
from live.shadow.watch import Watch
from live.stream import Opening, Stream
from sim.types import SECOND_NS, UUSD


def assemble(
    config: ShadowConfig, plan: Plan, opening: Opening, folder: Path, clock: Clock,
    *, keep: Keep, compared: FillsCompared, hands: RealHands | None,
) -> tuple[Runner, Watch]:  # fmt: skip
    """Who decides and who watches, accounts at the books of ``opening``; nobody has begun. Writes ``session.json``.

    ``keep`` takes every decision before its orders leave; ``hands`` trade for the first seat, None = nobody does.
    Raises ValueError where a policy does not fit the environment.
    """
    rules, now_ns = opening.rules, clock.now_ns()
    stream = Stream(opening)
    cash = None if hands is None else hands.equity_uusd / UUSD
    env = plan.make_env(stream.scenario, plan.accounts, cash)
    session = Session(env, stream)
    placed = plan.seat(env.spec_sheet)
    seats = [
        Seat(one.said.name, one.policy, one.baseline, session.checked, config.health, clock.monotonic_ns)
        for one in placed
    ]
    said = said_of(plan, config.mode, config.venue, rules, env.spec_sheet, placed)
    write_session(folder, msgspec.structs.replace(said, name=folder.name, cash=cash, created_ns=now_ns))
    runner = Runner(
        session, seats, Freshness(config.freshness, len(rules)), keep, clock.monotonic_ns, folder.name,
        signals=any("signal" in name for name in env.schema.names), hands=hands,
        step_ns=None if plan.events_per_step else round(plan.dt_s * SECOND_NS),
    )  # fmt: skip
    watch = Watch(
        runner, rules, session=folder.name, mode=config.mode,  # type: ignore[arg-type]
        roles=["executes" if one.said.executes else "proposes" for one in placed],
        divergence=Divergence(config.gate, plan.watched, plan.beside, len(rules)),
        compared=compared, thresholds=config.checks, started_ns=now_ns, watched=plan.watched,
        twin=None if hands is None else LIVE_TWIN, hands=hands,
    )  # fmt: skip
    return runner, watch
