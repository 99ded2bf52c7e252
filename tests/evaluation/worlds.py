"""Small environments that tests of rollouts share."""

from __future__ import annotations

import numpy as np
from gymnasium.vector import AutoresetMode

from envs.vector import TradingVectorEnv
from sim.scenarios import Scenario, synthetic
from sim.scenarios.row import default_rows, make_rows
from sim.tape import FeeRates, Header, Market, Source, seal
from sim.types import ASK, BID, CLEAR, END_OF_BATCH, EVENT, LEVEL, SECOND_NS, SETTLE

SHORT = synthetic(make_rows(1, life_s=20.0, signal_rate=1.0, signal_err_high=0.01, news_size=0.05))


def make_env(num_envs=6, *, scenario=SHORT, mode=AutoresetMode.DISABLED, **settings):
    settings = {"actions": "full", "window_s": 60.0, "seed": 5} | settings
    return TradingVectorEnv(num_envs, scenario=scenario, autoreset_mode=mode, **settings)


def tiny_tape(number, seconds, market):
    """A recorded market of so many seconds: a quote that moves once a second, then a payout of 1 or 0."""
    start = (1_700_000_000 + 100_000 * number) * SECOND_NS
    rows = [
        (start, CLEAR, BID, 0, 0, 0),
        (start, LEVEL, BID, 4000, 10**9, 0),
        (start, LEVEL, ASK, 6000, 10**9, END_OF_BATCH),
    ]
    for second in range(1, seconds):
        size = (second % 2) * 10**8  # a second level that comes and goes
        rows.append((start + second * SECOND_NS, LEVEL, BID, 4100, size, END_OF_BATCH))
    rows.append((start + seconds * SECOND_NS, SETTLE, 0, 10_000 * (number % 2), 0, END_OF_BATCH))
    events = np.zeros(len(rows), EVENT)
    for event, (ns, kind, side, px, qty, flags) in zip(events, rows, strict=True):
        event["local_ns"] = event["venue_ns"] = ns
        event["kind"], event["side"], event["px"], event["qty"], event["flags"] = kind, side, px, qty, flags
    header = Header(
        venue="kalshi",
        markets=(Market(market, f"market {number}", start, start + seconds * SECOND_NS),),
        tick_tables=(((0, 10_000, 100),),),
        fee_schedules=(FeeRates("taker", "kalshi", 70_000),),
        sources=(Source("made up", "0" * 64, "MIT", "these tests"),),
    )
    return seal(events, header)


def tape_scenario(lengths, markets=None):
    """Tapes of so many seconds, to be played in order, each of a market of its own unless ``markets`` names them."""
    names = tuple(f"M{number}" for number in range(len(lengths)))
    ids = markets or names
    tapes = tuple(tiny_tape(number, seconds, ids[number]) for number, seconds in enumerate(lengths))
    return Scenario(rows=default_rows(), tapes=tapes, names=names, replay_share=1.0, sequential=True)
