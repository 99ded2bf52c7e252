"""Arbitrage as a deed: which legs were wanted, which were filled, what was left alone and what it cost.

An *attempt* is a step in which an environment orders every leg of a package (sim.links) at once, the same lots each,
none of it to rest. It *ends* with the next attempt in the same environment. Of an attempt with q lots a leg:

=================  =========================================================================================
filled             lots of a leg bought by its order
whole              min over the legs of filled; ``complete`` where that is q
orphans            sum over the legs of filled - whole; an attempt with any is ``orphaned``
unwound            lots of its legs sold again before the attempt ends, at most the orphans
gap in time        last less first of the legs' first fills, nanoseconds; -1 where fewer than two legs got any
slippage           sum over the legs of (price paid - price ordered at) x filled: negative, or zero, for a limit order
quoted edge        (floor - prices ordered at) x q - taker fees on them
realised edge      floor x whole - what the whole lots cost, fees included, each leg at its average
unwind cost        what the unwound lots had cost, fees included, less what they brought after fees
=================  =========================================================================================

Worked from arrays alone: the orders of each step and the journal of fills. A fill belongs to the latest order of its
environment, market and side that was sent before it. Orphans that were not unwound are no part of either result: they
are an open position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.links import Links
from sim.types import ASK, BID, DO_PLACE, FILL, GTC, INTENT, PX_ONE, YES
from sim.venues.fees import charge

ATTEMPT = np.dtype(
    [
        ("env", "<i8"),
        ("package", "<i8"),
        ("sent_ns", "<i8"),
        ("qty", "<i8"),  # lots wanted of each leg
        ("whole_qty", "<i8"),
        ("orphan_qty", "<i8"),
        ("unwound_qty", "<i8"),
        ("gap_ns", "<i8"),
        ("slippage_uusd", "<i8"),
        ("quoted_uusd", "<i8"),
        ("realised_uusd", "<i8"),
        ("unwind_cost_uusd", "<i8"),
    ]
)


class Orders(NamedTuple):
    """What was sent: T steps of N environments with M markets."""

    intents: np.ndarray  # (T, N, M, 2) INTENT
    sent_ns: np.ndarray  # (T, N) int64: when each step's orders went out


class Charged(NamedTuple):
    """What takers pay: schedules, and that of each market."""

    fees: np.ndarray  # (F,) FEE
    fee_of: np.ndarray  # (M,) int64


@dataclass(frozen=True)
class ArbitrageReport:
    """All attempts, and what they come to. Shares are NaN where there is nothing to share."""

    attempts: np.ndarray  # (A,) ATTEMPT, by environment and time
    complete_share: float  # attempts that got every leg whole
    orphaned_share: float  # the orphan-leg rate: attempts that got some lots of a leg without the others
    empty_share: float  # attempts that got nothing
    unwind_rate: float  # unwound lots of all orphans
    unwind_cost_uusd: int
    mean_gap_s: float  # between the first fills of an attempt's legs, where two or more filled
    quoted_uusd: int  # edge at the decisions
    realised_uusd: int  # edge of what became whole


def arbitrage_report(orders: Orders, fills: np.ndarray, fill_env: np.ndarray, links: Links, charged: Charged) -> (
    ArbitrageReport
):  # fmt: skip
    """Find the attempts in ``orders`` and what became of them in ``fills``, (n,) FILL of environments ``fill_env``.

    Raises ValueError where shapes or dtypes do not fit.
    """
    _check(orders, fills, fill_env, links, charged)
    attempts = [
        _attempt(orders, fills[fill_env == env], links, charged, env, steps, place)
        for env, steps in enumerate(_attempts(orders, links))
        for place in range(len(steps))
    ]
    return _summary(np.array(attempts, ATTEMPT))


def _check(orders: Orders, fills: np.ndarray, fill_env: np.ndarray, links: Links, charged: Charged) -> None:
    intents, sent = orders
    if intents.dtype != INTENT or intents.ndim != 4 or intents.shape[3] != 2:
        raise ValueError(
            f"arbitrage: expected INTENT orders of shape (T, N, M, 2), got {intents.dtype} {intents.shape}"
        )
    if sent.shape != intents.shape[:2]:
        raise ValueError(f"arbitrage: expected stamps of shape {intents.shape[:2]}, got {sent.shape}")
    if fills.dtype != FILL or fill_env.shape != fills.shape:
        raise ValueError(f"arbitrage: expected FILL rows and their environments, got {fills.dtype} {fills.shape}, "
                         f"{fill_env.shape}")  # fmt: skip
    if len(links.legs) and links.legs["market"].max() >= intents.shape[2]:
        raise ValueError(f"arbitrage: the links name market {links.legs['market'].max()} of {intents.shape[2]}")
    if charged.fee_of.shape != (intents.shape[2],):
        raise ValueError(f"arbitrage: expected a schedule for each of {intents.shape[2]} markets, "
                         f"got {charged.fee_of.shape}")  # fmt: skip


def _legs(links: Links, package: int) -> np.ndarray:
    first, count = links.packages[package]["first"], links.packages[package]["count"]
    return links.legs[first : first + count]


def _column(leg: int) -> int:
    """The side of the book that buys a leg."""
    return BID if leg == YES else ASK


def _attempts(orders: Orders, links: Links) -> list[list[tuple[int, int]]]:
    """(step, package) of every attempt, for each environment; of two packages ordered in one step the larger counts."""
    envs = orders.sent_ns.shape[1]
    order = sorted(range(len(links.packages)), key=lambda package: -links.packages[package]["count"])
    found: list[list[tuple[int, int]]] = [[] for _ in range(envs)]
    taking = (orders.intents["do"] == DO_PLACE) & (orders.intents["tif"] != GTC)
    for step, env in np.argwhere(taking.any(axis=(2, 3))).tolist():
        for package in order:
            if _is_attempt(orders.intents[step, env], taking[step, env], _legs(links, package)):
                found[env].append((step, package))
                break
    return found


def _is_attempt(intents: np.ndarray, taking: np.ndarray, legs: np.ndarray) -> bool:
    wanted = [(int(leg["market"]), _column(leg["leg"]), int(leg["leg"])) for leg in legs]
    if not all(taking[market, side] and intents[market, side]["leg"] == leg for market, side, leg in wanted):
        return False
    return len({int(intents[market, side]["qty"]) for market, side, _ in wanted}) == 1


def _price(leg: int, px: np.ndarray) -> np.ndarray:
    """Price of a leg from prices in YES space."""
    return px if leg == YES else PX_ONE - px


class _Leg(NamedTuple):
    """What became of one leg."""

    filled: int
    cost: int  # fees included
    slippage: int
    first_ns: int  # -1: never
    sold: int
    proceeds: int  # of what was sold again, after fees


def _leg_of(orders: Orders, fills: np.ndarray, env: int, market: int, leg: int, step: int, until: int) -> _Leg:
    """Fills of one leg between its order and ``until``: bought by that order, and sold by any later one."""
    side = _column(leg)
    sent = orders.sent_ns[:, env]
    later = np.flatnonzero(orders.intents[step + 1 :, env, market, side]["do"] == DO_PLACE) + step + 1
    replaced = sent[later[0]] if len(later) else until
    here = fills[(fills["market"] == market) & (fills["ns"] >= sent[step])]
    bought = here[(here["qty"] > 0) == (side == BID)]
    bought = bought[bought["ns"] < replaced] if replaced < until else bought[bought["ns"] < until]
    gone = here[((here["qty"] > 0) != (side == BID)) & (here["ns"] < until)]
    ordered = int(_price(leg, orders.intents[step, env, market, side]["px"]))
    lots, prices = np.abs(bought["qty"]), _price(leg, bought["px"])
    return _Leg(
        int(lots.sum()), int((lots * prices).sum() + bought["fee_uusd"].sum()), int((lots * (prices - ordered)).sum()),
        int(bought["ns"].min()) if len(bought) else -1, int(np.abs(gone["qty"]).sum()),
        int((np.abs(gone["qty"]) * _price(leg, gone["px"])).sum() - gone["fee_uusd"].sum()),
    )  # fmt: skip


def _attempt(
    orders: Orders, fills: np.ndarray, links: Links, charged: Charged, env: int, steps: list[tuple[int, int]],
    place: int,
) -> tuple:  # fmt: skip
    """The row of one attempt."""
    step, package = steps[place]
    until = orders.sent_ns[steps[place + 1][0], env] if place + 1 < len(steps) else np.iinfo(np.int64).max
    legs, floor = _legs(links, package), int(links.packages[package]["floor_px"])
    parts = [_leg_of(orders, fills, env, int(m), int(leg), step, until) for m, leg in legs.tolist()]
    asked = [orders.intents[step, env, m, _column(leg)] for m, leg in legs.tolist()]
    qty, whole = int(asked[0]["qty"]), min(part.filled for part in parts)
    quoted = floor * qty
    for (market, leg), one in zip(legs.tolist(), asked, strict=True):
        px = int(_price(leg, one["px"]))
        quoted -= px * qty + charge(charged.fees, charged.fee_of[market], px, qty, True, False, 0)[0]
    stamps = [part.first_ns for part in parts if part.first_ns >= 0]
    unwound = [min(part.sold, part.filled - whole) for part in parts]
    spent = sum(_share(part.cost, whole, part.filled) for part in parts)
    lost = sum(
        _share(part.cost, lots, part.filled) - _share(part.proceeds, lots, part.sold)
        for part, lots in zip(parts, unwound, strict=True)
    )
    return (
        env, package, orders.sent_ns[step, env], qty, whole, sum(part.filled - whole for part in parts), sum(unwound),
        max(stamps) - min(stamps) if len(stamps) > 1 else -1, sum(part.slippage for part in parts), quoted,
        floor * whole - spent, lost,
    )  # fmt: skip


def _share(amount: int, part: int, whole: int) -> int:
    """``part`` of ``whole`` lots' amount, rounded down."""
    return amount * part // whole if whole else 0


def _summary(attempts: np.ndarray) -> ArbitrageReport:
    def share(of: np.ndarray) -> float:
        return float(np.mean(of)) if len(of) else np.nan

    filled = attempts["whole_qty"] + attempts["orphan_qty"]
    orphans, gaps = int(attempts["orphan_qty"].sum()), attempts["gap_ns"][attempts["gap_ns"] >= 0]
    return ArbitrageReport(
        attempts=attempts,
        complete_share=share(attempts["whole_qty"] == attempts["qty"]),
        orphaned_share=share(attempts["orphan_qty"] > 0),
        empty_share=share(filled == 0),
        unwind_rate=int(attempts["unwound_qty"].sum()) / orphans if orphans else np.nan,
        unwind_cost_uusd=int(attempts["unwind_cost_uusd"].sum()),
        mean_gap_s=share(gaps / 1e9),
        quoted_uusd=int(attempts["quoted_uusd"].sum()),
        realised_uusd=int(attempts["realised_uusd"].sum()),
    )
