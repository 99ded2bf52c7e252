"""``python -m sim.scenarios.markouts TABLE [FILLS]``: adverse selection in a scenario table, and a real maker's.

The reference quoter (``joiner``: an order at the touch of each side, cancelled when the touch moves) plays every row,
copy and mirror image of the table once; what its fills are worth 1, 5, 30 and 60 s later is told by the same market
without it, as :mod:`sim.fillfit.markouts` does for recordings. FILLS is the file of a real maker's markouts. With
``--out`` the table's toxicity, how many of its takers know of news before the makers do, is fitted to the early days at
1 and 5 s; the late days, and 30 and 60 s, are only reported. n is the number of fills known at a horizon.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from sim.backtest import backtest
from sim.engine import Engine
from sim.fillfit.markouts import HORIZONS_S, Markout, markouts, real_maker, summarise
from sim.scenarios import Scenario
from sim.scenarios.portfolio import single
from sim.scenarios.record import record
from sim.scenarios.row import FIELDS
from sim.scenarios.tables import ScenarioTable, Value, load_table, refuse_existing, rows_of, save_table
from sim.scenarios.trace import Feed, trace
from sim.strategies.market_makers import joiner
from sim.types import ASK, BID

SIZE = 10.0  # contracts an order of the reference quoter
DELAY_MS = 50.0  # of its orders and cancels
SEED = 2_000_000
FIT_APART = 100_000  # between the seeds of a fit and of the sessions that are reported
TOXICITIES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)  # that a fit tries
_FITTED = 2  # horizons, the first of HORIZONS_S
_PIPE_WIDTH = 120
_MIDS = Feed(frozenset({"spread"}))


def quoter_markouts(
    table: ScenarioTable, seed: int = SEED, times: int = 1, delay_ms: float = DELAY_MS
) -> tuple[np.ndarray, np.ndarray]:
    """(F, H) cents, one row a fill of the reference quoter, and (F,) the session it happened in.

    Every session of the table is played ``times``, with orders and cancels ``delay_ms`` under way. Fees are left out.
    Raises ValueError for times below 1, or where the quoter had no fill.
    """
    if times < 1:
        raise ValueError(f"markouts: times = {times}; expected at least 1")
    rows = np.tile(rows_of(table), times)
    rows["order_delay_ms"] = rows["cancel_delay_ms"] = delay_ms
    values, sessions = [], []
    for number in range(len(rows)):
        found = _one_session(rows[number : number + 1], table, seed + number)
        values.append(found)
        sessions.append(np.full(len(found), number))
    if not sum(map(len, values)):
        raise ValueError(f"markouts: the quoter had no fill in {len(rows)} sessions of {table.title!r}; expected some")
    return np.concatenate(values), np.concatenate(sessions)


def _one_session(row: np.ndarray, table: ScenarioTable, seed: int) -> np.ndarray:
    """Markouts in one session; the path of the mid is that of the same session played without the quoter."""
    engine = Engine(Scenario(row, places=(table.place,)), 1, seed=seed, window_s=float("inf"))
    limit = {"size": SIZE, "limit": 1_000_000.0}
    fills = backtest(engine, joiner, limit).fills
    events = record(row, float(row["life_s"][0]) + 2.0, seed, portfolio=single(table.place))[0]
    path = trace(events, _MIDS)
    known = path.bid_px > 0
    fills = fills[fills["maker"] == 1]
    side = np.where(fills["qty"] > 0, BID, ASK)
    if not known.any():
        return np.zeros((0, len(HORIZONS_S)))
    mids = (path.bid_px + path.ask_px)[known]
    return markouts(fills["ns"], side, fills["px"], path.state_ns[known], mids, end_ns=path.end_ns - 1)


def with_toxicity(table: ScenarioTable, toxicity: float) -> ScenarioTable:
    """The table with takers who know, from 0, nobody, to 1, nobody else.

    ``toxicity`` is the chance that a taker comes with news before the makers learn it, and of the noise takers so large
    a share stays away. Raises ValueError outside 0 to 1, and for a table without noise takers: a toxicity of 1 leaves
    none.
    """
    if not 0.0 <= toxicity <= 1.0:
        raise ValueError(f"markouts: toxicity = {toxicity}; expected 0 to 1")
    rows = []
    for number, row in enumerate(table.rows):
        noise = row.values.get("noise_rate", Value(FIELDS["noise_rate"].default)).value
        if noise == 0.0:
            raise ValueError(
                f"markouts: row {number} of {table.title!r} has noise_rate = 0, and a share of nobody is nobody; "
                "expected the table that calibrate wrote"
            )
        rate = float(f"{(1.0 - toxicity) * noise:.6g}")
        fitted = {"noise_rate": Value(rate, "fitted"), "news_take": Value(toxicity, "fitted")}
        rows.append(row._replace(values={**row.values, **fitted}))
    return table._replace(rows=tuple(rows))


def fit_toxicity(
    table: ScenarioTable, wanted: Sequence[Markout], seed: int = 0, times: int = 1, delay_ms: float = DELAY_MS
) -> tuple[float, ScenarioTable]:
    """Of TOXICITIES the one whose markouts at 1 and 5 s are nearest to ``wanted`` in squares, and the table with it."""
    best = (np.inf, 0.0)
    for toxicity in tqdm(TOXICITIES, desc="toxicity", unit="play", disable=None):
        found = summarise(*quoter_markouts(with_toxicity(table, toxicity), seed, times, delay_ms))
        away = sum((one.mean - other.mean) ** 2 for one, other in zip(found[:_FITTED], wanted[:_FITTED], strict=True))
        best = min(best, (away, toxicity))
    return best[1], with_toxicity(table, best[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the quoter's markouts, and the real maker's beside them; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        found = load_table(options.table)
        if options.out:
            found = _fitted(found, options)
        lines = {"synthetic": summarise(*quoter_markouts(found, options.seed, options.times, options.delay_ms))}
        if options.fills:
            lines.update({f"real maker, {part}": line for part, line in real_maker(options.fills).items()})
    except (ValueError, FileExistsError) as error:  # TapeError is a ValueError
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(_table(lines))
    return 0


def _fitted(table: ScenarioTable, options: argparse.Namespace) -> ScenarioTable:
    """Fit the toxicity, and write the table."""
    if not options.fills:
        raise ValueError("markouts: --out needs FILLS, a real maker's markouts, to fit to")
    refuse_existing(options.out, overwrite=options.overwrite)
    early = real_maker(options.fills)["early"]
    seed = options.seed + FIT_APART  # the sessions that are judged are not those of the fit
    toxicity, fitted = fit_toxicity(table, early, seed, options.times, options.delay_ms)
    Console(stderr=True).print(f"toxicity: {toxicity:g}")
    save_table(fitted, options.out, overwrite=options.overwrite)
    return fitted


def _table(lines: dict[str, list[Markout]]) -> Table:
    shown = Table(box=box.SIMPLE, title="markouts, cents, with 95 % intervals by session or market")
    for title in ("", *(f"{horizon} s" for horizon in HORIZONS_S)):
        shown.add_column(title, justify="right" if title else "left")
    for name, line in lines.items():
        cells = [f"{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}] n {one.fills}" for one in line]
        shown.add_row(name, *cells)
    return shown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim.scenarios.markouts", description=__doc__)
    parser.add_argument("table", metavar="TABLE", help="scenario table: a name or a file")
    parser.add_argument("fills", metavar="FILLS", nargs="?", help="Parquet file of a real maker's markouts")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the sessions; default {SEED}")
    parser.add_argument("--times", type=int, default=4, help="sessions of every row and copy; default 4")
    parser.add_argument("--delay-ms", type=float, default=DELAY_MS, help=f"of its messages; default {DELAY_MS:g}")
    parser.add_argument("--out", metavar="TABLE", type=Path, help="fit the toxicity, and write the table here")
    parser.add_argument("--overwrite", action="store_true", help="write over a table that is there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
