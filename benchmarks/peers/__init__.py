"""hftbacktest 2.4.4 and this engine on the same task, side by side: replay, and a quoter acting on every row.

The tape is made up, the same for both, in memory before the clock starts (``tape.py``). The quoter joins the touch with
one order a side and follows it (``rules.py``). Both engines: a constant delay to the venue and none back, no feed
delay, no fees, post-only orders, partial fills, and a queue in which only prints bring us forward. They run in turns,
one at a time.

The fills of both are compared, row by row, with a third, plain implementation that has a switch for each belief in
which the engines differ; so what differs is known to the last fill.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import describe, print_result
from benchmarks.peers import ours, rules
from benchmarks.peers.install import Peer, PeerError, installed_python, peer_folder
from benchmarks.peers.tape import BEHIND, make_tape, peer_events
from sim.scenarios import Scenario
from sim.types import LOTS_PER_CONTRACT, TRADE

DELAY_NS = 50_000_001  # odd: stamps of rows are even
LOTS = 1_001  # odd too: PartialFillExchange fails where a print fills an order to its last lot (see tape.STEP_QTY)
OPENING = 2 * BEHIND + 1  # rows of the opening book: nobody acts on them
CAUSES = ("at", "through", "crossed")
ENGINES = {
    "shadowbook": "sim engine, fill model queue, no cancel comes from ahead; a print fills for no more than itself, a "
    "quote for nothing; own orders that would meet are cancelled; full account with cash, reservations, netting",
    "hftbacktest": "ROIVectorMarketDepth, RiskAdverseQueueModel, PartialFillExchange, ConstantLatency; a print through "
    "the order's price, or a quote that reaches it, fills it whole; two books, exchange and local; no cash",
}


def rates(rows: int, seconds: list[float]) -> dict:
    """Rows a second: least, median and most of several runs."""
    each = [rows / second for second in seconds]
    return {
        "min": round(min(each)),
        "median": round(statistics.median(each)),
        "max": round(max(each)),
        "runs": len(each),
    }


def causes(fills: np.ndarray, events: np.ndarray, px_of: np.ndarray) -> dict:
    """Fills and contracts of a (F, 4) log of (row, side, level, lots) by what happened in the row."""
    rows = events[fills[:, 0]]
    prints = rows["kind"] == TRADE
    at = prints & (rows["px"] == px_of[fills[:, 2]])
    masks = dict(zip(CAUSES, (at, prints & ~at, ~prints), strict=True))
    return {
        name: {"fills": int(mask.sum()), "contracts": int(fills[mask, 3].sum()) / LOTS_PER_CONTRACT}
        for name, mask in masks.items()
    }


def compare(scenario: Scenario, own: np.ndarray, peer: np.ndarray) -> dict:
    """How the fills of both engines agree with each other and with the plain rules."""
    world = scenario.world()

    def expected(beliefs: rules.Beliefs) -> np.ndarray:
        return rules.expected_fills(
            world.events, world.level_of, len(world.px_of),
            opening=OPENING, delay_ns=DELAY_NS, lots=LOTS, beliefs=beliefs,
        )  # fmt: skip

    same = {tuple(row) for row in own.tolist()} & {tuple(row) for row in peer.tolist()}
    return {
        "identical": len(same),
        "shadowbook_as_the_rules_say": bool(np.array_equal(own, expected(rules.OURS))),
        "hftbacktest_as_the_rules_say": bool(np.array_equal(peer, expected(rules.THEIRS))),
        "shadowbook": causes(own, world.events, world.px_of),
        "hftbacktest": causes(peer, world.events, world.px_of),
    }


def _summary(rows: int, seconds: list[float], done: dict) -> dict:
    return {
        "rows_per_s": rates(rows, seconds),
        "fills": done["fills"],
        "contracts": done["lots"] / LOTS_PER_CONTRACT,
        "orders": done["orders"],
    }


def measure(python: Path, rows: int, runs: int, seed: int) -> dict:
    """The result line. Raises PeerError where the other engine does not run."""
    tape = make_tape(rows, seed)
    scenario = ours.scenario_of(tape, DELAY_NS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "events.npz", data=peer_events(tape.events))
        log = folder / "fills.npy"
        settings = {"opening": OPENING, "delay_ns": DELAY_NS, "lots": LOTS, "log": rows, "fills": str(log)}
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        ours.run_replay(scenario)  # compiles
        own = ours.run_quoter(scenario, LOTS)
        times: dict[str, list[float]] = {name: [] for name in ("replay", "peer_replay", "quote", "peer_quote")}
        with Peer(python, folder / "events.npz", folder / "settings.json") as peer:
            for _ in range(runs):
                times["replay"].append(ours.run_replay(scenario)["seconds"])
                times["peer_replay"].append(peer.ask("replay")["seconds"])
                times["quote"].append(ours.run_quoter(scenario, LOTS)["seconds"])
                times["peer_quote"].append(peer.ask("quote")["seconds"])
            theirs = peer.ask("fills")
            versions = peer.versions
        peer_fills = np.load(log)
    peer_fills[:, 2] = scenario.grid.level_of[peer_fills[:, 2] * 100]  # cents to levels
    return {
        "benchmark": "peers",
        "rows": rows,
        "prints": int((tape.events["kind"] == TRADE).sum()),
        "seed": seed,
        "replay": {
            "shadowbook": rates(rows - OPENING, times["replay"]),
            "hftbacktest": rates(rows, times["peer_replay"]),
        },
        "quoter": {
            "shadowbook": _summary(own["rows"], times["quote"], own),
            "hftbacktest": _summary(theirs["rows"], times["peer_quote"], theirs),
        },
        "fills": compare(scenario, own["log"], peer_fills),
        "task": f"join the touch, {LOTS / LOTS_PER_CONTRACT} contracts a side, act on every row; "
        f"{DELAY_NS} ns to the venue, 0 back; no fees",
        "engines": ENGINES,
        "versions": versions,
    }


def main(arguments: list[str]) -> int:
    """Command line of ``python -m benchmarks peers``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    parser.add_argument("--rows", type=int, default=3_000_000, help="rows of the made-up tape")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each engine")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        result = measure(installed_python(peer_folder()), options.rows, options.runs, options.seed)
    except PeerError as error:
        print(error, file=sys.stderr)
        return 1
    print_result({**result, **describe()})
    return 0
