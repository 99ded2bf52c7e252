"""When a socket connects, is given up, and comes back: a state machine without a socket.

It is told what happens and when, and says what to do. Times are monotonic nanoseconds of one clock::

    connecting -> handshake -> subscribed -> live <-> stale
        ^            |             |           |        |
        +-- backoff <-- closed, refused, late, or silent for too long        stopped: asked to, or no use in going on

*handshake*: the socket is open, subscriptions are sent, and one is yet to be confirmed; where the venue confirms none,
this is passed over. *subscribed*: no data yet, as from a market that is quiet or over; any frame keeps it. *stale*:
silent for longer than the venue should ever be; a probe is sent, and books are as good as they were, for a socket loses
nothing while it lives. One that stays silent is half open: it is closed, and a new one opened.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import NamedTuple

from live.backoff import Backoff
from live.clock import nanoseconds

_LOG = logging.getLogger(__name__)

CONNECTING = "connecting"
HANDSHAKE = "handshake"
SUBSCRIBED = "subscribed"
LIVE = "live"
STALE = "stale"
BACKOFF = "backoff"
STOPPED = "stopped"
_OPEN = (HANDSHAKE, SUBSCRIBED, LIVE, STALE)

_HOPELESS = (400, 401, 403, 404, 410)  # of a handshake: the same request will be refused again
_MOST_REFUSALS = 5  # of these, without a connection between them, where one has worked before


class Connect(NamedTuple):
    """Open a socket; then tell ``connected``, ``refused`` or ``closed``."""


class Subscribe(NamedTuple):
    """Send the subscriptions; then tell ``confirmed``."""


class Send(NamedTuple):
    """Send a text frame."""

    text: str


class Ping(NamedTuple):
    """Send a ping frame."""


class Close(NamedTuple):
    """Close the socket, without waiting for the other side; nothing need be told."""

    why: str


class Distrust(NamedTuple):
    """The connection is over: no book is known until it is told whole again."""

    why: str


class Stopped(NamedTuple):
    """There will be no further attempt."""

    why: str


Action = Connect | Subscribe | Send | Ping | Close | Distrust | Stopped


class LinkRules(NamedTuple):
    """How a venue's socket behaves."""

    connect_s: float  # until it is open
    confirm_s: float  # until a subscription is confirmed; 0 = the venue confirms none
    stale_s: float  # of silence, until it is probed
    dead_s: float  # of silence, until it is given up
    ping_s: float = 0.0  # how often text pings are sent; 0 = the venue sends ping frames
    ping_text: str = ""


# Kalshi sends a ping frame every 10 s (docs.kalshi.com, read 2026-10-26).
KALSHI_LINK = LinkRules(connect_s=10.0, confirm_s=10.0, stale_s=15.0, dead_s=25.0)
# Polymarket wants the text PING every 10 s and answers PONG (docs.polymarket.com, read 2026-08-22).
POLYMARKET_LINK = LinkRules(connect_s=10.0, confirm_s=0.0, stale_s=15.0, dead_s=25.0, ping_s=10.0, ping_text="PING")


class Link:
    """One socket that is to stay connected.

    The shell opens sockets and reads frames; pings and pongs count as frames, so it must see them. It calls ``tick``
    when ``wake_ns`` has come, and does in order what each call returns. What is told of a state that has passed (a
    frame that arrives after the socket was given up) changes nothing.

    Args:
        name: for the log.
        rules: of the venue.
        backoff: waits between connections.
    """

    def __init__(self, name: str, rules: LinkRules, backoff: Backoff) -> None:
        if not 0 < rules.stale_s < rules.dead_s or rules.connect_s <= 0 or rules.confirm_s < 0:
            raise ValueError(f"{name}: {rules}; expected times above 0 (to confirm: or 0), and stale before dead")
        self.state = BACKOFF
        self.counts: Counter[str] = Counter()  # entries of each state
        self._name, self._rules, self._backoff = name, rules, backoff
        self._due_ns: int | None = 0  # when the present state is over; None = it is not by itself
        self._heard_ns = 0
        self._pinged_ns = 0
        self._worked = False  # some handshake was accepted
        self._refusals = 0  # in a row, of those that look final

    @property
    def wake_ns(self) -> int | None:
        """When ``tick`` is to be called; None = only after something happens."""
        times = [] if self._due_ns is None else [self._due_ns]
        if self.state in _OPEN and self._rules.ping_s:
            times.append(self._pinged_ns + nanoseconds(self._rules.ping_s))
        return min(times, default=None)

    def start(self, now_ns: int) -> list[Action]:
        """Begin. Raises ValueError where it has begun before."""
        if self.state != BACKOFF or self.counts:
            raise ValueError(f"{self._name}: started twice; make another Link")
        return self._connect(now_ns)

    def connected(self, now_ns: int) -> list[Action]:
        """The socket is open."""
        if self.state != CONNECTING:
            return []
        self._heard_ns = self._pinged_ns = now_ns
        self._worked, self._refusals = True, 0
        if self._rules.confirm_s:
            self._enter(HANDSHAKE, now_ns + nanoseconds(self._rules.confirm_s))
        else:
            self._enter(SUBSCRIBED, now_ns + nanoseconds(self._rules.dead_s))
        return [Subscribe()]

    def refused(self, now_ns: int, status: int) -> list[Action]:
        """The handshake was answered with an HTTP status.

        Some are answers for good, unless the same request was accepted before: then only several in a row are.
        """
        if self.state != CONNECTING:
            return []
        why = f"the handshake was refused with {status}"
        self._refusals += status in _HOPELESS
        if status in _HOPELESS and (not self._worked or self._refusals >= _MOST_REFUSALS):
            return self._stop(f"{why}, {self._refusals} in a row; check key, host and clock")
        return self._again(now_ns, why)

    def confirmed(self, now_ns: int) -> list[Action]:
        """The venue has confirmed a subscription."""
        self._hear(now_ns)
        if self.state == HANDSHAKE:
            self._enter(SUBSCRIBED, now_ns + nanoseconds(self._rules.dead_s))
        return []

    def data(self, now_ns: int) -> list[Action]:
        """A frame with market data came."""
        self._hear(now_ns)
        if self.state in (HANDSHAKE, SUBSCRIBED):
            self._backoff.succeeded(now_ns)
            self._enter(LIVE, now_ns + nanoseconds(self._rules.stale_s))
        return []

    def heard(self, now_ns: int) -> list[Action]:
        """Any other frame came: a ping, a pong, an answer."""
        self._hear(now_ns)
        return []

    def closed(self, now_ns: int, code: int | None) -> list[Action]:
        """The socket is closed or could not be opened; ``code`` of the close frame, None = there was none."""
        if self.state not in (CONNECTING, *_OPEN):
            return []
        return self._again(now_ns, "cut off" if code is None else f"closed with {code}")

    def resubscribe(self, now_ns: int, why: str) -> list[Action]:
        """The subscription is broken though the socket lives (Kalshi's errors 10 and 25): start afresh."""
        return [Close(why), *self._again(now_ns, why)] if self.state in _OPEN else []

    def stop(self, why: str = "asked to") -> list[Action]:
        """End for good."""
        return [] if self.state == STOPPED else self._stop(why)

    def tick(self, now_ns: int) -> list[Action]:
        """Time has passed: what is due now."""
        if self._due_ns is not None and now_ns >= self._due_ns:
            return self._overdue(now_ns)
        if self.state in _OPEN and self._rules.ping_s and now_ns >= self._pinged_ns + nanoseconds(self._rules.ping_s):
            self._pinged_ns = now_ns
            return [Send(self._rules.ping_text)]
        return []

    def _overdue(self, now_ns: int) -> list[Action]:
        if self.state == BACKOFF:
            return self._connect(now_ns)
        if self.state == LIVE:
            self._enter(STALE, self._heard_ns + nanoseconds(self._rules.dead_s))
            _LOG.warning("%s: silent for %g s", self._name, self._rules.stale_s)
            return [Send(self._rules.ping_text) if self._rules.ping_text else Ping()]
        late = {
            CONNECTING: f"not open within {self._rules.connect_s:g} s",
            HANDSHAKE: f"no subscription confirmed within {self._rules.confirm_s:g} s",
            SUBSCRIBED: f"silent for {self._rules.dead_s:g} s",
            STALE: f"silent for {self._rules.dead_s:g} s",
        }[self.state]
        return [Close(late), *self._again(now_ns, late)]

    def _connect(self, now_ns: int) -> list[Action]:
        self._enter(CONNECTING, now_ns + nanoseconds(self._rules.connect_s))
        return [Connect()]

    def _hear(self, now_ns: int) -> None:
        if self.state not in _OPEN:
            return
        self._heard_ns = now_ns
        if self.state == STALE:
            self._enter(LIVE)
        if self.state == SUBSCRIBED:
            self._backoff.succeeded(now_ns)
            self._due_ns = now_ns + nanoseconds(self._rules.dead_s)
        if self.state == LIVE:
            self._due_ns = now_ns + nanoseconds(self._rules.stale_s)

    def _again(self, now_ns: int, why: str) -> list[Action]:
        """The connection is over: wait, then connect, unless it has failed too often."""
        over: list[Action] = [Distrust(why)] if self.state in _OPEN else []
        wait_ns = self._backoff.failed(now_ns, f"{self._name}: {why}")
        if wait_ns is None:
            return [*over, *self._end(f"{why}; given up after {self._backoff.failures} failures in a row")]
        self._enter(BACKOFF, now_ns + wait_ns)
        return over

    def _stop(self, why: str) -> list[Action]:
        over: list[Action] = [Close(why)] if self.state in (CONNECTING, *_OPEN) else []
        over += [Distrust(why)] if self.state in _OPEN else []
        return [*over, *self._end(why)]

    def _end(self, why: str) -> list[Action]:
        self._enter(STOPPED)
        _LOG.warning("%s: stopped: %s", self._name, why)
        return [Stopped(why)]

    def _enter(self, state: str, due_ns: int | None = None) -> None:
        self.state, self._due_ns = state, due_ns
        self.counts[state] += 1
