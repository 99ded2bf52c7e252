"""What a synthetic market did, as EVENT rows: the form in which recordings come, so that both can be measured alike.

The engine does not write events down. Here it runs one stamp at a time; what changed is read off the books: a taker's
walk takes the whole of every level but the last, so its prints follow from the old book and from how much was taken.
"""

from __future__ import annotations

import numpy as np

from sim.engine import Engine
from sim.kernel import inner, kernel
from sim.latency import NEVER_NS
from sim.loop import advance_env
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Portfolio
from sim.types import (
    ASK,
    BID,
    CLEAR,
    END_OF_BATCH,
    EVENT,
    FEES,
    LEVEL,
    MICRO_PER_LOT,
    SETTLE,
    SETTLED,
    SIGNAL,
    STATUS,
    TICKS,
    TRADE,
)

_CHUNK = 1 << 16  # rows
KNOWN = ("status", "signal_ns", "fee", "tick_grid", "bought_qty", "sold_qty")
_STATUS, _SIGNAL, _FEE, _TICKS, _BOUGHT, _SOLD = range(len(KNOWN))


@inner
def _row(out, at, ns, market, kind, side, px, qty):
    out[at]["local_ns"] = ns
    out[at]["venue_ns"] = ns
    out[at]["qty"] = qty
    out[at]["px"] = px
    out[at]["seq"] = -1
    out[at]["flags"] = 0
    out[at]["market"] = market
    out[at]["kind"] = kind
    out[at]["side"] = side
    return at + 1


@inner
def _prints(px_of, shown, market, taker_side, qty, ns, out, at):
    """The prints of a walk that took ``qty`` lots from the book ``shown``, best price first."""
    side = ASK if taker_side == BID else BID
    levels = shown.shape[1]
    step = 1 if side == ASK else -1
    level = 0 if side == ASK else levels - 1
    while qty > 0 and 0 <= level < levels:
        size = min(qty, shown[side, level])
        if size > 0:
            at = _row(out, at, ns, market, TRADE, taker_side, px_of[level], size * MICRO_PER_LOT)
            qty -= size
        level += step
    return at


@inner
def _rules(market, known, ns, out, at):
    """What is not about the book."""
    index = market["index"]
    if market["tick_grid"] != known[_TICKS]:
        at = _row(out, at, ns, index, TICKS, -1, 0, market["tick_grid"])
        known[_TICKS] = market["tick_grid"]
    if market["fee"] != known[_FEE]:
        at = _row(out, at, ns, index, FEES, -1, 0, market["fee"])
        known[_FEE] = market["fee"]
    if market["signal_ns"] != known[_SIGNAL]:
        at = _row(out, at, ns, index, SIGNAL, -1, market["signal_err_ppm"] // 100, market["signal_ppm"])
        known[_SIGNAL] = market["signal_ns"]
    if market["status"] != known[_STATUS]:
        if market["status"] == SETTLED:
            at = _row(out, at, ns, index, SETTLE, -1, market["payout_px"], 0)
        else:
            at = _row(out, at, ns, index, STATUS, -1, 0, market["status"])
        known[_STATUS] = market["status"]
    return at


@inner
def _differences(px_of, market, book, shown, known, ns, out, at):
    """Append what became of one market since it was last looked at; its old book is brought up to date."""
    index = market["index"]
    first = at
    at = _prints(px_of, shown, index, BID, market["bought_qty"] - known[_BOUGHT], ns, out, at)
    at = _prints(px_of, shown, index, ASK, market["sold_qty"] - known[_SOLD], ns, out, at)
    known[_BOUGHT] = market["bought_qty"]
    known[_SOLD] = market["sold_qty"]
    for side in range(2):
        for level in range(book.shape[1]):
            qty = book[side, level]
            if qty != shown[side, level]:
                at = _row(out, at, ns, index, LEVEL, side, px_of[level], qty * MICRO_PER_LOT)
                shown[side, level] = qty
    at = _rules(market, known, ns, out, at)
    if at > first:
        out[at - 1]["flags"] = END_OF_BATCH
    return at


@kernel
def _record(world, state, until, shown, known, out):
    """Run environment 0 up to ``until`` and write rows until ``out`` is nearly full. Returns how many."""
    account = state.account[0]
    markets = state.clock.shape[1] - 1
    most = markets * (4 * shown.shape[2] + 8)  # rows that one stamp can bring
    at = 0
    while at + most < len(out) and account["now_ns"] < until:
        soonest = NEVER_NS
        for index in range(markets + 1):
            soonest = min(soonest, state.clock[0, index])
        advance_env(world, state, 0, min(soonest, until), NEVER_NS - account["events"])
        for index in range(markets):
            book = state.book[index]
            at = _differences(
                world.px_of, state.market[index], book, shown[index], known[index], account["now_ns"], out, at
            )
    return at


def record(rows: np.ndarray, seconds: float, seed: int = 0, *, portfolio: Portfolio | None = None) -> list[np.ndarray]:
    """EVENT arrays of what synthetic markets do in their first ``seconds`` without us, one for each row and market.

    Args:
        rows: ``(R,)`` ROW, see ``sim.scenarios.row``; each is played once, by an environment of its own number.
        seconds: market time; a market that closes before ends with SETTLE.
        seed: as for the engine.
        portfolio: the M markets of an environment; default one.

    Every array begins with a snapshot: CLEAR and its levels. Sizes are in 1e-6 contract, FEES and TICKS count the
    scenario's own tables. The arrays come row by row, and within a row market by market. Raises ValueError for seconds
    that are not positive and for what a scenario refuses.
    """
    if not 0 < seconds < 1e9:
        raise ValueError(f"record: expected a positive number of seconds below 1e9, got {seconds}")
    result = []
    for number in range(len(rows)):
        scenario = Scenario(rows[number : number + 1], portfolio=portfolio)
        engine = Engine(scenario, 1, seed=seed, first_env=number, window_s=float("inf"))
        engine.reset()
        result.extend(_run(engine, seconds))
    return result


def _run(engine: Engine, seconds: float) -> list[np.ndarray]:
    """The events of each market of environment 0."""
    state, world = engine.state, engine.world
    until = int(state.account["now_ns"][0]) + round(seconds * 1e9)
    shown = state.book.copy()
    known = np.stack([state.market[name] for name in KNOWN], axis=1).astype(np.int64)
    chunks = [np.concatenate([_snapshot(engine, index) for index in range(engine.num_markets)])]
    most = engine.num_markets * (4 * shown.shape[2] + 8)
    out = np.zeros(max(_CHUNK, 2 * most), EVENT)
    while state.account["now_ns"][0] < until:
        chunks.append(out[: _record(world, state, until, shown, known, out)].copy())
        if (state.market["status"] == SETTLED).all():
            break
    events = np.concatenate(chunks)
    return [events[events["market"] == index] for index in range(engine.num_markets)]


def _snapshot(engine: Engine, index: int) -> np.ndarray:
    """CLEAR and the levels of a market's first book."""
    book = engine.state.book[index, :2]
    side, level = np.nonzero(book)
    rows = np.zeros(1 + len(side), EVENT)
    rows["local_ns"] = rows["venue_ns"] = engine.state.account["now_ns"][0]
    rows["seq"] = -1
    rows["market"] = index
    rows["kind"], rows["side"] = LEVEL, -1
    rows["kind"][0] = CLEAR
    rows["side"][1:] = side
    rows["px"][1:] = engine.grid.px_of[level]
    rows["qty"][1:] = book[side, level] * MICRO_PER_LOT
    rows["flags"][-1] = END_OF_BATCH
    return rows
