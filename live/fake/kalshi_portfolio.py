"""What a fake Kalshi's REST does for a key: limits, balance, positions, orders (V2), fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from live.fake import kalshi_words as words
from live.fake.answers import Answer, Ask, Problem, Route, paged
from live.fake.orders import Order, Refused, Wanted
from live.limits import KALSHI_COSTS
from sim import types
from sim.types import ASK, BID, FOK, GTC, IOC, PX_ONE, SECOND_NS
from sim.venues.amend import CANCEL_INCOMING, CANCEL_RESTING
from sim.wire.units import contracts, px_of

if TYPE_CHECKING:
    from live.fake.kalshi import KalshiVenue

_MOST_IN_BATCH = 20
_SIDES = {"bid": BID, "ask": ASK}
_TIFS = {"good_till_canceled": GTC, "immediate_or_cancel": IOC, "fill_or_kill": FOK}
_SELF_TRADE = {"taker_at_cross": CANCEL_INCOMING, "maker": CANCEL_RESTING}
_FLAGS = ("post_only", "reduce_only", "cancel_order_on_pause")
_WORDS = {  # status and code of a refusal; where the venue's own word is not known, ours
    types.REJECT_MARKET_CLOSED: (409, "MARKET_INACTIVE"),
    types.REJECT_OFF_GRID: (400, "invalid_price"),
    types.REJECT_SIZE: (400, "invalid_count"),
    types.REJECT_CASH: (400, "insufficient_balance"),
    types.REJECT_NOTHING_TO_REDUCE: (400, "nothing_to_reduce"),
    types.REJECT_POST_ONLY_CROSS: (409, "post_only_cross"),
    types.REJECT_FOK_UNFILLED: (409, "fill_or_kill_insufficient_resting_volume"),
    types.REJECT_PAUSED: (409, "trading_is_paused"),
    types.REJECT_HALTED: (409, "exchange_is_paused"),
    types.REJECT_DUPLICATE: (409, "order_already_exists"),
    types.REJECT_GONE: (404, "not_found"),
}


def problem_of(refused: Refused) -> Problem:
    """A refusal in Kalshi's words."""
    status, code = _WORDS.get(refused.code, (400, f"invalid_{refused.name}"))
    return Problem(status, code, refused.message)


def _limits(venue: KalshiVenue, _: Ask) -> Answer:
    said: dict[str, Any] = {"usage_tier": venue.config.tier, "grants": []}
    for name, rate in (("read", venue.config.read), ("write", venue.config.write)):
        said[name] = {"bucket_capacity": rate.capacity, "refill_rate": rate.refill}
    return Answer(200, said)


def _costs(_: KalshiVenue, __: Ask) -> Answer:
    table = [{"method": method, "path": path, "cost": cost} for method, path, cost in KALSHI_COSTS.table]
    return Answer(200, {"default_cost": KALSHI_COSTS.default, "endpoint_costs": table})


def _balance(venue: KalshiVenue, _: Ask) -> Answer:
    return Answer(200, words.balance_of(venue.exchange, venue.clock.now_ns()))


def _positions(venue: KalshiVenue, ask: Ask) -> Answer:
    held = [index for index, one in enumerate(venue.exchange.account.holdings) if one.traded_uusd]
    ticker = ask.get("ticker")
    chosen = [words.position_of(venue.exchange, index) for index in held]
    page, cursor = paged(
        [one for one in chosen if ticker in ("", one["ticker"])], ask.get("cursor"), ask.number("limit", 100), 1000
    )
    return Answer(200, {"market_positions": page, "event_positions": [], "cursor": cursor})


def _orders(venue: KalshiVenue, ask: Ask) -> Answer:
    """Newest first."""
    ticker, status = ask.get("ticker"), ask.get("status")
    chosen = [
        order
        for order in reversed(venue.exchange.orders.values())
        if status in ("", order.status) and ticker in ("", venue.listings[order.market].market.id)
    ]
    page, cursor = paged(chosen, ask.get("cursor"), ask.number("limit", 100), 1000)
    return Answer(200, {"orders": [words.rest_order(venue.exchange, order) for order in page], "cursor": cursor})


def _order(venue: KalshiVenue, _: Ask, order_id: str) -> Answer:
    order = venue.exchange.orders.get(order_id)
    if order is None:
        raise Problem(404, "not_found", f"no order {order_id}")
    return Answer(200, {"order": words.rest_order(venue.exchange, order)})


def _queue_position(venue: KalshiVenue, _: Ask, order_id: str) -> Answer:
    order = venue.exchange.find(order_id)
    return Answer(200, {"queue_position_fp": contracts(order.ahead_qty)})


def _fills(venue: KalshiVenue, ask: Ask) -> Answer:
    """Newest first."""
    ticker, order_id = ask.get("ticker"), ask.get("order_id")
    since, until = ask.number("min_ts", 0), ask.number("max_ts", 10**12)
    chosen = [
        fill
        for fill in reversed(venue.fills)
        if ticker in ("", fill["ticker"]) and order_id in ("", fill["order_id"]) and since <= fill["ts"] <= until
    ]
    page, cursor = paged(chosen, ask.get("cursor"), ask.number("limit", 100), 1000)
    return Answer(200, {"fills": page, "cursor": cursor})


def _settlements(venue: KalshiVenue, ask: Ask) -> Answer:
    page, cursor = paged(venue.settlements[::-1], ask.get("cursor"), ask.number("limit", 100), 1000)
    return Answer(200, {"settlements": page, "cursor": cursor})


def _wanted(venue: KalshiVenue, said: Any) -> Wanted:
    """The order of a body. Raises Problem 400 for what is missing or cannot be."""
    required = ("ticker", "side", "count", "price", "time_in_force", "self_trade_prevention_type")
    if not isinstance(said, dict) or any(name not in said for name in required):
        raise Problem(400, "missing_parameters", f"expected {', '.join(required)}")
    if said.get("order_group_id") or said.get("subaccount", 0) not in (0, None):
        raise Problem(400, "invalid_parameters", "this fake has no order groups and no subaccounts")
    for name, known in (("side", _SIDES), ("time_in_force", _TIFS), ("self_trade_prevention_type", _SELF_TRADE)):
        if said[name] not in known:
            raise Problem(400, "invalid_parameters", f"{name}: expected one of {', '.join(known)}")
    expiry = said.get("expiration_time") or 0
    if not isinstance(expiry, int) or any(not isinstance(said.get(name, False), bool) for name in _FLAGS):
        raise Problem(400, "invalid_parameters", f"expected whole seconds, and true or false for {', '.join(_FLAGS)}")
    return Wanted(
        market=venue.known(str(said["ticker"])), side=_SIDES[said["side"]], px=_px(said["price"]),
        qty=_lots(said["count"], "count"), tif=_TIFS[said["time_in_force"]],
        client_id=str(said.get("client_order_id") or ""), expiry_ns=expiry * SECOND_NS,
        post_only=said.get("post_only", False), reduce_only=said.get("reduce_only", False),
        self_trade=_SELF_TRADE[said["self_trade_prevention_type"]],
        cancel_on_pause=said.get("cancel_order_on_pause", False),
    )  # fmt: skip


def _create(venue: KalshiVenue, ask: Ask) -> Answer:
    return Answer(201, _placed(venue, ask.json()))


def _placed(venue: KalshiVenue, said: Any) -> dict[str, Any]:
    wanted = _wanted(venue, said)
    now_ns = venue.clock.now_ns()
    if venue.plan.request(now_ns, ("order_reject",)) is not None:
        raise Problem(400, "invalid_order", "refused by a fault script")
    order, happened = venue.exchange.place(wanted, now_ns)
    venue.tell(happened)
    return _state(order, now_ns)


def _state(order: Order, now_ns: int) -> dict[str, Any]:
    said = _named(order, now_ns) | {"fill_count": words.lots(order.filled), "remaining_count": words.lots(order.left)}
    if order.filled:
        paid = order.taker_cost_uusd + order.maker_cost_uusd
        average = paid if order.side == BID else order.filled * PX_ONE - paid
        fees = order.taker_fees_uusd + order.maker_fees_uusd
        said |= {
            "average_fill_price": words.usd(average * 100 // order.filled, 4),
            "average_fee_paid": words.usd(fees * 100 // order.filled, 4),
        }
    return said


def _named(order: Order, now_ns: int) -> dict[str, Any]:
    return {
        "order_id": order.id, "client_order_id": order.wanted.client_id, "ts_ms": now_ns // words.NS_PER_MS,
    }  # fmt: skip


def _cancel(venue: KalshiVenue, _: Ask, order_id: str) -> Answer:
    return Answer(200, _cancelled(venue, order_id))


def _cancelled(venue: KalshiVenue, order_id: str) -> dict[str, Any]:
    now_ns = venue.clock.now_ns()
    order = venue.exchange.find(order_id)
    race = venue.plan.request(now_ns, ("cancel_race",)) if order.left > 1 else None
    happened = [] if race is None else venue.exchange.hit(order, order.left // 2, now_ns)
    left = order.left
    ended = venue.exchange.cancel(order_id, now_ns)[1]
    venue.tell(happened, late_ns=0 if race is None else round(race.for_s * SECOND_NS))
    venue.tell(ended)
    return _named(order, now_ns) | {"reduced_by": words.lots(left)}


def _amend(venue: KalshiVenue, ask: Ask, order_id: str) -> Answer:
    said, order = ask.json(), venue.exchange.find(order_id)
    if not isinstance(said, dict) or any(name not in said for name in ("ticker", "side", "price", "count")):
        raise Problem(400, "missing_parameters", "expected ticker, side, price, count")
    if venue.known(str(said["ticker"])) != order.market or _SIDES.get(said["side"]) != order.side:
        raise Problem(400, "invalid_parameters", "ticker and side are not the order's")
    expiry_s = said.get("expiration_time")
    expiry_ns = order.expiry_ns if expiry_s is None else int(expiry_s) * SECOND_NS
    now_ns = venue.clock.now_ns()
    left = _lots(said["count"], "count") - order.filled
    order, happened = venue.exchange.amend(order_id, _px(said["price"]), left, expiry_ns, now_ns)
    renamed = said.get("updated_client_order_id")
    if renamed:
        venue.exchange.rename(order, str(renamed))
    venue.tell(happened)
    return Answer(200, _state(order, now_ns))


def _decrease(venue: KalshiVenue, ask: Ask, order_id: str) -> Answer:
    said, order = ask.json(), venue.exchange.find(order_id)
    if not isinstance(said, dict) or ("reduce_by" in said) == ("reduce_to" in said):
        raise Problem(400, "invalid_parameters", "expected one of reduce_by and reduce_to")
    if "reduce_by" in said:
        left = order.left - _lots(said["reduce_by"], "reduce_by")
    else:
        left = 0 if said["reduce_to"] in ("0", "0.00") else _lots(said["reduce_to"], "reduce_to")
    now_ns = venue.clock.now_ns()
    order, happened = venue.exchange.decrease(order_id, max(left, 0), now_ns)
    venue.tell(happened)
    return Answer(200, _named(order, now_ns) | {"remaining_count": words.lots(order.left)})


def batch_of(ask: Ask) -> list[Any]:
    """Items of a batch. Raises Problem 400 for none or too many."""
    said = ask.json()
    items = said.get("orders") if isinstance(said, dict) else None
    if not isinstance(items, list) or not 0 < len(items) <= _MOST_IN_BATCH:
        raise Problem(400, "invalid_parameters", f"expected 1 to {_MOST_IN_BATCH} orders")
    return items


def _create_batch(venue: KalshiVenue, ask: Ask) -> Answer:
    return Answer(201, {"orders": [_each(venue, item, _placed) for item in batch_of(ask)]})


def _cancel_batch(venue: KalshiVenue, ask: Ask) -> Answer:
    ids = [item.get("order_id") if isinstance(item, dict) else None for item in batch_of(ask)]
    return Answer(200, {"orders": [_each(venue, str(order_id), _cancelled) for order_id in ids]})


def _each(venue: KalshiVenue, item: Any, action: Any) -> dict[str, Any]:
    """One item's result, or its refusal."""
    try:
        return action(venue, item)
    except Refused as refused:
        problem = problem_of(refused)
    except Problem as raised:
        problem = raised
    head = {"client_order_id": item.get("client_order_id")} if isinstance(item, dict) else {"order_id": item}
    return head | {"error": {"code": problem.code, "message": problem.message}}


def _cancel_all(venue: KalshiVenue, _: Ask) -> Answer:
    if not venue.exchange.cancelling:
        raise problem_of(Refused(types.REJECT_HALTED, "the exchange is halted"))
    venue.tell(venue.exchange.cancel_all(venue.clock.now_ns(), "Decrease"))
    return Answer(204)


def _gone(_: KalshiVenue, __: Ask, *___: str) -> Answer:
    raise Problem(410, "deprecated_v1_order_endpoint", "use /portfolio/events/orders")


def _px(text: object) -> int:
    try:
        return px_of(str(text))
    except ValueError as error:
        raise Problem(400, "invalid_price", str(error)) from None


def _lots(text: object, name: str) -> int:
    try:
        return words.order_lots(text, name)
    except ValueError as error:
        raise Problem(400, "invalid_count", str(error)) from None


_V2 = "/trade-api/v2"
_ORDERS = f"{_V2}/portfolio/events/orders"
_V1 = f"{_V2}/portfolio/orders"
ROUTES = (
    Route("GET", f"{_V2}/account/limits", _limits, True),
    Route("GET", f"{_V2}/account/endpoint_costs", _costs, True),
    Route("GET", f"{_V2}/portfolio/balance", _balance, True),
    Route("GET", f"{_V2}/portfolio/positions", _positions, True),
    Route("GET", f"{_V2}/portfolio/fills", _fills, True),
    Route("GET", f"{_V2}/portfolio/settlements", _settlements, True),
    Route("GET", _V1, _orders, True),
    Route("GET", f"{_V1}/:order_id", _order, True),
    Route("GET", f"{_V1}/:order_id/queue_position", _queue_position, True),
    Route("POST", f"{_ORDERS}/batched", _create_batch, True),
    Route("DELETE", f"{_ORDERS}/batched", _cancel_batch, True),
    Route("POST", _ORDERS, _create, True),
    Route("DELETE", _ORDERS, _cancel_all, True),
    Route("DELETE", f"{_ORDERS}/:order_id", _cancel, True),
    Route("POST", f"{_ORDERS}/:order_id/amend", _amend, True),
    Route("POST", f"{_ORDERS}/:order_id/decrease", _decrease, True),
    Route("POST", _V1, _gone, True),
    Route("DELETE", f"{_V1}/:order_id", _gone, True),
    Route("POST", f"{_V1}/:order_id/amend", _gone, True),
    Route("POST", f"{_V1}/:order_id/decrease", _gone, True),
)
