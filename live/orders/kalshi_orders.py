"""Kalshi's REST for orders and the account (V2 endpoints), as conversations: requests out, JSON in, then an answer.

A conversation is a generator: it yields an :class:`Http`, is sent the parsed JSON, and returns the answer. Who carries
it out may be aiohttp (:func:`carry_out`) or a fault script without sockets. Endpoints and fields: docs.kalshi.com,
OpenAPI 3.34.0, read 2026-10-26. Cash is read in dollars, for cents are kept beside it only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

from live.errors import VenueError, shaped
from live.orders.requests import (
    Accepted,
    AccountSaid,
    Amend,
    Answer,
    AskAccount,
    AskFills,
    AskOrder,
    Cancel,
    Failed,
    FillSaid,
    FillsSaid,
    Found,
    OrderSaid,
    Place,
    PositionSaid,
    Reduced,
    Request,
)
from live.rest import RestClient
from live.stamps import ns_of
from sim.types import ASK, BID, FOK, GTC, IOC, MICRO_PER_LOT, SECOND_NS
from sim.venues import VENUES
from sim.wire.units import contracts, dollars, px_of, qty_of, uusd_of

_T = TypeVar("_T")
_ORDERS = "/portfolio/events/orders"
_SIDES = {BID: "bid", ASK: "ask"}
SIDES = {"bid": BID, "ask": ASK}
_TIFS = {GTC: "good_till_canceled", IOC: "immediate_or_cancel", FOK: "fill_or_kill"}
_SELF_TRADE = next(iter(VENUES["kalshi"].self_trade))  # as in the simulator: our resting order gives way
_PAGE = "1000"
_MOST_PAGES = 1_000
MS_NS = 1_000_000


class Http(NamedTuple):
    """One request, below the base URL."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: dict[str, Any] | None = None


Talk = Generator[Http, Any, Answer]


def talk_of(request: Request) -> Talk:
    """The conversation for a request. It raises VenueError for an answer that cannot be read."""
    match request:
        case Place():
            return _place(request)
        case Cancel():
            return _cancel(request)
        case Amend():
            return _amend(request)
        case AskOrder():
            return _find(request)
        case AskFills():
            return _fills_of(request)
        case AskAccount():
            return _account(request)


async def carry_out(client: RestClient, request: Request) -> Answer:
    """Answer to a request; what fails is :class:`Failed`."""
    talk = talk_of(request)
    try:
        ask = next(talk)
        while True:
            said = await client.request(
                ask.method, ask.path, params=ask.params, body=ask.body, at_once=isinstance(request, Place)
            )
            ask = talk.send(said)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    except VenueError as error:
        return Failed(error.status, error.code, str(error))


def _place(order: Place) -> Talk:
    body: dict[str, Any] = {
        "ticker": order.ticker, "client_order_id": order.client_id, "side": _SIDES[order.side],
        "count": contracts(order.qty * MICRO_PER_LOT), "price": dollars(order.px), "time_in_force": _TIFS[order.tif],
        "self_trade_prevention_type": _SELF_TRADE, "post_only": order.post_only,
        "reduce_only": order.reduce_only,
    }  # fmt: skip
    if order.expiry_ns:
        body["expiration_time"] = order.expiry_ns // SECOND_NS
    said = yield Http("POST", _ORDERS, body=body)
    return shaped(f"POST {_ORDERS}", said, _accepted)


def _cancel(order: Cancel) -> Talk:
    said = yield Http("DELETE", f"{_ORDERS}/{order.order_id}")
    return shaped(f"DELETE {_ORDERS}", said, lambda said: Reduced(lots_of(said["reduced_by"])))


def _amend(order: Amend) -> Talk:
    body = {
        "ticker": order.ticker, "side": _SIDES[order.side], "price": dollars(order.px),
        "count": contracts(order.total * MICRO_PER_LOT), "client_order_id": order.client_id,
        "expiration_time": order.expiry_ns // SECOND_NS,
    }  # fmt: skip
    said = yield Http("POST", f"{_ORDERS}/{order.order_id}/amend", body=body)
    return shaped(f"POST {_ORDERS}/amend", said, _accepted)


def _find(order: AskOrder) -> Talk:
    if order.order_id:
        path = f"/portfolio/orders/{order.order_id}"
        said = yield Http("GET", path)
        return Found(shaped(f"GET {path}", said, lambda said: order_of(said["order"])))
    params = (("ticker", order.ticker), ("min_ts", str(order.since_ns // SECOND_NS)))
    listed = yield from _pages("/portfolio/orders", "orders", order_of, params)
    return Found(next((one for one in listed if one.client_id == order.client_id), None))


def _fills_of(order: AskFills) -> Talk:
    return FillsSaid(tuple((yield from _pages("/portfolio/fills", "fills", fill_of, (("order_id", order.order_id),)))))


def _account(asked: AskAccount) -> Talk:
    """Fills come last: whatever positions, orders and cash show has its fill here."""
    since = (("min_ts", str(asked.since_ns // SECOND_NS)),)
    said = yield Http("GET", "/portfolio/balance")
    free_uusd = shaped("GET /portfolio/balance", said, lambda said: uusd_of(said["balance_dollars"]))
    positions = yield from _pages("/portfolio/positions", "market_positions", position_of)
    settled = yield from _pages("/portfolio/settlements", "settlements", lambda said: str(said["ticker"]), since)
    payouts = []
    for ticker in dict.fromkeys(settled):
        if ticker not in asked.settled:
            path = f"/markets/{ticker}"
            said = yield Http("GET", path)  # a settlement tells its value in cents only
            payouts.append((ticker, shaped(f"GET {path}", said, _payout)))
    orders = yield from _pages("/portfolio/orders", "orders", order_of, (("status", "resting"),))
    fills = yield from _pages("/portfolio/fills", "fills", fill_of, since)
    return AccountSaid(tuple(orders), tuple(positions), tuple(fills), free_uusd, tuple(payouts))


def _pages(
    path: str, name: str, reader: Callable[[dict[str, Any]], _T], params: tuple[tuple[str, str], ...] = ()
) -> Generator[Http, Any, list[_T]]:
    """All items of a list that comes in pages. Raises VenueError for one that does not end."""
    found: list[_T] = []
    cursor = ""
    for _ in range(_MOST_PAGES):
        more = (("cursor", cursor),) if cursor else ()
        said = yield Http("GET", path, (*params, ("limit", _PAGE), *more))
        found += shaped(f"GET {path}", said, lambda said: [reader(item) for item in said[name] or ()])
        cursor = str(said.get("cursor") or "")
        if not cursor:
            return found
    raise VenueError(f"GET {path}", 200, "shape", f"more than {_MOST_PAGES} pages", "ask for less")


def _accepted(said: dict[str, Any]) -> Accepted:
    return Accepted(str(said["order_id"]), lots_of(said["fill_count"]), lots_of(said["remaining_count"]))


def order_of(said: dict[str, Any]) -> OrderSaid:
    """An order as REST tells it."""
    expiry = said.get("expiration_time")
    return OrderSaid(
        order_id=str(said["order_id"]), client_id=str(said.get("client_order_id") or ""), ticker=str(said["ticker"]),
        side=SIDES[said["book_side"]], px=px_of(said["yes_price_dollars"]), status=str(said["status"]),
        filled=lots_of(said["fill_count_fp"]), left=lots_of(said["remaining_count_fp"]),
        expiry_ns=ns_of(expiry) if expiry else 0, reason=str(said.get("last_update_reason") or ""),
    )  # fmt: skip


def fill_of(said: dict[str, Any]) -> FillSaid:
    """A fill as REST tells it."""
    return FillSaid(
        key=fill_key(str(said["trade_id"]), str(said["order_id"])), order_id=str(said["order_id"]),
        ticker=str(said["ticker"]), side=SIDES[said["book_side"]], px=px_of(said["yes_price_dollars"]),
        qty=lots_of(said["count_fp"]), fee_uusd=uusd_of(said["fee_cost"]), maker=said["is_taker"] is False,
        venue_ns=ns_of(said["created_time"]) // MS_NS * MS_NS,
    )  # fmt: skip


def fill_key(trade_id: str, order_id: str) -> str:
    """What both channels call a fill: the socket tells no ``fill_id``, and a trade meets an order once."""
    return f"{trade_id}/{order_id}"


def position_of(said: dict[str, Any]) -> PositionSaid:
    """A position as REST tells it."""
    return PositionSaid(str(said["ticker"]), lots_of(said["position_fp"]), uusd_of(said["market_exposure_dollars"]))


def _payout(said: dict[str, Any]) -> int:
    return px_of(said["market"]["settlement_value_dollars"])


def lots_of(text: str) -> int:
    """Contracts as lots. Raises ValueError for a part of a lot."""
    qty = qty_of(text)
    if qty % MICRO_PER_LOT:
        raise ValueError(f"{text!r} contracts; expected a multiple of 0.01")
    return qty // MICRO_PER_LOT
