"""Links between the markets of an environment (sim.links), as the features see them: bounds on sums of payouts.

``low <= sum(weight x payout) <= high``, payouts in dollars:

=====================  ==============================  ===========
link                   sum                             bounds
=====================  ==============================  ===========
exclusive              of all payouts                  at most 1
and exhaustive         of all payouts                  exactly 1
same event             first - second                  exactly 0
nested                 each payout - the next          at most 0
=====================  ==============================  ===========

These are the packages of ``sim.links`` with what both sides of an equality have in common taken together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sim.links import Exclusive, Link, Nested


class Bound(NamedTuple):
    """One relation: ``legs`` are pairs of a market's index and its whole, non-zero weight."""

    legs: Sequence[tuple[int, int]]
    low: float  # dollars; -inf = none
    high: float  # inf = none


class Bounds(NamedTuple):
    """C bounds with E legs in all, over M markets, as kernels want them."""

    first: np.ndarray  # (C + 1,) int64: where the legs of a bound begin
    market: np.ndarray  # (E,) int64
    weight: np.ndarray  # (E,) float64
    low: np.ndarray  # (C,) float64
    high: np.ndarray  # (C,) float64
    member_first: np.ndarray  # (M + 1,) int64: where the bounds of a market begin
    member: np.ndarray  # (E,) int64: index of a leg; its bound is
    bound_of: np.ndarray  # (E,) int64: the bound of a leg
    partner: np.ndarray  # (M,) int64: the market another one is compared with; -1 = none


def bounds_of(links: Sequence[Link]) -> list[Bound]:
    """The bounds that links give, in their order; nested strikes give one for each pair of neighbours."""
    return [bound for link in links for bound in _bounds(link)]


def _bounds(link: Link) -> list[Bound]:
    if isinstance(link, Exclusive):
        return [Bound(tuple((market, 1) for market in link.markets), 1.0 if link.exhaustive else -np.inf, 1.0)]
    if isinstance(link, Nested):
        return [Bound(((narrow, 1), (wide, -1)), -np.inf, 0.0) for narrow, wide in pairwise(link.markets)]
    return [Bound(((link.first, 1), (link.second, -1)), 0.0, 0.0)]


def compile_bounds(bounds: Sequence[Bound], markets: int) -> Bounds:
    """Bounds over ``markets`` markets. A market's partner is the first other one of the first bound it stands in."""
    counts = [len(bound.legs) for bound in bounds]
    market = np.array([leg[0] for bound in bounds for leg in bound.legs], np.int64)
    order = np.argsort(market, kind="stable")
    partner = np.full(markets, -1)
    for bound in reversed(bounds):
        first, second = bound.legs[0][0], bound.legs[1][0]
        for index, _ in bound.legs:
            partner[index] = second if index == first else first
    return Bounds(
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        market=market,
        weight=np.array([leg[1] for bound in bounds for leg in bound.legs], np.float64),
        low=np.array([bound.low for bound in bounds], np.float64),
        high=np.array([bound.high for bound in bounds], np.float64),
        member_first=np.searchsorted(market[order], np.arange(markets + 1)).astype(np.int64),
        member=order.astype(np.int64),
        bound_of=np.repeat(np.arange(len(bounds)), counts).astype(np.int64),
        partner=partner,
    )
