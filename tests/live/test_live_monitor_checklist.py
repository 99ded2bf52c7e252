"""The checklist, the summary and how numbers are written, by hand-computed values."""

from __future__ import annotations

import dataclasses
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitored import statistics, view

from live.monitor.checklist import Statistics, Thresholds, check, passed
from live.monitor.summary import as_json, as_text, summarise
from live.monitor.view import View
from live.monitor.words import contracts, duration, money, price
from sim.types import SECOND_NS

NAMES = (
    "feed fresh", "books known", "books in agreement", "frames read", "shield quiet", "messages for a fill",
    "messages a second", "orders accepted", "policy decides", "latency", "in-force times kept", "divergence",
)  # fmt: skip


def failing(found: Statistics, **limits) -> set[str]:
    return {one.name for one in check(found, Thresholds(**limits)) if one.ok is False}


def the(name: str, found: Statistics):
    return next(one for one in check(found, Thresholds()) if one.name == name)


def test_a_good_session_passes_every_check():
    checks = check(statistics(), Thresholds())
    assert tuple(one.name for one in checks) == NAMES
    assert all(one.ok is True for one in checks) and passed(checks)
    assert all(one.measured and one.wanted and one.do for one in checks)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("feed fresh", {"feed_age_ns": 15 * SECOND_NS}, {"feed_age_ns": 15 * SECOND_NS + 1}),
        ("feed fresh", {}, {"feed_age_ns": None}),
        ("books known", {"lost": ()}, {"lost": ("A",)}),
        ("books in agreement", {"quotes_differing": 5}, {"quotes_differing": 6}),  # 0.001 of 5,000
        ("frames read", {"frames_unread": 10}, {"frames_unread": 11}),  # 0.001 of 10,000
        ("shield quiet", {"orders_cut": 100}, {"orders_cut": 101}),  # 0.1 of 1,000
        ("messages for a fill", {"fills": 2}, {"fills": 1}),  # 400 / 2 = 200, the limit
        ("messages for a fill", {"messages": 200, "fills": 0}, {"messages": 201, "fills": 0}),  # no fill counts as one
        ("messages a second", {"span_ns": 200 * SECOND_NS}, {"span_ns": 200 * SECOND_NS - 1}),  # 400 / 200 s = 2
        ("orders accepted", {"rejects": 8}, {"rejects": 9}),  # 0.02 of 400
        ("policy decides", {"fallbacks": 2}, {"fallbacks": 3}),  # 0.001 of 2,000
        ("latency", {"latency_p99_ns": 1_000_000}, {"latency_p99_ns": 1_000_001}),
        ("in-force times kept", {"shortest_life_ns": SECOND_NS}, {"shortest_life_ns": SECOND_NS - 1}),
        ("divergence", {"divergence": 0.2}, {"divergence": 0.2000001}),
        ("divergence", {}, {"divergence": math.nan}),
    ],
)
def test_each_check_fails_just_beyond_its_threshold_and_alone(name, good, bad):
    assert failing(statistics(**good)) == set()
    assert failing(statistics(**bad)) == {name}


def test_what_cannot_be_measured_yet_neither_passes_nor_fails():
    checks = check(Statistics(span_ns=0, feed_age_ns=0), Thresholds())
    unknown = {one.name for one in checks if one.ok is None}
    assert unknown == set(NAMES) - {"feed fresh", "books known", "messages for a fill", "messages a second"}
    assert passed(checks)


def test_a_share_is_judged_once_there_are_enough():
    assert the("orders accepted", statistics(messages=19, rejects=19)).ok is None
    found = the("orders accepted", statistics(messages=20, rejects=19))
    assert (found.ok, found.measured, found.wanted) == (False, "95 % of messages refused (19 of 20)", "at most 2 %")
    assert failing(statistics(messages=1, rejects=1), fewest=0) == {"orders accepted"}


def test_thresholds_can_be_set_and_say_what_they_are():
    assert failing(statistics(), rejects=0.004) == {"orders accepted"}  # 2 of 400 is 0.005
    assert all(one.metadata["unit"] and one.metadata["meaning"] for one in dataclasses.fields(Thresholds))
    for wrong in (-1.0, math.nan):
        with pytest.raises(ValueError, match=r"feed_age = .*; expected seconds, 0 or more"):
            Thresholds(feed_age=wrong)


@given(st.builds(
    Statistics, span_ns=st.integers(0, 10**15), frames=st.integers(0, 10**9), frames_unread=st.integers(0, 10**9),
    messages=st.integers(0, 10**6), rejects=st.integers(0, 10**6), fills=st.integers(0, 10**6),
    latency_p99_ns=st.none() | st.integers(0, 10**12), divergence=st.none() | st.floats(),
))  # fmt: skip
def test_any_counts_give_the_whole_checklist(found):
    assert tuple(one.name for one in check(found, Thresholds())) == NAMES


def test_summary_says_the_result_and_what_to_do():
    shown = view(state="ended", why="asked to")
    summary = summarise(shown)
    text = as_text(summary)
    assert not summary.passed and summary.markets == ("KXBTC-A", "KXBTC-B")
    assert "agent   executes       +$14.95  12 fills, 1 rejects, $3.25 below its best, warning" in text
    assert "quoter  proposes        −$5.98" in text
    assert "FAIL shield quiet         15 % of orders cut (150 of 1,000); at most 10 %" in text
    assert "-> The policy wants what limits forbid" in text
    assert "9 passed, 2 failed, 1 not measured" in text
    assert "critical: KXBTC-B: a message was lost -> Wait." in text
    read = json.loads(as_json(summary))
    assert read["accounts"][0]["result_uusd"] == 14_950_000 and read["ended_ns"] == shown.ns


def test_summary_of_a_session_in_which_nothing_happened():
    empty = View(ns=1, session="s", venue="v", mode="paper", state="ended", why="", started_ns=0, decisions=0,
                 policies=(), feed="never")  # fmt: skip
    assert "0 passed, 0 failed, 0 not measured" in as_text(summarise(empty))


def test_a_view_is_the_same_after_a_round_trip():
    shown = view()
    assert msgspec.json.decode(msgspec.json.encode(shown), type=View) == shown


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (money(1_234_567_890_000), "$1,234,567.89"),
        (money(-5_000), "−$0.01"),  # half a cent, away from zero
        (money(4_999, signed=True), "$0.00"),
        (money(10_000, signed=True), "+$0.01"),
        (price(5_200), "52¢"), (price(5_250), "52.5¢"), (price(5_225), "52.25¢"), (price(10), "0.1¢"),
        (price(None), "–"), (price(-150), "−1.5¢"), (price(10_000), "100¢"),
        (contracts(2_500), "25"), (contracts(250), "2.5"), (contracts(1), "0.01"), (contracts(-150), "−1.5"),
        (contracts(123_456_700), "1,234,567"),
        (duration(None), "–"), (duration(0), "0 ns"), (duration(69_400), "69.4 µs"), (duration(999_600), "1 ms"),
        (duration(59 * SECOND_NS), "59 s"), (duration(60 * SECOND_NS), "1 min 00 s"),
        (duration(3_661 * SECOND_NS), "1 h 01 min"), (duration(-1_500), "−1.5 µs"),
    ],
)  # fmt: skip
def test_numbers_as_people_read_them(written, wanted):
    assert written == wanted
