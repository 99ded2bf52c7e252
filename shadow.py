"""Run a policy beside a venue, without trading: what it would have done, and what would have become of it.

``python shadow.py checkpoint=checkpoints/<run> venue=kalshi markets=[TICKER]``
``python shadow.py checkpoint=promoted venue=polymarket markets=[SLUG] mode=paper``
``python shadow.py checkpoint=checkpoints/<a> other=checkpoints/<b> mode=ab venue=kalshi markets=[TICKER]``
``python shadow.py replay=shadow/<session>``: play a session again from its log, and compare

Without an account: ``python -m live.fake kalshi`` is a venue on this machine, and prints what to try. docs/shadow.md
"""

from __future__ import annotations

import asyncio
import random
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import msgspec
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from agents.checkpoint import git_state, versions
from agents.policy import BASELINE
from agents.tracking.config import TrackingConfig, check_tracking
from agents.tracking.tracker import Tracker
from configs.beside import digest_of, maker_of, policy_of, spec_of
from configs.schema import to_config
from configs.tracking import account_values, send_found, track_session
from live.clock import SystemClock
from live.errors import VenueError
from live.monitor.summary import Summary, as_text, summarise
from live.monitor.view import View
from live.orders.journal import JournalError
from live.program import GivenUpError
from live.recording.layout import LogError
from live.recording.seal import seal
from live.secrets import SecretError
from live.shadow.config import LIVE, ShadowConfig, check_config
from live.shadow.plan import Placed, Plan
from live.shadow.records import SeatSaid, read_session
from live.shadow.replay import replay
from live.shadow.shell import Shadow
from sim.types import SECOND_NS

BESIDE = "baseline"  # the seat of whom the policies stand beside
_ROW_S = 10.0  # between two rows of what is tracked


@dataclass
class SessionConfig(ShadowConfig):
    """Of shadow.py: a session, and where it is tracked."""

    tensorboard: bool = False  # also write event files into the session's folder
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


ConfigStore.instance().store(name="shadow_schema", node=SessionConfig)


@hydra.main(version_base=None, config_path="configs", config_name="shadow")
def main(composed: DictConfig) -> None:
    """Compose, connect, run, report."""
    config: SessionConfig = to_config(composed)
    torch.set_num_threads(1)
    try:
        check_config(config)
        check_tracking(config.tracking)
        status = _replay(config.replay) if config.replay is not None else _run(config, composed)
    except (OSError, GivenUpError, JournalError, LogError, SecretError, ValueError, VenueError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        status = 1
    if status:
        sys.exit(status)


def _run(config: SessionConfig, composed: DictConfig) -> int:
    """A session; 0 = it ended, and no check failed."""
    console = Console()
    plan = _plan(config, OmegaConf.to_container(composed, resolve=True))  # type: ignore[arg-type]
    shadow = Shadow(config, plan, SystemClock(), random.Random(), console)
    console.print(f"session    {shadow.folder}", soft_wrap=True, markup=False, highlight=False)
    made = {"git": git_state(Path(__file__).parent), "versions": plan.versions}
    with track_session(config.tracking, shadow.folder, plan.config, made, tensorboard=config.tensorboard) as tracker:
        summary = asyncio.run(_tracked(shadow, tracker))
        send_found(tracker, shadow.folder)
    console.print(as_text(summary), markup=False, highlight=False, soft_wrap=True)
    manifest = seal(shadow.folder)
    console.print(f"tapes      {shadow.folder / 'tapes'}: {len(manifest.tapes)}", soft_wrap=True, highlight=False)
    return 0 if summary.passed else 1


async def _tracked(shadow: Shadow, tracker: Tracker) -> Summary:
    """The session, its accounts tracked as it goes."""
    began_ns = shadow.view.ns
    running = asyncio.create_task(shadow.run())
    while not running.done():
        await asyncio.wait({running}, timeout=_ROW_S)
        tracker.attempt(partial(_send_view, tracker, shadow.view, began_ns))
    return await running


def _send_view(tracker: Tracker, view: View, began_ns: int) -> None:
    values = {"shadow/decisions": view.decisions}
    for one in summarise(view).accounts:
        values |= dict(account_values(msgspec.structs.asdict(one)))
    tracker.row(values, (view.ns - began_ns) // SECOND_NS)


def _replay(folder: str) -> int:
    """Play a session again; 0 = all of it came out the same."""
    said = read_session(folder)
    schema = OmegaConf.structured(SessionConfig)
    config: SessionConfig = to_config(OmegaConf.merge(schema, said.config))
    for seat in said.seats:
        if digest_of(seat.spec) != seat.digest:
            raise ValueError(f"{seat.spec}: is another policy now than {folder} was made with; bring that one back")
    spec = next(seat.spec for seat in said.seats if seat.name != BESIDE)
    _, make_env = maker_of(spec, config.limits, config.seed)
    found = replay(folder, make_env)
    console = Console(markup=False, highlight=False)
    console.print(f"{folder}: {found.decisions:,} decisions and {found.orders:,} orders again")
    for line in found.notes:
        console.print(f"note       {line}")
    for line in found.differ:
        console.print(f"differs    {line}")
    console.print("all the same" if not found.differ else "NOT the same: another version of this program, or a defect")
    return 1 if found.differ else 0


def _plan(config: ShadowConfig, resolved: dict[str, Any]) -> Plan:
    """Who sits where."""
    assert config.checkpoint is not None
    spec = spec_of(config.checkpoint, config.registry)
    env, make = maker_of(spec, config.limits, config.seed)
    baseline = f"{BASELINE}{config.baseline}"
    others = [] if config.other is None else [spec_of(config.other, config.registry)]
    executes = config.mode != "shadow"
    seated = [("policy" if not others else "a", spec, executes)]
    seated += [("on paper", spec, False)] if config.mode == LIVE else []
    seated += [("b", other, True) for other in others]
    beside = (BESIDE, baseline, not executes)
    seated = [*seated, beside] if executes else [beside, *seated]

    def seat(sheet: dict[str, Any]) -> list[Placed]:
        placed = []
        for name, what, acts in seated:
            policy = policy_of(what, sheet, config.seed)
            behind = policy if what == baseline else policy_of(baseline, sheet, config.seed)
            placed.append(Placed(SeatSaid(name, policy.name, what, digest_of(what), acts), policy, behind))
        return placed

    watched, beside = (0, len(seated) - 1) if executes else (1, 0)
    return Plan(
        make_env=make, seat=seat, accounts=len(seated), watched=watched, beside=beside, dt_s=env.dt_s or 1.0,
        events_per_step=env.events_per_step, config=resolved, versions=versions(),
        commit=git_state(Path(__file__).parent)["commit"],
    )  # fmt: skip


if __name__ == "__main__":
    main()
