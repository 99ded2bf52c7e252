"""What was lost is asked for by REST: when, and what follows from the answers."""

import asyncio
import random

import msgspec
import pytest

from live import kalshi_listings, polymarket_listings
from live.answers import Answered, Question
from live.backoff import Backoff
from live.doors import Addresses, open_door
from live.fake.server import FakeVenue
from live.feed import Feed
from live.inquiry import EVERY_S, FEES_EVERY, Doubts
from live.polymarket import Polymarket as Side
from live.polymarket_rest import PolymarketRest
from live.reading import Reading, read_answer
from live.reconnect import BACKOFF, Link
from live.recording.decode import Pass, reader_for
from live.recording.layout import Header
from live.recording.recorder import Recorder
from live.recording.rotation import Rotation, SessionWriter
from sim.tape import FeeRates
from sim.types import CLEAR, CLOSED, FEES, GAP, OPEN, PAUSED, PENDING, PX_ONE, SECOND_NS, SETTLE, STATUS
from sim.wire.kalshi import KalshiReader, Lost
from sim.wire.listing import CENT_TICKS
from sim.wire.polymarket import PolymarketReader
from sim.wire.told import LAG_NS
from sim.wire.units import Taken, Unclear
from tests.live.fake_help import T0, Polymarket, opening, settle, status
from tests.live.test_live_feed import listings

EVERY_NS = round(EVERY_S * SECOND_NS)


def test_all_that_have_not_paid_are_asked_for_every_minute_and_fees_now_and_then():
    reader = KalshiReader(listings("kalshi"))
    doubts = Doubts(reader, 7)
    assert doubts.due(6) is None
    asked = [doubts.due(7 + turn * EVERY_NS) for turn in range(2 * FEES_EVERY)]
    assert [one.markets for one in asked] == [(0, 1)] * len(asked)
    assert [turn for turn, one in enumerate(asked) if one.fees] == [0, FEES_EVERY]
    assert doubts.due(7 + len(asked) * EVERY_NS - 1) is None
    reader.standings[0].status = 4  # paid
    assert doubts.due(7 + len(asked) * EVERY_NS).markets == (1,)
    reader.standings[1].status = 4
    assert doubts.due(2**62) is None


@pytest.mark.parametrize(
    ("taken", "asks"),
    [
        (Taken([], (0, 1)), True),  # a connection begins or ends
        (Taken([], (0, 1), (Lost(1, "orderbook_delta"),)), False),  # books alone, and those are asked for elsewhere
        (Taken([], (), (Lost(3, "market_lifecycle_v2"),)), True),
        (Taken([], (0, 1), (Lost(3, ""),)), True),
        (Taken([], (), (Unclear(0, "settlement"),)), True),
        (Taken([], (), ("anything else",)), False),
    ],
)
def test_what_may_have_been_lost_is_asked_for_once_an_answer_is_believed(taken, asks):
    doubts = Doubts(KalshiReader(listings("kalshi")), 0)
    doubts.due(0)
    doubts.heard(taken, SECOND_NS)
    assert doubts.due(SECOND_NS + LAG_NS - 1) is None
    doubts.heard(taken, 2 * SECOND_NS)  # what comes meanwhile does not put it off
    found = doubts.due(SECOND_NS + LAG_NS)
    assert found == (Question((0, 1), fees=True) if asks else None)


def test_a_question_that_was_not_answered_stays_open():
    doubts = Doubts(KalshiReader(listings("kalshi")), 0)
    assert doubts.due(0).fees and not doubts.due(EVERY_NS).fees
    doubts.failed()
    assert doubts.due(2 * EVERY_NS).fees


def market(ticker, state, **more):
    return {
        "ticker": ticker, "event_ticker": f"E-{ticker}", "title": ticker, "status": state,
        "price_level_structure": "linear_cent",
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    } | more  # fmt: skip


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (market("A", "initialized"), (PENDING, None)),
        (market("A", "active"), (OPEN, None)),
        (market("A", "inactive"), (PAUSED, None)),
        (market("A", "closed"), (CLOSED, None)),
        (market("A", "determined", result="yes", settlement_value_dollars="1.0000"), (CLOSED, None)),  # not paid yet
        (market("A", "finalized", result="no", settlement_value_dollars="0.0000"), (CLOSED, 0)),
        (market("A", "finalized", result="scalar", settlement_value_dollars="0.5000"), (CLOSED, 5000)),
        (market("A", "finalized", result="yes"), (CLOSED, PX_ONE)),
        (market("A", "finalized", result="scalar"), (CLOSED, None)),  # what it pays is not said
        (market("A", "a word that is new"), (None, None)),
    ],
)
def test_kalshis_words_for_a_markets_state(said, wanted):
    (told,) = kalshi_listings.told_of({"markets": [said, {"ticker": "B"}]})  # the second one cannot be read
    assert (told.status, told.payout_px) == wanted
    assert (told.ticks, told.fees) == (CENT_TICKS, None)


def test_kalshis_fees_are_the_events_or_the_series(caplog):
    def told(event, series="quadratic"):
        said = {
            "markets": [market("A", "active")],
            "events": {"E-A": {"event": {"event_ticker": "E-A", "series_ticker": "S"} | event}},
            "series": {"S": {"series": {"ticker": "S", "fee_type": series, "fee_multiplier": 1}}},
        }
        return kalshi_listings.told_of(said)[0]

    whole, half = FeeRates("quadratic x 1", "kalshi", 70_000), FeeRates("quadratic x 0.5", "kalshi", 35_000)
    assert (told({}).fees, told({}).base_fees) == (whole, whole)
    override = told({"fee_type_override": "quadratic", "fee_multiplier_override": 0.5})
    assert (override.fees, override.base_fees) == (half, whole)
    assert told({}, series="cubic").fees is None and "no formula is known for fees 'cubic'" in caplog.text


def test_an_answer_that_cannot_be_read_is_counted():
    reader = KalshiReader(listings("kalshi"))
    for data in (b"{", b"{}", b'{"asked_ns": 1, "said": {}}', b'{"asked_ns": 1, "said": {"markets": 3}}'):
        assert read_answer(reader, data, 1).rows == []
    assert reader.counts == {"answers_unread": 4}


class Venue:
    """A fake Polymarket in the place of its two REST clients."""

    def __init__(self, rows):
        self.side = Polymarket(rows)
        self.rest = PolymarketRest(self, self)

    async def get(self, path, params=()):
        return self.side.ask("GET", path, query=tuple(params)).said

    def answer(self, feed, listed):
        """What is asked for now is answered: rows."""
        asked_ns = self.side.clock.now_ns()
        said = asyncio.run(polymarket_listings.ask(self.rest, listed, Question((0, 1), fees=True)))
        taken = read_answer(feed.intake.reader, msgspec.json.encode(Answered(asked_ns, said)), asked_ns)
        feed.answered(taken, asked_ns)
        return taken.rows


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        (settle(T0 + 20 * SECOND_NS, PX_ONE), [(0, STATUS, CLOSED, 0), (0, SETTLE, 0, PX_ONE)]),
        (status(T0 + 20 * SECOND_NS, CLOSED), [(0, STATUS, CLOSED, 0)]),
    ],
)
def test_a_market_that_ended_while_away_does_not_make_the_connection_afresh(asked, end, wanted):
    venue = Venue([*opening(T0, 0), *opening(T0, 1), end])
    listed = venue.side.venue.listings
    reader = PolymarketReader(listed)
    feed = Feed(Side(listed), Reading(reader), Link("polymarket", Side.link_rules, Backoff("it", random.Random(0))))
    feed.start(T0)
    venue.side.to(T0 + 30 * SECOND_NS)  # away
    now = T0 + 30 * SECOND_NS
    feed.connected(now, now)
    for message in venue.side.venue.books(1, first=True):  # the other one's book comes
        feed.frame(msgspec.json.encode(message), now, now)
    if asked:
        told = [(row[6], row[7], row[2], row[3]) for row in venue.answer(feed, listed)]
        assert [one for one in told if one[1] in (STATUS, SETTLE)] == wanted
    for second in range(1, 60):
        feed.frame(b"PONG", now + second * SECOND_NS, now + second * SECOND_NS)
        feed.tick(now + second * SECOND_NS)
    assert feed.link.counts[BACKOFF] == 0 if asked else feed.link.counts[BACKOFF] > 0


async def until(wanted, server, what):
    """Let a second of the clock pass at a time, until ``wanted()``; everybody runs in between."""
    for _ in range(300):
        await server.step_to(server.venue.clock.now_ns() + SECOND_NS)
        for _ in range(20):
            await asyncio.sleep(0.001)
            if wanted():
                return
    raise AssertionError(f"waited in vain until {what}")


def test_over_sockets_a_settlement_that_was_lost_is_recorded_and_decodes_again(tmp_path):
    side = Polymarket(
        [*opening(T0, 0), *opening(T0, 1), status(T0 + 40 * SECOND_NS, CLOSED), settle(T0 + 45 * SECOND_NS, 0)]
    )
    side.venue._row = lambda row: None  # its socket tells books when asked, and nothing else
    rows = []

    async def main():
        async with FakeVenue(side.venue) as server:
            at = Addresses(server.url, server.socket_url + "/ws/market", server.url)
            names = [one.market.id for one in side.venue.listings]
            async with open_door("polymarket", names, side.clock, random.Random(0), at=at) as door:
                header = Header("polymarket", tuple(door.listings), door.subscribed, "test", "test", 0)
                writer = SessionWriter(tmp_path, "one", header, side.clock.now_ns, Rotation())
                recorder = Recorder(writer, door.reader)
                source = door.source(recorder, lambda taken: rows.extend(taken.rows))
                running = asyncio.create_task(source.run())
                await until(lambda: sum(row[7] == CLEAR for row in rows) == 2, server, "both books are told")
                await until(lambda: any(row[7] == SETTLE for row in rows), server, "the settlement is told")
                await source.stop("asked to")
                await running
                recorder.close()
        return reader_for(header)

    reader = asyncio.run(main())
    told = [(row[6], row[7], row[2], row[3]) for row in rows if row[7] in (STATUS, FEES, GAP, SETTLE)]
    assert (0, SETTLE, 0, 0) in told and (0, STATUS, CLOSED, 0) in told
    again = [row for part in Pass(sorted(tmp_path.glob("one/*.zst")), reader).rows() for row in part]
    assert again[: len(rows)] == rows and all(row[7] == GAP for row in again[len(rows) :])
