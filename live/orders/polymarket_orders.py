"""Polymarket's orders over REST: build, sign, post, cancel; open orders, trades, balance. On this machine only.

**No order is sent to the venue itself**: addresses that are not loopback are refused, with the reason. The client is
tried against the fake venue, which checks every signature, and its signatures against the official client's.

A lost answer is no mystery: an order's id is the hash that was signed, so `order` tells what became of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from live.clock import Clock
from live.errors import VenueError, shaped
from live.limits import POLYMARKET_ORDERS, Limiter
from live.orders.polymarket_signing import Kind, SignedOrder, Terms, Wallet, lot_step, sign_order
from live.orders.presign import LIFE_NS, Presigner
from live.rest import Params, RestClient
from live.secrets import PolymarketCredentials
from live.signing import PolymarketSigner
from live.urls import is_loopback
from sim.types import ASK, BID, PX_ONE
from sim.wire.units import px_of, qty_of, uusd_of

_FIRST, _END = "MA==", "LTE="  # cursors: of the first page, and after the last one
_MOST_PAGES = 1_000
_SIDES = {"BUY": BID, "SELL": ASK}

_T = TypeVar("_T")


class Ready(NamedTuple):
    """An order, signed and written as it goes over the wire."""

    order: SignedOrder
    body: msgspec.Raw


class Placed(NamedTuple):
    """What the venue says of an order at once. Amounts in 1e-6 dollar or share: what was given, what was got."""

    id: str
    status: str  # live, matched, delayed, unmatched
    making: int
    taking: int


class Cancelled(NamedTuple):
    """Ids that were cancelled, and why others were not."""

    done: tuple[str, ...]
    refused: dict[str, str]


class OpenOrder(NamedTuple):
    """An order as the venue has it; sizes in 1e-6 share."""

    id: str
    condition_id: str
    token: str
    side: int
    px: int
    qty: int
    filled: int
    status: str


class AccountTrade(NamedTuple):
    """What one order of the account's traded; provisional until CONFIRMED."""

    id: str
    order_id: str
    condition_id: str
    token: str
    side: int
    px: int
    qty: int
    status: str
    maker: bool


class PolymarketOrders:
    """An account's orders. Use it in ``async with``.

    Args:
        url: root of the CLOB's REST; loopback.
        wallet: signs orders.
        credentials: key of level 2, of the wallet's address.
        clock: what stamps, ages and deadlines go by.
        rng: salts of orders and jitter.
        limiter: how often may be asked; None = the standard tier's.
        life_ns: how long an order that was signed ahead may wait.

    Raises ValueError for an address that is not this machine's, or a key of another address.
    """

    def __init__(
        self,
        url: str,
        wallet: Wallet,
        credentials: PolymarketCredentials,
        *,
        clock: Clock,
        rng: random.Random,
        limiter: Limiter | None = None,
        life_ns: int = LIFE_NS,
    ) -> None:
        if not is_loopback(urlsplit(url).hostname or ""):
            raise ValueError(
                f"{url!r} is not this machine: orders for the real Polymarket are not supported. Nothing here tracks "
                "allowances, settlement on chain or what the law allows; try python -m live.fake polymarket"
            )
        if credentials.address.lower() != wallet.address.lower():
            raise ValueError(
                f"a key of {credentials.address} for the wallet of {wallet.address}; expected one of its own"
            )
        self._wallet, self._rng, self._clock = wallet, rng, clock
        self._owner = credentials.api_key
        self.rest = RestClient(
            url, clock=clock, rng=rng, limiter=limiter or Limiter(POLYMARKET_ORDERS, clock),
            signer=PolymarketSigner(credentials, clock),
        )  # fmt: skip
        self.presigner: Presigner[Terms, Ready] = Presigner(self._signed, clock, life_ns=life_ns)

    async def __aenter__(self) -> PolymarketOrders:
        await self.rest.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.rest.__aexit__(kind, error, trace)

    def ready(self, terms: Terms) -> Ready:
        """The order of ``terms``, signed ahead or now. Raises ValueError for what cannot be one."""
        found = self.presigner.take(terms)
        return self._signed(terms, self._clock.now_ns()) if found is None else found

    async def post(self, ready: Ready) -> Placed:
        """Send an order, once: without an answer, `order` tells what became of it. Raises VenueError."""
        said = await self.rest.request("POST", "/order", body=ready.body)
        return shaped("POST /order", said, _placed)

    async def place(self, terms: Terms) -> Placed:
        """Build, sign and send an order."""
        return await self.post(self.ready(terms))

    async def cancel(self, order_id: str) -> Cancelled:
        """Cancel one order; who is gone already is told as refused."""
        said = await self.rest.request("DELETE", "/order", body={"orderID": order_id})
        return shaped("DELETE /order", said, _cancelled)

    async def cancel_all(self) -> Cancelled:
        """Cancel whatever rests."""
        return shaped("DELETE /cancel-all", await self.rest.request("DELETE", "/cancel-all"), _cancelled)

    async def order(self, order_id: str) -> OpenOrder | None:
        """An order by its id, None where the venue knows none."""
        path = f"/data/order/{order_id}"
        try:
            return shaped(f"GET {path}", await self.rest.get(path), _order)
        except VenueError as error:
            if error.status == 404:
                return None
            raise

    async def open_orders(self) -> list[OpenOrder]:
        """All orders that rest."""
        return await self._pages("/data/orders", lambda item: [_order(item)])

    async def trades(self) -> list[AccountTrade]:
        """All trades of the account, newest first."""
        return await self._pages("/data/trades", lambda item: _trades(item, self._owner.reveal()))

    async def balance(self, token: str = "") -> int:
        """Micro-dollars that are there, or 1e-6 shares of a token."""
        params = [("asset_type", "CONDITIONAL"), ("token_id", token)] if token else [("asset_type", "COLLATERAL")]
        said = await self.rest.get("/balance-allowance", [*params, ("signature_type", str(self._wallet.kind))])
        return shaped("GET /balance-allowance", said, lambda said: int(said["balance"]))

    def _signed(self, terms: Terms, now_ns: int) -> Ready:
        order = sign_order(terms, self._wallet, self._rng, now_ns)
        return Ready(order, msgspec.Raw(msgspec.json.encode(order.said(self._owner.reveal()))))

    async def _pages(self, path: str, reader: Callable[[dict[str, Any]], list[_T]]) -> list[_T]:
        found: list[_T] = []
        cursor = _FIRST
        for _ in range(_MOST_PAGES):
            params: Params = [("next_cursor", cursor)]
            said = await self.rest.get(path, params)
            found += shaped(f"GET {path}", said, lambda said: [one for item in said["data"] for one in reader(item)])
            cursor = shaped(f"GET {path}", said, lambda said: str(said["next_cursor"]))
            if cursor == _END:
                return found
        raise VenueError(f"GET {path}", 200, "pages", f"more than {_MOST_PAGES} pages", "the cursor does not end")


def near_touch(
    token: str, bid_px: int, ask_px: int, tick: int, sizes: Sequence[int], *, reach: int = 1, neg_risk: bool = False
) -> list[Terms]:
    """Orders that are likely next, the likeliest first: those that take the touch, join it, or miss it by ``reach``.

    Takers are FAK, the others GTC. Prices off the grid and sizes (lots) that the venue does not take at a price are
    left out. ``bid_px`` 0 and ``ask_px`` 10000 stand for an empty side.
    """
    found: list[Terms] = []
    for away in sorted(range(-reach, reach + 1), key=abs):
        for touch_px in (bid_px, ask_px):
            px = touch_px + away * tick
            if not 0 < touch_px < PX_ONE or not tick <= px <= PX_ONE - tick:
                continue
            for side in (BID, ASK):
                kind: Kind = "FAK" if (touch_px == ask_px) == (side == BID) else "GTC"
                found += [
                    Terms(token, side, px, lots, tick, kind, neg_risk=neg_risk)
                    for lots in sizes
                    if lots % lot_step(side, px, kind) == 0
                ]
    return found


def _placed(said: dict[str, Any]) -> Placed:
    if said["success"] is not True or said.get("errorMsg"):
        raise VenueError("POST /order", 200, "refused", str(said.get("errorMsg") or "without a reason"))
    making, taking = (uusd_of(said.get(name) or "0") for name in ("makingAmount", "takingAmount"))
    return Placed(str(said["orderID"]), str(said["status"]), making, taking)


def _cancelled(said: dict[str, Any]) -> Cancelled:
    refused = {str(name): str(why) for name, why in said["not_canceled"].items()}
    return Cancelled(tuple(str(name) for name in said["canceled"]), refused)


def _order(said: dict[str, Any]) -> OpenOrder:
    return OpenOrder(
        id=str(said["id"]),
        condition_id=str(said["market"]),
        token=str(said["asset_id"]),
        side=_SIDES[said["side"]],
        px=px_of(said["price"]),
        qty=qty_of(said["original_size"]),
        filled=qty_of(said["size_matched"]),
        status=str(said["status"]),
    )


def _trades(said: dict[str, Any], owner: str) -> list[AccountTrade]:
    """The account's part: all of a trade that it took, and of one that it made its own orders among several."""
    maker = said.get("trader_side") == "MAKER"
    if maker:
        parts = [(one, one["order_id"], one["matched_amount"]) for one in said["maker_orders"] if one["owner"] == owner]
    else:
        parts = [(said, said["taker_order_id"], said["size"])]
    return [
        AccountTrade(
            id=str(said["id"]),
            order_id=str(order_id),
            condition_id=str(said["market"]),
            token=str(part["asset_id"]),
            side=_SIDES[part["side"]],
            px=px_of(part["price"]),
            qty=qty_of(size),
            status=str(said["status"]),
            maker=maker,
        )
        for part, order_id, size in parts
    ]
