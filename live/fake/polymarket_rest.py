"""What a fake Polymarket's REST answers: Gamma's markets, and the CLOB's books, orders and heartbeats.

A signed body is read as the venue reads it: amounts in 1e-6, prices by their ratio, and the hash that was signed is the
order's id. Its signature must be of the wallet that the key belongs to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from live.fake.answers import Answer, Ask, Problem, Route
from live.fake.guard import NotAuthenticated
from live.fake.orders import Order, Refused, Wanted
from live.orders.polymarket_signing import Terms, lot_step
from live.stamps import text_of
from sim import types
from sim.types import ASK, BID, FOK, GTC, IOC, MICRO_PER_LOT, NO, PX_ONE, SECOND_NS, YES
from sim.venues import VENUES
from sim.wire.units import shortest

if TYPE_CHECKING:
    from live.fake.polymarket import PolymarketVenue

_MOST_BOOKS = 500
_KINDS = {"GTC": GTC, "GTD": GTC, "FOK": FOK, "FAK": IOC}
_EARLIEST_S, _EARLY_S = 180, 60  # a GTD order's expiry lies so far ahead, and takes effect so much earlier
_END = "LTE="  # the cursor after the last page
_MESSAGES = {
    types.REJECT_CASH: "not enough balance / allowance",
    types.REJECT_FOK_UNFILLED: "order couldn't be fully filled. FOK orders are fully filled or killed.",
    types.REJECT_POST_ONLY_CROSS: "invalid post-only order: order crosses book",
    types.REJECT_MARKET_CLOSED: "the orderbook does not exist",
}


def problem_of(refused: Refused) -> Problem:
    """A refusal in Polymarket's words."""
    return Problem(400, refused.name, _MESSAGES.get(refused.code, refused.message))


def _gamma(venue: PolymarketVenue, ask: Ask) -> Answer:
    """Open markets, or with ``closed=true`` closed ones; lists are JSON in text."""
    conditions, tokens, slugs = ask.all("condition_ids"), ask.all("clob_token_ids"), ask.all("slug")
    closed = ask.get("closed", "false") == "true"
    found = [
        index
        for index, one in enumerate(venue.listings)
        if (not conditions or one.market.id in conditions)
        and (not tokens or set(one.tokens) & set(tokens))
        and (not slugs or _slug(one.market.id) in slugs)
        and (venue.exchange.status[index] in (types.CLOSED, types.SETTLED)) == closed
    ]
    first, limit = ask.number("offset", 0), min(ask.number("limit", 20), 100)
    return Answer(200, [_gamma_market(venue, index) for index in found[first : first + limit]])


def _slug(condition: str) -> str:
    return f"synthetic-{condition[2:14]}"


def _gamma_market(venue: PolymarketVenue, index: int) -> dict[str, Any]:
    listing, exchange = venue.listings[index], venue.exchange
    market, rates, book = listing.market, exchange.rates[index], exchange.books[index].shown
    payout, closed = exchange.payout_px[index], exchange.status[index] in (types.CLOSED, types.SETTLED)
    bid, ask = book.best
    yes_px = payout if payout is not None else (bid + ask) // 2
    said: dict[str, Any] = {
        "id": str(index + 1), "question": market.title, "conditionId": market.id, "slug": _slug(market.id),
        "startDate": text_of(market.open_ns, 6), "endDate": text_of(market.close_ns),
        "eventStartTime": text_of(market.open_ns), "outcomes": _packed(["Yes", "No"]),
        "outcomePrices": _packed([shortest(yes_px, 4), shortest(PX_ONE - yes_px, 4)]),
        "clobTokenIds": _packed(list(listing.tokens)), "active": True, "closed": closed, "archived": False,
        "enableOrderBook": True, "acceptingOrders": exchange.status[index] == types.OPEN,
        "orderPriceMinTickSize": venue.tick(index) / PX_ONE, "orderMinSize": venue.min_lots // 100, "negRisk": False,
        "feesEnabled": rates.rate_ppm > 0, "feeType": f"{rates.name}_fees", "makerBaseFee": 1000, "takerBaseFee": 1000,
        "feeSchedule": {"rate": rates.rate_ppm / 1e6, "exponent": 1, "takerOnly": True, "rebateRate": 0.2},
        "bestBid": bid / PX_ONE, "bestAsk": ask / PX_ONE,
    }  # fmt: skip
    if payout is not None:
        said |= {
            "umaResolutionStatus": "resolved",
            "closedTime": text_of(market.close_ns).replace("T", " ")[:-1] + "+00",
        }
    return said


def _packed(items: list[str]) -> str:
    return msgspec.json.encode(items).decode()


def _book(venue: PolymarketVenue, ask: Ask) -> Answer:
    found = venue.book_of(ask.get("token_id"))
    if found is None:
        raise Problem(404, "not_found", "No orderbook exists for the requested token id")
    return Answer(200, found)


def _books(venue: PolymarketVenue, ask: Ask) -> Answer:
    """Who has no book is missing."""
    said = ask.json()
    if not isinstance(said, list) or not 0 < len(said) <= _MOST_BOOKS or not all(isinstance(x, dict) for x in said):
        raise Problem(400, "invalid", "Invalid payload")
    found = [venue.book_of(str(item.get("token_id"))) for item in said]
    return Answer(200, [book for book in found if book is not None])


def _clob_market(venue: PolymarketVenue, _: Ask, condition: str) -> Answer:
    index = venue.index_of(condition)
    if index is None:
        raise Problem(404, "not_found", "market not found")
    rates, listing = venue.exchange.rates[index], venue.listings[index]
    return Answer(200, {
        "t": [{"t": token, "o": name} for token, name in zip(listing.tokens, ("Yes", "No"), strict=True)],
        "mos": venue.min_lots // 100, "mts": venue.tick(index) / PX_ONE, "mbf": 1000, "tbf": 1000,
        "fd": {"r": rates.rate_ppm / 1e6, "e": 1, "to": True}, "itode": False, "nr": False, "c": condition,
    })  # fmt: skip


def _time(venue: PolymarketVenue, _: Ask) -> Answer:
    return Answer(200, venue.clock.now_ns() // SECOND_NS)


def _place(venue: PolymarketVenue, ask: Ask) -> Answer:
    """One order; what it traded at once is said as amounts."""
    said = ask.json()
    wanted = _wanted(venue, said)
    venue.name_next(_id_of(venue, said["order"], wanted))
    now_ns = venue.clock.now_ns()
    if venue.plan.request(now_ns, ("order_reject",)) is not None:
        raise Problem(400, "invalid", "refused by a fault script")
    order, happened = venue.exchange.place(wanted, now_ns)
    venue.tell(happened)
    shares, paid = order.filled * MICRO_PER_LOT, order.taker_cost_uusd
    making, taking = (paid, shares) if order.buys else (shares, paid)
    status = "matched" if order.filled else "live" if order.live else "unmatched"
    return Answer(200, {
        "success": True, "orderID": order.id, "status": status, "makingAmount": shortest(making, 6),
        "takingAmount": shortest(taking, 6), "errorMsg": "",
    })  # fmt: skip


def _wanted(venue: PolymarketVenue, said: Any) -> Wanted:
    """The order of a signed body. Raises Problem 400 for what is missing or cannot be."""
    try:
        signed, kind = said["order"], said["orderType"]
        token, side = str(signed["tokenId"]), str(signed["side"])
        making, taking = int(signed["makerAmount"]), int(signed["takerAmount"])
        expiry_s, post_only = int(signed.get("expiration") or 0), said.get("postOnly", False) is True
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Problem(400, "invalid", "Invalid order payload") from None
    index = venue.market_of(token)
    if index is None or kind not in _KINDS or side not in ("BUY", "SELL") or making <= 0 or taking <= 0:
        raise Problem(400, "invalid", "Invalid order payload")
    if post_only:
        venue.check_post_only(kind)
    else:
        venue.check_post_only_mode()
    shares, paid = (taking, making) if side == "BUY" else (making, taking)
    leg = YES if token == venue.listings[index].tokens[0] else NO
    leg_px, rest = divmod(paid * PX_ONE, shares)
    if rest:
        tick = shortest(venue.tick(index), 4)
        raise Problem(
            400, "off_grid", f"order is invalid. Price ({paid / shares}) breaks minimum tick size rule: {tick}"
        )
    if shares % MICRO_PER_LOT or shares < venue.min_lots * MICRO_PER_LOT:
        raise Problem(400, "size", f"order is invalid. Size ({shortest(shares, 6)}) lower than the minimum: 5, or odd")
    lots = shares // MICRO_PER_LOT
    if lots % lot_step(BID if side == "BUY" else ASK, leg_px, kind):
        raise Problem(400, "amounts", "invalid amounts, an order that trades at once has fewer decimals")
    return Wanted(
        market=index, side=BID if (side == "BUY") == (leg == YES) else ASK,
        px=leg_px if leg == YES else PX_ONE - leg_px,
        qty=lots, tif=_KINDS[kind], leg=leg, post_only=post_only,
        expiry_ns=_expiry_ns(venue, expiry_s) if kind == "GTD" else 0,
    )  # fmt: skip


def _id_of(venue: PolymarketVenue, signed: dict[str, Any], wanted: Wanted) -> str:
    """The order's hash. Raises Problem 400 for a signature that is not of it, or an order that was sent before."""
    side = BID if signed["side"] == "BUY" else ASK
    try:
        order_id = venue.guard.check_order(Terms(str(signed["tokenId"]), side, wanted.px, wanted.qty), signed)
    except NotAuthenticated:
        raise Problem(400, "signature", "invalid signature") from None
    if order_id in venue.exchange.orders:
        raise Problem(400, "duplicate", f"order {order_id} is invalid. Duplicated.")
    return order_id


def _expiry_ns(venue: PolymarketVenue, expiry_s: int) -> int:
    if expiry_s < venue.clock.now_ns() // SECOND_NS + _EARLIEST_S:
        raise Problem(400, "expiry", "invalid expiration value")
    return (expiry_s - _EARLY_S) * SECOND_NS


def _cancel(venue: PolymarketVenue, ask: Ask) -> Answer:
    said = ask.json()
    return Answer(200, _cancelled(venue, [str(said.get("orderID"))] if isinstance(said, dict) else []))


def _cancel_many(venue: PolymarketVenue, ask: Ask) -> Answer:
    said = ask.json()
    if not isinstance(said, list) or len(said) > 1000:
        raise Problem(400, "invalid", "Invalid order payload")
    return Answer(200, _cancelled(venue, [str(one) for one in said]))


def _cancel_all(venue: PolymarketVenue, _: Ask) -> Answer:
    return Answer(200, _cancelled(venue, list(venue.exchange.resting)))


def _cancel_market(venue: PolymarketVenue, ask: Ask) -> Answer:
    said = ask.json()
    market, token = (said.get("market"), said.get("asset_id")) if isinstance(said, dict) else (None, None)
    chosen = [
        order.id
        for order in venue.exchange.resting.values()
        if market in (None, "", venue.listings[order.market].market.id) and token in (None, "", venue.token_of(order))
    ]
    return Answer(200, _cancelled(venue, chosen))


def _cancelled(venue: PolymarketVenue, ids: list[str]) -> dict[str, Any]:
    now_ns = venue.clock.now_ns()
    done, refused = [], {}
    for order_id in ids:
        try:
            order = venue.exchange.find(order_id)
            race = venue.plan.request(now_ns, ("cancel_race",)) if order.left > 1 else None
            if race is not None:
                venue.tell(venue.exchange.hit(order, order.left // 2, now_ns), round(race.for_s * SECOND_NS))
            venue.tell(venue.exchange.cancel(order_id, now_ns)[1])
            done.append(order_id)
        except Refused as error:
            gone = error.code == types.REJECT_GONE
            refused[order_id] = "order can't be found - already canceled or matched" if gone else error.message
    return {"canceled": done, "not_canceled": refused}


def open_order(venue: PolymarketVenue, order: Order) -> dict[str, Any]:
    """An order as REST and the user socket tell it."""
    gtd = bool(order.expiry_ns)
    return {
        "id": order.id, "owner": venue.owner, "market": venue.listings[order.market].market.id,
        "asset_id": venue.token_of(order), "side": "BUY" if order.buys else "SELL",
        "original_size": shortest(order.qty * MICRO_PER_LOT, 6), "price": shortest(order.leg_px, 4),
        "size_matched": shortest(order.filled * MICRO_PER_LOT, 6), "outcome": ("Yes", "No")[order.wanted.leg],
        "order_type": "GTD" if gtd else {GTC: "GTC", FOK: "FOK", IOC: "FAK"}[order.wanted.tif],
        "status": {"resting": "LIVE", "executed": "MATCHED"}.get(order.status, "CANCELED"),
        "created_at": str(order.created_ns // SECOND_NS), "associate_trades": venue.trades_of(order),
        "expiration": str(order.expiry_ns // SECOND_NS + _EARLY_S) if gtd else "0", "maker_address": venue.address,
    }  # fmt: skip


def _open_orders(venue: PolymarketVenue, ask: Ask) -> Answer:
    chosen = [
        open_order(venue, order)
        for order in venue.exchange.resting.values()
        if ask.get("market") in ("", venue.listings[order.market].market.id) and ask.get("id") in ("", order.id)
    ]
    return Answer(200, {"data": chosen, "next_cursor": _END, "limit": len(chosen), "count": len(chosen)})


def _order(venue: PolymarketVenue, _: Ask, order_id: str) -> Answer:
    order = venue.exchange.orders.get(order_id)
    if order is None:
        raise Problem(404, "not_found", "order not found")
    return Answer(200, open_order(venue, order))


def _trades(venue: PolymarketVenue, ask: Ask) -> Answer:
    chosen = [one for one in reversed(venue.trades) if ask.get("market") in ("", one["market"])]
    return Answer(200, {"data": chosen, "next_cursor": _END, "limit": len(chosen), "count": len(chosen)})


def _balance(venue: PolymarketVenue, ask: Ask) -> Answer:
    """Collateral in micro-dollars, or a token's shares in 1e-6."""
    if ask.get("asset_type") != "CONDITIONAL":
        return Answer(200, {"balance": str(venue.exchange.account.cash_uusd), "allowances": {}})
    index = venue.market_of(ask.get("token_id"))
    if index is None:
        raise Problem(400, "invalid", "unknown token id")
    leg = venue.listings[index].tokens.index(ask.get("token_id"))
    held = venue.exchange.account.holdings[index].lots[leg]
    return Answer(200, {"balance": str(held * MICRO_PER_LOT), "allowances": {}})


def _heartbeat(venue: PolymarketVenue, ask: Ask) -> Answer:
    said = ask.json()
    return venue.heartbeat(said.get("heartbeat_id") if isinstance(said, dict) else None)


ROUTES = (
    Route("GET", "/markets", _gamma),
    Route("GET", "/book", _book),
    Route("POST", "/books", _books),
    Route("GET", "/clob-markets/:condition", _clob_market),
    Route("GET", "/time", _time),
    Route("POST", "/order", _place, True),
    Route("DELETE", "/order", _cancel, True),
    Route("DELETE", "/orders", _cancel_many, True),
    Route("DELETE", "/cancel-all", _cancel_all, True),
    Route("DELETE", "/cancel-market-orders", _cancel_market, True),
    Route("GET", "/data/orders", _open_orders, True),
    Route("GET", "/data/order/:id", _order, True),
    Route("GET", "/data/trades", _trades, True),
    Route("GET", "/balance-allowance", _balance, True),
    Route("POST", "/v1/heartbeats", _heartbeat, True),
)
MIN_LOTS = VENUES["polymarket"].min_qty
