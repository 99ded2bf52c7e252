"""Where the money came from, to the micro-dollar.

A fill of q lots (signed, YES space) at price p changes the result by q (V - p) - fee, V what a contract is worth at
the end. With the mid just before the fill m0, the mid 5 seconds later m5 and the last mid mT,

    V - p = (m0 - p)   spread: earned by resting, paid by crossing
          + (m5 - m0)  adverse selection: where the market went at once
          + (mT - m5)  inventory: what holding the position then did
          + (V - mT)   settlement: from the last mid to the payout; 0 where the episode ended before

A conversion of a netting set (sim.sets) gives q YES of each of its markets, or takes as many NO, for what q sets pay:
$1 each. What they are worth by the last mids less that counts as inventory, from there to the payouts as settlement.
So do contracts that the episode began with, from their first mid on.

The five parts, fees among them, add up to final less starting equity exactly. Mids are kept doubled (bid + ask),
so the sums are integers in half micro-dollars; the running sum is rounded down after each part, as the account's own
mark is, which leaves the total exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evaluation.episodes import Episodes, column_at
from sim.types import SECOND_NS

ADVERSE_S = 5
PARTS = ("spread", "adverse_selection", "inventory", "fees", "settlement")


class Attribution(NamedTuple):
    """``(E,)`` or ``(L,)`` int64 micro-dollars each; their sum is the episode's or the market's result."""

    spread_uusd: np.ndarray
    adverse_selection_uusd: np.ndarray
    inventory_uusd: np.ndarray
    fees_uusd: np.ndarray  # a cost is negative
    settlement_uusd: np.ndarray

    def total_uusd(self) -> np.ndarray:
        """``(E,)`` int64: the sum of the parts."""
        return np.sum(self, axis=0)


def attribute(episodes: Episodes) -> Attribution:
    """The five parts of every episode's result, all its markets together.

    Raises ValueError where they do not add up to the result: then fills are missing or the account is wrong, and no
    figure of the report could be trusted.
    """
    lanes = attribute_lanes(episodes)
    result = Attribution(*(part.reshape(len(episodes), -1).sum(axis=1) for part in lanes))
    result = result._replace(inventory_uusd=result.inventory_uusd - episodes.conversion_uusd)
    _check(episodes, result)
    return result


def attribute_lanes(episodes: Episodes) -> Attribution:
    """The same of every lane, ``(L,)`` int64 each: the markets' own shares. The dollars of conversions are in none."""
    doubled = _doubled_parts(episodes)
    running = np.cumsum([_per_lane(episodes, part) for part in doubled] + _without_fills(episodes), axis=0) // 2
    parts = np.diff(running, axis=0, prepend=0)
    spread, adverse, inventory, settlement = parts[:4]
    fees = -_per_lane(episodes, episodes.fill["fee_uusd"])
    return Attribution(spread, adverse, inventory + parts[4], fees, settlement + parts[5])


def _doubled_parts(episodes: Episodes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Spread, adverse selection, inventory and settlement of each fill in half micro-dollars, ``(F,)`` int64."""
    fill, episode, lane = episodes.fill, episodes.fill_episode, episodes.fill_lane
    last = episodes.steps[episode]
    since = fill["ns"] - episodes.start_ns[episode]
    soon = np.minimum(column_at(episodes, episode, since + ADVERSE_S * SECOND_NS), last)
    price2 = 2 * fill["px"].astype(np.int64)
    mid2 = fill["mid2_px"].astype(np.int64)
    soon2 = episodes.mid2_px[lane, soon].astype(np.int64)
    last2 = episodes.mid2_px[lane, last].astype(np.int64)
    end2 = np.where(episodes.settled[lane], 2 * episodes.payout_px[lane], last2)
    qty = fill["qty"]
    return qty * (mid2 - price2), qty * (soon2 - mid2), qty * (last2 - soon2), qty * (end2 - last2)


def _without_fills(episodes: Episodes) -> list[np.ndarray]:
    """Of lots that no fill brought, up to the last mid, and from there to the payout, in half micro-dollars, ``(L,)``
    each: converted ones are worth that mid, those that were there from the start the change since the first.
    """
    lane = np.arange(len(episodes.settled))
    last2 = episodes.mid2_px[lane, episodes.steps[episodes.lane_episode]].astype(np.int64)
    end2 = np.where(episodes.settled, 2 * episodes.payout_px, last2)
    begun, first2 = episodes.net_qty[:, 0], episodes.mid2_px[:, 0].astype(np.int64)
    worth2 = episodes.converted_qty * last2 + begun * (last2 - first2)
    return [worth2, (episodes.converted_qty + begun) * (end2 - last2)]


def _per_lane(episodes: Episodes, values: np.ndarray) -> np.ndarray:
    total = np.zeros(len(episodes.settled), np.int64)
    np.add.at(total, episodes.fill_lane, values)
    return total


def _check(episodes: Episodes, result: Attribution) -> None:
    missing = episodes.result_uusd - result.total_uusd()
    if missing.any():
        index = int(np.argmax(missing != 0))
        raise ValueError(
            f"attribution: the parts of episode {index} add up to {result.total_uusd()[index]} micro-dollars, its "
            f"result is {episodes.result_uusd[index]}; a fill was lost or the account is wrong"
        )
