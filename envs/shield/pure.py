"""`certify` for those who hold records of one account and no environment: whoever trades live, tests, proofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from envs.shield.exposure import LEDGER
from envs.shield.judge import TOTALS, certify_one, write_down
from envs.shield.limits import Limits
from envs.shield.regime import WATCH, assess, start_watch
from envs.shield.regime import lift as lift_latch
from envs.shield.stage import events_of, sets_of
from sim.kernel import kernel
from sim.links import Link
from sim.types import INTENT


class Verdict(NamedTuple):
    """What became of the orders of M markets."""

    orders: np.ndarray  # (M, 2) INTENT: safe
    reasons: np.ndarray  # (M, 2) int32: why an order was changed or refused, see codes.ORDER_REASONS
    cuts: np.ndarray  # (M, 2) int64: lots taken off
    messages: int  # of this interval, those of these orders included
    watch: np.ndarray  # (1,) WATCH: for the next decision, once these orders have been sent


@kernel
def _certify(limits, watches, accounts, pools, markets, fees, ties, ledger, totals, wanted, reasons, cuts):
    certify_one(
        limits[0], watches[0], accounts[0], pools, markets, fees, ties[0], ties[1], ledger, totals[0], wanted, reasons,
        cuts,
    )  # fmt: skip
    write_down(limits[0], watches[0], accounts[0], totals[0])


@kernel
def _start(watches, tariff, accounts, pools, markets):
    start_watch(watches[0], tariff, accounts[0], pools, markets)


@kernel
def _lift(watches, accounts):
    lift_latch(watches[0], accounts[0]["equity_uusd"], accounts[0]["now_ns"])


@kernel
def _assess(limits, watches, tariff, accounts, pools, markets):
    return assess(limits[0], watches[0], tariff, accounts[0], pools, markets)


def new_watch(account: np.ndarray, pools: np.ndarray, markets: np.ndarray) -> np.ndarray:
    """``(1,)`` WATCH of an account whose day and episode begin now; arguments as of `certify`."""
    watch = np.zeros(1, WATCH)
    _start(watch, np.zeros(len(markets), np.int64), account, pools, markets)
    return watch


def assess_triggers(
    limits: Limits, watch: np.ndarray, tariff: np.ndarray, account: np.ndarray, pools: np.ndarray, markets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The WATCH and ``tariff`` after a look at the triggers, and whether the kill switch trips. Changes no argument.

    ``tariff`` (M,) int64: the fee schedule of each market at the last look; the others as of `certify`.
    """
    watch, tariff = watch.copy(), tariff.copy()
    trips = _assess(limits.record(), watch, tariff, account, pools, markets)
    return watch, tariff, bool(trips)


def lift(watch: np.ndarray, account: np.ndarray) -> np.ndarray:
    """The ``(1,)`` WATCH after an operator has lifted the latch of CRITICAL; in another regime as it was.

    Drawdown and marked loss count from the equity of ``account`` (1,) ACCOUNT from here. Changes no argument.
    """
    lifted = watch.copy()
    _lift(lifted, account)
    return lifted


def certify(
    orders: np.ndarray,
    account: np.ndarray,
    pools: np.ndarray,
    markets: np.ndarray,
    fees: np.ndarray,
    limits: Limits,
    watch: np.ndarray,
    links: Sequence[Link] = (),
) -> Verdict:
    """The orders that are safe to send, and why they differ from those wanted. Changes none of its arguments.

    ``orders`` (M, 2) INTENT, columns BID and ASK, judged market by market, BID first; ``account`` (1,) ACCOUNT,
    ``pools`` (V,) POOL and ``markets`` (M,) MARKET of one environment (`sim.state`), ``fees`` (F,) FEE, ``watch`` (1,)
    WATCH with regime, day and messages sent: first of `new_watch`, then that of the last Verdict, looked at by
    `assess_triggers`. ``links`` tie markets into events, and those that net into sets: without them no conversion
    passes. Raises ValueError for other shapes.
    """
    count = len(markets)
    if orders.shape != (count, 2) or orders.dtype != INTENT:
        raise ValueError(f"certify: expected INTENT orders ({count}, 2), got {orders.dtype} {orders.shape}")
    if account.shape != (1,) or watch.shape != (1,) or watch.dtype != WATCH:
        raise ValueError(
            f"certify: expected one account and one WATCH, got shapes {account.shape} and {watch.shape} {watch.dtype}"
        )
    safe, reasons, cuts = orders.copy(), np.zeros((count, 2), np.int32), np.zeros((count, 2), np.int64)
    totals, later = np.zeros(1, TOTALS), watch.copy()
    _certify(
        limits.record(), later, account, pools, markets, fees, (events_of(links, count), sets_of(links, count)),
        np.zeros(count, LEDGER), totals, safe, reasons, cuts,
    )  # fmt: skip
    return Verdict(safe, reasons, cuts, int(totals["used"][0]), later)
