"""Beside a source of market data: REST is asked for what lost or unreadable messages may have told.

Asked are all markets that have not paid: at the start, some seconds after a connection, messages or a message's meaning
were lost, and every minute, since a market may close early without a word.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from live.answers import Answered, Question
from live.clock import Clock, nanoseconds
from live.errors import VenueError
from live.reading import MarketIntake, MarketReader
from live.source import Source, Take
from sim.wire.kalshi import Lost
from sim.wire.kalshi_writer import BOOK
from sim.wire.told import LAG_NS
from sim.wire.units import Taken, Unclear

_LOG = logging.getLogger(__name__)
EVERY_S = 60.0
FEES_EVERY = 10  # of those questions, one asks for fees that are a request each
_LOOK_S = 1.0

Ask = Callable[[Question], Awaitable[dict[str, Any]]]  # raises VenueError where the venue does not answer


class Doubts:
    """When REST is to be asked, and for what. Times are monotonic nanoseconds."""

    def __init__(self, reader: MarketReader, mono_ns: int) -> None:
        self._reader = reader
        self._due_ns = mono_ns
        self._count = 0  # questions so far
        self._doubt = True

    def heard(self, taken: Taken, mono_ns: int) -> None:
        """What the source brought: whether something may have been lost that is no book's change.

        Books that are lost with no word of numbers go with their connection, or with a message that does not read.
        What the books' own channel has lost says nothing of a market's state.
        """
        lost = [note for note in taken.notes if isinstance(note, Lost)]
        unclear = any(isinstance(note, Unclear) for note in taken.notes)
        if unclear or any(note.channel != BOOK for note in lost) or (taken.lost and not lost):
            self._doubt = True
            self._due_ns = min(self._due_ns, mono_ns + LAG_NS)  # before that its answer would not be believed

    def due(self, mono_ns: int) -> Question | None:
        """What to ask for now; None = nothing. It counts as asked."""
        markets = tuple(index for index, one in enumerate(self._reader.standings) if not one.over)
        if mono_ns < self._due_ns or not markets:
            return None
        question = Question(markets, fees=self._doubt or self._count % FEES_EVERY == 0)
        self._count += 1
        self._doubt = False
        self._due_ns = mono_ns + nanoseconds(EVERY_S)
        return question

    def failed(self) -> None:
        """The last question was not answered: it stays open, and is asked again in its turn."""
        self._doubt = True


class Inquiry:
    """A source with questions beside it: itself a source.

    Args:
        source: of market data.
        doubts: say when to ask; whoever hears the source tells them what it brought.
        ask: makes the requests.
        intake: keeps and reads the answers.
        clock: of questions.
        take: is called with what an answer said, where it differs from what is believed.
    """

    def __init__(
        self, source: Source, doubts: Doubts, ask: Ask, intake: MarketIntake, clock: Clock, take: Take
    ) -> None:
        self._source, self._doubts, self._ask = source, doubts, ask
        self._intake, self._clock, self._take = intake, clock, take

    @property
    def why(self) -> str:
        """It was stopped."""
        return self._source.why

    @property
    def heard(self) -> int:
        """Times that something came which is no message."""
        return self._source.heard

    @property
    def state(self) -> str:
        """In a word."""
        return self._source.state

    async def run(self) -> None:
        """Until the source ends. What an answer's taker raises ends it, and is raised here."""
        running, asking = asyncio.ensure_future(self._source.run()), asyncio.ensure_future(self._questions())
        try:
            await asyncio.wait({running, asking}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                asking.result()
            await running
        finally:
            for task in (running, asking):
                task.cancel()
            await asyncio.gather(running, asking, return_exceptions=True)

    async def stop(self, why: str) -> None:
        """End; ``run`` then returns."""
        await self._source.stop(why)

    async def _questions(self) -> None:
        while True:
            question = self._doubts.due(self._clock.monotonic_ns())
            if question is not None:
                await self._settle(question)
            await self._clock.sleep(_LOOK_S)

    async def _settle(self, question: Question) -> None:
        asked_ns = self._clock.now_ns()
        try:
            said = await self._ask(question)
        except VenueError as error:
            _LOG.warning("%d markets were asked for beside the feed: %s", len(question.markets), error)
            self._doubts.failed()
            return
        data = msgspec.json.encode(Answered(asked_ns, said))
        taken = self._intake.answered(0, data, self._clock.now_ns())
        if taken.rows:
            self._take(taken)
