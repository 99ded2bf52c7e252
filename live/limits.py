"""How often a venue may be asked: token buckets, the same class for who asks and for a fake venue that answers.

Arithmetic is exact: a bucket counts in token-nanoseconds, so no window of length t ever sees more than
``capacity + refill x t`` tokens granted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from live.clock import Clock
from sim.types import SECOND_NS
from sim.venues.rules import Source


class Rate(NamedTuple):
    """A bucket's size, and what flows into it."""

    capacity: int  # tokens
    refill: int  # tokens per period
    period_ns: int = SECOND_NS


def window(most: int, seconds: int, burst: int) -> Rate:
    """A rate that keeps within ``most`` tokens in every window of ``seconds``: ``burst`` at once, the rest evenly.

    Raises ValueError where the burst leaves nothing to flow in.
    """
    if not 0 < burst < most or seconds <= 0:
        raise ValueError(f"window of {most} in {seconds} s with a burst of {burst}; expected 0 < burst < {most}")
    return Rate(burst, most - burst, seconds * SECOND_NS)


class TokenBucket:
    """Grants tokens at a rate; full at the start.

    Raises ValueError for a rate without capacity, refill or period.
    """

    def __init__(self, rate: Rate, clock: Clock) -> None:
        if min(rate) <= 0:
            raise ValueError(f"{rate}; expected capacity, refill and period above 0")
        self.rate = rate
        self._clock = clock
        self._level = self._full = rate.capacity * rate.period_ns
        self._seen_ns = clock.monotonic_ns()
        self._turn = asyncio.Lock()  # first come, first served

    def try_take(self, cost: int = 1) -> bool:
        """Take ``cost`` tokens if they are there."""
        self._check(cost)
        self._flow()
        need = cost * self.rate.period_ns
        if need > self._level:
            return False
        self._level -= need
        return True

    async def take(self, cost: int = 1) -> None:
        """Take ``cost`` tokens, waiting for them. Raises ValueError for more than ever are there."""
        self._check(cost)
        async with self._turn:
            while not self.try_take(cost):
                await self._clock.sleep(self.wait_ns(cost) / SECOND_NS)

    def wait_ns(self, cost: int = 1) -> int:
        """Nanoseconds until ``cost`` tokens are there, if nobody takes any."""
        self._check(cost)
        self._flow()
        lacking = cost * self.rate.period_ns - self._level
        return max(-(-lacking // self.rate.refill), 0)

    def drain(self) -> None:
        """Empty it: the venue has said that it was asked too often."""
        self._flow()
        self._level = 0

    def _flow(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._level = min(self._level + (now_ns - self._seen_ns) * self.rate.refill, self._full)
        self._seen_ns = now_ns

    def _check(self, cost: int) -> None:
        if not 0 <= cost <= self.rate.capacity:
            raise ValueError(f"{cost} tokens of a bucket that holds {self.rate.capacity}; it would never be granted")


class LimitRule(NamedTuple):
    """One limit of a venue: which requests count towards it, and how many may."""

    name: str
    methods: tuple[str, ...]  # () = every method
    pattern: str  # of the path, see matches()
    rate: Rate


class Costs(NamedTuple):
    """What a request costs, in tokens, where it is not one token each."""

    default: int = 1
    table: tuple[tuple[str, str, int], ...] = ()  # method, pattern of the path, tokens

    def of(self, method: str, path: str) -> int:
        """Tokens of one request."""
        found = (cost for verb, pattern, cost in self.table if verb == method and matches(pattern, path))
        return next(found, self.default)


def matches(pattern: str, path: str) -> bool:
    """Whether a path fits a pattern: ``:name`` stands for one part, a last ``*`` or ``*name`` for any rest."""
    wanted, parts = pattern.split("/"), path.split("/")
    for index, part in enumerate(wanted):
        if part.startswith("*"):
            return True
        if index >= len(parts) or (not part.startswith(":") and part != parts[index]):
            return False
    return len(wanted) == len(parts)


class Limiter:
    """All limits of one host. A request takes its cost from the bucket of every rule that it fits.

    Raises ValueError from every call with a request that fits no rule: what nobody limits is not asked.
    """

    def __init__(self, rules: Sequence[LimitRule], clock: Clock, costs: Costs = Costs()) -> None:  # noqa: B008
        self._clock = clock
        self.costs = costs
        self._rules = [(rule, TokenBucket(rule.rate, clock)) for rule in rules]

    async def acquire(self, method: str, path: str) -> None:
        """Wait until a request may be sent."""
        cost = self.costs.of(method, path)
        for bucket in self._buckets(method, path):
            await bucket.take(cost)

    def admit(self, method: str, path: str) -> bool:
        """Whether a venue takes a request now: its cost from all buckets or from none."""
        cost = self.costs.of(method, path)
        buckets = self._buckets(method, path)
        return all(bucket.wait_ns(cost) == 0 for bucket in buckets) and all(bucket.try_take(cost) for bucket in buckets)

    def refused(self, method: str, path: str) -> None:
        """The venue said 429: empty the buckets of such a request, so that everybody slows down."""
        for bucket in self._buckets(method, path):
            bucket.drain()

    def adopt(self, rates: Mapping[str, Rate], costs: Costs) -> None:
        """Take an account's own rates, by the name of the rule, and costs. Raises ValueError for an unknown name."""
        unknown = rates.keys() - {rule.name for rule, _ in self._rules}
        if unknown:
            raise ValueError(f"no limits named {sorted(unknown)}; known are {[rule.name for rule, _ in self._rules]}")
        self.costs = costs
        self._rules = [
            (rule._replace(rate=rates[rule.name]), TokenBucket(rates[rule.name], self._clock))
            if rule.name in rates
            else (rule, bucket)
            for rule, bucket in self._rules
        ]

    def _buckets(self, method: str, path: str) -> list[TokenBucket]:
        found = [
            bucket
            for rule, bucket in self._rules
            if (not rule.methods or method in rule.methods) and matches(rule.pattern, path)
        ]
        if not found:
            raise ValueError(f"{method} {path}: no limit is known for it; add a rule to live/limits.py")
        return found


_READ, _WRITE = ("GET",), ("POST", "PUT", "PATCH", "DELETE")

# Without a key the limit is not documented; about 3 requests a second were safe.
KALSHI_KEYLESS = (LimitRule("keyless", _READ, "/*", Rate(1, 1)),)

# With one: the Basic tier. An account's own: GET /account/limits and /account/endpoint_costs.
KALSHI_BASIC = (
    LimitRule("read", _READ, "/*", Rate(400, 200)),
    LimitRule("write", _WRITE, "/*", Rate(100, 100)),
)
_V2 = "/trade-api/v2"
KALSHI_COSTS = Costs(
    10,
    (
        ("DELETE", f"{_V2}/portfolio/events/orders/:order_id", 2),
        ("DELETE", f"{_V2}/portfolio/events/orders/batched", 2),
        ("GET", f"{_V2}/portfolio/orders/:order_id", 2),
    ),
)

# Windows of Cloudflare, per address; a fifth of each at once.
POLYMARKET_CLOB = (
    LimitRule("book", _READ, "/book", window(1_500, 10, 300)),
    LimitRule("books", ("POST",), "/books", window(500, 10, 100)),
    LimitRule("market", _READ, "/clob-markets/:condition_id", window(500, 10, 100)),
)
# Of a signer: the standard tier.
POLYMARKET_ORDERS = (
    LimitRule("orders", ("POST",), "/order", Rate(60, 40)),
    LimitRule("cancels", ("DELETE",), "/*", Rate(120, 80)),
    LimitRule("account", _READ, "/*", window(500, 10, 100)),
)
POLYMARKET_GAMMA = (
    LimitRule("all", (), "/*", window(4_000, 10, 800)),
    LimitRule("markets", _READ, "/markets", window(300, 10, 60)),
    LimitRule("events", _READ, "/events", window(500, 10, 100)),
)

SOURCES = (
    Source("Kalshi: buckets, tiers, default cost", "docs.kalshi.com, rate limits", "2026-10-15"),
    Source("Kalshi: costs that differ, Basic tier", "GET /account/limits and /account/endpoint_costs", "2026-07-06"),
    Source("Kalshi: 3 requests a second without a key", "third-party measurement; not documented", "2026-09-26"),
    Source("Polymarket: windows", "docs.polymarket.com, rate limits", "2026-08-22"),
    Source("Polymarket: orders and cancels of a signer", "docs.polymarket.com, rate limits", "2026-08-22"),
    Source("Polymarket: /data, /balance-allowance", "not looked up; taken as the smallest", "2026-08-22"),
    Source("Polymarket: /clob-markets", "not documented; taken as the smallest of the documented ones", "2026-08-22"),
)
