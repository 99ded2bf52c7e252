"""What of an action table can be done now, and the intents of a choice: one rule serves mask and decoder.

Every market has a choice of its own in every step, so several legs of one trade go out together.

A row that cannot be done is masked. If it is chosen all the same nothing is sent, and its reason comes back.
"""

from __future__ import annotations

from typing import NamedTuple

from envs.actions import BARRED
from sim.account import free_lots
from sim.kernel import hot, inner, kernel
from sim.sets import converts, mergeable, requested_qty
from sim.state import ORDER_SLOTS
from sim.strategies.decision import BUY, CANCEL, CONVERT, HOLD, MERGE, SELL
from sim.types import (
    ASK,
    BID,
    DO_CANCEL,
    DO_CONVERT,
    DO_MERGE,
    DO_NOTHING,
    DO_PLACE,
    GTC,
    IOC,
    NO,
    OPEN,
    PX_ONE,
    REJECT_CANNOT_CONVERT,
    REJECT_CASH,
    REJECT_MARKET_CLOSED,
    REJECT_NO_QUOTE,
    REJECT_NONE,
    REJECT_NOTHING_TO_MERGE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_NOTIONAL,
    REJECT_SIZE,
    YES,
)
from sim.venues.fees import fee_bound


class Offer(NamedTuple):
    """What one environment's book and account allow now; every row is judged by it. Integers."""

    open: int
    fee: int  # fee schedule in force
    min_qty: int  # smallest order, lots
    min_take: int  # micro-dollars a buy that trades at once must be worth, price x size
    returns: int  # 1: a sale may cost its set returned collateral, so it takes cash (sim.sets)
    pairs: int  # lots of YES and NO together that no order has promised
    convertible: int  # lots of NO that may be converted
    cross_bid: int  # limit prices of orders on that side; -1 = none
    cross_ask: int
    join_bid: int
    join_ask: int
    cash_bid: int  # micro-dollars an order on that side may lock
    cash_ask: int
    yes: int  # lots a reducing order may sell
    no: int
    quoted_bid: int  # 1 where an order of ours rests and is not being cancelled
    quoted_ask: int


@hot
def order_side(verb, leg):
    """Side of the book an order goes to: BID for ``buy YES`` and ``sell NO``."""
    return BID if (verb == BUY) == (leg == YES) else ASK


@hot
def _prices(join_bid, join_ask, cross_bid, cross_ask, market, levels):
    """Limits: crossing on BID and ASK, joining on BID and ASK."""
    grid, bid, ask = market["tick_grid"], market["best_bid"], market["best_ask"]
    buy = sell = join_buy = join_sell = -1
    if ask < levels:
        buy = int(cross_bid[grid, ask])
        join_sell = int(join_ask[grid, ask])
    if bid >= 0:
        sell = int(cross_ask[grid, bid])
        join_buy = int(join_bid[grid, bid])
    return buy, sell, join_buy, join_sell


@hot
def _means(pool, market, cancels_first):
    """Cash for BID and ASK, YES and NO lots, and whether BID and ASK are quoted.

    What a new order on a side replaces counts as free, unless its cancel may arrive later than the order.
    """
    cash_bid = cash_ask = pool["cash_uusd"] - pool["reserved_uusd"]
    position, orders = market["position"], market["orders"]
    yes, no = free_lots(position, YES), free_lots(position, NO)
    quoted_bid = quoted_ask = 0
    if market["live_orders"] == 0:
        return cash_bid, cash_ask, yes, no, quoted_bid, quoted_ask
    for index in range(ORDER_SLOTS):
        order = orders[index]
        if order["id"] == 0:
            continue
        stays = 1 - order["leaving"]
        frees = order["reserved_uusd"] if cancels_first else 0
        if order["side"] == BID:
            quoted_bid |= stays
            cash_bid += frees
        else:
            quoted_ask |= stays
            cash_ask += frees
        if cancels_first and order["reduce"] == 1:
            if order["leg"] == YES:
                yes += order["qty"]
            else:
                no += order["qty"]
    return cash_bid, cash_ask, yes, no, quoted_bid, quoted_ask


@hot
def _affordable(fees, fee, price, qty, cross, cash):
    """Whether ``cash`` covers the most that an opening order can cost: the engine asks for no more when it arrives."""
    # a contract costs below $1, and its fee below $1 in any rounding: no need to look closer
    return 2 * qty * PX_ONE + PX_ONE <= cash or _just_affordable(fees, fee, price, qty, cross, cash)


@inner
def _just_affordable(fees, fee, price, qty, cross, cash):
    return most_cost(fees, fee, price, qty, cross) <= cash


@inner
def most_cost(fees, fee, price, qty, cross):
    """Micro-dollars that an opening order costs at most, and locks while it rests."""
    if cross:
        return price * qty + fee_bound(fees, fee, 0, price, qty, False)
    return price * qty + fee_bound(fees, fee, price, price, qty, True)


@inner
def _reason_of_return(offer, fees, leg, qty, cross):
    """Whether the cash is there that a sale may have to give back to its set: a dollar a contract less its price."""
    side = order_side(SELL, leg)
    px = _limit_px(offer, side, cross)
    price = px if leg == YES else PX_ONE - px
    bound = fee_bound(fees, offer.fee, price, PX_ONE if cross else price, qty, not cross)
    cash = offer.cash_bid if side == BID else offer.cash_ask
    return REJECT_NONE if (PX_ONE - price) * qty + bound <= cash else REJECT_CASH


@hot
def _limit_px(offer, side, cross):
    if side == BID:
        return offer.cross_bid if cross else offer.join_bid
    return offer.cross_ask if cross else offer.join_ask


@hot
def _reason_at_any_size(offer, verb, leg, cross):
    """Why no size of a kind of row can be done; 0 where the size decides."""
    if verb == HOLD:
        return REJECT_NONE
    if verb == BARRED:
        return REJECT_SIZE
    if verb == MERGE:
        return REJECT_NONE if offer.pairs > 0 else REJECT_NOTHING_TO_MERGE
    if verb == CONVERT:
        return REJECT_NONE if offer.convertible > 0 else REJECT_CANNOT_CONVERT
    if verb == CANCEL:
        bid = leg != NO and offer.quoted_bid == 1
        ask = leg != YES and offer.quoted_ask == 1
        return REJECT_NONE if bid or ask else REJECT_NOTHING_TO_REDUCE
    if offer.open == 0:
        return REJECT_MARKET_CLOSED
    if verb == SELL and (offer.yes if leg == YES else offer.no) <= 0:
        return REJECT_NOTHING_TO_REDUCE
    return REJECT_NO_QUOTE if _limit_px(offer, order_side(verb, leg), cross) < 0 else REJECT_NONE


@hot
def reason_of_size(offer, fees, verb, leg, qty, cross):
    """Why a row of a kind that can be done cannot be done in its size; 0 where it can."""
    if verb == SELL:
        qty = min(qty, offer.yes if leg == YES else offer.no)
        if qty < offer.min_qty:
            return REJECT_SIZE
        return REJECT_NONE if offer.returns == 0 else _reason_of_return(offer, fees, leg, qty, cross)
    if verb != BUY:
        return REJECT_NONE
    if qty < offer.min_qty:
        return REJECT_SIZE
    px = _limit_px(offer, order_side(verb, leg), cross)
    cash = offer.cash_bid if leg == YES else offer.cash_ask
    price = px if leg == YES else PX_ONE - px
    if cross and price * qty < offer.min_take:
        return REJECT_NOTIONAL
    return REJECT_NONE if _affordable(fees, offer.fee, price, qty, cross, cash) else REJECT_CASH


@hot
def _requests(sets, pools, markets, slot, width):
    """Lots of a market that can be merged, and converted, now; ``pools`` (V,) of its environment."""
    position = markets[slot]["position"]
    convertible = free_lots(position, NO)
    index = sets.set_of[slot % width]
    first = slot - slot % width
    if convertible <= 0 or index < 0 or not converts(pools, markets[first : first + width], sets, index):
        convertible = 0
    return max(0, mergeable(position)), convertible


@hot
def make_offer(join_bid, join_ask, cross_bid, cross_ask, cancels_first, pool, market, levels, requests):
    """What a market's book and account allow now; ``requests``: lots that can be merged, and converted."""
    prices = _prices(join_bid, join_ask, cross_bid, cross_ask, market, levels)
    means = _means(pool, market, cancels_first[market["row"]])
    is_open = int(market["status"] == OPEN)
    least, take = pool["min_qty"], pool["min_take_uusd"]
    return Offer(is_open, market["fee"], least, take, market["returns"], *requests, *prices, *means)


@kernel
def write_masks(rules, pools, markets, rows, wanted, first, last, out):
    """``out`` bool ``(N x M, A)``: which rows can be done now, where ``wanted`` bool ``(N,)``; others stay.

    Rows of one kind differ in size only. Where the smallest and the largest get the same answer, so do all between:
    cost grows with size, and every other reason but a size or a value below the venue's smallest does not look at it.
    Each market is judged as if nothing were done in the others: legs that only together cost too much are refused by
    the venue, in the order they arrive there.
    """
    join_bid, join_ask, cross_bid, cross_ask = rules.join_bid, rules.join_ask, rules.cross_bid, rules.cross_ask
    fees, cancels_first, levels = rules.fees, rules.cancels_first, len(rules.px_of)
    verb, leg, qty, cross = rows.verb, rows.leg, rows.qty, rows.cross
    kind, smallest, largest = rows.kind, rows.smallest, rows.largest
    width = len(markets) // len(pools)
    if len(verb) == 0:
        return  # nothing to choose from
    for slot in range(first * width, last * width):
        env = slot // width
        if not wanted[env]:
            continue
        market = markets[slot]
        pool = pools[env, market["venue"]]
        requests = _requests(rules.sets, pools[env], markets, slot, width)
        offer = make_offer(join_bid, join_ask, cross_bid, cross_ask, cancels_first, pool, market, levels, requests)
        allowed = mixed = 0  # bits, one a kind
        for k in range(len(smallest)):
            row = smallest[k]
            if _reason_at_any_size(offer, verb[row], leg[row], cross[row]) != REJECT_NONE:
                continue
            small = reason_of_size(offer, fees, verb[row], leg[row], qty[row], cross[row])
            row = largest[k]
            large = reason_of_size(offer, fees, verb[row], leg[row], qty[row], cross[row])
            allowed |= int(small == REJECT_NONE and large == REJECT_NONE) << k
            mixed |= int(small != large) << k
        for row in range(len(verb)):
            out[slot, row] = (allowed >> kind[row]) & 1
        if mixed != 0:
            _row_by_row(offer, fees, verb, leg, qty, cross, kind, mixed, slot, out)


@inner
def _row_by_row(offer, fees, verb, leg, qty, cross, kind, mixed, slot, out):
    """Judge the rows of kinds without one answer. Apart: a loop hardly ever entered would slow the one above."""
    for row in range(len(verb)):
        if (mixed >> kind[row]) & 1:
            reason = reason_of_size(offer, fees, verb[row], leg[row], qty[row], cross[row])
            out[slot, row] = reason == REJECT_NONE


@kernel
def decode(rules, accounts, pools, markets, rows, first, last, actions, intents, rejects):
    """Turn ``actions`` int64 ``(N x M,)`` into ``intents`` INTENT ``(N, M, 2)``.

    ``rejects`` int32 ``(N x M,)`` says why an action was not sent; 0 = it was, or asked for nothing. Finished episodes
    send nothing and are refused nothing.
    """
    join_bid, join_ask, cross_bid, cross_ask = rules.join_bid, rules.join_ask, rules.cross_bid, rules.cross_ask
    fees, cancels_first, levels = rules.fees, rules.cancels_first, len(rules.px_of)
    width = len(markets) // len(accounts)
    for slot in range(first * width, last * width):
        env, index = slot // width, slot % width
        intents[env, index, BID]["do"] = DO_NOTHING
        intents[env, index, ASK]["do"] = DO_NOTHING
        rejects[slot] = REJECT_NONE
        row = actions[slot]
        verb, leg, qty, cross = rows.verb[row], rows.leg[row], rows.qty[row], rows.cross[row]
        account, market = accounts[env], markets[slot]
        if account["done"] == 1 or verb == HOLD:
            continue
        pool = pools[env, market["venue"]]
        requests = _requests(rules.sets, pools[env], markets, slot, width)
        offer = make_offer(join_bid, join_ask, cross_bid, cross_ask, cancels_first, pool, market, levels, requests)
        reason = _reason_at_any_size(offer, verb, leg, cross)
        if reason == REJECT_NONE:
            reason = reason_of_size(offer, fees, verb, leg, qty, cross)
        rejects[slot] = reason
        if reason != REJECT_NONE:
            continue
        _write(intents[env, index], offer, verb, leg, qty, cross)
    for env in range(first, last):
        for index in range(len(rules.sets.sets)):
            _level_conversion(rules.sets, index, intents[env])


@inner
def _level_conversion(sets, index, wanted):
    """Let all markets of a set that convert do so with the lots of the one that has fewest."""
    first = sets.sets[index]["first"]
    fewest = 9_223_372_036_854_775_807
    for place in range(first, first + sets.sets[index]["count"]):
        asked = requested_qty(wanted[sets.members[place]], DO_CONVERT)
        fewest = min(fewest, asked) if asked >= 0 else fewest
    for place in range(first, first + sets.sets[index]["count"]):
        if wanted[sets.members[place], BID]["do"] == DO_CONVERT:
            wanted[sets.members[place], BID]["qty"] = fewest


@inner
def _write(wanted, offer, verb, leg, qty, cross):
    """Write a row that can be done into a market's columns, ``wanted`` (2,) INTENT."""
    if verb == CANCEL:
        if leg != NO:
            wanted[BID]["do"] = DO_CANCEL
        if leg != YES:
            wanted[ASK]["do"] = DO_CANCEL
    elif verb == MERGE:
        wanted[BID]["do"] = DO_MERGE
        wanted[BID]["qty"] = offer.pairs
    elif verb == CONVERT:
        wanted[BID]["do"] = DO_CONVERT
        wanted[BID]["qty"] = offer.convertible
    else:
        side = order_side(verb, leg)
        place(wanted[side], offer, side, verb, leg, qty, cross)


@inner
def place(intent, offer, side, verb, leg, qty, cross):
    """Write an order that can be done, ``qty`` lots or as many as are held, at the offer's price."""
    intent["do"] = DO_PLACE
    intent["px"] = _limit_px(offer, side, cross)
    intent["qty"] = qty if verb == BUY else min(qty, offer.yes if leg == YES else offer.no)
    intent["budget_uusd"] = 0
    intent["leg"] = leg
    intent["tif"] = IOC if cross else GTC
    intent["post_only"] = 1 - cross
