"""Which markets an environment holds, and how their outcomes hang together.

A *group* of markets shares one belief over S outcome states; ``pays[m][s]`` is what YES of its market ``m`` pays in
state ``s``, in 1e-4 dollar, and ``void[m]`` what it pays where the whole group is void. A *portfolio* is a list of
groups and a place for every market. Groups are independent of each other. Portfolios are added with ``+``::

    exclusive(3) + cross_venue("kalshi", "polymarket") + single()
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sim.links import Exclusive, Link, Nested, Same
from sim.types import PX_ONE
from sim.venues import VENUES

MAX_MARKETS = 64
MAX_STATES = 64


class Place(NamedTuple):
    """Where one market of an environment trades. "" = the venue's default."""

    venue: str = "kalshi"
    fees: str = ""  # the synthetic market's fee schedule, by the venue's name for it
    ticks: str = ""  # its tick table, by the venue's label
    later_fees: str = ""  # what `fee_rate` changes to, and back; "" = the same
    later_ticks: str = ""  # what `tick_rate` changes to, and back; "" = the same


class Group(NamedTuple):
    """Markets with one belief."""

    pays: tuple[tuple[int, ...], ...]  # (M, S) px: what YES of a market pays in a state
    kind: str = "raw"  # single, exclusive, complement, cross_venue, nested, raw
    exhaustive: bool = True  # of an exclusive set: exactly one market pays; else at most one
    neg_risk: bool = False  # of an exclusive set: the venue nets it, see sim.sets
    void: tuple[int, ...] = ()  # (M,) px: what YES of a market pays where the group is void; () = row's `void_payout`


SINGLE = Group(((PX_ONE, 0),), "single")


@dataclass(frozen=True)
class Portfolio:
    """Markets of one environment: ``places`` of the M markets, ``groups`` that cover them in order.

    Raises ValueError for groups that do not fit the places, payouts outside [0, 10000], states or venues that do not
    exist, void payouts for other than all markets of a group, and a group in which some market's payout is the same in
    every state.
    """

    places: tuple[Place, ...]
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        _check_places(self.places)
        for number, group in enumerate(self.groups):
            _check_group(number, group)
        covered = sum(len(group.pays) for group in self.groups)
        if covered != len(self.places):
            raise ValueError(f"portfolio: groups of {covered} markets in all do not fit {len(self.places)} places")

    def __add__(self, other: Portfolio) -> Portfolio:
        return Portfolio(self.places + other.places, self.groups + other.groups)

    @property
    def group_of(self) -> np.ndarray:
        """(M,) int64: the group of each market."""
        return np.repeat(np.arange(len(self.groups)), [len(group.pays) for group in self.groups])

    @property
    def first_market(self) -> np.ndarray:
        """(G + 1,) int64: the first market of each group, and M."""
        return np.cumsum([0, *(len(group.pays) for group in self.groups)])

    @property
    def first_state(self) -> np.ndarray:
        """(G + 1,) int64: the first belief of each group, and how many there are in all."""
        return np.cumsum([0, *(len(group.pays[0]) for group in self.groups)])

    @property
    def pays(self) -> np.ndarray:
        """(M, S) int64 px, S of the largest group, zero beyond a group's own states."""
        table = np.zeros((len(self.places), max(len(group.pays[0]) for group in self.groups)), np.int64)
        rows = (row for group in self.groups for row in group.pays)
        for market, row in enumerate(rows):
            table[market, : len(row)] = row
        return table

    @property
    def void_px(self) -> np.ndarray:
        """(M,) int64: what YES of each market pays where its group is void; -1 = the row's ``void_payout``."""
        return np.concatenate([group.void or [-1] * len(group.pays) for group in self.groups]).astype(np.int64)

    @property
    def links(self) -> tuple[Link, ...]:
        """What the groups say about their markets, one relation or more a group; ``raw`` payouts say nothing."""
        groups = zip(self.groups, self.first_market, strict=False)
        return tuple(link for group, first in groups for link in _links(group, int(first)))


def _links(group: Group, first: int) -> list[Link]:
    markets = tuple(range(first, first + len(group.pays)))
    if group.kind == "exclusive":
        return [Exclusive(markets, group.exhaustive, group.neg_risk)]
    if group.kind == "complement":
        return [Exclusive(markets)]
    if group.kind == "cross_venue":
        return [Same(*pair) for pair in combinations(markets, 2)]
    return [Nested(markets[::-1])] if group.kind == "nested" else []


def _check_places(places: tuple[Place, ...]) -> None:
    if not 1 <= len(places) <= MAX_MARKETS:
        raise ValueError(f"scenario: expected 1 to {MAX_MARKETS} markets, got {len(places)}")
    for place in places:
        if place.venue not in VENUES:
            raise ValueError(f"scenario: no venue {place.venue!r}; the venues are {', '.join(VENUES)}")
        rules = VENUES[place.venue]
        for fees in filter(None, (place.fees, place.later_fees)):
            rules.fee_schedule(fees)
        for ticks in filter(None, (place.ticks, place.later_ticks)):
            rules.tick_table(ticks)


def _check_group(number: int, group: Group) -> None:
    states = {len(row) for row in group.pays}
    if not group.pays or len(states) != 1 or not 2 <= min(states) <= MAX_STATES:
        raise ValueError(
            f"portfolio: group {number}: every market needs a payout for each of the same 2 to {MAX_STATES} states, "
            f"got rows of {sorted(states)} states"
        )
    if group.void and len(group.void) != len(group.pays):
        raise ValueError(
            f"portfolio: group {number}: expected void payouts of all {len(group.pays)} markets or of none, got "
            f"{len(group.void)}"
        )
    for market, row in enumerate(group.pays):
        paid = (*row, *group.void[market : market + 1])
        if any(not 0 <= px <= PX_ONE for px in paid):
            raise ValueError(f"portfolio: group {number}, market {market}: a payout of {paid} leaves [0, {PX_ONE}]")
        if len(set(row)) == 1:
            raise ValueError(
                f"portfolio: group {number}, market {market} pays {row[0]} in every state: nothing about it is open"
            )
    _check_kind(number, group)


def _check_kind(number: int, group: Group) -> None:
    """A group that says it is an exclusive set must be one."""
    totals = np.sum(group.pays, axis=0)
    if group.neg_risk and group.kind != "exclusive":
        raise ValueError(f"portfolio: group {number}: neg_risk needs an exclusive set, got {group.kind!r}")
    if group.kind == "exclusive":
        if group.void:
            totals = np.append(totals, sum(group.void))
        wrong = totals != PX_ONE if group.exhaustive else totals > PX_ONE
        if wrong.any():
            state = int(np.argmax(wrong))
            where = f"state {state}" if state < len(group.pays[0]) else "the void state"
            raise ValueError(
                f"portfolio: group {number}: an exclusive set pays {PX_ONE} in all, in {where} {totals[state]}"
            )


def even_dollar(count: int) -> tuple[int, ...]:
    """A dollar shared by ``count`` markets as in a dead heat, in px; what does not divide goes to the first ones."""
    return tuple(PX_ONE // count + (market < PX_ONE % count) for market in range(count))


def _places(venue: str, count: int) -> tuple[Place, ...]:
    return tuple(Place(venue) for _ in range(count))


def single(place: Place | str = "kalshi") -> Portfolio:
    """One market of its own: YES pays in the first of two states."""
    return Portfolio((Place(place) if isinstance(place, str) else place,), (SINGLE,))


def independent(places: tuple[Place, ...]) -> Portfolio:
    """Markets that have nothing to do with each other."""
    return Portfolio(places, (SINGLE,) * len(places))


def exclusive(count: int, *, exhaustive: bool = True, neg_risk: bool = False, venue: str = "kalshi") -> Portfolio:
    """``count`` markets of which exactly one pays, or at most one where the set is not ``exhaustive``.

    Where the event is void an exhaustive set shares its dollar evenly; another one pays the row's ``void_payout``.
    """
    if count < 2:
        raise ValueError(f"portfolio: an exclusive set needs at least 2 markets, got {count}")
    states = count if exhaustive else count + 1
    pays = tuple(tuple(PX_ONE * (state == market) for state in range(states)) for market in range(count))
    group = Group(pays, "exclusive", exhaustive, neg_risk, even_dollar(count) if exhaustive else ())
    return Portfolio(_places(venue, count), (group,))


def complement(venue: str = "kalshi", other: str = "") -> Portfolio:
    """A market and its opposite, on one venue or on two: exactly one of them pays, or half a dollar each if void."""
    group = Group(((PX_ONE, 0), (0, PX_ONE)), "complement", void=even_dollar(2))
    return Portfolio((Place(venue), Place(other or venue)), (group,))


def cross_venue(*venues: str) -> Portfolio:
    """The same event on several venues; without names on Kalshi and on Polymarket."""
    names = venues or ("kalshi", "polymarket")
    if len(names) < 2:
        raise ValueError(f"portfolio: the same event needs at least 2 venues, got {', '.join(names)}")
    return Portfolio(tuple(Place(name) for name in names), (Group(((PX_ONE, 0),) * len(names), "cross_venue"),))


def nested(count: int, *, venue: str = "kalshi") -> Portfolio:
    """``count`` strikes, the first the easiest: where one pays, all before it do."""
    if count < 2:
        raise ValueError(f"portfolio: nested strikes need at least 2 markets, got {count}")
    pays = tuple(tuple(PX_ONE * (state > market) for state in range(count + 1)) for market in range(count))
    return Portfolio(_places(venue, count), (Group(pays, "nested"),))


def raw(pays: tuple[tuple[int, ...], ...], *, venue: str = "kalshi") -> Portfolio:
    """Markets with any payouts, ``(M, S)`` in px."""
    return Portfolio(_places(venue, len(pays)), (Group(tuple(map(tuple, pays)), "raw"),))
