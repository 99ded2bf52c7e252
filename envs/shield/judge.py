"""Order limits: intents in, safe intents out. Market by market, in each BID before ASK; each gets the largest size that
is feasible given those before it.

Pure: what comes out depends on the arguments alone, and certifying what came out changes nothing more. Total: whatever
integers stand in an intent, what comes out keeps every limit (docs/shield.md).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.shield.codes import (
    CASH_BUFFER,
    CONVERSION,
    CRITICAL,
    DAILY_LOSS,
    GROSS,
    KILL_SWITCH,
    MALFORMED,
    MESSAGES,
    MINIMUM,
    NET,
    NOT_OPEN,
    PASSED,
    PER_EVENT,
    PER_MARKET,
    PER_TRADE,
    WARNING,
)
from envs.shield.exposure import at_risk, burden, closing_lots, cost_price, enter, locks, one_way, take_stock
from envs.shield.regime import realised, share_of
from envs.shield.requests import converting, request
from envs.shield.rules import at_any_size, most_lots, well_formed
from sim.kernel import inner
from sim.latency import reduces
from sim.types import (
    ASK,
    BID,
    DO_CANCEL,
    DO_NOTHING,
    DO_PLACE,
    GTC,
)
from sim.wishes import standing

TOTALS = np.dtype(
    [
        ("gross_uusd", "<i8"),  # at risk over all markets
        ("net_uusd", "<i8", (2,)),  # at risk in each direction
        ("lost_uusd", "<i8"),  # realised loss of the day
        ("used", "<i8"),  # messages of this interval, those of this decision included
        ("now_ns", "<i8"),  # the account's clock
        ("live", "<i8"),  # orders of ours that lacked a cancel before this decision
        ("changed", "<i8"),  # orders changed or refused in this decision
        ("judged_qty", "<i8"),  # the size judged last; what it adds to the loss against its side, and to the other one
        ("more_uusd", "<i8"),
        ("other_uusd", "<i8"),
        ("cap_trade_uusd", "<i8"),
        ("cap_market_uusd", "<i8"),
        ("cap_event_uusd", "<i8"),
        ("cap_gross_uusd", "<i8"),
        ("cap_net_uusd", "<i8"),
        ("cap_daily_uusd", "<i8"),
    ]
)


class Order(NamedTuple):
    """An order to be judged, its size aside. Integers."""

    side: int
    price: int  # micro-dollars a lot loses in the outcome against its side
    fee: int  # schedule in force
    budget: int  # micro-dollars; 0 = none
    rests: bool
    takes: bool
    locks: bool  # it takes cash
    closing: int  # lots that only close
    cash: int  # micro-dollars that it may lock
    event: int  # at risk in the order's event


@inner
def _caps(limits, watch, account, totals):
    """Micro-dollars that each limit allows in the regime."""
    start = account["start_uusd"]
    totals["cap_trade_uusd"] = share_of(start, limits["per_trade_ppm"])
    totals["cap_market_uusd"] = share_of(start, limits["per_market_ppm"])
    totals["cap_event_uusd"] = share_of(start, limits["per_event_ppm"])
    totals["cap_gross_uusd"] = share_of(start, limits["gross_ppm"])
    totals["cap_net_uusd"] = share_of(start, limits["net_ppm"])
    totals["cap_daily_uusd"] = share_of(start, limits["daily_loss_ppm"])
    if watch["regime"] == WARNING:
        _shrink(totals, limits["warning_ppm"])


@inner
def _shrink(totals, ppm):
    totals["cap_trade_uusd"] = share_of(totals["cap_trade_uusd"], ppm)
    totals["cap_market_uusd"] = share_of(totals["cap_market_uusd"], ppm)
    totals["cap_event_uusd"] = share_of(totals["cap_event_uusd"], ppm)
    totals["cap_gross_uusd"] = share_of(totals["cap_gross_uusd"], ppm)
    totals["cap_net_uusd"] = share_of(totals["cap_net_uusd"], ppm)


@inner
def _add_up(limits, watch, account, pools, markets, fees, event_of, ledger, totals):
    """Take stock of every market and add it up."""
    totals["gross_uusd"] = 0
    totals["net_uusd"][BID] = 0
    totals["net_uusd"][ASK] = 0
    for index in range(len(markets)):
        take_stock(ledger[index], markets[index], fees)
        totals["live"] += ledger[index]["live"][BID] + ledger[index]["live"][ASK]
    for index in range(len(markets)):
        risk = at_risk(ledger[index])
        totals["gross_uusd"] += risk
        ledger[event_of[index]]["event_uusd"] += risk
        for side in range(2):
            totals["net_uusd"][side] += one_way(ledger[index], side)
    totals["lost_uusd"] = max(0, watch["day_realised_uusd"] - realised(pools, markets))
    totals["used"] = messages_used(limits, watch, account)
    _caps(limits, watch, account, totals)


@inner
def interval_of(limits, account):
    """Number of the message interval that the account's clock is in."""
    return (account["now_ns"] - account["start_ns"]) // limits["message_ns"]


@inner
def messages_used(limits, watch, account):
    """Messages sent in the present interval so far."""
    return watch["used"] if watch["window"] == interval_of(limits, account) else 0


@inner
def write_down(limits, watch, account, totals):
    """Keep in ``watch`` what a decision changed of it, for the next one: messages sent, and whether all is cancelled.

    The kill switch has done its work once no order of ours lacked a cancel before a decision: one may have found no
    room on the wire.
    """
    watch["window"] = interval_of(limits, account)
    watch["used"] = totals["used"]
    watch["entered"] = int(watch["entered"] == 1 and totals["live"] > 0)


@inner
def over(order, totals, row, fees, qty):
    """The first risk limit that ``qty`` lots of an order break; PASSED where they break none.

    Nothing that only closes breaks one. Whatever is judged grows with the size.
    """
    if qty <= order.closing:
        return PASSED
    more, other = burden(fees, order.fee, order.price, qty, order.budget, order.rests, order.takes)
    totals["judged_qty"] = qty
    totals["more_uusd"] = more
    totals["other_uusd"] = other
    closes = order.price * order.closing if order.budget == 0 else 0  # a budget may buy more lots for less
    if more - closes > totals["cap_trade_uusd"]:
        return PER_TRADE
    side = order.side
    own, opposite = max(0, row["loss"][side] + more), max(0, row["loss"][1 - side] + other)
    risk, before = max(own, opposite), at_risk(row)
    if risk > totals["cap_market_uusd"]:
        return PER_MARKET
    if order.event - before + risk > totals["cap_event_uusd"]:
        return PER_EVENT
    gross = totals["gross_uusd"] - before + risk
    if gross > totals["cap_gross_uusd"]:
        return GROSS
    grown = opposite - max(0, row["loss"][1 - side])
    there = totals["net_uusd"][1 - side] + grown
    if max(totals["net_uusd"][side] - one_way(row, side) + own, there) > totals["cap_net_uusd"]:
        return NET
    if totals["lost_uusd"] + gross > totals["cap_daily_uusd"]:
        return DAILY_LOSS
    return CASH_BUFFER if order.locks and more > order.cash else PASSED


@inner
def largest(order, totals, row, fees, most):
    """Most lots, up to ``most``, that break no risk limit, and the limit that one more would break."""
    totals["judged_qty"] = -1
    reason = over(order, totals, row, fees, most)
    if reason == PASSED:
        return most, PASSED
    low, high = min(order.closing, most), most
    # price x what opens alone must fit the cap of a trade: sizes beyond need not be tried
    if order.budget == 0:
        high = min(high, order.closing + totals["cap_trade_uusd"] // order.price + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if over(order, totals, row, fees, middle) == PASSED:
            low = middle
        else:
            high = middle
    return low, over(order, totals, row, fees, high)


@inner
def _free_cash(limits, pools, markets, ledger, venue):
    """Micro-dollars on a venue that an opening order may lock, the buffer left there."""
    pool = pools[venue]
    cash = pool["cash_uusd"] - pool["reserved_uusd"] - share_of(pool["start_uusd"], limits["cash_buffer_ppm"])
    for index in range(len(markets)):
        if markets[index]["venue"] == venue:
            cash -= ledger[index]["cash_uusd"]
    return cash


@inner
def _book(order, totals, row, ledger, event, intent, reduce, qty, fees):
    """Enter an order that was granted: it counts for those after it."""
    more, other = totals["more_uusd"], totals["other_uusd"]
    if totals["judged_qty"] != qty:
        more, other = burden(fees, order.fee, order.price, qty, order.budget, order.rests, order.takes)
    before = at_risk(row)
    for side in range(2):
        totals["net_uusd"][side] -= one_way(row, side)
    enter(row, order.side, intent["px"], qty, reduce, more, other)
    for side in range(2):
        totals["net_uusd"][side] += one_way(row, side)
    totals["gross_uusd"] += at_risk(row) - before
    ledger[event]["event_uusd"] += at_risk(row) - before
    if order.locks:
        row["cash_uusd"] += more


@inner
def _place(limits, watch, pools, markets, fees, event_of, set_of, ledger, totals, intent, index, side):
    """Judge an order. Returns the lots granted, -1 where not even a cancel is to be sent, and why they are not all.

    Its messages are counted where they fit the budget, and the order is booked.
    """
    market, row = markets[index], ledger[index]
    reason = at_any_size(limits, market, row, intent, side)
    if reason != PASSED:
        return -1 if reason == NOT_OPEN else 0, reason
    if converting(set_of, ledger, index):
        return 0, CONVERSION
    pool, qty, px, now = pools[market["venue"]], intent["qty"], intent["px"], totals["now_ns"]
    reduce = 1 if reduces(side, intent["leg"]) else 0
    closing = closing_lots(row, market["position"], side, reduce, 0)
    most, reason = most_lots(limits, watch, market, reduce, side, px, qty, closing, now)
    rests = intent["tif"] == GTC and intent["budget_uusd"] == 0
    order = Order(
        side, cost_price(side, px), market["fee"], 0 if reduce == 1 else intent["budget_uusd"], rests,
        intent["post_only"] == 0 or not rests, locks(market, reduce), closing,
        _free_cash(limits, pools, markets, ledger, market["venue"]), ledger[event_of[index]]["event_uusd"],
    )  # fmt: skip
    granted, why = largest(order, totals, row, fees, most)
    reason = reason if why == PASSED else why
    there, amend = standing(market, pool["early_ns"], pool["amends"], side, intent)
    stays = False
    if there >= granted and there > 0:
        closing = closing_lots(row, market["position"], side, reduce, there)
        stays = there <= most_lots(limits, watch, market, reduce, side, px, there, closing, now)[0]
    if stays:
        granted = there
    elif granted < pool["min_qty"]:
        return 0, MINIMUM if reason == PASSED else reason
    sent = row["live"][side] - 1 + int(amend) if stays else row["live"][side] + 1
    if totals["used"] + sent > limits["messages"] and sent > 0:
        return -1, MESSAGES
    totals["used"] += sent
    if not stays:
        _book(order, totals, row, ledger, event_of[index], intent, reduce, granted, fees)
    return granted, PASSED if granted == qty else reason


@inner
def _cancel(totals, row, intent, side):
    """Cancel whatever is ours on a side; nothing is asked for where there is nothing."""
    intent["do"] = DO_CANCEL if row["live"][side] > 0 else DO_NOTHING
    totals["used"] += row["live"][side]


@inner
def _swept(watch, totals, row, market, intent, side):
    """In CRITICAL cancel a side, at once when it begins, then where its orders could do more than close.

    Returns whether there was anything to cancel.
    """
    if watch["regime"] != CRITICAL or row["live"][side] == 0:
        return False
    net = market["position"]["yes_qty"] - market["position"]["no_qty"]
    lots = row["buys"][side] + row["sells"][side]
    if watch["entered"] == 0 and lots <= max(0, -net if side == BID else net):
        return False
    _cancel(totals, row, intent, side)
    return True


@inner
def _judge(limits, watch, pools, markets, fees, event_of, set_of, ledger, totals, intent, index, side):
    """Judge what is wanted on one side of one market, and write what is safe of it. Returns lots cut, and why."""
    row, market, do = ledger[index], markets[index], intent["do"]
    if do == DO_CANCEL:
        totals["used"] += row["live"][side]
        return 0, PASSED
    if do != DO_PLACE or not well_formed(intent):
        reason = MALFORMED if do == DO_PLACE else request(limits, watch, set_of, ledger, totals, do, index)
        if _swept(watch, totals, row, market, intent, side):
            return 0, reason if do == DO_NOTHING or reason != PASSED else KILL_SWITCH
        if reason != PASSED:
            intent["do"] = DO_NOTHING
        return 0, reason
    wanted = intent["qty"]
    if watch["entered"] == 1 and _swept(watch, totals, row, market, intent, side):
        return wanted, KILL_SWITCH
    granted, reason = _place(limits, watch, pools, markets, fees, event_of, set_of, ledger, totals, intent, index, side)
    if granted > 0:
        intent["qty"] = granted
        return wanted - granted, reason
    intent["do"] = DO_NOTHING
    if granted == 0:
        _cancel(totals, row, intent, side)  # the wanted order was to replace what is there
    else:
        _swept(watch, totals, row, market, intent, side)
    return wanted, reason


@inner
def idle(wanted):
    """Whether nothing is asked for; ``wanted`` (M, 2) INTENT."""
    for index in range(len(wanted)):
        if wanted[index, BID]["do"] != DO_NOTHING or wanted[index, ASK]["do"] != DO_NOTHING:
            return False
    return True


@inner
def certify_one(limits, watch, account, pools, markets, fees, event_of, set_of, ledger, totals, wanted, reasons, cuts):
    """Make ``wanted`` (M, 2) INTENT of one environment safe, in place.

    ``limits`` LIMITS and ``watch`` WATCH records, ``fees`` (F,) FEE, ``event_of`` (M,) the event of each market,
    ``set_of`` (M,) the lowest market of the set that its venue nets, -1 = none, ``ledger`` (M,) LEDGER and ``totals``
    TOTALS record to work in. ``reasons`` (M, 2) get a code for each order and ``cuts`` (M, 2) the lots taken off; 0
    where nothing was.
    """
    totals["now_ns"] = account["now_ns"]
    totals["changed"] = 0
    totals["live"] = 0
    for index in range(len(wanted)):
        for side in range(2):
            reasons[index, side] = PASSED
            cuts[index, side] = 0
    if watch["regime"] != CRITICAL and idle(wanted):
        totals["used"] = messages_used(limits, watch, account)
        return
    _add_up(limits, watch, account, pools, markets, fees, event_of, ledger, totals)
    for index in range(len(wanted)):
        for side in range(2):
            if wanted[index, side]["do"] == DO_NOTHING and watch["regime"] != CRITICAL:
                continue
            cut, reason = _judge(
                limits, watch, pools, markets, fees, event_of, set_of, ledger, totals, wanted[index, side], index, side
            )
            reasons[index, side] = reason
            cuts[index, side] = cut
            totals["changed"] += reason != PASSED
