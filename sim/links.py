"""Relations between markets, and the packages of contracts whose payout they guarantee.

A *package* is one contract of some leg in each of several markets that together pay at least a *floor*, whatever
happens. Every relation comes down to packages:

============================  ======================================  ==========
relation                      package                                 floor
============================  ======================================  ==========
exclusive set of n            NO in every market                      n - 1
exclusive and exhaustive      also: YES in every market               1
complement (a set of two)     YES in both; NO in both                 1
same event in a and b         YES in a, NO in b; NO in a, YES in b    1
a implies b (nested strikes)  NO in a, YES in b                       1
============================  ======================================  ==========

Of nested strikes neighbours only make packages: where the bounds of neighbours hold, so do all others.

A package that costs less than its floor is an arbitrage; its price less its floor says how far the market keeps from
the bound that the relation gives. What is bought leg by leg may fail leg by leg: nothing here trades.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sim.account import leg_price
from sim.kernel import inner, kernel
from sim.types import ASK, BID, NO, OPEN, PX_ONE, YES
from sim.venues.fees import charge

PACKAGE = np.dtype(
    [
        ("first", "<i8"),  # its legs in LEG rows [first, first + count)
        ("count", "<i8"),
        ("floor_px", "<i8"),  # least it pays, 1e-4 dollar a contract
        ("link", "<i8"),  # index of the relation it comes from
    ]
)
LEG = np.dtype([("market", "<i8"), ("leg", "<i8")])


class Exclusive(NamedTuple):
    """At most one of the markets pays; if ``exhaustive``, exactly one. ``nets``: the venue nets them, see sim.sets."""

    markets: tuple[int, ...]
    exhaustive: bool = True
    nets: bool = False


class Same(NamedTuple):
    """Two markets pay the same: one event on two venues."""

    first: int
    second: int


class Nested(NamedTuple):
    """Whenever a market pays, so does the next: strikes in order, the hardest first."""

    markets: tuple[int, ...]


Link = Exclusive | Same | Nested


class Links(NamedTuple):
    """Compiled relations, for the kernels."""

    packages: np.ndarray  # (P,) PACKAGE
    legs: np.ndarray  # (Z,) LEG


def compile_links(links: Sequence[Link], num_markets: int) -> Links:
    """Packages of ``links`` between markets 0 to ``num_markets - 1``.

    Raises ValueError naming the link for a market that does not exist or stands twice, and for fewer than two.
    """
    packages: list[tuple[int, int, int, int]] = []
    legs: list[tuple[int, int]] = []
    for index, link in enumerate(links):
        _check_markets(index, link, num_markets)
        for floor, members in packages_of(link):
            packages.append((len(legs), len(members), floor, index))
            legs.extend(members)
    return Links(np.array(packages, PACKAGE), np.array(legs, LEG))


def check_payouts(links: Sequence[Link], groups: Sequence[Sequence[Sequence[int]]]) -> None:
    """Raise ValueError where markets can pay less than a link promises, naming the link, the markets and the payouts.

    ``groups[g][m][s]``: what YES of market ``m`` of group ``g`` pays in state ``s``, 1e-4 dollar; markets are numbered
    through. Groups are independent of each other: every combination of their states may come.
    """
    place_of = [(group, place) for group, rows in enumerate(groups) for place in range(len(rows))]
    for index, link in enumerate(links):
        for floor, members in packages_of(link):
            worst: dict[int, int] = {}
            for group in sorted({place_of[market][0] for market, _ in members}):
                there = [(market, *place_of[market], leg) for market, leg in members]
                worst |= _worst_state(groups[group], [one for one in there if one[1] == group])
            least = sum(worst[market] if leg == YES else PX_ONE - worst[market] for market, leg in members)
            if least < floor:
                _contradicted(index, link, floor, least, members, worst)


def _worst_state(rows: Sequence[Sequence[int]], members: list[tuple[int, int, int, int]]) -> dict[int, int]:
    """What YES of each market pays in the state in which ``members``, (market, group, row, leg), pay least together."""

    def together(paid: dict[int, int]) -> int:
        return sum(paid[market] if leg == YES else PX_ONE - paid[market] for market, _, _, leg in members)

    states = range(len(rows[0]))
    return min(({market: rows[place][state] for market, _, place, _ in members} for state in states), key=together)


def _contradicted(
    index: int, link: Link, floor: int, least: int, members: list[tuple[int, int]], worst: dict[int, int]
) -> None:
    names = " and ".join(f"{'YES' if leg == YES else 'NO'} of market {market}" for market, leg in members)
    paid = ", ".join(f"market {market} may pay {px / PX_ONE:g}" for market, px in worst.items())
    raise ValueError(
        f"link {index}, {link}: promises that {names} pay {floor / PX_ONE:g} dollars together, but {paid}: "
        f"that makes {least / PX_ONE:g}"
    )


def _markets(link: Link) -> tuple[int, ...]:
    return (link.first, link.second) if isinstance(link, Same) else link.markets


def _check_markets(index: int, link: Link, num_markets: int) -> None:
    markets = _markets(link)
    unknown = [market for market in markets if not 0 <= market < num_markets]
    if unknown:
        raise ValueError(f"link {index}, {link}: no market {unknown[0]}; the markets are 0 to {num_markets - 1}")
    if len(set(markets)) != len(markets) or len(markets) < 2:
        raise ValueError(f"link {index}, {link}: expected two or more markets, each once")


def packages_of(link: Link) -> list[tuple[int, list[tuple[int, int]]]]:
    """Floor in px, and legs as (market, leg), of every package of a relation."""
    if isinstance(link, Same):
        return [
            (PX_ONE, [(link.first, YES), (link.second, NO)]),
            (PX_ONE, [(link.first, NO), (link.second, YES)]),
        ]
    if isinstance(link, Nested):
        return [(PX_ONE, [(narrow, NO), (wide, YES)]) for narrow, wide in pairwise(link.markets)]
    result = [((len(link.markets) - 1) * PX_ONE, [(market, NO) for market in link.markets])]
    if link.exhaustive:
        result.append((PX_ONE, [(market, YES) for market in link.markets]))
    return result


@inner
def leg_quote(market, book, px_of, leg):
    """Price in 1e-4 dollar at which one leg can be bought now, and the lots shown there; (0, 0) where it cannot.

    ``market`` MARKET record, ``book`` (2 or 6, L).
    """
    level = market["best_ask"] if leg == YES else market["best_bid"]
    if market["status"] != OPEN or level < 0 or level >= book.shape[1]:
        return 0, 0
    return leg_price(leg, px_of[level]), book[ASK if leg == YES else BID, level]


@inner
def package_quote(markets, book, px_of, links, package, first_slot):
    """Price of a package in 1e-4 dollar and the lots that all its legs show at the touch; (0, 0) if a leg has no quote.

    ``markets`` (K,) MARKET and ``book`` (K, ., L) are the state's; the environment's markets start at ``first_slot``.
    """
    legs = links.legs
    first = links.packages[package]["first"]
    price = 0
    size = 9_223_372_036_854_775_807
    for index in range(first, first + links.packages[package]["count"]):
        slot = first_slot + legs[index]["market"]
        px, shown = leg_quote(markets[slot], book[slot], px_of, legs[index]["leg"])
        if shown == 0:
            return 0, 0
        price += px
        size = min(size, shown)
    return price, size


@inner
def package_edge(markets, book, px_of, fees, links, package, first_slot, qty):
    """Micro-dollars that ``qty`` lots of a package bought at the touch gain at least, taker fees paid; all legs quoted.

    ``(floor - price) x qty - sum of fees``: negative where the bound holds by more than the fees.
    """
    legs = links.legs
    first = links.packages[package]["first"]
    edge = links.packages[package]["floor_px"] * qty
    for index in range(first, first + links.packages[package]["count"]):
        slot = first_slot + legs[index]["market"]
        px, _ = leg_quote(markets[slot], book[slot], px_of, legs[index]["leg"])
        fee, _ = charge(fees, markets[slot]["fee"], px, qty, True, False, 0)
        edge -= px * qty + fee
    return edge


@kernel
def scan(markets, book, px_of, fees, links, most_qty, price, qty, edge):
    """Quote every package in every environment, into int64 arrays (N, P).

    ``price`` in 1e-4 dollar and ``qty`` in lots at the touch, both 0 where a leg has no quote; ``edge`` in
    micro-dollars for ``min(qty, most_qty)`` lots, fees paid.
    """
    count = len(markets) // len(price)
    for env in range(len(price)):
        for package in range(len(links.packages)):
            px, size = package_quote(markets, book, px_of, links, package, env * count)
            price[env, package] = px
            qty[env, package] = size
            edge[env, package] = 0
            if size > 0:
                wanted = min(size, most_qty)
                edge[env, package] = package_edge(markets, book, px_of, fees, links, package, env * count, wanted)
