"""Limits: never more than capacity + rate x time, waits that are exact, and which requests count towards what."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import limits
from live.clock import ManualClock
from live.limits import Costs, Limiter, LimitRule, Rate, TokenBucket, matches, window

NS = 10**9
RATES = st.builds(Rate, st.integers(1, 50), st.integers(1, 50), st.integers(1, 20 * NS))


@given(RATES, st.lists(st.tuples(st.integers(0, 3 * NS), st.integers(0, 50)), max_size=60))
def test_no_window_sees_more_than_capacity_and_what_flowed_in(rate, asked):
    clock = ManualClock()
    bucket, granted = TokenBucket(rate, clock), []
    for wait_ns, cost in asked:
        clock.set_ns(clock.now_ns() + wait_ns)
        if cost <= rate.capacity and bucket.try_take(cost):
            granted.append((clock.monotonic_ns(), cost))
    for first in range(len(granted)):
        total = 0
        for stamp, cost in granted[first:]:
            total += cost
            lasted = stamp - granted[first][0]
            assert (total - rate.capacity) * rate.period_ns <= lasted * rate.refill


@given(RATES, st.lists(st.integers(0, 50), max_size=20))
def test_the_wait_is_exact(rate, costs):
    clock = ManualClock()
    bucket = TokenBucket(rate, clock)
    for cost in costs:
        cost = min(cost, rate.capacity)
        wait_ns = bucket.wait_ns(cost)
        if wait_ns > 1:
            clock.set_ns(clock.now_ns() + wait_ns - 1)
            assert not bucket.try_take(cost)
            clock.set_ns(clock.now_ns() + 1)
        else:
            clock.set_ns(clock.now_ns() + wait_ns)
        assert bucket.try_take(cost)


def test_who_waits_is_served_in_turn():
    clock, served = ManualClock(), []
    bucket = TokenBucket(Rate(10, 2), clock)

    async def client(name: str, cost: int) -> None:
        await bucket.take(cost)
        served.append((name, clock.monotonic_ns() / NS))

    async def main() -> None:
        tasks = [asyncio.create_task(client(*each)) for each in (("a", 10), ("big", 8), ("small", 1), ("gone", 1))]
        await clock.run(1)
        tasks[3].cancel()
        await clock.run(10)

    asyncio.run(main())
    # 10 at once; then 8 at 2 a second take 4 s; 1 more half a second; who gave up took nothing
    assert served == [("a", 0.0), ("big", 4.0), ("small", 4.5)]
    assert bucket.wait_ns(10) == 0  # 11 s less 4.5 s at 2 a second fill it again


def test_a_cost_that_never_comes_is_an_error():
    with pytest.raises(ValueError, match="never be granted"):
        TokenBucket(Rate(5, 1), ManualClock()).try_take(6)
    with pytest.raises(ValueError, match="never be granted"):
        TokenBucket(Rate(5, 1), ManualClock()).try_take(-1)
    with pytest.raises(ValueError, match="above 0"):
        TokenBucket(Rate(0, 1), ManualClock())


def test_a_drained_bucket_fills_from_nothing():
    clock = ManualClock()
    bucket = TokenBucket(Rate(4, 2), clock)
    bucket.drain()
    assert (bucket.try_take(1), bucket.wait_ns(4)) == (False, 2 * NS)


@given(st.integers(2, 5_000), st.integers(1, 600), st.data())
def test_a_window_is_kept_by_whoever_asks_as_often_as_it_may(most, seconds, data):
    rate = window(most, seconds, data.draw(st.integers(1, most - 1)))
    assert rate.capacity + rate.refill * seconds * NS // rate.period_ns == most


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/book", "/book", True),
        ("/book", "/books", False),
        ("/book", "/book/x", False),
        ("/a/:id", "/a/7", True),
        ("/a/:id", "/a/7/b", False),
        ("/a/:id", "/a", False),
        ("/a/:id/b", "/a/7/b", True),
        ("/a/*rest", "/a/7/b", True),
        ("/*", "/trade-api/v2/markets", True),
    ],
)
def test_patterns_of_paths(pattern, path, fits):
    assert matches(pattern, path) is fits


def test_a_request_counts_towards_every_limit_that_it_fits():
    clock = ManualClock()
    rules = [LimitRule("all", (), "/*", Rate(5, 1)), LimitRule("markets", ("GET",), "/markets", Rate(2, 1))]
    limiter = Limiter(rules, clock)
    assert [limiter.admit("GET", "/markets") for _ in range(3)] == [True, True, False]
    # the third took from neither: 3 of 5 are left for others
    assert [limiter.admit("GET", "/events") for _ in range(4)] == [True, True, True, False]


def test_costs_count_and_an_accounts_own_are_taken():
    clock = ManualClock()
    cancel = f"{limits._V2}/portfolio/events/orders/7"
    limiter = Limiter(limits.KALSHI_BASIC, clock, limits.KALSHI_COSTS)
    # write: 100 tokens; an order costs 10, a cancel 2
    assert sum(limiter.admit("DELETE", cancel) for _ in range(60)) == 50
    assert not limiter.admit("POST", f"{limits._V2}/portfolio/events/orders")
    # read: 400 tokens at 10 each, a bucket of its own
    assert sum(limiter.admit("GET", f"{limits._V2}/markets") for _ in range(60)) == 40
    limiter.adopt({"read": Rate(30, 10)}, Costs(5, (("GET", f"{limits._V2}/markets", 15),)))
    assert [limiter.admit("GET", f"{limits._V2}/markets") for _ in range(3)] == [True, True, False]
    assert not limiter.admit("DELETE", cancel)  # the other bucket went on as it was
    with pytest.raises(ValueError, match="no limits named"):
        limiter.adopt({"reed": Rate(1, 1)}, Costs())


def test_a_refusal_empties_the_buckets_of_such_requests():
    limiter = Limiter(limits.KALSHI_BASIC, ManualClock(), limits.KALSHI_COSTS)
    limiter.refused("GET", "/x")
    assert not limiter.admit("GET", "/x")
    assert limiter.admit("POST", "/x")


def test_what_no_rule_covers_is_not_asked():
    limiter = Limiter(limits.POLYMARKET_CLOB, ManualClock())
    with pytest.raises(ValueError, match="POST /order: no limit is known"):
        limiter.admit("POST", "/order")
    with pytest.raises(ValueError, match="no limit is known"):
        asyncio.run(limiter.acquire("GET", "/prices"))


def test_waiting_for_all_limits_of_a_request():
    clock = ManualClock()
    limiter = Limiter(limits.KALSHI_KEYLESS, clock)

    async def main() -> list[float]:
        stamps = []

        async def ask() -> None:
            await limiter.acquire("GET", "/trade-api/v2/markets/orderbooks")
            stamps.append(clock.monotonic_ns() / NS)

        tasks = [asyncio.create_task(ask()) for _ in range(3)]
        await clock.run(5)
        await asyncio.gather(*tasks)
        return stamps

    assert asyncio.run(main()) == [0.0, 1.0, 2.0]  # one a second


@pytest.mark.parametrize(
    ("rules", "method", "path"),
    [
        (limits.KALSHI_KEYLESS, "GET", "/trade-api/v2/markets/orderbooks"),
        (limits.KALSHI_BASIC, "GET", "/trade-api/v2/account/limits"),
        (limits.POLYMARKET_CLOB, "GET", "/book"),
        (limits.POLYMARKET_CLOB, "POST", "/books"),
        (limits.POLYMARKET_CLOB, "GET", "/clob-markets/0xcc"),
        (limits.POLYMARKET_GAMMA, "GET", "/markets"),
    ],
)
def test_what_the_clients_ask_has_its_limit(rules, method, path):
    assert Limiter(rules, ManualClock()).admit(method, path)
