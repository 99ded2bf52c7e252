"""The baselines, one kernel each: a view, parameters and uniforms in; verb, leg, contracts and style out."""

from __future__ import annotations

import math

from sim.kernel import kernel
from sim.strategies.decision import BUY, CANCEL, CROSS, HOLD, PASSIVE, SELL
from sim.types import NO, YES

NOOP_CODE = 0
RANDOM_CODE = 1
IMBALANCE_CODE = 2
SIGNAL_CODE = 3
QUOTER_CODE = 4

UNIFORMS = 4  # uniforms a decision may use

_SIZES = (5.0, 10.0, 25.0, 50.0, 100.0)


@kernel
def _toward(leg, view, contracts, style):
    """Move the net position toward a leg: first sell what is held of the other leg, then buy."""
    if leg == YES and view["no"] > 0.0:
        return SELL, NO, min(contracts, view["no"]), style
    if leg == NO and view["yes"] > 0.0:
        return SELL, YES, min(contracts, view["yes"]), style
    return BUY, leg, contracts, style


@kernel
def random(params, uniforms):
    """With probability ``rate`` a random verb, leg and size; passive with probability ``passive``."""
    if uniforms[0] >= params[0]:
        return HOLD, YES, 0.0, CROSS
    kind = int(math.floor(4.0 * uniforms[1]))
    size = _SIZES[int(math.floor(5.0 * uniforms[2]))]
    style = PASSIVE if uniforms[3] < params[1] else CROSS
    return (BUY if kind < 2 else SELL), (YES if kind % 2 == 0 else NO), size, style


@kernel
def imbalance(view, params):
    """Take toward the heavier side of the touch, while that side outweighs the other by ``threshold``."""
    threshold, size, limit = params[0], params[1], params[2]
    net = view["yes"] - view["no"]
    if view["bid"] <= 0.0 or view["ask"] >= 1.0:
        return HOLD, YES, 0.0, CROSS
    if view["imbalance"] >= threshold and net + size <= limit:
        return _toward(YES, view, size, CROSS)
    if view["imbalance"] <= -threshold and net - size >= -limit:
        return _toward(NO, view, size, CROSS)
    return HOLD, YES, 0.0, CROSS


@kernel
def signal(view, params):
    """Take where the forecast beats the touch by more than fee, ``caution`` standard errors and ``margin``.

    Never on a forecast older than ``max_age_s``, nor more than ``size``, than the touch shows, or than keeps the net
    position within ``limit``.
    """
    size, margin, caution, limit, max_age_s = params[0], params[1], params[2], params[3], params[4]
    if view["signal_live"] < 0.5 or view["signal_age"] > max_age_s:
        return HOLD, YES, 0.0, CROSS
    net = view["yes"] - view["no"]
    hurdle = view["fee"] + caution * view["signal_err"] + margin
    buy = min(size, view["ask_size"], limit - net)
    if view["ask"] < 1.0 and view["signal"] - view["ask"] > hurdle and buy > 0.0:
        return _toward(YES, view, buy, CROSS)
    sell = min(size, view["bid_size"], limit + net)
    if view["bid"] > 0.0 and view["bid"] - view["signal"] > hurdle and sell > 0.0:
        return _toward(NO, view, sell, CROSS)
    return HOLD, YES, 0.0, CROSS


@kernel
def quoter(view, params):
    """Keep an order of ``size`` at the touch of each side; one message a decision, first where the position shrinks.

    A side is not quoted within ``stop_s`` of the close, while the spread is below ``min_ticks``, where a fill would
    take the net position past ``limit``, or while the touch leans against it by more than ``lean``.
    """
    size, min_ticks, limit, lean, stop_s = params[0], params[1], params[2], params[3], params[4]
    net = view["yes"] - view["no"]
    quoted = view["bid"] > 0.0 and view["ask"] < 1.0
    wide = view["ask"] - view["bid"] >= (min_ticks - 0.5) * view["tick"]
    active = quoted and wide and view["seconds_left"] > stop_s
    want_bid = active and net + size <= limit and view["imbalance"] >= -lean
    want_ask = active and net - size >= -limit and view["imbalance"] <= lean
    if view["own_bid"] > 0.5 and not want_bid:
        return CANCEL, YES, 0.0, PASSIVE
    if view["own_ask"] > 0.5 and not want_ask:
        return CANCEL, NO, 0.0, PASSIVE
    bid_due = want_bid and (view["own_bid"] < 0.5 or abs(view["own_bid_ticks"]) > 0.5)
    ask_due = want_ask and (view["own_ask"] < 0.5 or abs(view["own_ask_ticks"]) > 0.5)
    if bid_due and (net <= 0.0 or not ask_due):
        return _toward(YES, view, size, PASSIVE)
    if ask_due:
        return _toward(NO, view, size, PASSIVE)
    return HOLD, YES, 0.0, PASSIVE


@kernel
def decide_batch(code, views, params, uniforms, verb, leg, contracts, style):
    """Fill the four arrays, one entry a view; everyone holds while the market is not open."""
    for i in range(len(views)):
        view = views[i]
        said = (HOLD, YES, 0.0, CROSS)
        if code != NOOP_CODE and view["open"] > 0.5:
            if code == RANDOM_CODE:
                said = random(params, uniforms[i])
            elif code == IMBALANCE_CODE:
                said = imbalance(view, params)
            elif code == SIGNAL_CODE:
                said = signal(view, params)
            else:
                said = quoter(view, params)
        verb[i], leg[i], contracts[i], style[i] = said
