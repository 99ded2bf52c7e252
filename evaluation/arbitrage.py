"""Arbitrage as a deed: which legs were wanted, which were filled, what was left alone and what it cost.

An *attempt* is a step in which an environment orders every leg of a package (sim.links) at once, the same lots each,
none of it to rest. Of an attempt with q lots a leg:

=================  =========================================================================================
filled             lots of a leg bought by its order
whole              min over the legs of filled; ``complete`` where that is q
orphans            sum over the legs of filled - whole; an attempt with any is ``orphaned``
unwound            lots of its legs given up again by orders sent before the next attempt, at most the orphans
gap in time        last less first of the legs' first fills, nanoseconds; -1 where fewer than two legs got any
slippage           sum over the legs of (price paid - price ordered at) x filled: negative, or zero, for a limit order
quoted edge        (floor - prices ordered at) x q - taker fees on them, by the schedules in force at the order
realised edge      floor x whole - what the whole lots cost, fees included, each leg at its average
unwind cost        what the unwound lots had cost, fees included, less what they brought after fees
=================  =========================================================================================

Worked from arrays alone: the immediate orders and the journal of fills. A fill is known by its order's number: messages
are numbered as they are sent, so the numbers of a step, a market, a side and a leg are one order, however late it is
filled. A leg is given up by selling it, or by buying the market's other leg, which is worth the same. Orphans that were
not unwound are no part of either result: they are an open position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluation.episodes import Episodes
from evaluation.linked import SENT
from sim.links import Links
from sim.types import ASK, BID, FILL, PX_ONE, SECOND_NS, UUSD, YES
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


def arbitrage_report(
    sent: np.ndarray, fills: np.ndarray, fill_env: np.ndarray, links: Links, fees: np.ndarray
) -> ArbitrageReport:
    """Find the attempts among the orders ``sent`` and what became of them in ``fills``.

    Args:
        sent: ``(S,)`` SENT: immediate orders, those of an environment in the order of its steps.
        fills: ``(n,)`` FILL of the environments ``fill_env`` int64.
        links: the packages.
        fees: ``(F,)`` FEE: the schedules that the orders name.

    Raises ValueError where dtypes, shapes or schedules do not fit.
    """
    _check(sent, fills, fill_env, fees)
    attempts = []
    for env in np.unique(sent["env"]).tolist():
        ours, here = sent[sent["env"] == env], fills[fill_env == env]
        found = _attempts(ours, links)
        for place, (package, legs) in enumerate(found):
            until = found[place + 1][1][0]["first_id"] if place + 1 < len(found) else np.iinfo(np.int64).max
            attempts.append(_attempt(here, links, fees, package, legs, int(until)))
    return _summary(np.array(attempts, ATTEMPT))


def arbitrage_parts(episodes: Episodes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Numerator and denominator ``(E,)`` float64 of the metrics of arbitrage; episodes without links have none."""
    linked = episodes.linked
    if linked is None:
        return {}
    report = arbitrage_report(linked.sent, episodes.fill, episodes.fill_episode, linked.links, linked.fees)
    env = report.attempts["env"]

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(env, values, len(episodes))

    return {
        name: (total(of.part) / of.unit, np.ones(len(episodes)) if of.whole is None else total(of.whole))
        for name, of in _figures(report.attempts).items()
    }


def _check(sent: np.ndarray, fills: np.ndarray, fill_env: np.ndarray, fees: np.ndarray) -> None:
    if sent.dtype != SENT or sent.ndim != 1:
        raise ValueError(f"arbitrage: expected SENT orders of shape (S,), got {sent.dtype} {sent.shape}")
    if fills.dtype != FILL or fill_env.shape != fills.shape:
        raise ValueError(f"arbitrage: expected FILL rows and their environments, got {fills.dtype} {fills.shape}, "
                         f"{fill_env.shape}")  # fmt: skip
    unknown = sent[(sent["fee"] < 0) | (sent["fee"] >= len(fees))]
    if len(unknown):
        raise ValueError(
            f"arbitrage: an order in market {unknown[0]['market']} names fee schedule {unknown[0]['fee']}; "
            f"there are {len(fees)}, numbered from 0"
        )


def _legs(links: Links, package: int) -> np.ndarray:
    first, count = links.packages[package]["first"], links.packages[package]["count"]
    return links.legs[first : first + count]


def _column(leg: int) -> int:
    """The side of the book that buys a leg."""
    return BID if leg == YES else ASK


def _attempts(sent: np.ndarray, links: Links) -> list[tuple[int, np.ndarray]]:
    """Package and orders, in the order of its legs, of every attempt; of two packages in one step the larger counts."""
    order = sorted(range(len(links.packages)), key=lambda package: -links.packages[package]["count"])
    cuts = np.flatnonzero(np.diff(sent["step"])) + 1
    found = []
    for step in np.split(sent, cuts):
        by_leg = {(int(one["market"]), int(one["side"]), int(one["leg"])): one for one in step}
        for package in order:
            keys = [(market, _column(leg), leg) for market, leg in _legs(links, package).tolist()]
            legs = [by_leg[key] for key in keys if key in by_leg]
            if len(legs) == len(keys) and len({int(one["qty"]) for one in legs}) == 1:
                found.append((package, np.array(legs, SENT)))
                break
    return found


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


def _leg_of(fills: np.ndarray, order: np.void, until: int) -> _Leg:
    """Fills of one leg: bought by its ``order``, and given up by orders numbered between it and ``until``."""
    leg, buys = int(order["leg"]), order["side"] == BID
    here = fills[fills["market"] == order["market"]]
    same = (here["qty"] > 0) == buys
    number = here["order_id"]
    bought = here[same & (here["leg"] == leg) & (number >= order["first_id"]) & (number < order["end_id"])]
    gone = here[~same & (number >= order["end_id"]) & (number < until)]
    lots, prices = np.abs(bought["qty"]), _price(leg, bought["px"])
    return _Leg(
        int(lots.sum()), int((lots * prices).sum() + bought["fee_uusd"].sum()),
        int((lots * (prices - int(_price(leg, order["px"])))).sum()),
        int(bought["ns"].min()) if len(bought) else -1, int(np.abs(gone["qty"]).sum()),
        int((np.abs(gone["qty"]) * _price(leg, gone["px"])).sum() - gone["fee_uusd"].sum()),
    )  # fmt: skip


def _attempt(fills: np.ndarray, links: Links, fees: np.ndarray, package: int, legs: np.ndarray, until: int) -> tuple:
    """The row of one attempt; the next one's numbers begin at ``until``."""
    floor = int(links.packages[package]["floor_px"])
    parts = [_leg_of(fills, order, until) for order in legs]
    qty, whole = int(legs[0]["qty"]), min(part.filled for part in parts)
    quoted = floor * qty
    for order in legs:
        px = int(_price(int(order["leg"]), order["px"]))
        quoted -= px * qty + charge(fees, order["fee"], px, qty, True, False, 0)[0]
    stamps = [part.first_ns for part in parts if part.first_ns >= 0]
    unwound = [min(part.sold, part.filled - whole) for part in parts]
    spent = sum(_share(part.cost, whole, part.filled) for part in parts)
    lost = sum(
        _share(part.cost, lots, part.filled) - _share(part.proceeds, lots, part.sold)
        for part, lots in zip(parts, unwound, strict=True)
    )
    return (
        legs[0]["env"], package, legs[0]["ns"], qty, whole, sum(part.filled - whole for part in parts), sum(unwound),
        max(stamps) - min(stamps) if len(stamps) > 1 else -1, sum(part.slippage for part in parts), quoted,
        floor * whole - spent, lost,
    )  # fmt: skip


def _share(amount: int, part: int, whole: int) -> int:
    """``part`` of ``whole`` lots' amount, rounded down."""
    return amount * part // whole if whole else 0


class _Figure(NamedTuple):
    """A figure is the sum of the attempts' parts over that of their wholes."""

    part: np.ndarray  # (A,)
    whole: np.ndarray | None = None  # (A,); None = the number of episodes
    unit: int = 1  # of the part


def _figures(attempts: np.ndarray) -> dict[str, _Figure]:
    """The metrics of arbitrage, by their names in a scorecard."""
    one = np.ones(len(attempts))
    whole, orphans, gap = attempts["whole_qty"], attempts["orphan_qty"], attempts["gap_ns"]
    return {
        "arb_attempts": _Figure(one),
        "arb_complete": _Figure(whole == attempts["qty"], one),
        "arb_orphaned": _Figure(orphans > 0, one),
        "arb_empty": _Figure(whole + orphans == 0, one),
        "arb_unwind_rate": _Figure(attempts["unwound_qty"], orphans),
        "arb_unwind_cost_usd": _Figure(attempts["unwind_cost_uusd"], unit=UUSD),
        "arb_gap_s": _Figure(np.maximum(gap, 0) / SECOND_NS, gap >= 0),
        "arb_slippage_usd": _Figure(attempts["slippage_uusd"], unit=UUSD),
        "arb_quoted_usd": _Figure(attempts["quoted_uusd"], unit=UUSD),
        "arb_realised_usd": _Figure(attempts["realised_uusd"], unit=UUSD),
    }


def _summary(attempts: np.ndarray) -> ArbitrageReport:
    figures = _figures(attempts)
    return ArbitrageReport(
        attempts=attempts,
        complete_share=_share_of(figures["arb_complete"]),
        orphaned_share=_share_of(figures["arb_orphaned"]),
        empty_share=_share_of(figures["arb_empty"]),
        unwind_rate=_share_of(figures["arb_unwind_rate"]),
        unwind_cost_uusd=int(figures["arb_unwind_cost_usd"].part.sum()),
        mean_gap_s=_share_of(figures["arb_gap_s"]),
        quoted_uusd=int(figures["arb_quoted_usd"].part.sum()),
        realised_uusd=int(figures["arb_realised_usd"].part.sum()),
    )


def _share_of(figure: _Figure) -> float:
    assert figure.whole is not None  # a figure an episode is no share
    total = figure.whole.sum()
    return float(figure.part.sum() / total) if total else np.nan
