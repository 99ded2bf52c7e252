"""Order rules that need no sum over markets: form, status, price, size, self-cross, and what a regime allows."""

from __future__ import annotations

from envs.shield.codes import (
    CRITICAL,
    DISTANCE,
    HOLDING,
    KILL_SWITCH,
    NEAR_MID,
    NOT_OPEN,
    ORDER_SIZE,
    PASSED,
    PRICE_BAND,
    SELF_CROSS,
    STALE_BOOK,
    WARNING,
)
from envs.shield.regime import share_of
from sim.kernel import inner
from sim.types import BID, FOK, GTC, NO, OPEN, PX_ONE, YES


@inner
def well_formed(intent):
    """Whether every number of an order is one that an order may have. Its ``do`` is DO_PLACE."""
    if intent["px"] <= 0 or intent["px"] >= PX_ONE or intent["qty"] <= 0:
        return False
    if intent["leg"] != YES and intent["leg"] != NO:
        return False
    if intent["tif"] < GTC or intent["tif"] > FOK or intent["budget_uusd"] < 0 or intent["expiry_ns"] < 0:
        return False
    return intent["post_only"] == 0 or intent["post_only"] == 1


@inner
def _off_mid2(market, px):
    """Twice the distance of a price from the mid."""
    return abs(2 * px - market["mid2_px"])


@inner
def at_any_size(limits, market, row, intent, side):
    """Why no size of an order passes; PASSED where the size decides. ``row``: the market's LEDGER record."""
    if market["status"] != OPEN:
        return NOT_OPEN
    px = intent["px"]
    if limits["self_cross"] == 1:
        edge = row["edge_px"][1 - side]
        if px >= edge if side == BID else px <= edge:
            return SELF_CROSS
    return DISTANCE if _off_mid2(market, px) > limits["max_distance2_px"] else PASSED


@inner
def _cut(most, reason, limit, code):
    return (limit, code) if most > limit else (most, reason)


@inner
def most_lots(limits, watch, market, reduce, side, px, qty, closing, now):
    """Lots of ``qty`` that the rules leave before any risk is counted, and which rule took the last off.

    ``closing``: lots that only close; where nothing may be opened they are what is left. ``now``: the account's clock,
    ns.
    """
    most, reason = qty, PASSED
    regime = watch["regime"]
    size = limits["order_size_qty"]
    if regime == WARNING:
        size = share_of(size, limits["warning_ppm"])
    most, reason = _cut(most, reason, size, ORDER_SIZE)
    if reduce == 1:
        held = market["position"]["no_qty"] if side == BID else market["position"]["yes_qty"]
        most, reason = _cut(most, reason, held, HOLDING)
    if now - market["book_ns"] > limits["stale_warning_ns"]:
        most, reason = _cut(most, reason, closing, STALE_BOOK)
    if px < limits["min_px"] or px > limits["max_px"]:
        most, reason = _cut(most, reason, closing, PRICE_BAND)
    if regime == WARNING and _off_mid2(market, px) < limits["warning_distance2_px"]:
        most, reason = _cut(most, reason, closing, NEAR_MID)
    if regime == CRITICAL:
        most, reason = _cut(most, reason, min(closing, limits["critical_qty"]), KILL_SWITCH)
    return most, reason
