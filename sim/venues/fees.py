"""What a fill costs: exact integer fees of both venues, and an upper bound to reserve cash by.

Both venues charge ``rate x contracts x p x (1 - p)``, p the price of the leg that is traded; they differ in rounding.

Kalshi (docs.kalshi.com, "Fee Rounding", read 2026-10-15; fee schedule effective 2026-07-07):

1. trade fee = the exact fee rounded up to $0.000001;
2. balance change = (revenue - trade fee) rounded down to the account's precision, revenue negative for a buyer;
3. rounding fee = what that rounding took; it joins the order's accumulator (here: the order's overshoot);
4. rebate = the accumulator's whole steps of that precision, capped so that the fill's fee is not negative;
5. fee = trade fee + rounding fee - rebate.

One accumulator serves all fills of an order, as taker and as maker. The precision is $0.0001 for direct members since
2026-05-28, and $0.01 for accounts cleared by a broker.

Polymarket (docs.polymarket.com, "Fees", read 2026-08-22): takers only, rounded to $0.00001; what rounds to nothing
costs nothing. The page does not say how a half is rounded: here up, against us.

Left out: Kalshi's ``flat`` table (unpublished), Polymarket's exponents other than 1 (none seen since mid 2026), builder
fees and rebates paid later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.kernel import kernel
from sim.types import PX_ONE

KALSHI = 0
POLYMARKET = 1

FEE = np.dtype(
    [
        ("taker_ppm", "<i8"),  # rate in 1e-6, the market's multiplier included: 70_000
        ("maker_ppm", "<i8"),
        ("step_uusd", "<i8"),  # Kalshi: the balance's precision, 100 or 10_000; Polymarket: 0
        ("kind", "<i8"),  # KALSHI or POLYMARKET
    ]
)

MAX_QTY = 10**11  # lots: 1e9 contracts. px x (1 - px) x qty, at most 2.5e18, stays below 2**63 = 9.2e18
MAX_PPM = 1_000_000

_UNIT = 10**10  # qty [1e-2] x px [1e-4] x px [1e-4] x rate [1e-6] = 1e-16 dollar = 1e-10 micro-dollar
_POLYMARKET_STEP = 10  # $0.00001


@dataclass(frozen=True)
class FeeSchedule:
    """A venue's rates at one time. Raises ValueError where a field is out of range."""

    kind: int  # KALSHI or POLYMARKET
    taker_ppm: int  # rate in 1e-6, multiplier included
    maker_ppm: int
    step_uusd: int = 0  # Kalshi: precision of the account's balance

    def __post_init__(self) -> None:
        if self.kind not in (KALSHI, POLYMARKET):
            raise ValueError(
                f"fee schedule: kind = {self.kind}; expected KALSHI = {KALSHI} or POLYMARKET = {POLYMARKET}"
            )
        for name in ("taker_ppm", "maker_ppm"):
            rate = getattr(self, name)
            if not 0 <= rate <= MAX_PPM:
                raise ValueError(f"fee schedule: {name} = {rate} lies outside [0, {MAX_PPM}]")
        if self.kind == KALSHI and self.step_uusd not in (1, 10, 100, 1000, 10_000):
            raise ValueError(
                f"fee schedule: step_uusd = {self.step_uusd}; expected the balance's precision in micro-dollars: "
                "1, 10, 100 (direct member), 1000 or 10000 (cents)"
            )
        if self.kind == POLYMARKET and (self.step_uusd or self.maker_ppm):
            raise ValueError(
                f"fee schedule: maker_ppm = {self.maker_ppm}, step_uusd = {self.step_uusd}; expected 0 and 0: "
                "Polymarket charges takers only and does not round balances"
            )


def fee_table(schedules: Sequence[FeeSchedule]) -> np.ndarray:
    """``(len(schedules),)`` FEE array, for the kernels."""
    return np.array([(s.taker_ppm, s.maker_ppm, s.step_uusd, s.kind) for s in schedules], FEE)


def fee_of_fill(
    schedule: FeeSchedule, px: int, qty: int, *, buys: bool = True, maker: bool = False, overshoot_uusd: int = 0
) -> tuple[int, int]:
    """Fee of one fill and the order's overshoot after it, both in micro-dollars. See ``charge``.

    Raises ValueError for a price outside [0, 10000], a size outside [1, MAX_QTY] lots or a negative overshoot.
    """
    if not 0 <= px <= PX_ONE:
        raise ValueError(f"fee of a fill: px = {px} lies outside [0, {PX_ONE}] (1e-4 dollar)")
    if not 1 <= qty <= MAX_QTY:
        raise ValueError(f"fee of a fill: qty = {qty} lies outside [1, {MAX_QTY}] lots (1e-2 contract)")
    if overshoot_uusd < 0:
        raise ValueError(f"fee of a fill: overshoot_uusd = {overshoot_uusd} is negative; an order starts with 0")
    fee, overshoot = charge(fee_table([schedule]), 0, px, qty, buys, maker, overshoot_uusd)
    return int(fee), int(overshoot)


@kernel
def charge(
    fees: np.ndarray, f: int, px: int, qty: int, buys: bool, maker: bool, overshoot_uusd: int
) -> tuple[int, int]:
    """Fee of one fill under schedule ``fees[f]`` and the order's overshoot after it, both in micro-dollars.

    ``px``: price of the leg that is traded (a NO fill has the NO price). ``buys``: the account pays px x qty; else it
    receives it. ``overshoot_uusd``: what the order's earlier fills left; 0 at first. The fee is never negative.
    Trusts its arguments: 0 <= px <= 10000, 1 <= qty <= MAX_QTY.
    """
    rate = fees[f]["maker_ppm"] if maker else fees[f]["taker_ppm"]
    if fees[f]["kind"] == POLYMARKET:
        return _rounded(px, qty, rate), overshoot_uusd
    step = fees[f]["step_uusd"]
    fee = exact_fee(px, qty, rate)
    cash = int(px) * int(qty)
    revenue = -cash if buys else cash
    rounding = (revenue - fee) % step  # down to the step: % of a positive number is never negative
    overshoot = overshoot_uusd + rounding
    fee += rounding
    rebate = min(overshoot // step, fee // step) * step
    return fee - rebate, overshoot - rebate


@kernel
def fee_bound(fees: np.ndarray, f: int, px_low: int, px_high: int, qty: int, maker: bool) -> int:
    """Micro-dollars of fees that no split of ``qty`` lots into fills of one order at [px_low, px_high] exceeds.

    Prices are the leg's. Holds for buys and for sells, and whatever overshoot the order's earlier fills left; it takes
    one schedule: after a change of fees, bound what is left again. 0 <= px_low <= px_high <= 10000,
    0 <= qty <= MAX_QTY.

    Proof, Polymarket. Let e be a fill's exact fee. It is charged nothing if e < 5 and at most e + 5 <= 2 e otherwise.
    A fill has at least one lot and all exact fees sum to at most E (at the price nearest to 1/2), so the total is at
    most E + min(5 qty, E).

    Proof, Kalshi. Before the rebate a fill costs c = t + r: trade fee t < e + 1, rounding r < step. The total is the
    sum of all t plus what the accumulator O gained. Call a fill large if c >= step. After a large fill O is at most
    max(O before, step - 1): if O + r reaches a step, at least one step is rebated, and r is less. A small fill is not
    rebated and adds its r to O. So O gains at most step - 1 plus the r of the small fills, and the total is at most
    step - 1 + (sum of t over large) + (sum of c over small). A lot in a large fill adds at most its share of E and 1,
    for there is at least one lot to each fill; a lot in a small one at most c <= step - 1. Hence
    step - 1 + max(E + qty, (step - 1) qty). If every fill's cash is a multiple of the step (one price that is one),
    then t = 0 has r = 0, and t > 0 has c >= step: small fills cost nothing and step - 1 + E + qty holds; 0 if E is 0.

    The second term is no artefact: an account kept to cents that is filled lot by lot at 50 cents is charged half a
    cent each time and is never rebated, because no fill's fee reaches a cent.
    """
    rate = fees[f]["maker_ppm"] if maker else fees[f]["taker_ppm"]
    px = min(max(px_low, PX_ONE // 2), px_high)  # the price nearest to 1/2: p (1 - p) is largest there
    exact = exact_fee(px, qty, rate)  # E
    if fees[f]["kind"] == POLYMARKET:
        return exact + min(5 * qty, exact)
    step = fees[f]["step_uusd"]
    if px_low == px_high and px_low % step == 0:
        return exact + qty + step - 1 if exact > 0 else 0
    return step - 1 + max(exact + qty, (step - 1) * qty)


@kernel
def exact_fee(px: int, qty: int, rate_ppm: int) -> int:
    """Rate x contracts x p (1 - p), rounded up to a micro-dollar.

    In two parts: amount x rate would pass 2**63 at 52,705 contracts.
    """
    amount = int(qty) * int(px) * (PX_ONE - int(px))
    return amount // _UNIT * rate_ppm + (amount % _UNIT * rate_ppm + (_UNIT - 1)) // _UNIT


@kernel
def _rounded(px: int, qty: int, rate_ppm: int) -> int:
    """Exact fee, rounded to the nearest 10 micro-dollars, halves up."""
    unit = _UNIT * _POLYMARKET_STEP
    amount = int(qty) * int(px) * (PX_ONE - int(px))
    return (amount // unit * rate_ppm + (amount % unit * rate_ppm + unit // 2) // unit) * _POLYMARKET_STEP
