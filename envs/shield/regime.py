"""Triggers: what the market moves, and no order limit can bound. They move the regime, and the reaction is bounded.

NORMAL and WARNING follow the triggers: a warning ends once no trigger has warned for ``calm_seconds``. CRITICAL is a
latch: it lifts by an operator (:func:`lift`) or with the next episode. By how much a trigger was overshot when it was
noticed is kept: marks move between two looks, so a trigger is no limit.
"""

from __future__ import annotations

import numpy as np

from envs.shield.codes import (
    CRITICAL,
    NORMAL,
    WARNING,
    WHY_BEGUN,
    WHY_CALM,
    WHY_DRAWDOWN,
    WHY_FEES,
    WHY_GAP,
    WHY_MARKED_LOSS,
    WHY_OPERATOR,
    WHY_STALE,
)
from envs.shield.limits import PPM
from sim.kernel import inner
from sim.latency import NEVER_NS
from sim.state import MESSAGE_SLOTS, NEW
from sim.types import OPEN, SECOND_NS

DAY_NS = 86_400 * SECOND_NS

WATCH = np.dtype(
    [
        ("regime", "<i8"),
        ("reason", "<i8"),  # of its last change
        ("since_ns", "<i8"),  # when that was
        ("calm_ns", "<i8"),  # when a warning ends, if nothing warns before
        ("peak_uusd", "<i8"),  # highest equity since the episode began or the latch was lifted
        ("day", "<i8"),  # UTC, counted from 1970
        ("day_uusd", "<i8"),  # equity at the day's first look, or when the latch was lifted
        ("day_realised_uusd", "<i8"),  # realised results of the episode, fees paid, at the day's first look
        ("overshoot_uusd", "<i8"),  # how far drawdown or marked loss was past its trigger when the kill switch tripped
        ("window", "<i8"),  # number of the message interval
        ("used", "<i8"),  # messages of that interval
        ("entered", "<i8"),  # 1: CRITICAL has begun, and orders of ours may still lack a cancel
        ("kills", "<i8"),  # times that CRITICAL has begun in this episode
    ]
)


@inner
def share_of(amount, ppm):
    """``amount x ppm / 1e6``, rounded down, in two parts: the product alone may pass 2**63."""
    return amount // PPM * ppm + amount % PPM * ppm // PPM


@inner
def realised(pools, markets):
    """Micro-dollars of closed results of the episode, fees paid."""
    total = 0
    for index in range(len(markets)):
        total += markets[index]["position"]["realised_uusd"]
    for index in range(len(pools)):
        total -= pools[index]["fees_uusd"]
    return total


@inner
def start_watch(watch, tariff, account, pools, markets):
    """A new episode: ``watch`` WATCH record and ``tariff`` (M,) fee schedules of its environment."""
    now = account["now_ns"]
    watch["regime"] = NORMAL
    watch["reason"] = WHY_BEGUN
    watch["since_ns"] = now
    watch["calm_ns"] = now
    watch["overshoot_uusd"] = 0
    watch["window"] = 0
    watch["used"] = 0
    watch["entered"] = 0
    watch["kills"] = 0
    watch["peak_uusd"] = account["equity_uusd"]
    watch["day"] = now // DAY_NS
    watch["day_uusd"] = account["equity_uusd"]
    watch["day_realised_uusd"] = realised(pools, markets)
    for index in range(len(markets)):
        tariff[index] = markets[index]["fee"]


@inner
def lift(watch, equity_uusd, now):
    """An operator lifts the latch: NORMAL, and drawdown and marked loss are counted from here."""
    if watch["regime"] != CRITICAL:
        return
    watch["regime"] = NORMAL
    watch["reason"] = WHY_OPERATOR
    watch["since_ns"] = now
    watch["calm_ns"] = now
    watch["entered"] = 0
    watch["peak_uusd"] = equity_uusd
    watch["day_uusd"] = equity_uusd


@inner
def _ordered(market):
    """Whether an order of ours is on its way to a market."""
    if market["due_ns"] == NEVER_NS:
        return False
    for index in range(MESSAGE_SLOTS):
        message = market["messages"][index]
        if message["due_ns"] != 0 and message["kind"] == NEW:
            return True
    return False


@inner
def _oldest(markets, now):
    """Age in ns of the book that has not changed for longest, of open markets in which we hold or want anything."""
    oldest = 0
    for index in range(len(markets)):
        market = markets[index]
        position = market["position"]
        used = position["yes_qty"] + position["no_qty"] + market["live_orders"] > 0
        if market["status"] == OPEN and (used or _ordered(market)):
            oldest = max(oldest, now - market["book_ns"])
    return oldest


@inner
def _fees_changed(tariff, markets):
    changed = False
    for index in range(len(markets)):
        fee = markets[index]["fee"]
        changed |= fee != tariff[index]
        tariff[index] = fee
    return changed


@inner
def _critical(limits, start, drawdown, loss, age, gap):
    """Why the kill switch trips, and by how many micro-dollars its trigger was overshot; -1 = it does not."""
    if drawdown > 0:
        most = share_of(start, limits["drawdown_critical_ppm"])
        if drawdown > most:
            return WHY_DRAWDOWN, drawdown - most
    if loss > 0:
        most = share_of(start, limits["marked_loss_critical_ppm"])
        if loss > most:
            return WHY_MARKED_LOSS, loss - most
    if gap == 1 and limits["gap_critical"] == 1:
        return WHY_GAP, 0
    if age > limits["stale_critical_ns"]:
        return WHY_STALE, 0
    return -1, 0


@inner
def _warning(limits, start, drawdown, loss, age, gap):
    """Why there is a warning; -1 = there is none."""
    if drawdown > 0 and drawdown > share_of(start, limits["drawdown_warning_ppm"]):
        return WHY_DRAWDOWN
    if loss > 0 and loss > share_of(start, limits["marked_loss_warning_ppm"]):
        return WHY_MARKED_LOSS
    if gap == 1:
        return WHY_GAP
    return WHY_STALE if age > limits["stale_warning_ns"] else -1


@inner
def _change(watch, regime, reason, now):
    watch["regime"] = regime
    watch["reason"] = reason
    watch["since_ns"] = now


@inner
def _begin_day(watch, account, pools, markets):
    day = account["now_ns"] // DAY_NS
    if day != watch["day"]:
        watch["day"] = day
        watch["day_uusd"] = account["equity_uusd"]
        watch["day_realised_uusd"] = realised(pools, markets)


@inner
def assess(limits, watch, tariff, account, pools, markets):
    """Look at the triggers of one environment and move its regime. Returns whether CRITICAL begins.

    ``limits`` LIMITS record, ``watch`` WATCH record, ``tariff`` (M,) fee schedules seen last, ``pools`` (V,) POOL,
    ``markets`` (M,) MARKET as its feed shows them.
    """
    now, equity, start = account["now_ns"], account["equity_uusd"], account["start_uusd"]
    _begin_day(watch, account, pools, markets)
    watch["peak_uusd"] = max(watch["peak_uusd"], equity)
    changed = _fees_changed(tariff, markets) and limits["fee_change_ns"] > 0
    if changed:
        watch["calm_ns"] = max(watch["calm_ns"], now + limits["fee_change_ns"])
    if watch["regime"] == CRITICAL:
        return False
    drawdown, loss = watch["peak_uusd"] - equity, watch["day_uusd"] - equity
    age = _oldest(markets, now)
    reason, overshoot = _critical(limits, start, drawdown, loss, age, account["gap"])
    if reason >= 0:
        _change(watch, CRITICAL, reason, now)
        watch["overshoot_uusd"] = max(watch["overshoot_uusd"], overshoot)
        watch["entered"] = 1
        watch["kills"] += 1
        return True
    reason = _warning(limits, start, drawdown, loss, age, account["gap"])
    if reason >= 0:
        watch["calm_ns"] = max(watch["calm_ns"], now + limits["calm_ns"])
    elif changed:
        reason = WHY_FEES
    if reason >= 0 and watch["regime"] == NORMAL:
        _change(watch, WARNING, reason, now)
    elif watch["regime"] == WARNING and reason < 0 and now >= watch["calm_ns"]:
        _change(watch, NORMAL, WHY_CALM, now)
    return False
