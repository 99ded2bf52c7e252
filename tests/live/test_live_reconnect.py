"""The socket's state machine: fault scripts on an injected clock, and laws that hold for every script."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import reconnect
from live.backoff import Backoff
from live.reconnect import (
    KALSHI_LINK,
    POLYMARKET_LINK,
    Close,
    Connect,
    Distrust,
    Link,
    LinkRules,
    Ping,
    Send,
    Stopped,
    Subscribe,
)

NS = 10**9


class Top(random.Random):
    """Draws the largest value: waits of 1, 2, 4 ... seconds."""

    def uniform(self, a: float, b: float) -> float:
        return b


def link_of(rules: LinkRules = KALSHI_LINK, **settings) -> Link:
    return Link("venue", rules, Backoff("link", Top(), base_s=1, cap_s=8, healthy_s=60, **settings))


def live_link(rules: LinkRules = KALSHI_LINK) -> Link:
    link = link_of(rules)
    assert link.start(0) == [Connect()]
    assert link.connected(0) == [Subscribe()]
    assert link.confirmed(0) == link.data(0) == []
    assert link.state == reconnect.LIVE
    return link


def kinds(actions) -> list[type]:
    return [type(action) for action in actions]


def test_from_nothing_to_live():
    link = link_of()
    assert link.start(5) == [Connect()] and link.wake_ns == 5 + 10 * NS
    assert link.connected(6) == [Subscribe()] and link.state == reconnect.HANDSHAKE
    link.confirmed(7)
    assert link.state == reconnect.SUBSCRIBED and link.wake_ns == 7 + 25 * NS
    link.data(8)
    assert link.state == reconnect.LIVE and link.wake_ns == 8 + 15 * NS
    with pytest.raises(ValueError, match="started twice"):
        link.start(9)


def test_where_nothing_is_confirmed_nothing_is_waited_for():
    link = link_of(POLYMARKET_LINK)
    link.start(0)
    link.connected(0)
    assert link.state == reconnect.SUBSCRIBED
    link.data(1)
    assert link.state == reconnect.LIVE


@pytest.mark.parametrize("rules", [KALSHI_LINK, POLYMARKET_LINK])
def test_a_quiet_market_is_not_cut_off_but_silence_is(rules):
    link = link_of(rules)
    link.start(0)
    link.connected(0)
    link.confirmed(0)
    for second in range(10, 310, 10):  # pings, or pongs to ours
        assert kinds(link.tick(second * NS)) == ([Send] if rules.ping_s else [])
        link.heard(second * NS + 1)
        assert link.state == reconnect.SUBSCRIBED
    for second in (310, 320):
        link.tick(second * NS)
    assert kinds(link.tick(325 * NS)) == [] and link.state == reconnect.SUBSCRIBED
    assert link.tick(325 * NS + 1) == [Close("silent for 25 s"), Distrust("silent for 25 s")]


def test_a_subscription_that_is_never_confirmed_is_given_up_though_pings_come():
    link = link_of(KALSHI_LINK)
    link.start(0)
    link.connected(0)
    link.heard(9 * NS)
    assert kinds(link.tick(10 * NS)) == [Close, Distrust]


@pytest.mark.parametrize("steps", [0, 1])
def test_who_is_late_is_closed_and_tried_again(steps):
    link = link_of()
    link.start(0)
    for step in (link.connected, link.confirmed)[:steps]:
        step(0)
    assert link.tick(10 * NS - 1) == []
    actions = link.tick(10 * NS)
    assert kinds(actions) == ([Close] if steps == 0 else [Close, Distrust]) and "within" in actions[0].why
    assert link.state == reconnect.BACKOFF and link.wake_ns == 11 * NS  # a second later
    assert link.tick(11 * NS - 1) == [] and link.tick(11 * NS) == [Connect()]


def test_a_half_open_socket_is_probed_then_given_up():
    link = live_link()
    link.heard(4 * NS)  # the venue's ping
    assert link.tick(19 * NS - 1) == []
    assert link.tick(19 * NS) == [Ping()] and link.state == reconnect.STALE  # 15 s of silence
    assert link.wake_ns == 29 * NS
    actions = link.tick(29 * NS)  # 25 s
    assert actions == [Close("silent for 25 s"), Distrust("silent for 25 s")]
    assert link.state == reconnect.BACKOFF


@pytest.mark.parametrize("sign", ["heard", "data", "confirmed"])
def test_any_sign_of_life_ends_the_doubt(sign):
    link = live_link()
    link.tick(15 * NS)
    assert getattr(link, sign)(16 * NS) == [] and link.state == reconnect.LIVE
    assert link.wake_ns == 31 * NS


def test_text_pings_go_out_every_ten_seconds_and_pongs_keep_it_live():
    link = live_link(POLYMARKET_LINK)
    for second in range(10, 100, 10):
        assert link.wake_ns == second * NS
        assert link.tick(second * NS) == [Send("PING")]
        link.heard(second * NS + 1)
    assert link.state == reconnect.LIVE
    assert link.tick(100 * NS) == [Send("PING")]  # and now no pong
    assert link.tick(105 * NS + 1) == [Send("PING")] and link.state == reconnect.STALE
    assert link.tick(110 * NS) == [Send("PING")]
    assert kinds(link.tick(115 * NS + 1)) == [Close, Distrust]


@pytest.mark.parametrize("event", ["closed", "refused", "connected", "confirmed", "data", "heard"])
def test_what_is_told_of_a_socket_that_was_given_up_changes_nothing(event):
    link = live_link()
    link.closed(NS, 1006)
    wake_ns = link.wake_ns
    assert getattr(link, event)(NS + 1, *([1006] if event in ("closed", "refused") else [])) == []
    assert (link.state, link.wake_ns) == (reconnect.BACKOFF, wake_ns)


def test_waits_grow_while_it_is_cut_off_and_start_anew_after_a_healthy_spell():
    link, now, waits = live_link(), 0, []
    for _ in range(4):
        now += NS
        assert link.closed(now, 1006) == [Distrust("closed with 1006")]
        waits.append((link.wake_ns - now) // NS)
        now = link.wake_ns
        assert link.tick(now) == [Connect()]
        link.connected(now), link.data(now)
    assert waits == [1, 2, 4, 8]
    now += 60 * NS
    link.closed(now, None)
    assert link.wake_ns == now + NS


def test_a_refusal_for_good_stops_and_a_passing_one_does_not():
    link = link_of()
    link.start(0)
    assert link.refused(1, 503) == [] and link.state == reconnect.BACKOFF
    link.tick(2 * NS)
    actions = link.refused(3 * NS, 401)
    assert kinds(actions) == [Close, Stopped] and "401, 1 in a row; check key" in actions[1].why
    assert link.wake_ns is None and link.tick(10**18) == [] and link.connected(10**18) == []


def test_a_refusal_after_a_connection_has_worked_is_tried_again_and_five_in_a_row_stop():
    link = live_link()
    link.closed(NS, 1006)
    for _ in range(4):
        assert link.tick(link.wake_ns) == [Connect()]
        now = link.wake_ns - 1
        assert link.refused(now, 403) == [] and link.state == reconnect.BACKOFF
    link.tick(link.wake_ns)
    link.connected(now)  # a handshake that is accepted ends the row
    link.closed(now, 1006)
    for status in (401, 503, 401, 403, 404):  # 503 is none of them
        link.tick(link.wake_ns)
        assert link.refused(now, status) == [] and link.state == reconnect.BACKOFF
    link.tick(link.wake_ns)
    actions = link.refused(now, 401)
    assert kinds(actions) == [Close, Stopped] and "401, 5 in a row; check key" in actions[1].why


def test_attempts_may_be_bounded():
    link = link_of(attempts=2)
    link.start(0)
    assert link.closed(1, None) == []
    link.tick(link.wake_ns)
    assert kinds(link.closed(5 * NS, None)) == [Stopped] and link.state == reconnect.STOPPED


def test_a_broken_subscription_starts_afresh_and_stopping_ends():
    link = live_link()
    assert kinds(link.resubscribe(1, "error 25")) == [Close, Distrust]
    assert link.resubscribe(2, "error 25") == [] and link.state == reconnect.BACKOFF
    other = live_link()
    assert kinds(other.stop()) == [Close, Distrust, Stopped] and other.stop() == []


EVENTS = ("connected", "refused", "confirmed", "data", "heard", "closed", "resubscribe", "tick", "wake")
WORDS = {"refused": 503, "closed": 1006, "resubscribe": "error"}


class Shell:
    """What a socket's owner sees: whether there is a socket, and whether a book may be believed."""

    def __init__(self, link: Link) -> None:
        self.link, self.now = link, 0
        self.has_socket = self.trusts = False
        self.do(link.start(0))

    def tell(self, event: str) -> None:
        if event == "wake":
            self.now = max(self.now, self.link.wake_ns)
            self.do(self.link.tick(self.now))
            return
        if (event in ("refused", "closed") and self.link.state == reconnect.CONNECTING) or event == "closed":
            self.has_socket = False  # it is gone before the link knows
        self.do(getattr(self.link, event)(self.now, *([WORDS[event]] if event in WORDS else [])))

    def do(self, actions) -> None:
        self.trusts = self.trusts or self.link.state in (reconnect.LIVE, reconnect.STALE)
        for action in actions:
            if isinstance(action, Connect):
                assert not self.has_socket
            else:
                assert self.has_socket or isinstance(action, Distrust)
            self.has_socket = isinstance(action, Connect) or (self.has_socket and not isinstance(action, Close))
            self.trusts = self.trusts and not isinstance(action, Distrust)


@given(
    st.sampled_from([KALSHI_LINK, POLYMARKET_LINK]),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 20 * NS)), max_size=60),
)
def test_whatever_happens_sockets_and_trust_are_in_order(rules, script):
    """One socket at a time, closed before the next; distrust follows every trust; there is always a next moment."""
    shell = Shell(link_of(rules))
    for event, wait_ns in script:
        shell.now += wait_ns
        shell.tell(event)
        state = shell.link.state
        assert shell.link.wake_ns is not None
        assert shell.has_socket == (state != reconnect.BACKOFF)
        assert not (shell.trusts and state in (reconnect.BACKOFF, reconnect.CONNECTING))


@given(st.integers(0, 2**32))
def test_silence_from_any_moment_on_is_found_within_the_time_the_rules_say(seed):
    draws = random.Random(seed)
    link, now = live_link(), 0
    for _ in range(draws.randrange(20)):
        now += draws.randrange(14 * NS)
        link.tick(now)
        link.heard(now)
    silent_since = now
    while link.state != reconnect.BACKOFF:
        now = max(now, link.wake_ns)
        link.tick(now)
    assert now - silent_since == 25 * NS


def test_rules_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="stale before dead"):
        link_of(KALSHI_LINK._replace(stale_s=30.0))
