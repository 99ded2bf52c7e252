"""How episodes begin: with YES contracts bought from the counterparty at the arrival mid, and not all at once."""

from __future__ import annotations

import numpy as np

from envs.shield.limits import Limits
from sim.latency import NEVER_NS
from sim.state import State
from sim.types import LOTS_PER_CONTRACT, PAIR_UUSD, PX_ONE, SECOND_NS, UUSD

_EVEN = 2  # the mid is half of a whole number: with an even number of lots its value is whole


def start_lots(contracts: float, cash_uusd: np.ndarray, venue_of: np.ndarray) -> int:
    """Lots of YES that every market begins with.

    Raises ValueError for a number of contracts that is negative or no multiple of 0.02, or that the cash of the
    markets' venues, ``cash_uusd`` (V,), might not pay for at $1 a contract. ``venue_of`` (M,).
    """
    lots = round(contracts * LOTS_PER_CONTRACT) if np.isfinite(contracts) else -1
    if lots < 0 or lots % _EVEN or abs(lots - contracts * LOTS_PER_CONTRACT) > 1e-6:
        raise ValueError(f"environment: start_contracts = {contracts}: expected 0 or more, in steps of 0.02 contract")
    for venue, count in enumerate(np.bincount(venue_of)):
        if count * lots * PX_ONE > cash_uusd[venue]:
            raise ValueError(
                f"environment: start_contracts = {contracts} in {count} markets may cost more than the "
                f"{cash_uusd[venue] / 1e6:g} dollars there: give more cash, or fewer contracts"
            )
    return lots


def check_start(limits: Limits, lots: int, cash_uusd: np.ndarray, venue_of: np.ndarray, event_of: np.ndarray) -> None:
    """Raise ValueError naming the numbers where ``lots`` of YES in every market may begin an episode past ``limits``.

    Each may cost $1 a contract. ``cash_uusd`` (V,) that a venue starts with, ``venue_of`` and ``event_of`` (M,).
    """
    each = lots * PX_ONE
    at_risk = {
        "per_market": each,
        "per_event": int(np.bincount(event_of).max()) * each,
        "gross": len(event_of) * each,
    }
    start = int(np.sum(cash_uusd))
    for name, uusd in at_risk.items():
        _check_share(lots, name, getattr(limits, name), uusd, getattr(limits, name) * start)
    for venue, count in enumerate(np.bincount(venue_of)):
        free = (1 - limits.cash_buffer) * float(cash_uusd[venue])
        _check_share(lots, "cash_buffer", limits.cash_buffer, int(count) * each, free)


def _check_share(lots: int, name: str, share: float, uusd: int, most: float) -> None:
    if uusd > most + 0.5:
        raise ValueError(
            f"limits: {name} = {share} allows {most / UUSD:g} dollars, but start_contracts = "
            f"{lots / LOTS_PER_CONTRACT:g} may cost {uusd / UUSD:g}: start with fewer, or widen the limit"
        )


_GOLDEN = 0.6180339887498949  # its multiples fill [0, 1) evenly, however many there are


def stagger(state: State, mask: np.ndarray) -> None:
    """Shorten the window of first episodes in ``mask`` bool ``(N,)``: an environment's number decides its share.

    Environments that all begin at once would else all end at once, for ever, and a learner would see the same part of
    an episode in every batch.
    """
    first = np.flatnonzero(mask & (state.account["episode"] == 0))
    account = state.account
    first = first[account["end_ns"][first] < NEVER_NS]  # without a window there is none to shorten
    share = (account["number"][first] + 1) * _GOLDEN % 1.0
    window = np.rint(account["window_ns"][first] * share).astype(np.int64)
    least = np.minimum(account["window_ns"][first], SECOND_NS)
    account["end_ns"][first] = account["start_ns"][first] + np.maximum(window, least)


def begin_with(state: State, mask: np.ndarray, lots: int) -> None:
    """Hold ``lots`` of YES in every market of the environments in ``mask`` bool ``(N,)``, whose episode has just begun.

    They cost the mid and no fee, so equity does not change: what an episode makes from there is minus the
    implementation shortfall against the arrival mid (A. Perold, "The Implementation Shortfall", 1988).
    """
    envs = np.flatnonzero(mask)
    width = len(state.market) // len(state.account)
    for index in range(width):
        slots = envs * width + index
        cost = lots // _EVEN * state.market["mid2_px"][slots]
        venue = state.market["venue"][slots]
        state.market["position"]["yes_qty"][slots] = lots
        state.market["position"]["yes_cost_uusd"][slots] = cost
        state.market["moved"][slots] = state.market["returns"][slots]
        state.pool["cash_uusd"][envs, venue] -= cost
        state.pool["counterparty_uusd"][envs, venue] -= lots * PAIR_UUSD - cost
        state.pool["escrow_uusd"][envs, venue] += lots * PAIR_UUSD
