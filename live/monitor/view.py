"""What is shown of a session. The runner fills a `View` about once a second, never for each decision.

Integers in the project's units, named by their suffix (docs/units.md); page and terminal write them out for people. A
size is in lots, a price in 1e-4 dollar of YES. Tuples, so that a view that has been handed over does not change.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

LEVELS = 10  # of a book's side that are shown
HISTORY = 600  # points of an account's curve at most; older ones are thinned by who keeps them

Mode: TypeAlias = Literal["shadow", "paper", "ab", "live"]
Word: TypeAlias = Literal["info", "warning", "critical"]
Levels: TypeAlias = tuple[tuple[int, int], ...]  # (price in 1e-4 dollar, lots), the best first


class Proposal(msgspec.Struct, frozen=True):
    """An order that an account wanted at its last decision."""

    account: str
    do: Literal["place", "cancel", "merge", "convert"]
    side: Literal["bid", "ask"]  # in YES space: a bid buys YES or sells NO
    leg: Literal["yes", "no"]  # the holding that it changes
    px: int  # 0 where `do` is no place
    lots: int  # that may go out, after the shield; 0 = a place was refused or held, whatever its px
    asked_lots: int  # before it
    reasons: tuple[str, ...] = ()  # why the shield changed it, or why it was held; () = it passed

    @property
    def changed(self) -> bool:
        """Whether the shield changed, refused or held it."""
        return bool(self.reasons) or self.lots != self.asked_lots


class MarketView(msgspec.Struct, frozen=True):
    """A market: its book, how good what we know of it is, and what is wanted there."""

    id: str
    title: str
    bids: Levels = ()
    asks: Levels = ()
    mark_px: int | None = None  # what a contract of YES is counted at; None = nothing to count it by yet
    last_px: int | None = None  # of the last print
    book_age_ns: int | None = None  # since the book last changed or was confirmed; None = never told
    lost: bool = True  # messages were lost and the book is not to be trusted
    quality: float = 0.0  # of the data, 0 to 1; 1 = everything fresh and in agreement
    stale: tuple[str, ...] = ()  # names of parts that are too old
    proposals: tuple[Proposal, ...] = ()  # of every account
    divergence: float | None = None  # 0 to 1, larger = worse, by the runner's measure; None = not measured


class PositionView(msgspec.Struct, frozen=True):
    """What an account holds in a market."""

    market: str  # a MarketView's id
    yes_lots: int
    no_lots: int
    cost_uusd: int  # paid for what is held, fees included


class RestingView(msgspec.Struct, frozen=True):
    """An order of an account that rests."""

    market: str
    side: Literal["bid", "ask"]
    leg: Literal["yes", "no"]
    px: int
    lots: int  # what is left of it
    age_ns: int


class AccountView(msgspec.Struct, frozen=True):
    """An account: a policy's or a baseline's."""

    name: str
    role: Literal["executes", "proposes"]  # whether its orders go to the venue or to paper only
    start_uusd: int  # equity when the session began
    equity_uusd: int
    cash_uusd: int
    reserved_uusd: int  # of the cash, for orders that rest
    drawdown_uusd: int  # below the highest equity so far
    regime: str  # of the shield: normal, warning, critical
    positions: tuple[PositionView, ...] = ()
    resting: tuple[RestingView, ...] = ()
    fills: int = 0
    rejects: int = 0
    history: tuple[tuple[int, int], ...] = ()  # (ns, equity in micro-dollars), the oldest first, HISTORY at most


class StageView(msgspec.Struct, frozen=True):
    """How long one part of a decision takes."""

    name: str
    p50_ns: int
    p99_ns: int


class LatencyView(msgspec.Struct, frozen=True):
    """How long decisions of late took, from frame to certified orders."""

    count: int = 0  # that this is measured on; 0 = none yet, and the rest means nothing
    p50_ns: int = 0
    p90_ns: int = 0
    p99_ns: int = 0
    max_ns: int = 0
    stages: tuple[StageView, ...] = ()  # in the order in which they happen


class Alert(msgspec.Struct, frozen=True):
    """Something that a person should know. `code` is for machines and stays the same."""

    ns: int
    level: Word
    code: str
    text: str
    do: str  # what to do about it


class Check(msgspec.Struct, frozen=True):
    """One line of the checklist."""

    name: str
    ok: bool | None  # None = nothing to measure it on yet
    measured: str  # with units
    wanted: str
    do: str  # if it fails


class Trading(msgspec.Struct, frozen=True):
    """Whether orders may go to the venue, and how much of what."""

    enabled: bool = False
    caps: str = ""  # in words and dollars


class View(msgspec.Struct, frozen=True):
    """All that is shown, at one moment."""

    ns: int  # when it was taken
    session: str  # the session's id
    venue: str
    mode: Mode
    state: str  # of the runner, in a word
    why: str  # it is in that state; "" = nothing to say
    started_ns: int
    decisions: int
    policies: tuple[str, ...]
    feed: str  # state of the connection, in a word
    ready: tuple[str, ...] = ()  # reasons why the session is not ready; () = it is
    markets: tuple[MarketView, ...] = ()
    accounts: tuple[AccountView, ...] = ()
    latency: LatencyView = LatencyView()
    alerts: tuple[Alert, ...] = ()  # the newest first, a bounded number
    checks: tuple[Check, ...] = ()
    counts: dict[str, int] = {}  # since the beginning, by name: frames, messages, orders ...
    killed: bool = False
    trading: Trading = Trading()
