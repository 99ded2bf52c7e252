"""Real orders of a session: off unless it is said twice. The first account is then the venue's own.

What the order manager knows of the account is what the policy sees, `live.shadow.mirror`; what was certified for it
goes to the manager, which has caps, budgets and a kill switch of its own. On paper beside it the same policy trades
too, and what the simulator fills there is compared with what the venue fills.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from live.clock import Clock
from live.doors import Addresses
from live.kalshi import SOCKET_URL
from live.kalshi_rest import BASE_URL
from live.limits import KALSHI_BASIC, KALSHI_COSTS, Limiter
from live.monitor.view import Trading
from live.monitor.words import money
from live.orders.caps import TRADING, Budgets, Caps, Confirmation, Permit, permit
from live.orders.journal import Journal, place_of
from live.orders.manager import Manager
from live.orders.manager import Rules as ManagerRules
from live.orders.presign import Keeper, PresignedSigner, Presigner
from live.orders.record import Fill
from live.orders.shell import Orders
from live.orders.sights import Sight
from live.rest import RestClient
from live.secrets import SecretError, kalshi_credentials
from live.shadow.divergence import FillsCompared
from live.shadow.mirror import Image, Mirror
from live.shadow.tally import Lives
from live.signing import KalshiSigner
from sim.types import FEES, UUSD
from sim.wire.listing import Listing, Rules
from sim.wire.units import Row

_LOG = logging.getLogger(__name__)
ORDER_PATH = "/portfolio/events/orders"
_STOCK = 4  # signatures for placing, in stock
_REFUSED = ("400", "403", "404", "409")


@dataclass
class TradingConfig:
    """Real orders, at Kalshi. Amounts are dollars that may be lost."""

    enabled: bool = False
    account: str = "main"  # a name of your own; the journal is this account's
    journal: str = "orders/kalshi.sqlite"
    order: float = 5.0  # one order
    risk: float = 20.0  # positions and orders together
    orders_per_s: int = 1
    doublings: int = 2  # how often order and risk may double
    grow_h: float = 24.0  # hours within all budgets before they do
    daily_loss: float = 5.0  # ends trading
    drawdown: float = 10.0  # ends trading
    # the limits once more, said by you: [order, risk, order after all doublings, risk after them, daily_loss, drawdown]
    confirm: list[float] = field(default_factory=list)
    lift: str = ""  # your name: a kill or a breach of an earlier session is lifted


def permit_of(config: TradingConfig) -> Permit:
    """Leave to send orders. Raises PermissionError where it is not given, or the limits are not confirmed."""
    caps = Caps(
        order_uusd=_uusd(config.order), risk_uusd=_uusd(config.risk), orders_per_s=config.orders_per_s,
        doublings=config.doublings, grow_h=config.grow_h,
    )  # fmt: skip
    budgets = Budgets(daily_loss_uusd=_uusd(config.daily_loss), drawdown_uusd=_uusd(config.drawdown))
    largest = 1 << config.doublings
    limits = [config.order, config.risk, config.order * largest, config.risk * largest, config.daily_loss,
              config.drawdown]  # fmt: skip
    if config.enabled and config.confirm != limits:
        wanted = ",".join(f"{limit:g}" for limit in limits)
        raise PermissionError(
            f"live.confirm={config.confirm}: real orders ask for their limits once more: live.confirm=[{wanted}], "
            "dollars an order, at risk, the same two after all doublings, lost in a day, below the highest equity"
        )
    confirmation = Confirmation(config.account, *map(_uusd, config.confirm)) if config.confirm else None
    return permit(config.account, caps, budgets, enabled=config.enabled, confirmation=confirmation)


class Opened(NamedTuple):
    """An order manager at work."""

    orders: Orders
    client: RestClient
    presigner: Presigner


class RealHands:
    """The account of ``orders`` where the first paper account would be."""

    def __init__(self, opened: Opened, compared: FillsCompared) -> None:
        self.failed = ""  # what ended it, or what it left at the venue
        self.orders, self._opened, self._compared = opened.orders, opened, compared
        self._taken = 0  # fills of our orders
        self._filled: set[int] = set()  # orders that they were of, as the engine numbers them

    @property
    def fills(self) -> int:
        """So far."""
        return self._taken + sum(bool(fill.client_id) for fill in self.orders.fills)

    @property
    def lives(self) -> Lives:
        """What the simulator's journal does not have: see `live.shadow.tally`."""
        manager = self.orders.manager
        told = {one.number + 1 for one in manager.record.orders.values() if one.filled}
        return Lives(self._filled | told, emergency=manager.mode != TRADING)

    @property
    def messages(self) -> int:
        """Orders, amendments and cancels sent."""
        statistics = self._opened.presigner.statistics
        return statistics.hits + statistics.misses

    @property
    def rejects(self) -> int:
        """Requests that the venue refused for what they asked."""
        return sum(self._opened.client.counts[status] for status in _REFUSED)

    @property
    def equity_uusd(self) -> int:
        """Cash, and the positions in the session's markets at cost: what its accounts begin with."""
        record = self.orders.manager.record
        return record.ledger.cash_uusd + sum(sum(record.ledger.holding(one).cost_uusd) for one in record.tickers)

    @property
    def trading(self) -> Trading:
        """For the page."""
        state = self.orders.state
        caps = f"{money(state.order_uusd)} an order, {money(state.at_risk_uusd)} of {money(state.risk_uusd)} at risk"
        return Trading(enabled=state.mode == TRADING, caps=f"{state.mode}: {caps}")

    def obey(self, breaches: Sequence[str], now_ns: int) -> str:
        """What a gate has found ends trading; why it has ended, "" = it goes on."""
        manager = self.orders.manager
        for why in breaches:
            manager.breach(why, now_ns)
        return "" if manager.mode == TRADING else f"{manager.mode}: {manager.governor.why}"

    def take(self, rows: Sequence[Row], rules: Sequence[Rules]) -> None:
        """What the venue said of its markets: other fees reserve other amounts."""
        for row in rows:
            if row[7] == FEES:
                known = rules[row[6]]
                self.orders.rates(known.listing.market.id, known.fee_schedules[row[2]])

    def image(self, mirror: Mirror) -> Image:
        """The account as its journal has it."""
        while self.orders.fills:
            self._compare(self.orders.fills.popleft())
        return mirror.image(self.orders.manager.record)

    def _compare(self, told: Fill) -> None:
        """A fill of an order of ours; the account's others are no business of this session."""
        record, fill = self.orders.manager.record, told.fill
        if not told.client_id:
            return
        self._taken += 1
        kept = record.journal.find(told.client_id, fill.order_id)
        if kept is not None:
            self._filled.add(kept.number + 1)
        if fill.ticker in record.tickers:
            self._compared.add(
                live=True, market=record.tickers.index(fill.ticker), side=fill.side, px=fill.px, lots=fill.qty
            )

    def send(self, ns: int, orders: np.ndarray) -> None:
        """Hand on what was certified; nothing waits."""
        if self.orders.error is None:  # else the session ends
            self.orders.want(ns, orders)


async def real_hands(held: AsyncExitStack, *settings: Any) -> RealHands:
    """The hands of an order manager that ``held`` closes; the arguments of `open_orders`, then the fills compared.

    What goes wrong when it is left does not hide what went wrong before: it is in ``failed``.
    """
    *of_orders, compared = settings
    opening = open_orders(*of_orders)
    hands = RealHands(await opening.__aenter__(), compared)

    async def leave(kind: Any, error: Any, trace: Any) -> bool:
        words = []
        try:
            await opening.__aexit__(kind, error, trace)
        except Exception as ended:  # noqa: BLE001 - whatever it is, the session's folder is to say so
            words.append(f"the order manager ended: {ended}")
        if hands.orders.left:
            words.append(f"orders are left at the venue: {', '.join(hands.orders.left)}")
        hands.failed = "; ".join(words)
        if hands.failed:
            _LOG.critical("%s", hands.failed)
        return False

    held.push_async_exit(leave)
    return hands


@asynccontextmanager
async def open_orders(
    config: TradingConfig,
    listings: Sequence[Listing],
    at: Addresses,
    clock: Clock,
    rng: random.Random,
    sights: Callable[[], Sequence[Sight]],
    kill_file: Path,
    silence_s: float,
) -> AsyncIterator[Opened]:
    """The order manager of ``config.account``, compared with the venue. Leaving cancels what rests.

    Raises PermissionError as `permit_of` does, SecretError without a key, TimeoutError where the venue does not say
    within half a minute what the account holds.
    """
    leave = permit_of(config)
    credentials = kalshi_credentials(os.environ)
    if credentials is None:
        raise SecretError("orders ask for a key: set SHADOWBOOK_KALSHI_KEY_ID and SHADOWBOOK_KALSHI_PRIVATE_KEY_FILE")
    Path(config.journal).parent.mkdir(parents=True, exist_ok=True)
    signer = KalshiSigner(credentials, clock)
    presigned = PresignedSigner(signer, clock)
    rest, socket = at.rest or BASE_URL, at.socket or SOCKET_URL
    path = urlsplit(rest).path + ORDER_PATH
    client = RestClient(
        rest, clock=clock, rng=rng, limiter=Limiter(KALSHI_BASIC, clock, KALSHI_COSTS), signer=presigned
    )
    place = place_of(rest)
    with closing(Journal(config.journal, "kalshi", config.account, clock.now_ns(), place=place)) as journal:
        rules = ManagerRules(stale_s=silence_s)  # the same as for accounts on paper
        manager = Manager(listings, journal, leave, clock.now_ns(), rules=rules)
        if config.lift:
            manager.lift(config.lift, clock.now_ns())

        def likely() -> list[tuple[str, str]]:
            """The requests that may come next: orders, and the cancels of those that rest."""
            resting = [one.order_id for one in manager.record.orders.values() if one.live and one.order_id]
            return [("POST", path)] * _STOCK + [("DELETE", f"{path}/{order_id}") for order_id in resting]

        keeper = Keeper(presigned.presigner, likely, clock, in_thread=True)
        warming = asyncio.create_task(keeper.run())
        try:
            async with Orders(
                manager, client, clock=clock, rng=rng, sights=sights, socket_url=socket, kill_file=kill_file,
                headers=lambda: signer.headers("GET", urlsplit(socket).path), kill_signal=None,
            ) as orders:  # fmt: skip
                await _until_ready(orders, clock)
                yield Opened(orders, client, presigned.presigner)
        finally:
            warming.cancel()
            _LOG.info("orders: signatures made ahead: %s", presigned.presigner.statistics)


async def _until_ready(orders: Orders, clock: Clock, seconds: float = 30.0) -> None:
    """Until the account is known. Raises TimeoutError."""
    for _ in range(round(seconds / 0.1)):
        if orders.manager.ready:
            return
        await clock.sleep(0.1)
    raise TimeoutError(f"the venue does not say within {seconds:g} s what the account holds: {orders.state}")


def _uusd(dollars: float) -> int:
    return round(dollars * UUSD)
