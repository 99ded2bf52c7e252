"""Polling Kalshi: the rows rebuild the books that were told, prints come once, and what is missing is said."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from loopback import Instant, client_of, served

from live.kalshi_poll import BooksAsk, KalshiPoller, KalshiPollReader, TradesAsk
from live.kalshi_rest import PAGE, KalshiRest, KalshiTrade
from live.limits import KALSHI_KEYLESS
from live.reading import Reading
from sim.tape import FeeRates, Market
from sim.types import ASK, BID, CLEAR, CLOSED, END_OF_BATCH, GAP, INFERRED, LEVEL, STATUS, TRADE
from sim.wire.listing import Listing

NS = 10**9
START = 1_000 * NS
CLOSE = 9_000 * NS


def listing(ticker: str) -> Listing:
    return Listing(
        "kalshi", Market(ticker, ticker, close_ns=CLOSE), ((0, 10_000, 100),), FeeRates("f", "kalshi", 70_000)
    )


def reader_of(*tickers: str) -> KalshiPollReader:
    return KalshiPollReader([listing(ticker) for ticker in tickers], START)


def trade(name: str, stamp_ns: int, ticker: str = "A") -> KalshiTrade:
    return KalshiTrade(name, ticker, stamp_ns, 5000, 1_000_000, BID, False)


def book(bids: dict[int, int], asks: dict[int, int]) -> dict[int, list[tuple[int, int]]]:
    return {BID: sorted(bids.items(), reverse=True), ASK: sorted(asks.items())}


BOOKS = st.builds(
    book,
    st.dictionaries(st.integers(1, 40), st.integers(1, 9), max_size=8),
    st.dictionaries(st.integers(41, 80), st.integers(1, 9), max_size=8),
)


def moved(told, by: int):
    return {side: [(px + by, qty) for px, qty in levels] for side, levels in told.items()}


@given(st.lists(st.tuples(BOOKS, st.integers(0, 60)), min_size=1, max_size=8))
def test_the_rows_lead_from_book_to_book_and_never_through_a_crossing(steps):
    reader = reader_of("A")
    sizes: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
    for number, (told, by) in enumerate(steps):
        told = moved(told, by)
        rows = reader.take_books(["A"], {"A": told}, START + number).rows
        for row in rows:
            assert row[0] == START + number and row[4] == -1 and row[1] == 0
            if row[7] == LEVEL:
                assert bool(row[5] & INFERRED) == (number > 0)
                sizes[row[8]][row[3]] = row[2]
                if not row[2]:
                    del sizes[row[8]][row[3]]
                assert max(sizes[BID], default=0) < min(sizes[ASK], default=10_000)
            else:
                assert (row[7], number) == (CLEAR, 0)
        assert book(sizes[BID], sizes[ASK]) == told
        assert [bool(row[5] & END_OF_BATCH) for row in rows] == [False] * (len(rows) - 1) + [True] * bool(rows)


def test_the_same_book_again_says_nothing():
    reader, told = reader_of("A"), book({4000: 5}, {6000: 5})
    assert [row[7] for row in reader.take_books(["A"], {"A": told}, START).rows] == [CLEAR, LEVEL, LEVEL]
    assert reader.take_books(["A"], {"A": told}, START + 1).rows == []


def test_a_book_that_does_not_come_is_lost_and_then_told_whole():
    reader, told = reader_of("A", "B"), book({4000: 5}, {})
    assert [row[6:8] for row in reader.take_books(["A", "B"], {"B": told}, START).rows] == [(1, CLEAR), (1, LEVEL)]
    taken = reader.take_books(["A", "B"], {"A": told}, START + 1)
    assert [row[6:8] for row in taken.rows] == [(1, GAP), (0, CLEAR), (0, LEVEL)]
    assert taken.lost == (1,) and reader.counts["absent"] == 2
    assert reader.lose(["B"], START + 2).rows == []  # it is lost already
    again = reader.take_books(["A", "B"], {"A": told, "B": told}, START + 3)
    assert [(row[6], row[7], row[5]) for row in again.rows] == [(1, CLEAR, 0), (1, LEVEL, END_OF_BATCH)]


def test_what_was_known_before_a_loss_is_forgotten():
    reader = reader_of("A")
    reader.take_books(["A"], {"A": book({4000: 5}, {})}, START)
    reader.lose(["A"], START + 1)
    whole = reader.take_books(["A"], {"A": book({3000: 5}, {})}, START + 2).rows
    assert [(row[7], row[3]) for row in whole] == [(CLEAR, 0), (LEVEL, 3000)]
    same = reader.take_books(["A"], {"A": book({3000: 5}, {})}, START + 3).rows
    assert same == [] and reader.books[0].best[BID] == 3000


def test_an_empty_book_after_the_close_is_the_end_of_trading_once():
    reader = reader_of("A")
    assert STATUS not in [row[7] for row in reader.take_books(["A"], {"A": book({}, {})}, CLOSE - 1).rows]
    rows = reader.take_books(["A"], {"A": book({}, {})}, CLOSE).rows
    assert [(row[7], row[2], row[5]) for row in rows] == [(STATUS, CLOSED, INFERRED | END_OF_BATCH)]
    assert reader.take_books(["A"], {"A": book({}, {})}, CLOSE + 1).rows == []


def test_prints_come_once_oldest_first_and_none_from_before_the_start():
    reader = reader_of("A")
    first = [trade("old", START - 1), trade("a", START), trade("b", START + 30 * NS)]
    rows = reader.take_trades("A", first, START + 31 * NS).rows
    assert [(row[1], row[7], row[5]) for row in rows] == [(START, TRADE, 0), (START + 30 * NS, TRADE, 0)]  # no book yet
    reader.take_books(["A"], {"A": book({4000: 1}, {})}, START + 32 * NS)
    late = [trade("late", START + 25 * NS), trade("b", START + 30 * NS), trade("c", START + 33 * NS)]
    rows = reader.take_trades("A", late, START + 34 * NS).rows
    assert [row[1] for row in rows] == [START + 25 * NS, START + 33 * NS]
    assert [bool(row[5] & END_OF_BATCH) for row in rows] == [False, True]


@given(st.lists(st.lists(st.integers(0, 200), max_size=10), max_size=20))
def test_no_print_is_told_twice_whatever_the_pages(polls):
    """Each page holds all prints of the whole seconds asked for, as the venue's do."""
    reader, told, listed = reader_of("A"), [], {}
    now_s = 0
    for poll in polls:
        now_s += 5
        listed |= {f"t{now_s}-{number}": now_s - age % 10 for number, age in enumerate(poll)}  # up to 9 s late
        ask = reader.next_ask()
        ask = ask if isinstance(ask, TradesAsk) else reader.next_ask()
        since_s = ask.since_ns // NS - START // NS
        page = [
            trade(name, START + s * NS) for name, s in sorted(listed.items(), key=lambda item: item[1]) if s >= since_s
        ]
        told += [row[1] for row in reader.take_trades("A", page, START + now_s * NS).rows]
    assert sorted(told) == sorted(START + s * NS for s in listed.values() if s >= 0)


def test_a_full_page_is_counted(caplog):
    reader = reader_of("A")
    reader.take_trades("A", [trade(str(number), START) for number in range(PAGE)], START)
    assert reader.counts["full_pages"] == 1 and "older ones may be missing" in caplog.text
    assert reader.take_trades("A", [trade("0", START)], START).rows == []


def test_books_and_prints_are_asked_for_in_turn():
    tickers = [f"M{number}" for number in range(101)]
    reader = reader_of(*tickers)
    asks = [reader.next_ask() for _ in range(204)]
    books = [ask for ask in asks if isinstance(ask, BooksAsk)]
    assert books[:3] == [BooksAsk(tuple(tickers[:100])), BooksAsk((tickers[100],)), BooksAsk(tuple(tickers[:100]))]
    assert [ask.ticker for ask in asks if isinstance(ask, TradesAsk)] == [*tickers, tickers[0]]
    assert isinstance(asks[1], TradesAsk) and asks[1].since_ns == START
    with pytest.raises(ValueError, match="at least one"):
        reader_of()


def test_a_poller_asks_once_a_second_reads_and_outlives_failures():
    bid, ask = ({leg: [["0.4000", "1.00"]]} for leg in ("yes_dollars", "no_dollars"))
    answers = [
        (200, {"orderbooks": [{"ticker": "A", "orderbook_fp": bid}]}),
        (200, {"trades": [{"trade_id": "t", "ticker": "A", "count_fp": "2.00", "yes_price_dollars": "0.4000",
                           "taker_book_side": "ask", "created_time": "2001-09-09T01:46:41Z"}]}),
        (400, {"error": "what?"}),
        (200, {"trades": []}),
        (200, {"orderbooks": [{"ticker": "A", "orderbook_fp": ask}]}),
    ]  # fmt: skip
    clock, paths = Instant(), []

    async def venue(request: web.Request) -> web.StreamResponse:
        paths.append(request.path_qs)
        status, body = answers[len(paths) - 1]
        return web.json_response(body, status=status)

    async def main():
        async with served(venue) as url, client_of(url, clock=clock, rules=KALSHI_KEYLESS) as client:
            reader = KalshiPollReader([listing("A")], 10**18)
            poller = KalshiPoller(KalshiRest(client), reader, Reading(reader), clock, lambda taken: None)
            return [await poller.once() for _ in answers], reader.counts

    taken, counts = asyncio.run(main())
    kinds = [[(row[7], row[8], row[3], row[2]) for row in each.rows] for each in taken]
    assert kinds == [
        [(CLEAR, -1, 0, 0), (LEVEL, BID, 4000, 1_000_000)],
        [(TRADE, ASK, 4000, 2_000_000)],
        [(GAP, -1, 0, 0)],
        [],
        [(CLEAR, -1, 0, 0), (LEVEL, ASK, 6000, 1_000_000)],
    ]
    assert taken[2].lost == (0,) and counts["failed"] == 1
    assert clock.monotonic_ns() == 4 * NS  # five requests, a second apart
    assert paths[0] == "/api/markets/orderbooks?tickers=A"
    assert paths[1] == f"/api/markets/trades?ticker=A&limit=1000&min_ts={10**9}"


def test_answers_that_were_kept_are_read_again_to_the_same_rows():
    books = {"orderbooks": [{"ticker": "A", "orderbook_fp": {"yes_dollars": [["0.4000", "1.00"]]}}]}
    trade = {"trade_id": "t", "ticker": "A", "count_fp": "2.00", "yes_price_dollars": "0.4000", "created_time": ""}
    frames = [
        {"polled": "books", "tickers": ["A"], "answer": books},
        {
            "polled": "trades",
            "tickers": ["A"],
            "answer": {"trades": [trade | {"created_time": "2001-09-09T01:46:41Z"}]},
        },
        {
            "polled": "trades",
            "tickers": ["A"],
            "answer": {"trades": [trade | {"created_time": "2001-09-09T01:46:39Z"}]},
        },
        {"polled": "failed", "tickers": ["A"], "answer": None},
        {"polled": "books", "tickers": ["A"]},
    ]
    reader = KalshiPollReader([listing("A")])
    rows = [reader.take(msgspec.json.encode(frame), 10**18 + at).rows for at, frame in enumerate(frames)]
    assert [[row[7] for row in each] for each in rows] == [
        [CLEAR, LEVEL],
        [TRADE],
        [],
        [GAP],
        [],
    ]  # the third is history
    assert reader.counts["malformed"] == 1 and reader.counts["failed"] == 1


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"[]", b'{"polled":"other","tickers":[]}', b'{"polled":"books"}', b"\xff"]
)
def test_what_is_no_answer_is_counted_and_loses_the_books(frame):
    reader = reader_of("A")
    reader.take_books(("A",), {"A": {BID: [(4000, 1_000_000)], ASK: []}}, 5)
    taken = reader.take(frame, 6)
    assert [row[7] for row in taken.rows] == [GAP] and taken.lost == (0,) and reader.counts["malformed"] == 1
