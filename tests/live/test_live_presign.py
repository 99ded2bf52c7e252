"""The stock of signatures: its laws, by hand on a clock of its own, and as the signer of an order path."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections import Counter

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from live.clock import ManualClock
from live.fake.answers import Ask
from live.fake.server import FakeVenue
from live.limits import KALSHI_BASIC, KALSHI_COSTS, Limiter
from live.orders.presign import LIFE_NS, Keeper, PresignedSigner, Presigner
from live.rest import RestClient
from live.secrets import KalshiCredentials, Secret
from live.signing import KalshiSigner
from sim.types import SECOND_NS
from tests.live.fake_help import T0, Kalshi, on_sockets, opening

MS = 1_000_000
ORDERS = "/trade-api/v2/portfolio/events/orders"
POST = ("POST", ORDERS)


def stocked(clock: ManualClock, **settings) -> Presigner:
    """Signs a key by telling it with its stamp."""
    return Presigner(lambda key, stamp_ns: (key, stamp_ns), clock, **settings)


def adds_up(presigner: Presigner) -> bool:
    told = presigner.statistics
    return told.warmed == told.hits + told.wasted + len(presigner)


def test_what_is_in_stock_is_a_hit_once():
    presigner = stocked(ManualClock(T0))
    assert presigner.warm(["a", "a", "b"]) == 3
    assert presigner.take("a") == ("a", T0) and presigner.take("a") == ("a", T0 + MS)  # another stamp, so another one
    assert presigner.take("a") is None and presigner.take("c") is None
    told = presigner.statistics
    assert (told.warmed, told.hits, told.misses, told.hit_rate) == (3, 2, 2, 0.5)
    assert adds_up(presigner) and len(presigner) == 1


def test_nothing_asked_for_is_no_hit():
    assert stocked(ManualClock(T0)).statistics.hit_rate == 0.0


def test_an_old_one_is_never_handed_out():
    clock = ManualClock(T0)
    presigner = stocked(clock)
    presigner.warm(["a"])
    clock.set_ns(T0 + LIFE_NS)
    assert presigner.take("a") == ("a", T0)  # to the last nanosecond
    presigner.warm(["a"])
    clock.set_ns(T0 + 2 * LIFE_NS + 1)
    assert presigner.take("a") is None
    assert presigner.statistics.stale == 1 and adds_up(presigner)


@pytest.mark.parametrize("step_ns", [LIFE_NS + MS, -LIFE_NS - MS])
def test_a_step_of_the_wall_clock_makes_them_stale(step_ns):
    clock = ManualClock(T0)
    presigner = stocked(clock)
    presigner.warm(["a"])
    clock.step_wall(step_ns)
    assert presigner.take("a") is None and presigner.statistics.stale == 1
    presigner.warm(["a"])
    assert presigner.take("a") == ("a", T0 + step_ns)  # the stamps begin anew


def test_they_are_made_anew_in_the_second_half_of_their_lives():
    clock = ManualClock(T0)
    presigner = stocked(clock)
    presigner.warm(["a"])
    clock.set_ns(T0 + LIFE_NS // 2)
    assert presigner.warm(["a"]) == 0
    clock.set_ns(T0 + LIFE_NS // 2 + 1)
    assert presigner.warm(["a"]) == 1 and len(presigner) == 2
    assert presigner.take("a") == ("a", T0)  # the older one first: less is wasted
    clock.set_ns(T0 + 2 * LIFE_NS)
    assert presigner.warm(["a"]) == 1 and presigner.statistics.stale == 1 and adds_up(presigner)


def test_what_is_no_longer_wanted_is_dropped_at_once():
    presigner = stocked(ManualClock(T0))
    presigner.warm(["a", "b"])
    assert presigner.warm(["b", "c"]) == 1  # a price out of reach
    assert presigner.take("a") is None and presigner.statistics.dropped == 1
    assert presigner.drop(lambda key: key == "b") == 1  # another tick
    assert presigner.take("b") is None and presigner.take("c") is not None
    assert presigner.statistics.wasted == 2 and adds_up(presigner)


def test_what_is_dropped_while_it_is_signed_does_not_come_into_stock():
    presigner = stocked(ManualClock(T0))
    (key,) = presigner.lacking(["a"])
    presigner.drop(lambda one: one == "a")
    presigner.put(key, "late", presigner.stamp(key))
    assert presigner.take("a") is None and presigner.statistics.dropped == 1 and adds_up(presigner)


def test_the_stock_is_bounded():
    clock = ManualClock(T0)
    presigner = stocked(clock, capacity=8)
    with pytest.raises(ValueError, match="5 signatures wanted; a capacity of 8"):
        presigner.warm("abcde")
    presigner.warm("abcd")
    clock.set_ns(T0 + LIFE_NS // 2 + 1)
    presigner.warm("abcd")
    assert len(presigner) == 8
    for _ in range(5):
        presigner.put("a", "more", presigner.stamp("a"))
    assert len(presigner) == 8 and presigner.statistics.dropped == 5 and adds_up(presigner)
    with pytest.raises(ValueError, match="expected 2 ms"):
        stocked(clock, life_ns=1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("warm"), st.lists(st.sampled_from("abcd"), max_size=6)),
            st.tuples(st.just("take"), st.sampled_from("abcde")),
            st.tuples(st.just("pass"), st.integers(0, LIFE_NS)),
            st.tuples(st.just("step"), st.integers(-LIFE_NS, LIFE_NS)),
            st.tuples(st.just("drop"), st.sampled_from("abcd")),
        ),
        max_size=40,
    )
)
def test_whatever_happens_none_is_used_twice_none_is_old_and_all_are_accounted_for(moves):
    clock = ManualClock(T0)
    presigner = stocked(clock, capacity=12)
    made: list[object] = []
    presigner.make = lambda key, stamp_ns: made.append(object()) or (key, stamp_ns, made[-1])  # type: ignore[assignment]
    used: Counter[int] = Counter()
    for move, value in moves:
        if move == "warm":
            presigner.warm(value)
            young = Counter(value)
            assert all(sum(1 for _ in presigner._stock.get(key, ())) >= count for key, count in young.items())
        elif move == "take":
            found = presigner.take(value)
            if found is not None:
                assert found[0] == value and abs(clock.now_ns() - found[1]) <= LIFE_NS
                used[id(found[2])] += 1
        elif move == "pass":
            clock.set_ns(clock.now_ns() + value)
        elif move == "step":
            clock.step_wall(value)
        else:
            presigner.drop(lambda key, gone=value: key == gone)
        assert len(presigner) <= 12 and adds_up(presigner)
    assert not used or max(used.values()) == 1


def signer_of(key, clock: ManualClock) -> PresignedSigner:
    return PresignedSigner(KalshiSigner(KalshiCredentials(Secret("an-id"), Secret("pem"), key), clock), clock)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_headers_made_ahead_are_good_signatures_of_the_stamp_they_carry(kind):
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    clock = ManualClock(T0 + 789_999)  # stamps are whole milliseconds
    signer = signer_of(key, clock)
    signer.presigner.warm([POST] * 3)
    clock.advance(1.0)
    taken = [signer.headers(*POST, b"any body") for _ in range(5)]  # two more than there are
    assert (signer.presigner.statistics.hits, signer.presigner.statistics.misses) == (3, 2)
    stamps = [int(one["KALSHI-ACCESS-TIMESTAMP"]) for one in taken]
    assert stamps == [T0 // MS + more for more in (0, 1, 2, 1000, 1001)]
    assert len({one["KALSHI-ACCESS-SIGNATURE"] for one in taken}) == 5  # Ed25519 would give the same for the same stamp
    for stamp, one in zip(stamps, taken, strict=True):
        signature, message = base64.b64decode(one["KALSHI-ACCESS-SIGNATURE"]), f"{stamp}POST{ORDERS}".encode()
        if kind == "rsa":
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            key.public_key().verify(signature, message, pss, hashes.SHA256())
        else:
            key.public_key().verify(signature, message)


def test_reading_takes_nothing_from_the_stock():
    clock = ManualClock(T0)
    signer = signer_of(ed25519.Ed25519PrivateKey.generate(), clock)
    signer.presigner.warm([("GET", ORDERS), POST])
    signer.headers("GET", ORDERS)
    assert signer.presigner.statistics.hits == signer.presigner.statistics.misses == 0
    assert [one.reveal() for one in signer.secrets] == ["an-id", "pem"]


def test_the_guard_takes_each_one_and_refuses_one_that_lay_too_long():
    one = Kalshi(opening())
    one.to(T0)
    signer = PresignedSigner(one.signer, one.clock, life_ns=120 * SECOND_NS)  # too long, to see it refused
    signer.presigner.warm([POST] * 4)
    body = b'{"ticker":"none"}'
    one.to(T0 + 29 * SECOND_NS)
    assert one.venue.request(Ask(*POST, (), signer.headers(*POST), body)).status == 400
    one.to(T0 + 31 * SECOND_NS)
    assert one.venue.request(Ask(*POST, (), signer.headers(*POST), body)).status == 401


def test_a_keeper_fills_up_when_woken_and_renews_in_time():
    clock = ManualClock(T0)
    presigner = stocked(clock)
    wanted = ["a", "b"]
    keeper = Keeper(presigner, lambda: wanted, clock, every_s=1.0)

    async def main() -> None:
        running = asyncio.create_task(keeper.run())
        await clock.run(0.001)
        assert presigner.take("a") is not None
        assert presigner.statistics.warmed == 2  # first the order goes out
        await clock.run(0.001)
        assert presigner.statistics.warmed == 3
        wanted[:] = ["a", "c"]
        keeper.wake()
        await clock.run(0.001)
        assert presigner.take("a") and presigner.take("c") and presigner.take("b") is None
        await clock.run(20.0)  # four lives
        assert presigner.take("a")[1] >= clock.now_ns() - LIFE_NS
        running.cancel()

    asyncio.run(main())
    told = presigner.statistics
    assert (told.hits, told.misses, told.dropped) == (4, 1, 1) and adds_up(presigner)


def test_a_keeper_leaves_off_what_is_no_longer_wanted():
    clock = ManualClock(T0)
    wanted, made = list("abc"), []

    def make(key: str, stamp_ns: int) -> str:
        made.append(key)
        if key == "a":  # the touch moves meanwhile
            wanted[:] = ["x"]
            keeper.wake()
        return key

    presigner = Presigner(make, clock)
    keeper = Keeper(presigner, lambda: wanted, clock)
    asyncio.run(keeper.warm())
    asyncio.run(keeper.warm())
    assert made == ["a", "x"] and presigner.take("x") == "x"


def test_a_keeper_with_a_thread_signs_there():
    clock, where = ManualClock(T0), []
    presigner = Presigner(lambda key, stamp_ns: where.append(threading.get_ident()) or key, clock)
    asyncio.run(Keeper(presigner, lambda: ["a", "b"], clock, in_thread=True).warm())
    assert presigner.take("a") == "a" and threading.get_ident() not in where


def test_orders_of_a_warm_client_reach_a_venue_on_a_socket():
    one = Kalshi(opening(), kind="rsa")
    signer = PresignedSigner(one.signer, one.clock)
    body = {"ticker": "KXT-E0-M0", "side": "bid", "count": "10.00", "price": "0.4800",
            "time_in_force": "good_till_canceled", "self_trade_prevention_type": "taker_at_cross"}  # fmt: skip

    async def work(fake: FakeVenue, _) -> None:
        await fake.step_to(T0)
        limiter = Limiter(KALSHI_BASIC, one.clock, KALSHI_COSTS)
        base = f"{fake.url}/trade-api/v2"
        async with RestClient(base, clock=one.clock, rng=None, limiter=limiter, signer=signer) as rest:  # type: ignore[arg-type]
            keys = [POST, POST]
            keeper = Keeper(signer.presigner, lambda: keys, one.clock, in_thread=True)
            await keeper.warm()
            first = await rest.request("POST", "/portfolio/events/orders", body=body)
            keys.append(("DELETE", f"{ORDERS}/{first['order_id']}"))
            await keeper.warm()
            await rest.request("DELETE", f"/portfolio/events/orders/{first['order_id']}")

    on_sockets(one, work)
    told = signer.presigner.statistics
    assert (told.hits, told.misses, told.warmed) == (2, 0, 4)
