"""One connection's market data without a socket: frames in; rows, frames to send and what to do with the socket out.

A *venue* knows what to subscribe to and what follows from what was said. An *intake* reads frames, and may keep them.
The *link* knows when to connect. Which books are known is the reader's to say; a market that lost its book is asked for
again until it comes whole.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from live.clock import nanoseconds
from live.reading import Intake
from live.reconnect import Action, Link, LinkRules, Send, Subscribe
from sim.types import CLEAR, CLOSED, SETTLE, STATUS
from sim.wire.units import Row, Taken

ASK_AGAIN_S = 5.0  # between two requests for the same book
MOST_ASKS = 6  # for the same book, unanswered in a row; then the connection is made afresh


class Answer(NamedTuple):
    """What follows from a frame."""

    kind: str = "data"  # of what the link is told: data, confirmed or heard
    broken: str = ""  # why the subscription is to be made afresh; "" = it stands


class Wanted(NamedTuple):
    """A book that is not known."""

    due_ns: int  # when to ask for it
    asked: int  # times so far


class Venue(Protocol):
    """What a venue's socket is told, and what its answers mean."""

    link_rules: LinkRules

    def subscribe(self) -> list[str]:
        """Frames that begin the subscriptions of a new connection."""
        ...

    def answer(self, taken: Taken) -> Answer:
        """What follows from what a frame said."""
        ...

    def ask(self, markets: tuple[int, ...]) -> list[str]:
        """Frames that ask for the whole books of these markets."""
        ...


class Feed:
    """A connection: the link's state, the venue's subscriptions, the intake's rows.

    Every method returns what was said and what is to be done, in this order. Times are the monotonic and the wall
    clock's, nanoseconds.
    """

    def __init__(self, venue: Venue, intake: Intake, link: Link, channel: int = 0) -> None:
        self.venue, self.intake, self.link, self.channel = venue, intake, link, channel
        self._wanted: dict[int, Wanted] = {}  # by market

    def start(self, mono_ns: int) -> list[Action]:
        """Begin."""
        return self.link.start(mono_ns)

    def connected(self, mono_ns: int, local_ns: int) -> tuple[Taken, list[Action]]:
        """The socket is open. Books come by themselves; one that does not is asked for after a while."""
        taken = self.intake.connected(self.channel, local_ns)
        due_ns = mono_ns + nanoseconds(ASK_AGAIN_S)
        self._wanted = dict.fromkeys(taken.lost, Wanted(due_ns, 0))
        return taken, self._told(self.link.connected(mono_ns))

    def frame(self, data: bytes, mono_ns: int, local_ns: int) -> tuple[Taken, list[Action]]:
        """A text frame came."""
        taken = self.intake.received(self.channel, data, local_ns)
        answer = self.venue.answer(taken)
        actions = getattr(self.link, answer.kind)(mono_ns)
        if answer.broken:
            return taken, self._told(self.link.resubscribe(mono_ns, answer.broken))
        self._came(taken.rows)
        lost = tuple(index for index in taken.lost if index not in self._wanted)  # others are asked for already
        return taken, actions + (self._ask(lost, mono_ns) if lost else [])

    def answered(self, taken: Taken, mono_ns: int) -> None:
        """REST said something of markets: one that has ended needs no book, one that trades again does."""
        self._came(taken.rows)
        for index in taken.lost:
            self._wanted.setdefault(index, Wanted(mono_ns, 0))

    def heard(self, mono_ns: int) -> list[Action]:
        """A ping or pong frame came."""
        return self.link.heard(mono_ns)

    def refused(self, mono_ns: int, status: int) -> list[Action]:
        """The handshake was answered with an HTTP status."""
        return self.link.refused(mono_ns, status)

    def closed(self, mono_ns: int, code: int | None) -> list[Action]:
        """The socket is closed, or could not be opened."""
        return self.link.closed(mono_ns, code)

    def over(self, why: str, local_ns: int) -> Taken:
        """What a connection's end says, after the link's Distrust: GAP rows."""
        self._wanted.clear()
        return self.intake.disconnected(self.channel, local_ns, why)

    def tick(self, mono_ns: int) -> list[Action]:
        """Time has passed."""
        actions = self._told(self.link.tick(mono_ns))
        late = tuple(index for index, wanted in self._wanted.items() if mono_ns >= wanted.due_ns)
        silent = [self._id(index) for index in late if self._wanted[index].asked >= MOST_ASKS]
        if silent:
            self._wanted.clear()
            why = f"the book of {', '.join(silent)} does not come, asked for {MOST_ASKS} times"
            return actions + self._told(self.link.resubscribe(mono_ns, why))
        return actions + (self._ask(late, mono_ns) if late else [])

    def stop(self, why: str = "asked to") -> list[Action]:
        """End for good."""
        return self.link.stop(why)

    @property
    def wake_ns(self) -> int | None:
        """When ``tick`` is to be called."""
        times = [wanted.due_ns for wanted in self._wanted.values()]
        if self.link.wake_ns is not None:
            times.append(self.link.wake_ns)
        return min(times, default=None)

    def _came(self, rows: list[Row]) -> None:
        """Books that were told whole, or will never be, are not asked for."""
        for row in rows if self._wanted else ():
            if row[7] in (CLEAR, SETTLE) or (row[7] == STATUS and row[2] == CLOSED):
                self._wanted.pop(row[6], None)

    def _ask(self, markets: tuple[int, ...], mono_ns: int) -> list[Action]:
        due_ns = mono_ns + nanoseconds(ASK_AGAIN_S)
        for index in markets:
            asked = self._wanted[index].asked if index in self._wanted else 0
            self._wanted[index] = Wanted(due_ns, asked + 1)
        return [Send(text) for text in self.venue.ask(markets)]

    def _id(self, index: int) -> str:
        return self.intake.reader.rules[index].listing.market.id

    def _told(self, actions: list[Action]) -> list[Action]:
        """The link's actions with subscriptions written out."""
        found: list[Action] = []
        for action in actions:
            found += [Send(text) for text in self.venue.subscribe()] if isinstance(action, Subscribe) else [action]
        return found
