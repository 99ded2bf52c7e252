"""Judges what a shield let through by arithmetic of its own, written from docs/shield.md, without code of envs.shield.

Only names of record fields, units and codes are common. It works outcome by outcome in what each leg pays, where the
shield works side by side in YES space; its fees multiply before they divide, where the shield's divide before they
multiply. That takes rates in whole 100 ppm, and sizes up to 10^8 lots.
"""

from __future__ import annotations

import numpy as np

from sim.kernel import inner, kernel
from sim.state import MESSAGE_SLOTS, ORDER_SLOTS

BROKEN = (
    "form", "changed", "status", "size", "minimum", "distance", "band", "near_mid", "self_cross", "kill_switch",
    "not_cancelled", "per_trade", "per_market", "per_event", "gross", "net", "daily_loss", "cash_buffer", "messages",
    "stale_book",
)  # fmt: skip
(
    FORM, CHANGED, STATUS, SIZE, LEAST, FAR, BAND, NEAR, CROSS, KILL, LEFT, TRADE, MARKET, EVENT, GROSS, NET, DAILY,
    CASH, BUDGET, STALE,
) = range(len(BROKEN))  # fmt: skip

DOLLAR = 10_000  # micro-dollars a lot pays

# what the checker keeps of a market
BOOK = np.dtype(
    [
        ("lose_no", "<i8"),  # most that is lost if NO wins, orders included
        ("lose_yes", "<i8"),  # if YES wins
        ("held_no", "<i8"),  # the same of what is held
        ("held_yes", "<i8"),
        ("up", "<i8"),  # orders that gain where YES wins: lots that buy
        ("up_sold", "<i8"),  # and lots that sell
        ("down", "<i8"),
        ("down_sold", "<i8"),
        ("top", "<i8"),  # highest price at which we may buy YES exposure
        ("bottom", "<i8"),  # lowest price at which we may sell it
        ("up_live", "<i8"),  # orders a wish on the side cancels
        ("down_live", "<i8"),
        ("merges", "<i8"),  # 1: a merge was let through
        ("wire", "<i8"),  # cash that orders under way may lock
    ]
)


@inner
def _exact(px, qty, ppm):
    """Exact fee rounded up to a micro-dollar."""
    amount = qty * px * (10_000 - px) * (ppm // 100)
    return (amount + 99_999_999) // 100_000_000


@inner
def _bound(fee, low, high, qty, ppm):
    """Largest fees of any split of qty lots at prices from low to high."""
    worst = high if high < 5_000 else max(low, 5_000)
    exact = _exact(worst, qty, ppm)
    if fee["kind"] == 1:
        return exact + min(5 * qty, exact)
    step = fee["step_uusd"]
    if low == high and low % step == 0:
        return 0 if exact == 0 else exact + qty + step - 1
    return step - 1 + max(exact + qty, qty * step - qty)


@inner
def _fees(fee, px, qty, tif, post_only, budget):
    """Largest fees of an order; px is its price as a buyer of what it gains with."""
    rests = tif == 0 and budget == 0
    total = 0
    if rests:
        total += _bound(fee, px, px, qty, fee["maker_ppm"])
    if post_only == 0 or not rests:
        total += _bound(fee, 0, px, qty, fee["taker_ppm"])
    return total


@inner
def _loss(side, leg, px, qty, budget, most, single, yes_paid):
    """What an order loses at most where YES pays ``yes_paid`` (0 or 1 dollar), fees ``most``, ``single`` of one lot."""
    buys = (side == 0) == (leg == 0)
    price = px if leg == 0 else DOLLAR - px
    pays = DOLLAR * (yes_paid if leg == 0 else 1 - yes_paid)
    lost = price - pays if buys else pays - price
    if lost > 0:
        cost = lost * qty
        if buys and budget > 0 and budget < cost:
            cost = budget
        return cost + most
    return 0 if single <= -lost else most


@inner
def _note(book, fee, side, leg, px, qty, tif, post_only, budget):
    """Enter an order into the book of a market."""
    buys = (side == 0) == (leg == 0)
    spend = budget if buys else 0
    as_buyer = px if side == 0 else DOLLAR - px
    most = _fees(fee, as_buyer, qty, tif, post_only, budget)
    single = _fees(fee, as_buyer, 1, tif, post_only, budget)
    if_no = _loss(side, leg, px, qty, spend, most, single, 0)
    if_yes = _loss(side, leg, px, qty, spend, most, single, 1)
    book["lose_no"] += if_no
    book["lose_yes"] += if_yes
    if side == 0:
        book["top"] = max(book["top"], px)
        book["up"] += qty if buys else 0
        book["up_sold"] += 0 if buys else qty
    else:
        book["bottom"] = min(book["bottom"], px)
        book["down"] += qty if buys else 0
        book["down_sold"] += 0 if buys else qty
    return if_no if side == 0 else if_yes


@inner
def _open_book(book, market, fees):
    """Everything a market's position and orders can lose."""
    position = market["position"]
    cost = position["yes_cost_uusd"] + position["no_cost_uusd"]
    book["held_no"] = cost - DOLLAR * position["no_qty"]
    book["held_yes"] = cost - DOLLAR * position["yes_qty"]
    book["lose_no"] = book["held_no"]
    book["lose_yes"] = book["held_yes"]
    book["up"] = 0
    book["up_sold"] = 0
    book["down"] = 0
    book["down_sold"] = 0
    book["up_live"] = 0
    book["down_live"] = 0
    book["wire"] = 0
    book["merges"] = 0
    book["top"] = 0
    book["bottom"] = 20_000
    fee = fees[market["fee"]]
    for i in range(ORDER_SLOTS):
        order = market["orders"][i]
        if order["id"] > 0:
            _note(book, fee, order["side"], order["leg"], order["px"], order["qty"], 0, 1, 0)
            _count_live(book, order["side"], order["leaving"] == 0)
    for i in range(MESSAGE_SLOTS):
        sent = market["messages"][i]
        if sent["due_ns"] != 0 and sent["kind"] == 0:
            lost = _note(
                book, fee, sent["side"], sent["leg"], sent["px"], sent["qty"], sent["tif"], sent["post_only"],
                sent["budget_uusd"],
            )  # fmt: skip
            _count_live(book, sent["side"], sent["leaving"] == 0 and sent["tif"] == 0)
            if (sent["side"] == 0) == (sent["leg"] == 0):
                book["wire"] += lost


@inner
def _count_live(book, side, live):
    if live and side == 0:
        book["up_live"] += 1
    elif live:
        book["down_live"] += 1


@inner
def _risk(book):
    return max(0, max(book["lose_no"], book["lose_yes"]))


@inner
def _toward(book, side):
    """Risk of a direction: what may be lost there, less what is held the other way where nothing may close it."""
    lose = max(0, book["lose_no"] if side == 0 else book["lose_yes"])
    pending = book["up"] + book["up_sold"] if side == 0 else book["down"] + book["down_sold"]
    if pending > 0:
        return lose
    return lose - max(0, book["held_yes"] if side == 0 else book["held_no"])


@inner
def _closing(book, position, side, buys, itself):
    """Most lots of an order that only close, all others of its side filled. ``itself``: lots of it among them."""
    net = position["no_qty"] - position["yes_qty"] if side == 0 else position["yes_qty"] - position["no_qty"]
    held = position["no_qty"] if side == 0 else position["yes_qty"]
    bought = book["up"] if side == 0 else book["down"]
    sold = book["up_sold"] if side == 0 else book["down_sold"]
    if buys:
        return max(0, net - (bought - itself) - min(sold, held))
    if bought + held <= net:
        return held
    return max(0, min(held, net - bought - (sold - itself)))


@inner
def _there(market, early_ns, amends, side, order):
    """Whether the venue has the order already, so that none is sent; and whether only in a larger size."""
    expiry = order["expiry_ns"]
    if expiry != 0:
        expiry = expiry // 1_000_000_000 * 1_000_000_000 - early_ns
    exact = larger = False
    if order["tif"] != 0 or order["budget_uusd"] != 0:
        return exact, larger
    for i in range(ORDER_SLOTS):
        other = market["orders"][i]
        same = other["id"] > 0 and other["side"] == side and other["leaving"] == 0 and other["px"] == order["px"]
        same = same and other["leg"] == order["leg"] and other["expiry_ns"] == expiry
        for j in range(MESSAGE_SLOTS):
            sent = market["messages"][j]
            same = same and not (sent["due_ns"] != 0 and sent["kind"] == 2 and sent["id"] == other["id"])
        exact = exact or (same and other["qty"] == order["qty"])
        larger = larger or (same and other["qty"] > order["qty"] and amends == 1)
    for i in range(MESSAGE_SLOTS):
        sent = market["messages"][i]
        same = sent["due_ns"] != 0 and sent["kind"] == 0 and sent["side"] == side and sent["leaving"] == 0
        same = same and sent["tif"] == 0 and sent["px"] == order["px"] and sent["leg"] == order["leg"]
        same = same and sent["post_only"] == order["post_only"] and sent["expiry_ns"] == order["expiry_ns"]
        exact = exact or (same and sent["qty"] == order["qty"])
    return exact, larger


@inner
def _part(amount, ppm):
    """ppm millionths of an amount, rounded down."""
    return amount // 1_000_000 * ppm + amount % 1_000_000 * ppm // 1_000_000


@inner
def _bad_form(order):
    bad = order["px"] < 1 or order["px"] > 9_999 or order["qty"] < 1 or order["budget_uusd"] < 0
    bad = bad or order["leg"] < 0 or order["leg"] > 1 or order["tif"] < 0 or order["tif"] > 2
    return bad or order["post_only"] < 0 or order["post_only"] > 1 or order["expiry_ns"] < 0


@inner
def _same_but_size(wanted, order):
    same = wanted["px"] == order["px"] and wanted["leg"] == order["leg"] and wanted["tif"] == order["tif"]
    same = same and wanted["post_only"] == order["post_only"] and wanted["expiry_ns"] == order["expiry_ns"]
    same = same and wanted["budget_uusd"] == order["budget_uusd"] and wanted["do"] == 1
    return same and order["qty"] <= wanted["qty"]


@inner
def _check_rules(limits, regime, now, market, book, side, order, closes, there, found, least):
    """What concerns one order alone."""
    px, mid2 = order["px"], market["mid2_px"]
    away = 2 * px - mid2 if 2 * px > mid2 else mid2 - 2 * px
    size = limits["order_size_qty"]
    if regime == 1:
        size = _part(size, limits["warning_ppm"])
    found[STATUS] += market["status"] != 1
    found[SIZE] += order["qty"] > size
    found[LEAST] += order["qty"] < least and not there
    found[FAR] += away > limits["max_distance2_px"]
    found[BAND] += not closes and (px < limits["min_px"] or px > limits["max_px"])
    found[STALE] += not closes and now - market["book_ns"] > limits["stale_warning_ns"]
    found[NEAR] += regime == 1 and not closes and away < limits["warning_distance2_px"]
    meets = px >= book["bottom"] if side == 0 else px <= book["top"]
    found[CROSS] += meets and limits["self_cross"] == 1
    found[KILL] += regime == 2 and (not closes or order["qty"] > limits["critical_qty"])


@inner
def _check_risk(limits, regime, account, lost_today, markets, books, event_of, index, found):
    """What everything together may lose, an order that opens just entered in market ``index``."""
    start = account["start_uusd"]
    left = limits["warning_ppm"] if regime == 1 else 1_000_000
    event, gross, up, down = 0, 0, 0, 0
    for i in range(len(markets)):
        risk = _risk(books[i])
        gross += risk
        event += risk if event_of[i] == event_of[index] else 0
        up += _toward(books[i], 0)
        down += _toward(books[i], 1)
    found[MARKET] += _risk(books[index]) > _part(_part(start, limits["per_market_ppm"]), left)
    found[EVENT] += event > _part(_part(start, limits["per_event_ppm"]), left)
    found[GROSS] += gross > _part(_part(start, limits["gross_ppm"]), left)
    found[NET] += max(up, down) > _part(_part(start, limits["net_ppm"]), left)
    found[DAILY] += gross + lost_today > _part(start, limits["daily_loss_ppm"])


@inner
def _check_cash(limits, pool, markets, books, index, found):
    """What orders under way may lock leaves the buffer."""
    wire = 0
    for i in range(len(markets)):
        if markets[i]["venue"] == markets[index]["venue"]:
            wire += books[i]["wire"]
    left = pool["cash_uusd"] - pool["reserved_uusd"] - wire
    found[CASH] += left < _part(pool["start_uusd"], limits["cash_buffer_ppm"])


@inner
def _check_new(limits, watch, account, lost_today, pool, markets, books, event_of, index, side, order, fees, found):
    """An order that the venue does not have yet: what it and everything with it may lose."""
    market, book = markets[index], books[index]
    buys = (side == 0) == (order["leg"] == 0)
    close = _closing(book, market["position"], side, buys, 0)
    budget = order["budget_uusd"]
    lost = _note(
        book, fees[market["fee"]], side, order["leg"], order["px"], order["qty"], order["tif"], order["post_only"],
        budget,
    )  # fmt: skip
    if buys:
        book["wire"] += lost
    if order["qty"] <= close:
        return
    as_buyer = order["px"] if side == 0 else DOLLAR - order["px"]
    regime = watch["regime"]
    left = limits["warning_ppm"] if regime == 1 else 1_000_000
    opens = lost if buys and budget > 0 else lost - close * as_buyer
    found[TRADE] += opens > _part(_part(account["start_uusd"], limits["per_trade_ppm"]), left)
    _check_risk(limits, regime, account, lost_today, markets, books, event_of, index, found)
    if buys:
        _check_cash(limits, pool, markets, books, index, found)


@inner
def _check_order(limits, watch, account, lost_today, pool, markets, books, event_of, index, side, order, fees, found):
    """Judge an order that came out; returns the messages it takes."""
    market, book = markets[index], books[index]
    if _bad_form(order):
        found[FORM] += 1
        return 1
    exact, larger = _there(market, pool["early_ns"], pool["amends"], side, order)
    there = exact or larger
    buys = (side == 0) == (order["leg"] == 0)
    closes = order["qty"] <= _closing(book, market["position"], side, buys, order["qty"] if there else 0)
    _check_rules(
        limits, watch["regime"], account["now_ns"], market, book, side, order, closes, there, found, pool["min_qty"]
    )
    live = book["up_live"] if side == 0 else book["down_live"]
    if there:
        return live - 1 if exact else live
    _check_new(limits, watch, account, lost_today, pool, markets, books, event_of, index, side, order, fees, found)
    return live + 1


@inner
def _check_side(
    limits, watch, account, lost_today, pools, markets, books, event_of, index, side, safe, asked, fees, used, found
):
    """Judge one side of one market; returns the messages of the interval after it."""
    do, book = safe["do"], books[index]
    pool = pools[markets[index]["venue"]]
    live = book["up_live"] if side == 0 else book["down_live"]
    found[FORM] += do < 0 or do > 5
    found[LEFT] += do != 2 and live > 0 and watch["regime"] == 2 and watch["entered"] == 1
    if do == 1:
        found[CHANGED] += not _same_but_size(asked, safe)
        sent = _check_order(
            limits, watch, account, lost_today, pool, markets, books, event_of, index, side, safe, fees, found
        )
        found[BUDGET] += sent > 0 and used + sent > limits["messages"]
        return used + sent
    if do == 2:
        return used + live
    if watch["regime"] == 2 and live > 0:
        position = markets[index]["position"]
        net = position["no_qty"] - position["yes_qty"] if side == 0 else position["yes_qty"] - position["no_qty"]
        lots = book["up"] + book["up_sold"] if side == 0 else book["down"] + book["down_sold"]
        found[LEFT] += lots > max(0, net)
    asks = do == 3 or (do == 4 and book["merges"] == 0) or do == 5
    book["merges"] = max(book["merges"], int(do == 4))
    found[BUDGET] += asks and used + 1 > limits["messages"]
    return used + int(asks)


@inner
def _lost_today(watch, pools, markets):
    result = 0
    for i in range(len(markets)):
        result += markets[i]["position"]["realised_uusd"]
    for i in range(len(pools)):
        result -= pools[i]["fees_uusd"]
    return max(0, watch["day_realised_uusd"] - result)


@kernel
def check(limits, watches, accounts, pools, markets, fees, event_of, books, asked, safe, found):
    """Count in ``found`` int64 (len(BROKEN),) what the orders ``safe`` (N, M, 2) break that came of ``asked``.

    ``limits`` (1,) LIMITS, ``watches`` (N,) WATCH, ``accounts`` (N,), ``pools`` (N, V), ``markets`` (N x M,), ``fees``
    (F,) FEE, ``event_of`` (M,), ``books`` (M,) BOOK to work in. Returns how many orders were let through.
    """
    width, passed = safe.shape[1], 0
    for env in range(len(accounts)):
        watch, account = watches[env], accounts[env]
        mine = markets[env * width : (env + 1) * width]
        for index in range(width):
            _open_book(books[index], mine[index], fees)
        lost_today = _lost_today(watch, pools[env], mine)
        interval = (account["now_ns"] - account["start_ns"]) // limits[0]["message_ns"]
        used = watch["used"] if interval == watch["window"] else 0
        for index in range(width):
            for side in range(2):
                order = safe[env, index, side]
                passed += order["do"] == 1
                used = _check_side(
                    limits[0], watch, account, lost_today, pools[env], mine, books, event_of, index, side, order,
                    asked[env, index, side], fees, used, found,
                )  # fmt: skip
    return passed
