"""What a fill costs, from the venues' own words, with fractions instead of tricks."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from sim.types import PX_ONE


class Schedule(NamedTuple):
    """Rates of one venue at one time."""

    kind: str  # "kalshi" or "polymarket"
    taker_ppm: int
    maker_ppm: int
    step_uusd: int  # Kalshi: precision of balances


def exact_fee(rate_ppm: int, px: int, qty: int) -> Fraction:
    """Rate x contracts x p x (1 - p), in micro-dollars."""
    p = Fraction(px, PX_ONE)
    return Fraction(rate_ppm, 10**6) * Fraction(qty, 100) * p * (1 - p) * 10**6


def rate_of(schedule: Schedule, maker: bool) -> int:
    """The rate a fill pays."""
    return schedule.maker_ppm if maker else schedule.taker_ppm


def fee_of_fill(schedule: Schedule, px: int, qty: int, buys: bool, maker: bool, carried: int) -> tuple[int, int]:
    """Fee of one fill, and the rounding its order carries on to its next fill."""
    exact = exact_fee(rate_of(schedule, maker), px, qty)
    if schedule.kind == "polymarket":
        return 10 * math.floor(exact / 10 + Fraction(1, 2)), carried
    step = schedule.step_uusd
    trade_fee = math.ceil(exact)
    revenue = -px * qty if buys else px * qty
    balance_change = math.floor(Fraction(revenue - trade_fee, step)) * step
    rounding_fee = revenue - trade_fee - balance_change
    carried += rounding_fee
    steps_owed = carried // step
    steps_payable = (trade_fee + rounding_fee) // step
    rebate = min(steps_owed, steps_payable) * step
    return trade_fee + rounding_fee - rebate, carried - rebate


def fee_reserve(schedule: Schedule, lowest_px: int, highest_px: int, qty: int, maker: bool) -> int:
    """Fees set aside for an order of ``qty`` lots that may fill anywhere in a range of prices, in any pieces."""
    dearest = min(max(lowest_px, PX_ONE // 2), highest_px)
    exact = math.ceil(exact_fee(rate_of(schedule, maker), dearest, qty))
    if schedule.kind == "polymarket":
        return exact + min(5 * qty, exact)
    step = schedule.step_uusd
    if lowest_px == highest_px and lowest_px % step == 0:
        return exact + qty + step - 1 if exact else 0
    return step - 1 + max(exact + qty, (step - 1) * qty)
