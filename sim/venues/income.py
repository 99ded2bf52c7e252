"""What venues pay to those who quote: Polymarket's maker rebates and liquidity rewards, Kalshi's liquidity incentive.

Optional income: nothing here touches an account, and the defaults of the simulator leave it out. Amounts are integers,
micro-dollars rounded down; scores are floats and only their ratios are paid.

Polymarket, maker rebates (docs.polymarket.com, fees, read 2026-08-22): a share of the taker fees that a market has
collected goes to its makers, pro rata to the fee curve C p (1 - p) of what they filled. Paid daily, from $1 on.

Polymarket, liquidity rewards (docs.polymarket.com, liquidity rewards, read 2026-08-22):

1. S(v, s) = ((v - s) / v)^2 b for an order s from the midpoint, v the market's largest spread, b its in-game
   multiplier; 0 beyond v and for orders below the market's smallest size. The midpoint is that of orders of at least
   that size.
2. Q_one = sum of S x size over bids on YES and asks on NO, Q_two = over asks on YES and bids on NO. In YES space:
   over all bids, over all asks.
3. Q = max(min(Q_one, Q_two), max(Q_one, Q_two) / c) with c = 3 for a midpoint in [0.10, 0.90], else min(Q_one, Q_two).
4. One sample a minute, at a random moment; a trader's share of a sample is Q over everybody's Q.
5. Reward = pool x (sum of one's shares) / (sum of all shares), over the epoch's 10,080 minutes. Paid from $1 on.

Kalshi, liquidity incentive (filing of 2026-02-11 and help page, as quoted by third parties; ``GET /incentive_programs``
in openapi.yaml 3.34.0): each second, per side, orders from the best price outward until ``target_size`` is reached
score DF^ticks x size, DF the discount factor; a side's scores are divided by their sum, and a trader gets the sum of
both. A second in which a side does not reach the target does not count. Reward = pool x own score / all scores, from $1
on, whole cents. The help page gave 2026-09-01 as the programme's end: read the venue's list before counting on it. How
the level that passes the target counts is not said: here whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from sim.kernel import kernel
from sim.types import PX_ONE, UUSD

MAX_PPM = 1_000_000
PAYOUT_MINIMUM_UUSD = UUSD
SAMPLE_NS = 60_000_000_000
SAMPLES_PER_EPOCH = 10_080
CENT_UUSD = 10_000
ONE_SIDED_DIVISOR = 3  # c
EDGE_PX = 1000  # below 0.10 and above 0.90 only two-sided quotes score

# Share of taker fees that goes to makers, 1e-6, by category; a market's own rebateRate comes first.
REBATE_PPM = {"crypto": 200_000, "sports": 150_000, "geopolitics": 0}
OTHER_REBATE_PPM = 250_000


def rebate_share(category: str) -> int:
    """Makers' share of a category's taker fees, 1e-6 (docs.polymarket.com, fees, 2026-08-22)."""
    return REBATE_PPM.get(category, OTHER_REBATE_PPM)


@kernel
def fee_weight(px, qty):
    """A maker's weight for a fill: qty x p x (1 - p) in 1e-10 contract; the market's rate cancels out of shares.

    Sums stay below 2**63 up to 3.6e9 contracts at 50 cents.
    """
    return qty * px * (PX_ONE - px)


def maker_rebate(own_weight: int, all_weight: int, fees_uusd: int, share_ppm: int) -> int:
    """Micro-dollars of a market's day: fees x share x own_weight / all_weight, rounded down.

    ``own_weight``, ``all_weight``: sums of :func:`fee_weight`. Raises ValueError for weights that do not fit (own above
    all, or negative), negative fees and a share outside [0, 1e6].
    """
    if not 0 <= own_weight <= all_weight:
        raise ValueError(f"maker rebate: own_weight = {own_weight} lies outside [0, all_weight = {all_weight}]")
    if fees_uusd < 0 or not 0 <= share_ppm <= MAX_PPM:
        raise ValueError(
            f"maker rebate: fees_uusd = {fees_uusd}, share_ppm = {share_ppm}; expected at least 0, and 0 to {MAX_PPM}"
        )
    if all_weight == 0:
        return 0
    return fees_uusd * share_ppm * own_weight // (MAX_PPM * all_weight)


def paid_out(amount_uusd: int, step_uusd: int = 1) -> int:
    """What of a period's income is paid: nothing below $1, else whole steps of ``step_uusd``."""
    return amount_uusd // step_uusd * step_uusd if amount_uusd >= PAYOUT_MINIMUM_UUSD else 0


@kernel
def spread_score(spread_px, max_spread_px, boost):
    """S(v, s): ((v - s) / v)^2 x boost, 0 beyond v. Both in 1e-4 dollar, halves allowed; v > 0, s >= 0."""
    if spread_px > max_spread_px:
        return 0.0
    inside = (max_spread_px - spread_px) / max_spread_px
    return inside * inside * boost


@kernel
def two_sided_score(q_one, q_two, mid2_px):
    """Q of one sample from both sides' scores. ``mid2_px``: twice the midpoint, 1e-4 dollar."""
    least = min(q_one, q_two)
    if mid2_px < 2 * EDGE_PX or mid2_px > 2 * (PX_ONE - EDGE_PX):
        return least
    return max(least, max(q_one, q_two) / ONE_SIDED_DIVISOR)


@kernel
def side_score(px, qty, mid2_px, max_spread_px, min_qty, boost):
    """Q_one or Q_two: sum of S x contracts over a trader's orders on one side; 1-d arrays, prices in YES space.

    Orders below ``min_qty`` lots do not count. ``mid2_px``: twice the midpoint of orders of at least that size.
    """
    total = 0.0
    for index in range(len(px)):
        if qty[index] >= min_qty:
            spread = abs(mid2_px - 2 * px[index]) / 2.0
            total += spread_score(spread, max_spread_px, boost) * (qty[index] / 100.0)
    return total


def adjusted_mid2(bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], min_qty: int) -> int:
    """Twice the midpoint of levels (px, qty) of at least ``min_qty`` lots; -1 where a side has none.

    The page says "size-cutoff-adjusted midpoint" and no more; that levels and not orders are compared is our reading.
    """
    bid = [px for px, qty in bids if qty >= min_qty]
    ask = [px for px, qty in asks if qty >= min_qty]
    return max(bid) + min(ask) if bid and ask else -1


def reward_shares(scores: np.ndarray) -> np.ndarray:
    """``(traders,)`` shares of the pool from ``(samples, traders)`` values of Q; a sample without scores is left out.

    All zeros where nobody ever scored. Raises ValueError for another shape, a negative value or one that is no number.
    """
    table = np.asarray(scores, np.float64)
    if table.ndim != 2:
        raise ValueError(f"liquidity rewards: scores of shape {table.shape}; expected (samples, traders)")
    if not (np.isfinite(table) & (table >= 0)).all():
        raise ValueError("liquidity rewards: a score is negative or not finite; expected values of Q, 0 or more")
    sums = table.sum(axis=1, keepdims=True)
    normal = np.divide(table, sums, out=np.zeros_like(table), where=sums > 0)
    epoch = normal.sum(axis=0)
    total = epoch.sum()
    return epoch / total if total > 0 else epoch


def pool_part(pool_uusd: int, share: float) -> int:
    """Micro-dollars of a pool for a share, rounded down exactly.

    Raises ValueError for a share outside [0, 1] and for a negative pool.
    """
    if pool_uusd < 0 or not 0.0 <= share <= 1.0:
        raise ValueError(f"pool of {pool_uusd} micro-dollars, share {share}; expected at least 0, and 0 to 1")
    return int(pool_uusd * Fraction(share))


def sample_time(minute_ns: int, u: float) -> int:
    """Moment of the sample in the minute that begins at ``minute_ns``; ``u`` in [0, 1) is the caller's random number.

    Raises ValueError for a ``u`` outside [0, 1).
    """
    if not 0.0 <= u < 1.0:
        raise ValueError(f"sample time: u = {u} lies outside [0, 1)")
    return minute_ns + int(SAMPLE_NS * Fraction(u))


@kernel
def incentive_side(ticks, qty, own_qty, target_qty, discount):
    """Own share of one side in one second of Kalshi's incentive; -1 where the side does not reach the target.

    1-d arrays over levels, the best first: ``ticks`` from the best price (rising from 0), ``qty`` lots in all,
    ``own_qty`` lots of ours among them. ``discount``: DF in [0, 1].
    """
    total = 0.0
    own = 0.0
    reached = 0
    weight = 1.0
    for level in range(len(ticks)):
        for _ in range(ticks[level] - (ticks[level - 1] if level > 0 else 0)):
            weight *= discount
        total += weight * qty[level]
        own += weight * own_qty[level]
        reached += qty[level]
        if reached >= target_qty:
            return own / total if total > 0.0 else 0.0
    return -1.0


@kernel
def incentive_second(bid_share, ask_share):
    """A second's score from both sides, of 2 to be had; -1 where it does not count. See :func:`incentive_side`."""
    if bid_share < 0.0 or ask_share < 0.0:
        return -1.0
    return bid_share + ask_share


def incentive_reward(pool_uusd: int, seconds: Sequence[float]) -> int:
    """Micro-dollars from the second-by-second scores of a period: own part of the pool, from $1 on, whole cents.

    Raises ValueError for a negative pool and for a score above 2.
    """
    counted = [score for score in seconds if score >= 0]
    if any(score > 2 for score in counted):
        raise ValueError(f"liquidity incentive: a second's score of {max(counted)}; expected at most 2, one per side")
    if not counted:
        return paid_out(pool_part(pool_uusd, 0.0), CENT_UUSD)
    own = sum(map(Fraction, counted)) / (2 * len(counted))
    return paid_out(pool_part(pool_uusd, float(own)), CENT_UUSD)
