"""The terminal view: the same session as text."""

from __future__ import annotations

import asyncio
import io

from monitored import NOW_NS, WRONG, view
from rich.console import Console

from live.clock import ManualClock
from live.monitor import terminal
from live.monitor.view import View


def drawn(shown: View, width: int = 150) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(terminal.render(shown))
    return console.file.getvalue()


def test_the_session_as_text():
    text = drawn(view())
    assert "shadow on kalshi  running  feed live  4,321 decisions  up 1 h 06 min" in text
    for words in (
        "120 at 51¢", "90.5 at 53¢", "97%", "lost", "agent buy YES 10 at 51¢ (asked 50: per_trade)",
        "quoter buy NO 25 at 46¢", "+$14.95", "−$5.98", "KXBTC-A 25 YES 0 NO", "15 % of orders cut (150 of 1,000)",
        "The policy wants what limits forbid", "69.4 µs", "critical KXBTC-B: a message was lost",
        "no orders to the venue", "agent sell YES refused (asked 20: kill_switch)",
    ):  # fmt: skip
        assert words in text, words


def test_what_must_not_be_missed():
    text = drawn(view(killed=True, why="by hand", ready=("the feed is [not] live",)))
    assert "KILLED" in text and "by hand" in text and "not ready: the feed is [not] live" in text


def test_names_are_text_and_not_markup():
    (first, other), accounts = view().markets, view().accounts
    named = [type(first)(id="[red]A", title=WRONG, lost=False, quality=1.0), other]
    assert "[red]A" in drawn(view(markets=tuple(named), accounts=accounts))


def test_a_session_that_has_seen_nothing():
    empty = View(ns=NOW_NS, session="s", venue="v", mode="live", state="waiting", why="", started_ns=NOW_NS,
                 decisions=0, policies=(), feed="connecting")  # fmt: skip
    assert "live on v  waiting  feed connecting" in drawn(empty)


def test_it_is_drawn_anew_each_second():
    clock, shown = ManualClock(NOW_NS), [view()]
    console = Console(file=io.StringIO(), width=150, force_terminal=True, color_system=None)

    async def main():
        task = asyncio.create_task(terminal.show(lambda: shown[0], clock, console))
        await clock.run(0.5)
        shown[0] = view(decisions=7_777)
        await clock.run(0.4)
        assert "7,777" not in console.file.getvalue()
        await clock.run(0.2)
        assert "7,777 decisions" in console.file.getvalue()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
