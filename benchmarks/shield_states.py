"""Random accounts and adversarial orders for the proof of the shield: whatever an account may look like, and worse."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.shield import WATCH, Limits, orders_from_floats
from sim.kernel import inner, kernel
from sim.state import ACCOUNT, MARKET, MESSAGE_SLOTS, ORDER_SLOTS, POOL
from sim.venues.fees import FEE

WORDS = 64  # random words that the state of a market, or of an account, takes at most
SCHEDULES = np.array(
    [
        (70_000, 0, 100, 0), (70_000, 17_500, 100, 0), (35_000, 17_500, 10_000, 0), (0, 0, 1, 0), (70_000, 0, 0, 1),
        (0, 0, 0, 1),
    ],
    FEE,
)  # fmt: skip
EDGES = np.array(
    [-(2**63), -(2**62), -(2**31), -1, 0, 1, 2, 99, 100, 5000, 9999, 10_000, 10_001, 2**31, 2**53, 2**62, 2**63 - 1],
    np.int64,
)  # fmt: skip


class Crowd(NamedTuple):
    """N accounts of M markets on two venues, the first of which nets YES and NO."""

    account: np.ndarray
    pool: np.ndarray
    market: np.ndarray
    watch: np.ndarray


def make_crowd(num_envs: int, num_markets: int) -> Crowd:
    """Zeroed."""
    return Crowd(
        np.zeros(num_envs, ACCOUNT),
        np.zeros((num_envs, 2), POOL),
        np.zeros(num_envs * num_markets, MARKET),
        np.zeros(num_envs, WATCH),
    )


@inner
def _pick(words, at, bound):
    """A number from 0 to bound - 1."""
    return int(words[at]) % bound


@inner
def _fill_orders(market, words, at, scale):
    market["live_orders"] = 0
    for i in range(ORDER_SLOTS):
        order = market["orders"][i]
        order["id"] = (i + 1) * int(words[at] % 3 == 0)
        market["live_orders"] += order["id"] > 0
        order["qty"] = 1 + _pick(words, at + 1, scale)
        order["side"] = words[at + 3] & 1
        order["px"] = _own_price(market, words, at + 2, order["side"])
        order["leg"] = (words[at + 3] >> 1) & 1
        order["reduce"] = int((order["side"] == 0) != (order["leg"] == 0))
        order["leaving"] = int((words[at + 3] >> 2) & 3 == 0)
        order["expiry_ns"] = 0
        at += 4
    return at


@inner
def _fill_messages(market, words, at, scale):
    market["due_ns"] = 2**63 - 1
    for i in range(MESSAGE_SLOTS):
        sent = market["messages"][i]
        sent["due_ns"] = int(words[at] % 4 == 0) * (10**9 + int(words[at]))
        if sent["due_ns"] > 0:
            market["due_ns"] = 10**9
        sent["kind"] = int((words[at + 3] >> 8) % 3 == 0)
        sent["id"] = 1 + _pick(words, at + 3, 12)
        sent["qty"] = 1 + _pick(words, at + 1, scale)
        sent["side"] = words[at + 3] & 1
        sent["px"] = _own_price(market, words, at + 2, sent["side"])
        sent["leg"] = (words[at + 3] >> 1) & 1
        sent["reduce"] = int((sent["side"] == 0) != (sent["leg"] == 0))
        sent["leaving"] = (words[at + 3] >> 2) & 1
        sent["tif"] = (words[at + 3] >> 3) % 3
        sent["post_only"] = int(sent["tif"] == 0) * ((words[at + 3] >> 5) & 1)
        sent["budget_uusd"] = 0
        if sent["tif"] != 0 and (words[at + 3] >> 6) & 3 == 0:
            sent["budget_uusd"] = 1 + _pick(words, at + 3, 10**8)
        sent["expiry_ns"] = 0
        at += 4
    return at


@inner
def _price(words, at):
    """Any price, more often one near the ends or on a cent."""
    px = 1 + _pick(words, at, 9_999)
    kind = (words[at] >> 24) & 7
    if kind == 0:
        return 1 + px % 300
    if kind == 1:
        return 9_999 - px % 300
    return max(100, px // 100 * 100) if kind < 5 else px


@inner
def _own_price(market, words, at, side):
    """A price of ours: mostly behind the mid, so that our two sides do not meet."""
    px = _price(words, at)
    mid = market["mid2_px"] // 2
    if (words[at] >> 27) & 15 == 0:
        return px
    off = 1 + _pick(words, at, 600)
    return max(1, mid - off) if side == 0 else min(9_999, mid + off)


@inner
def _fill_market(market, words, at, scale):
    market["status"] = 1 if words[at] % 16 > 0 else _pick(words, at + 1, 6)
    market["venue"] = words[at + 2] & 1
    market["fee"] = _pick(words, at + 3, len(SCHEDULES))
    market["mid2_px"] = 2 * _price(words, at + 4)
    position = market["position"]
    kind = words[at + 5] % 5
    position["yes_qty"] = _pick(words, at + 6, scale) if kind == 1 or kind == 3 else 0
    position["no_qty"] = _pick(words, at + 7, scale) if kind == 2 or kind == 3 else 0
    position["yes_cost_uusd"] = position["yes_qty"] * _pick(words, at + 8, 10_001)
    position["no_cost_uusd"] = position["no_qty"] * _pick(words, at + 9, 10_001)
    position["realised_uusd"] = _pick(words, at + 10, 2 * 10**9) - 10**9
    at = _fill_orders(market, words, at + 11, scale)
    return _fill_messages(market, words, at, scale)


@inner
def _lots(start_uusd, words, at):
    """A size to draw from: what the account could pay for, or a part of it down to a 32,768th."""
    return 2 + min(10**8, (start_uusd // 2000) >> _pick(words, at, 16))


@kernel
def fill_crowd(crowd, words, start_uusd):
    """Make every account a random one. ``words`` uint32 ``(N x (M + 1), WORDS)``; ``start_uusd`` the starting cash."""
    width = len(crowd.market) // len(crowd.account)
    row = 0
    for env in range(len(crowd.account)):
        account, watch = crowd.account[env], crowd.watch[env]
        mine = words[row]
        row += 1
        account["start_uusd"] = start_uusd
        account["start_ns"] = 10**9
        account["now_ns"] = 10**9 + int(mine[0]) * 100
        for venue in range(2):
            pool = crowd.pool[env, venue]
            pool["start_uusd"] = start_uusd // 2
            pool["cash_uusd"] = start_uusd // 1000 * _pick(mine, 1 + venue, 2000)
            pool["reserved_uusd"] = pool["cash_uusd"] // (1 + _pick(mine, 3 + venue, 20))
            pool["fees_uusd"] = _pick(mine, 5 + venue, 10**8)
            pool["netting"] = 1 - venue
            pool["min_qty"] = 1 if venue == 0 else 500
            pool["amends"] = 1 - venue
            pool["early_ns"] = 60 * 10**9 * venue
        watch["regime"] = _pick(mine, 7, 3)
        watch["entered"] = int(watch["regime"] == 2) * (mine[8] & 1)
        watch["window"] = _pick(mine, 9, 8)
        watch["used"] = _pick(mine, 10, 300) if mine[10] & 7 == 0 else 0
        watch["day_realised_uusd"] = _pick(mine, 11, 2 * 10**9) - 10**9
        scale = _lots(start_uusd, mine, 12)
        for index in range(width):
            market, theirs = crowd.market[env * width + index], words[row]
            _fill_market(market, theirs, 0, scale)
            # most books are younger than a second, some up to 100 s old
            market["book_ns"] = account["now_ns"] - _pick(theirs, 60, 10**9) * (100 if theirs[61] % 8 == 0 else 1)
            row += 1


@inner
def _plausible(order, market, side, start_uusd, words):
    """An order as a policy might want it, often one that is there already."""
    order["do"] = 1
    order["px"] = _price(words, 1)
    if words[2] & 7 > 0:
        order["px"] = min(9_999, max(1, market["mid2_px"] // 2 + (_pick(words, 1, 1201) - 200) * (2 * side - 1)))
    order["qty"] = 1 + _pick(words, 3, _lots(start_uusd, words, 4))
    order["leg"] = words[5] & 1
    order["tif"] = (words[5] >> 1) % 3
    order["post_only"] = int(order["tif"] == 0) * ((words[5] >> 8) & 1)
    order["budget_uusd"] = _pick(words, 6, 10**9) if (words[5] >> 9) & 3 == 0 else 0
    order["expiry_ns"] = 0
    if (words[5] >> 12) & 7 == 0:
        rests = market["orders"][_pick(words, 6, ORDER_SLOTS)]
        order["px"], order["leg"], order["tif"], order["budget_uusd"] = rests["px"], rests["leg"], 0, 0
        order["qty"] = rests["qty"] + _pick(words, 7, 3) - 1


@inner
def _spoil(order, words):
    """Put values that no order has, or hardly any, into some of its fields."""
    which = words[8]
    for field in range(8):
        if (which >> field) & 1 == 0:
            continue
        value = EDGES[_pick(words, 9 + (field & 1), len(EDGES))] if (which >> 8) & 1 else int(words[10 + field]) - 2**31
        if field == 0:
            order["px"] = value
        elif field == 1:
            order["qty"] = value
        elif field == 2:
            order["budget_uusd"] = value
        elif field == 3:
            order["expiry_ns"] = value
        else:
            _spoil_code(order, field, value)


@inner
def _spoil_code(order, field, value):
    if field == 4:
        order["leg"] = value
    elif field == 5:
        order["tif"] = value
    elif field == 6:
        order["post_only"] = value
    else:
        order["do"] = value


@kernel
def fill_orders(crowd, words, floats, wanted):
    """Random ``wanted`` (N, M, 2) INTENT: plausible, spoilt, made of floats, requests, and every code of ``do``.

    ``words`` uint32 (N x M x 2, 24), ``floats`` (N, M, 2) INTENT made of random floats.
    """
    width = wanted.shape[1]
    for env in range(len(wanted)):
        for index in range(width):
            market = crowd.market[env * width + index]
            for side in range(2):
                order = wanted[env, index, side]
                mine = words[(env * width + index) * 2 + side]
                _plausible(order, market, side, crowd.account[env]["start_uusd"], mine)
                kind = mine[0] & 15
                if kind < 3:
                    _spoil(order, mine)
                elif kind < 5:
                    wanted[env, index, side] = floats[env, index, side]
                elif kind == 8:
                    order["do"] = _pick(mine, 8, 9) - 2


def random_floats(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Orders made of floats: dollars and contracts, NaN, infinities, negative and huge ones among them."""
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 1.0, 1e-300, 1e18, 1e300, 0.5, 5.0])
    count = int(np.prod(shape))

    def some(values: np.ndarray) -> np.ndarray:
        return np.where(rng.random(count, np.float32) < 0.15, odd[rng.integers(0, len(odd), count)], values)

    price = some(rng.random(count))
    contracts = some(np.exp2(rng.random(count) * 30 - 8))
    budget = some(np.where(rng.random(count, np.float32) < 0.7, 0.0, rng.random(count) * 1000))
    result = orders_from_floats(price, contracts, budget).reshape(shape)
    result["leg"] = rng.integers(0, 2, shape)
    result["tif"] = rng.integers(0, 3, shape)
    return result


def random_limits(rng: np.random.Generator) -> Limits:
    """Consistent limits of any strictness."""
    shares = np.sort(np.exp(rng.uniform(np.log(1e-4), 0, 5)))
    sizes = np.sort(np.exp(rng.uniform(np.log(1), np.log(50_000), 2)))
    return Limits(
        per_trade=shares[0], per_market=shares[1], per_event=shares[2], gross=shares[3], daily_loss=shares[4],
        net=shares[3] * rng.uniform(0.1, 1.0), cash_buffer=(1 - shares[0]) * rng.uniform(0, 0.5),
        order_size=sizes[1], critical_size=sizes[0], messages=int(rng.integers(1, 400)),
        message_seconds=rng.uniform(1, 100), min_price=rng.uniform(0.001, 0.2), max_price=rng.uniform(0.8, 0.999),
        max_distance=rng.uniform(0.1, 1.0), warning_distance=rng.uniform(0, 0.1), self_cross=bool(rng.random() < 0.8),
        warning_factor=rng.uniform(0.1, 1.0), stale_warning=rng.uniform(0.5, 100),
    )  # fmt: skip
