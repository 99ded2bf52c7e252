"""A connection without a socket: what is sent, when, and which books are known in between."""

import random

import msgspec
import pytest

from live.backoff import Backoff
from live.feed import ASK_AGAIN_S, MOST_ASKS, Feed
from live.kalshi import Kalshi
from live.polymarket import Polymarket
from live.reading import Reading
from live.reconnect import BACKOFF, HANDSHAKE, LIVE, STALE, SUBSCRIBED, Close, Connect, Distrust, Link, Send
from sim.tape import FeeRates, Market
from sim.types import GAP, SECOND_NS
from sim.wire.kalshi import KalshiReader
from sim.wire.kalshi_writer import CHANNELS
from sim.wire.listing import CENT_TICKS, Listing
from sim.wire.polymarket import PolymarketReader

MARKETS = ("A", "B")
AGAIN_NS = round(ASK_AGAIN_S * SECOND_NS)


def listings(venue):
    fees = FeeRates("crypto", venue, 70_000)
    return [Listing(venue, Market(name, name), CENT_TICKS, fees, tokens=(f"{name}1", f"{name}2")) for name in MARKETS]


def feed_of(venue):
    told = listings(venue)
    side, reader = (
        (Kalshi(told), KalshiReader(told)) if venue == "kalshi" else (Polymarket(told), PolymarketReader(told))
    )
    link = Link(venue, side.link_rules, Backoff(venue, random.Random(0)))
    feed = Feed(side, Reading(reader), link)
    assert feed.start(0) == [Connect()]
    return feed


def sent(actions):
    return [msgspec.json.decode(action.text) for action in actions if isinstance(action, Send)]


def tell(feed, ns, **message):
    return feed.frame(msgspec.json.encode(message), ns, ns)


def snapshot(feed, ns, market, seq, sid=1):
    msg = {"market_ticker": market, "yes_dollars_fp": [["0.4000", "10.00"]], "no_dollars_fp": [["0.5500", "5.00"]]}
    return tell(feed, ns, type="orderbook_snapshot", sid=sid, seq=seq, msg=msg)


def delta(feed, ns, market, seq, sid=1):
    msg = {"market_ticker": market, "price_dollars": "0.4000", "delta_fp": "1.00", "side": "yes"}
    return tell(feed, ns, type="orderbook_delta", sid=sid, seq=seq, msg=msg)


def kinds(taken):
    return [row[7] for row in taken.rows]


def live_kalshi():
    """A connection with both books known, at 1 s."""
    feed = feed_of("kalshi")
    _, actions = feed.connected(0, 0)
    assert [command["params"]["channels"] for command in sent(actions)] == [[channel] for channel in CHANNELS]
    for command in sent(actions):
        assert command["cmd"] == "subscribe" and command["params"]["market_tickers"] == list(MARKETS)
        assert command["params"]["use_yes_price"] is False
    assert feed.link.state == HANDSHAKE
    for sid, channel in enumerate(CHANNELS, 1):
        tell(feed, 1, type="subscribed", id=sid, msg={"channel": channel, "sid": sid})
    assert feed.link.state == SUBSCRIBED
    snapshot(feed, 2, "A", 1)
    snapshot(feed, SECOND_NS, "B", 2)
    assert feed.link.state == LIVE
    return feed


def test_kalshi_asks_for_what_it_lost_until_it_comes():
    feed = live_kalshi()
    taken, actions = delta(feed, 2 * SECOND_NS, "A", 4)  # number 3 is missing
    assert kinds(taken) == [GAP, GAP] and taken.lost == (0, 1)
    (asked,) = sent(actions)
    assert asked["params"] == {"sids": [1], "market_tickers": ["A", "B"], "action": "get_snapshot"}
    snapshot(feed, 3 * SECOND_NS, "A", 5)
    assert feed.tick(6 * SECOND_NS) == []  # not yet
    again_ns = 2 * SECOND_NS + round(ASK_AGAIN_S * SECOND_NS)
    assert feed.wake_ns == again_ns
    (asked,) = sent(feed.tick(again_ns))
    assert asked["params"]["market_tickers"] == ["B"]
    snapshot(feed, again_ns + 1, "B", 6)
    assert sent(feed.tick(again_ns + 2 * SECOND_NS)) == []
    assert all(book.known for book in feed.intake.reader.books)


def test_an_error_that_ends_a_subscription_makes_a_new_connection():
    feed = live_kalshi()
    _, actions = tell(feed, 2 * SECOND_NS, type="error", sid=1, seq=3, msg={"code": 25, "msg": "Buffer overflow"})
    assert [type(action) for action in actions] == [Close, Distrust]
    assert "buffer overflow (25)" in actions[0].why and feed.link.state == BACKOFF
    assert kinds(feed.over(actions[1].why, 2 * SECOND_NS)) == [GAP, GAP]


@pytest.mark.parametrize(
    ("number", "command"),
    [(9, "a command that is not known"), (4, "subscribe to market_lifecycle_v2"), (5, "get_snapshot")],
)
def test_an_error_of_a_command_changes_nothing_and_is_logged(number, command, caplog):
    feed = feed_of("kalshi")
    feed.connected(0, 0)
    for sid, channel in enumerate(CHANNELS[:3], 1):
        tell(feed, 1, type="subscribed", id=sid, msg={"channel": channel, "sid": sid})
    snapshot(feed, 2, "A", 1)
    assert len(sent(feed.tick(AGAIN_NS))) == 1  # number 5
    _, actions = tell(feed, AGAIN_NS, type="error", id=number, msg={"code": 7, "msg": "Unknown subscription ID"})
    assert actions == [] and feed.link.state == LIVE
    assert f"error 7 of {command}: Unknown subscription ID" in caplog.text


def test_a_subscription_to_books_that_is_refused_makes_a_new_connection():
    feed = feed_of("kalshi")
    feed.connected(0, 0)
    _, actions = tell(feed, 1, type="error", id=1, msg={"code": 9, "msg": "Authentication required"})
    assert [type(action) for action in actions] == [Close, Distrust] and feed.link.state == BACKOFF
    assert actions[0].why == "an error of subscribe to orderbook_delta (9): Authentication required"


def test_an_error_of_the_books_subscription_makes_a_new_connection():
    feed = live_kalshi()
    _, actions = tell(feed, 2 * SECOND_NS, type="error", sid=2, seq=1, msg={"code": 8, "msg": "of another channel"})
    assert actions == [] and feed.link.state == LIVE
    _, actions = tell(feed, 2 * SECOND_NS, type="error", sid=1, seq=3, msg={"code": 8, "msg": "Unknown"})
    assert actions[0] == Close("an error of the subscription to books (8): Unknown") and feed.link.state == BACKOFF


def test_silence_is_probed_and_then_given_up_and_the_numbers_begin_anew():
    feed = live_kalshi()
    wait_s = feed.venue.link_rules
    feed.tick(SECOND_NS + round(wait_s.stale_s * SECOND_NS))
    assert feed.link.state == STALE
    actions = feed.tick(SECOND_NS + round(wait_s.dead_s * SECOND_NS))
    assert [type(action) for action in actions] == [Close, Distrust]
    now = feed.wake_ns
    assert feed.tick(now) == [Connect()]
    feed.connected(now, now)
    tell(feed, now + 1, type="subscribed", id=1, msg={"channel": "orderbook_delta", "sid": 1})
    taken, _ = snapshot(feed, now + 2, "A", 1)  # a number that was seen on the connection before
    assert len(taken.rows) == 3 and feed.intake.reader.books[0].known


def test_a_ping_keeps_a_quiet_connection():
    feed = live_kalshi()
    for second in range(10, 100, 10):
        feed.heard(second * SECOND_NS)
        assert feed.tick(second * SECOND_NS + 1) == [] and feed.link.state == LIVE


def test_polymarket_leaves_and_comes_back_for_a_lost_book():
    feed = feed_of("polymarket")
    _, actions = feed.connected(0, 0)
    (subscribed,) = sent(actions)
    assert subscribed["assets_ids"] == ["A1", "A2", "B1", "B2"] and subscribed["custom_feature_enabled"] is True
    book = {"event_type": "book", "market": "A", "asset_id": "A1", "timestamp": "1"}
    tell(feed, 1, **book, bids=[{"price": "0.4", "size": "5"}], asks=[])
    assert feed.link.state == LIVE
    taken, actions = tell(feed, 2, **book, bids=[{"price": "none", "size": "5"}], asks=[])
    assert kinds(taken) == [GAP] and taken.lost == (0,)
    assert sent(actions) == [
        {"operation": "unsubscribe", "assets_ids": ["A1", "A2"]},
        {"operation": "subscribe", "assets_ids": ["A1", "A2"], "custom_feature_enabled": True},
    ]
    taken, actions = tell(feed, 3, **book, bids=[], asks=[{"price": "0.6", "size": "1"}])
    assert len(taken.rows) == 2 and actions == [] and feed.intake.reader.books[0].known


def test_polymarket_pings_as_text():
    feed = feed_of("polymarket")
    feed.connected(0, 0)
    book = {"event_type": "book", "market": "A", "asset_id": "A1", "timestamp": "1"}
    for market in MARKETS:
        told = book | {"market": market, "asset_id": f"{market}1"}
        tell(feed, SECOND_NS, **told, bids=[{"price": "0.4", "size": "5"}], asks=[])
    assert feed.wake_ns == 10 * SECOND_NS
    assert Send("PING") in feed.tick(10 * SECOND_NS)
    feed.frame(b"PONG", 10 * SECOND_NS + 1, 0)
    assert feed.intake.reader.counts["pong"] == 1


def test_a_book_that_is_never_told_after_connecting_is_asked_for():
    feed = feed_of("kalshi")
    _, actions = feed.connected(0, 0)
    assert len(sent(actions)) == len(CHANNELS)  # nothing but the subscriptions
    tell(feed, 1, type="subscribed", id=1, msg={"channel": "orderbook_delta", "sid": 1})
    snapshot(feed, 2, "A", 1)
    assert feed.tick(AGAIN_NS - 1) == [] and feed.wake_ns == AGAIN_NS
    (asked,) = sent(feed.tick(AGAIN_NS))
    assert asked["params"]["market_tickers"] == ["B"]


def test_a_settled_market_is_not_asked_for():
    feed = feed_of("kalshi")
    feed.connected(0, 0)
    tell(feed, 1, type="subscribed", id=1, msg={"channel": "orderbook_delta", "sid": 1})
    snapshot(feed, 1, "A", 1)
    news = {"market_ticker": "B", "event_type": "settled", "result": "yes"}
    tell(feed, 2, type="market_lifecycle_v2", sid=4, seq=1, msg=news)
    assert feed.tick(AGAIN_NS) == []


def test_a_book_that_does_not_come_makes_a_new_connection():
    feed = live_kalshi()
    feed.heard(2 * SECOND_NS)
    _, actions = delta(feed, 2 * SECOND_NS, "A", 4)  # number 3 is missing
    asks = len(sent(actions))
    snapshot(feed, 2 * SECOND_NS + 1, "A", 5)  # and B's never comes
    for turn in range(1, MOST_ASKS):
        now = 2 * SECOND_NS + turn * AGAIN_NS
        feed.heard(now)
        asks += len(sent(feed.tick(now)))
    assert asks == MOST_ASKS
    now = 2 * SECOND_NS + MOST_ASKS * AGAIN_NS
    feed.heard(now)
    actions = feed.tick(now)
    assert [type(action) for action in actions] == [Close, Distrust]
    assert actions[0].why == "the book of B does not come, asked for 6 times"
    assert feed.link.state == BACKOFF and feed.wake_ns == feed.link.wake_ns


def test_a_book_that_comes_broken_again_and_again_is_not_asked_for_at_each():
    feed = feed_of("polymarket")
    feed.connected(0, 0)
    book = {"event_type": "book", "market": "A", "asset_id": "A1", "timestamp": "1"}
    tell(feed, 1, **book, bids=[], asks=[])
    asked = [len(sent(tell(feed, ns, **book, bids=[{"price": "none", "size": "5"}])[1])) for ns in (2, 3, 4)]
    assert asked == [2, 0, 0]


@pytest.mark.parametrize("venue", ["kalshi", "polymarket"])
def test_the_end_of_a_connection_is_told_and_the_next_one_begins_anew(venue):
    feed = feed_of(venue)
    feed.connected(0, 0)
    actions = feed.closed(5, 1006)
    assert [type(action) for action in actions] == [Distrust] and feed.link.state == BACKOFF
    assert feed.over("closed", 5).rows == []  # no book was known
    assert feed.tick(feed.wake_ns) == [Connect()]
