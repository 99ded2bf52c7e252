"""Waits between attempts, and which addresses may be connected to."""

from __future__ import annotations

import logging
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.backoff import Backoff
from live.stamps import ns_of
from live.urls import checked_url

NS = 10**9


class Top(random.Random):
    """Draws the largest value."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_waits_double_up_to_the_cap():
    backoff = Backoff("x", Top(), base_s=0.5, cap_s=5)
    waits = [backoff.failed(0, "broken") for _ in range(6)]
    assert waits == [int(seconds * NS) for seconds in (0.5, 1, 2, 4, 5, 5)]


@given(st.integers(0, 2**32), st.integers(1, 2_000))
def test_waits_are_drawn_from_zero_to_the_bound_and_never_overflow(seed, failures):
    backoff = Backoff("x", random.Random(seed), base_s=1, cap_s=30)
    logging.disable(logging.CRITICAL)
    try:
        for _ in range(failures - 1):
            backoff.failed(0, "broken")
        wait_ns = backoff.failed(0, "broken")
    finally:
        logging.disable(logging.NOTSET)
    assert 0 <= wait_ns <= min(30, 2 ** min(failures - 1, 5)) * NS
    assert backoff.failures == backoff.total == failures


def test_the_same_seed_waits_the_same():
    def waits() -> list[int | None]:
        backoff = Backoff("x", random.Random(7))
        return [backoff.failed(0, "broken") for _ in range(10)]

    assert waits() == waits() and len(set(waits())) == 10


def test_only_a_healthy_spell_starts_the_count_anew():
    backoff = Backoff("x", Top(), base_s=1, cap_s=60, healthy_s=10)
    backoff.failed(0, "broken")
    backoff.succeeded(5 * NS)
    backoff.succeeded(9 * NS)  # still the same spell
    assert backoff.failed(15 * NS - 1, "broken") == 2 * NS  # 9.999 s were not enough
    backoff.succeeded(20 * NS)
    assert backoff.failed(30 * NS, "broken") == 1 * NS
    assert (backoff.failures, backoff.total) == (1, 3)


def test_attempts_end_and_every_failure_is_logged(caplog):
    backoff = Backoff("the link", Top(), attempts=3)
    assert [backoff.failed(0, "broken") is None for _ in range(3)] == [False, False, True]
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "WARNING", "ERROR"]
    assert "the link: broken" in caplog.text and "given up after 3" in caplog.text


def test_the_venue_may_ask_for_longer():
    assert Backoff("x", Top(), base_s=1).failed(0, "busy", at_least_s=79) == 79 * NS


@pytest.mark.parametrize("wrong", [{"base_s": 0}, {"base_s": 9, "cap_s": 3}, {"attempts": 0}, {"healthy_s": -1}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Backoff("x", Top(), **wrong)


@pytest.mark.parametrize(
    "url",
    ["https://venue.example", "https://venue.example/trade-api/v2/", "http://127.0.0.1:80", "http://127.9.9.9",
     "http://[::1]:8080/x", "http://localhost:1"],
)  # fmt: skip
def test_encrypted_or_this_machine(url):
    assert checked_url(url, "https") == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["http://venue.example", "http://10.0.0.1", "http://0.0.0.0", "http://localhost.venue.example", "http://128.0.0.1",
     "http://127.0.0.1.venue.example", "http://127.0.0.1@venue.example", "https://me:pass@venue.example", "https://",
     "wss://venue.example", "ftp://127.0.0.1", "venue.example", "https://venue.example?x=1", "https://venue.example#x",
     "http://[::ffff:8.8.8.8]"],
)  # fmt: skip
def test_anything_else_is_refused(url):
    with pytest.raises(ValueError, match=r"expected|belongs|encrypted"):
        checked_url(url, "https")


def test_sockets_go_by_the_same_rule():
    assert checked_url("wss://venue.example/ws", "wss") == "wss://venue.example/ws"
    assert checked_url("ws://127.0.0.1:9/ws", "wss") == "ws://127.0.0.1:9/ws"
    with pytest.raises(ValueError, match="expected wss://"):
        checked_url("ws://venue.example", "wss")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-09-26T22:52:42.728645Z", 1_790_463_162_728_645_000),  # 20722 days x 86400 s + 22:52:42 = 82362 s
        ("2026-08-07T06:46:28.97871Z", 1_786_085_188_978_710_000),
        ("2026-07-24 00:00:16+00", 1_784_851_216_000_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
    ],
)
def test_stamps(text, ns):
    assert ns_of(text) == ns


@pytest.mark.parametrize("text", ["", "2026-09-26", "2026-09-26T22:52:42", "yesterday", "2026-13-01T00:00:00Z"])
def test_stamps_that_say_no_moment(text):
    with pytest.raises(ValueError):  # noqa: PT011
        ns_of(text)
