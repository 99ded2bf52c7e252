"""Time that is injected: order of waking, deadlines, and that nothing else reads the machine's clock."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.clock import ManualClock, Steady, SystemClock, nanoseconds, within
from sim.types import SECOND_NS

LIVE = Path(__file__).resolve().parents[2] / "live"


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_sleepers_wake_in_order_of_their_deadlines_at_their_own_moments(waits):
    clock, woken = ManualClock(10), []

    async def sleeper(number: int, seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append((clock.monotonic_ns(), number))

    async def main() -> None:
        tasks = [asyncio.create_task(sleeper(number, seconds)) for number, seconds in enumerate(waits)]
        await clock.run(100)
        assert all(task.done() for task in tasks)

    asyncio.run(main())
    assert woken == sorted((seconds * 10**9, number) for number, seconds in enumerate(waits))
    assert clock.now_ns() == 10 + 100 * 10**9


def test_who_sleeps_again_does_so_from_its_own_moment():
    clock, woken = ManualClock(), []

    async def ticker() -> None:
        while True:
            await clock.sleep(2)
            woken.append(clock.monotonic_ns() // 10**9)

    async def main() -> None:
        task = asyncio.create_task(ticker())
        await clock.run(7)
        task.cancel()

    asyncio.run(main())
    assert woken == [2, 4, 6]


def test_advancing_at_once_ends_all_sleeps_and_stepping_the_wall_none():
    clock = ManualClock(1_000)

    async def main() -> None:
        task = asyncio.create_task(clock.sleep(1))
        await asyncio.sleep(0)
        clock.step_wall(5 * 10**9)
        await asyncio.sleep(0)
        assert not task.done() and clock.sleepers == 1
        clock.advance(1)
        await task

    asyncio.run(main())
    assert (clock.now_ns(), clock.monotonic_ns()) == (1_000 + 6 * 10**9, 10**9)
    with pytest.raises(ValueError, match="step_wall"):
        clock.set_ns(0)


def test_within_returns_raises_and_cancels():
    clock, ended = ManualClock(), []

    async def work(seconds: float) -> str:
        try:
            await clock.sleep(seconds)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "done"

    async def broken() -> None:
        raise KeyError("inner")

    async def main() -> None:
        quick = asyncio.create_task(within(clock, 5, work(1)))
        slow = asyncio.create_task(within(clock, 5, work(9)))
        given_up = asyncio.create_task(within(clock, 5, work(9)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        given_up.cancel()
        await clock.run(6)
        assert await quick == "done"
        with pytest.raises(TimeoutError, match="5 s"):
            await slow
        with pytest.raises(asyncio.CancelledError):
            await given_up
        with pytest.raises(KeyError, match="inner"):
            await within(clock, 5, broken())
        assert clock.sleepers == 0  # no timer is left behind

    asyncio.run(main())
    assert ended == ["cancelled", "cancelled"]


def test_waits_are_rounded_up():
    assert nanoseconds(1e-10) == 1  # 0.1 ns: who waits does not wake before
    assert nanoseconds(0.25) == 250_000_000


def test_the_machines_clock_runs():
    async def main() -> tuple[int, int]:
        clock = SystemClock()
        before = clock.monotonic_ns()
        await clock.sleep(0)
        return clock.now_ns(), clock.monotonic_ns() - before

    wall, passed = asyncio.run(main())
    assert wall > 1_700_000_000 * 10**9 and passed >= 0


def test_only_one_file_reads_the_machines_clock():
    readers = {
        "time",
        "now",
        "utcnow",
        "today",
        "monotonic",
        "monotonic_ns",
        "time_ns",
        "perf_counter",
        "perf_counter_ns",
    }
    modules = {"time", "datetime", "date", "loop"}
    found = []
    for path in LIVE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            imported = isinstance(node, ast.Import) and any(alias.name == "time" for alias in node.names)
            read = (
                isinstance(node, ast.Attribute)
                and node.attr in readers
                and isinstance(node.value, ast.Name)
                and node.value.id in modules
            )
            if imported or read or (isinstance(node, ast.ImportFrom) and node.module == "time"):
                found.append(path.name)
    assert set(found) == {"clock.py"}


def test_a_steady_clock_is_never_set_back():
    clock = ManualClock(1_000 * SECOND_NS)
    steady = Steady(clock)
    clock.advance(5.0)
    assert steady.now_ns() == clock.now_ns() == 1_005 * SECOND_NS and not steady.behind_ns
    clock.step_wall(-3_600 * SECOND_NS)
    clock.advance(2.0)
    assert steady.now_ns() == 1_007 * SECOND_NS and steady.behind_ns == 3_600 * SECOND_NS
    clock.advance(1.0)
    assert steady.now_ns() == 1_008 * SECOND_NS and steady.behind_ns == 3_600 * SECOND_NS
    clock.step_wall(3_600 * SECOND_NS)  # caught up
    assert steady.now_ns() == clock.now_ns() and not steady.behind_ns
    clock.step_wall(10 * SECOND_NS)  # set forward: that is the time
    assert steady.now_ns() == clock.now_ns() == 1_018 * SECOND_NS
    clock.step_wall(-SECOND_NS // 2)  # slewed by less than a second: it stands still until then
    assert steady.now_ns() == 1_018 * SECOND_NS and not steady.behind_ns
    clock.advance(1.0)
    assert steady.now_ns() == clock.now_ns() == 1_018 * SECOND_NS + SECOND_NS // 2
