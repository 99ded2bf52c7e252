"""What an entry point builds of a config: who plays, in which environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from agents.policy import Policy
from envs.vector import TradingVectorEnv
from live.shadow.records import SeatSaid, SessionSaid
from sim.scenarios import Scenario
from sim.wire.listing import Rules


class Placed(NamedTuple):
    """A policy and its account."""

    said: SeatSaid
    policy: Policy
    baseline: Policy  # behind it


class Plan(NamedTuple):
    """A session's players, for whatever markets it will have."""

    make_env: Callable[[Scenario, int, float | None], TradingVectorEnv]  # of so many accounts, with so many dollars
    seat: Callable[[dict[str, Any]], list[Placed]]  # who plays an environment with this spec sheet
    accounts: int
    watched: int  # account whose policy is judged
    beside: int  # account that it is compared with
    dt_s: float  # market time between two decisions, or:
    events_per_step: int | None
    config: dict[str, Any]  # resolved, for the session's folder
    versions: dict[str, str]
    commit: str | None


def said_of(
    plan: Plan, mode: str, venue: str, rules: Sequence[Rules], sheet: dict[str, Any], placed: Sequence[Placed]
) -> SessionSaid:
    """What ``session.json`` says of a session with this spec sheet, but for its name, its cash and its time."""
    return SessionSaid(
        name="", mode=mode, venue=venue, markets=tuple(one.listing.market.id for one in rules),
        seats=tuple(one.said for one in placed), features=tuple(sheet["observation"]),
        observation_digest=sheet["observation_digest"], action_digest=sheet["action_digest"],
        rewards=tuple(sheet["rewards"]), costs=tuple(sheet["costs"]), table=sheet["action_form"] == "table",
        config=plan.config, versions=plan.versions, commit=plan.commit, cash=None, created_ns=0,
    )  # fmt: skip
