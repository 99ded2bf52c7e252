"""Cash, positions, reservations, netting and settlement, in exact integers.

A contract is fully collateralised: a long locks its price, a short one dollar less it. Everyone who is not the agent
is one counterparty. Whoever opens pays into escrow, which holds $1 per open pair, so that

    agent cash + counterparty cash + venue fees + escrow

never changes by a micro-dollar, on each venue for itself (docs/units.md). The counterparty holds the opposite of every
contract of the agent. Where a set of markets is returned collateral (sim.sets), an order that reduces locks cash too:
the return may have to be given back.
"""

from __future__ import annotations

from sim.activity import on_own_trade
from sim.kernel import hot, inner
from sim.latency import refresh_due
from sim.state import FILL_SLOTS, ORDER_SLOTS
from sim.types import ASK, BID, NO, PAIR_UUSD, PX_ONE, SETTLED, YES
from sim.venues.amend import group_add
from sim.venues.fees import charge


@hot
def leg_price(leg, px):
    """Price of the leg an order acts on, from the price in YES space."""
    return px if leg == YES else PX_ONE - px


@inner
def free_cash(desk):
    """Micro-dollars that no resting order has locked."""
    return desk.pool["cash_uusd"] - desk.pool["reserved_uusd"]


@hot
def free_lots(position, leg):
    """Lots of a leg that no resting order has promised."""
    if leg == YES:
        return position["yes_qty"] - position["yes_held_qty"]
    return position["no_qty"] - position["no_held_qty"]


@inner
def held_free(desk, leg):
    """As :func:`free_lots`, at a desk."""
    return free_lots(desk.market["position"], leg)


@inner
def marked(market):
    """Micro-dollars the position is worth at the mid, rounded down; mid2 is twice the mid."""
    position = market["position"]
    mid2 = market["mid2_px"]
    twice = position["yes_qty"] * mid2 + position["no_qty"] * (2 * PX_ONE - mid2)
    return twice // 2


@inner
def mark(account, pools, markets, returned):
    """Write the account's equity over its ``pools`` and ``markets``, arrays of records, and its peak.

    ``returned`` (S,) micro-dollars of collateral that sets were returned: an advance on what the positions pay.
    """
    equity = 0
    for index in range(len(returned)):
        equity -= returned[index]
    for index in range(len(pools)):
        equity += pools[index]["cash_uusd"]
    for index in range(len(markets)):
        if markets[index]["status"] != SETTLED:
            equity += marked(markets[index])
    account["equity_uusd"] = equity
    if equity > account["peak_uusd"]:
        account["peak_uusd"] = equity


@inner
def _journal(desk, order_id, side, leg, px, qty, fee, maker, mid2, sent_mid2, now):
    """Add to the step's fills: one row per order, price and role, in the order of time, of equal stamps by market."""
    on_own_trade(desk.market, desk.px_of, now)
    signed = qty if side == BID else -qty
    fills = desk.account["fills"]
    count = desk.account["n_fills"]
    for row in range(min(count, FILL_SLOTS)):
        fill = fills[row]
        if fill["order_id"] == order_id and fill["px"] == px and fill["maker"] == maker:
            fills[row]["qty"] += signed
            fills[row]["fee_uusd"] += fee
            return
    desk.account["n_fills"] = count + 1
    if count >= FILL_SLOTS:
        return  # the engine raises: the account is right, the journal is not whole
    row = count
    while row > 0 and _is_later(fills[row - 1], now, desk.market["index"]):
        fills[row] = fills[row - 1]
        row -= 1
    fills[row]["ns"] = now
    fills[row]["qty"] = signed
    fills[row]["fee_uusd"] = fee
    fills[row]["order_id"] = order_id
    fills[row]["latent_ppm"] = desk.market["latent_ppm"]
    fills[row]["px"] = px
    fills[row]["mid2_px"] = mid2
    fills[row]["sent_mid2_px"] = sent_mid2
    fills[row]["market"] = desk.market["index"]
    fills[row]["maker"] = maker
    fills[row]["leg"] = leg


@hot
def _is_later(fill, now, market):
    """Whether a fill belongs behind one of ``market`` at ``now``: markets may be run one after another."""
    return fill["ns"] > now or (fill["ns"] == now and fill["market"] > market)


@inner
def _open(desk, leg, qty, cost):
    if leg == YES:
        desk.market["position"]["yes_qty"] += qty
        desk.market["position"]["yes_cost_uusd"] += cost
    else:
        desk.market["position"]["no_qty"] += qty
        desk.market["position"]["no_cost_uusd"] += cost


@hot
def _part_of(cost, qty, held):
    """``cost * qty // held``, in two parts: the product alone may pass 2**63."""
    return cost // held * qty + cost % held * qty // held


@inner
def take_out(position, leg, qty):
    """Take ``qty`` lots out of a leg; returns their share of its cost, rounded down unless the leg is emptied."""
    if leg == YES:
        cost = _part_of(position["yes_cost_uusd"], qty, position["yes_qty"])
        position["yes_qty"] -= qty
        position["yes_cost_uusd"] -= cost
    else:
        cost = _part_of(position["no_cost_uusd"], qty, position["no_qty"])
        position["no_qty"] -= qty
        position["no_cost_uusd"] -= cost
    return cost


@inner
def execute(desk, order_id, side, leg, reduce, px, qty, maker, overshoot, mid2, sent, now):
    """Book one fill of ours: cash, escrow, position, netting, journal. Returns (cash paid, new overshoot).

    ``px`` is in YES space, ``qty`` > 0 in lots. Cash paid is negative where the fill brought money in.
    """
    pool = desk.pool
    price = leg_price(leg, px)
    fee, overshoot = charge(desk.fees, desk.market["fee"], price, qty, reduce == 0, maker == 1, overshoot)
    value = price * qty
    other = qty * PAIR_UUSD - value
    if reduce == 1:
        paid = fee - value
        pool["counterparty_uusd"] += other
        pool["escrow_uusd"] -= qty * PAIR_UUSD
        desk.market["position"]["realised_uusd"] += value - take_out(desk.market["position"], leg, qty)
    else:
        paid = fee + value
        pool["counterparty_uusd"] -= other
        pool["escrow_uusd"] += qty * PAIR_UUSD
        _open(desk, leg, qty, value)
    pool["cash_uusd"] -= paid
    pool["fees_uusd"] += fee
    desk.market["moved"] = desk.market["returns"]
    _journal(desk, order_id, side, leg, px, qty, fee, maker, mid2, sent, now)
    if desk.pool["netting"] == 1:
        merge_pairs(desk)
    return paid, overshoot


@inner
def merge_pairs(desk):
    """Turn every YES + NO pair into $1, for us and for the counterparty. Reducing orders give promised lots back."""
    position = desk.market["position"]
    pairs = min(position["yes_qty"], position["no_qty"])
    if pairs > 0:
        merge(desk.pool, position, pairs)
        _trim(desk, YES)
        _trim(desk, NO)


@inner
def merge(pool, position, pairs):
    """Turn ``pairs`` lots of YES and of NO, which are held, into $1 a contract, for us and for the counterparty."""
    cost = take_out(position, YES, pairs) + take_out(position, NO, pairs)
    position["realised_uusd"] += pairs * PAIR_UUSD - cost
    pool["cash_uusd"] += pairs * PAIR_UUSD
    pool["counterparty_uusd"] += pairs * PAIR_UUSD
    pool["escrow_uusd"] -= 2 * pairs * PAIR_UUSD


@inner
def _trim(desk, leg):
    """Shrink reducing orders, the youngest first, until they promise no more than is held."""
    for _ in range(ORDER_SLOTS):
        excess = -held_free(desk, leg)
        if excess <= 0:
            return
        youngest = -1
        for index in range(ORDER_SLOTS):
            order = desk.market["orders"][index]
            if order["id"] > 0 and order["reduce"] == 1 and order["leg"] == leg:
                if youngest < 0 or order["id"] > desk.market["orders"][youngest]["id"]:
                    youngest = index
        cut = min(excess, desk.market["orders"][youngest]["qty"])
        desk.market["orders"][youngest]["qty"] -= cut
        _promise(desk, leg, -cut)
        if desk.market["returns"] == 1:
            _unlock(desk, youngest, needed_price(leg, 1, desk.market["orders"][youngest]["px"]) * cut)
        if desk.market["orders"][youngest]["qty"] == 0:
            drop_order(desk, youngest)


@inner
def _promise(desk, leg, qty):
    if leg == YES:
        desk.market["position"]["yes_held_qty"] += qty
    else:
        desk.market["position"]["no_held_qty"] += qty


@inner
def cut_promise(desk, leg, qty):
    """A resting order that reduces promises ``qty`` lots less."""
    _promise(desk, leg, -qty)


@inner
def reserve(desk, index, amount):
    """Lock what resting order ``index`` may need: lots if it reduces, cash if :func:`locks_cash` says so."""
    order = desk.market["orders"][index]
    if order["reduce"] == 1:
        _promise(desk, order["leg"], order["qty"])
    if locks_cash(desk, order["reduce"]):
        desk.market["orders"][index]["reserved_uusd"] = amount
        desk.pool["reserved_uusd"] += amount


@inner
def locks_cash(desk, reduce):
    """Whether an order locks cash: one that opens does, and one that may cost its set returned collateral."""
    return reduce == 0 or desk.market["returns"] == 1


@inner
def needed_price(leg, reduce, px):
    """Cash a lot of an order takes at most at ``px``: its price, or for a sale the dollar it may give back less it."""
    price = leg_price(leg, px)
    return PX_ONE - price if reduce == 1 else price


@inner
def _unlock(desk, index, amount):
    """Release up to ``amount`` of what a resting order has locked."""
    release = min(amount, desk.market["orders"][index]["reserved_uusd"])
    desk.market["orders"][index]["reserved_uusd"] -= release
    desk.pool["reserved_uusd"] -= release


@inner
def fill_resting(desk, index, qty, mid2, now):
    """A print reaches resting order ``index`` for ``qty`` lots: pay from its reservation, free the rest when done.

    ``mid2``: bid + ask before the taker came.
    """
    order = desk.market["orders"][index]
    order_id = order["id"]
    leg = order["leg"]
    reduce = order["reduce"]
    if reduce == 1:
        _promise(desk, leg, -qty)
    # the order shrinks first: netting may have to shrink it further
    desk.market["orders"][index]["qty"] -= qty
    desk.market["orders"][index]["filled_qty"] += qty
    paid, overshoot = execute(
        desk, order_id, order["side"], leg, reduce, order["px"], qty, 1,
        order["overshoot_uusd"], mid2, order["sent_mid2_px"], now,
    )  # fmt: skip
    desk.market["orders"][index]["overshoot_uusd"] = overshoot
    if locks_cash(desk, reduce):
        _unlock(desk, index, paid + reduce * qty * PAIR_UUSD)
    if desk.market["orders"][index]["qty"] == 0:
        drop_order(desk, index)
    count_fill(desk, qty, now)


@inner
def count_fill(desk, qty, now):
    """Count a fill towards the order group's limit."""
    if desk.row["group_limit_qty"] > 0:
        desk.market["group"]["limit_qty"] = desk.row["group_limit_qty"]
        group_add(desk.market["group"], now, qty)


@inner
def stop_triggered(desk):
    """A group past its limit has no orders: those that rest are cancelled, new ones are refused until its reset."""
    if desk.market["group"]["triggered"] == 1:
        drop_orders(desk)


@inner
def drop_order(desk, index):
    """Free an order's slot and whatever it had locked."""
    order = desk.market["orders"][index]
    if order["reduce"] == 1:
        _promise(desk, order["leg"], -order["qty"])
    desk.pool["reserved_uusd"] -= order["reserved_uusd"]
    desk.market["live_orders"] -= 1
    desk.market["orders"][index]["id"] = 0
    desk.market["orders"][index]["qty"] = 0
    desk.market["orders"][index]["reserved_uusd"] = 0
    if order["expiry_ns"] > 0:
        refresh_due(desk.market)


@inner
def drop_orders(desk):
    """The venue cancels everything we have in a market."""
    for index in range(ORDER_SLOTS):
        if desk.market["orders"][index]["id"] > 0:
            drop_order(desk, index)


@inner
def settle(desk, payout):
    """Pay ``payout`` (price units, 0 to 10000) per YES lot and the rest of the dollar per NO lot; close the market."""
    drop_orders(desk)
    position = desk.market["position"]
    yes = position["yes_qty"]
    no = position["no_qty"]
    value = yes * payout + no * (PX_ONE - payout)
    position["realised_uusd"] += value - position["yes_cost_uusd"] - position["no_cost_uusd"]
    position["yes_qty"] = 0
    position["no_qty"] = 0
    position["yes_cost_uusd"] = 0
    position["no_cost_uusd"] = 0
    desk.pool["cash_uusd"] += value
    desk.pool["counterparty_uusd"] += (yes + no) * PAIR_UUSD - value
    desk.pool["escrow_uusd"] -= (yes + no) * PAIR_UUSD
    desk.market["payout_px"] = payout
    desk.market["status"] = SETTLED
    desk.market["moved"] = desk.market["returns"]


@inner
def opposite(side):
    """The other side of the book."""
    return ASK if side == BID else BID
