"""Relations between the markets of an environment, as the features see them: bounds on weighted sums of payouts.

``low <= sum(weight x payout) <= high``, payouts in dollars. The same event on two venues is ``payout 1 - payout 2``
within [0, 0], a complement ``payout 1 + payout 2`` within [1, 1], exclusive outcomes ``sum`` within [0, 1], nested
strikes ``payout 1 - payout 2`` within [-1, 0].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Bound(NamedTuple):
    """One relation: ``legs`` are pairs of a market's index and its whole, non-zero weight."""

    legs: Sequence[tuple[int, int]]
    low: float  # dollars; -inf = none
    high: float  # inf = none


class Links(NamedTuple):
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


def make_links(bounds: Sequence[Bound], markets: int) -> Links:
    """Links of ``markets`` markets.

    Raises ValueError for a market that does not exist or stands twice in a bound, fewer than two legs, a weight that is
    not a whole number or 0, or a bound without sides or with low above high.
    """
    for number, bound in enumerate(bounds):
        _check(number, bound, markets)
    counts = [len(bound.legs) for bound in bounds]
    market = np.array([leg[0] for bound in bounds for leg in bound.legs], np.int64)
    order = np.argsort(market, kind="stable")
    partner = np.full(markets, -1)
    for bound in reversed(bounds):
        first, second = bound.legs[0][0], bound.legs[1][0]
        for index, _ in bound.legs:
            partner[index] = second if index == first else first
    return Links(
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


def _check(number: int, bound: Bound, markets: int) -> None:
    indices = [index for index, _ in bound.legs]
    if len(indices) < 2 or len(set(indices)) != len(indices):
        raise ValueError(f"link {number}: expected two or more different markets, got {indices}")
    for index, weight in bound.legs:
        if not 0 <= index < markets:
            raise ValueError(f"link {number}: no market {index}; the environment has 0 to {markets - 1}")
        if weight == 0 or weight != int(weight):
            raise ValueError(f"link {number}: the weight of market {index} is {weight}; expected a whole number, not 0")
    if not bound.low <= bound.high or (np.isinf(bound.low) and np.isinf(bound.high)):
        raise ValueError(f"link {number}: expected a bound low <= high, got [{bound.low}, {bound.high}]")
