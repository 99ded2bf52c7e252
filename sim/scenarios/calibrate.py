"""``python -m sim.scenarios.calibrate DATA --kind KIND --out TABLE``: fit a scenario table to recorded markets.

The method of simulated moments: sessions are drawn from the table's rows, written down as events
(:mod:`sim.scenarios.record`), reduced to the same facts as the recording, and compared with its fitted days only. The
reported days of :mod:`sim.scenarios.splits` are never looked at. What is minimised is the mean over facts of
``u^2 / (1 + u^2)``, ``u`` the distance in units of 1.5 yardsticks: a fact that the model cannot show costs at most 1,
and does not pull the others away.

The first rows are made by hand (:mod:`sim.scenarios.starts`). Then all rows together (by factors), the fields that
they share, and one row at a time are improved while everything else stands still: by a damped least-squares step
(:mod:`sim.scenarios.descent`), and by CMA-ES around its end. Sessions have the same seeds in every trial.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
from rich.console import Console
from tqdm import tqdm

from sim.scenarios.descent import DAMPINGS, Range, residuals, step, weights
from sim.scenarios.distance import FACTOR, Yardstick, distance
from sim.scenarios.facts import Fact
from sim.scenarios.recordings import Recording, facts_of_pieces, load
from sim.scenarios.row import FIELDS
from sim.scenarios.sessions import Sessions
from sim.scenarios.shelf import SUFFIX
from sim.scenarios.splits import SETS
from sim.scenarios.starts import REACH, Knob, bounds_of, first_table, knobs_for
from sim.scenarios.tables import ScenarioTable, TableRow, Value, load_table, refuse_existing, save_table

LEAST_YARDSTICK = 0.05  # two days that agree by chance must not outweigh everything
OTHER_YARDSTICK = 0.3  # where the fitted days are only one part
UNKNOWN = 3.0  # u of a fact that the recording shows and the synthetic market does not
ROUNDS = 2  # times that every row is searched
_STEP = 0.08  # first standard deviation of the search, of the range

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Target:
    """The facts of a recording's fitted days, and what a distance from them costs."""

    def __init__(self, recording: Recording) -> None:
        pieces = recording.only("fit")
        self.name = recording.name
        self.facts = facts_of_pieces(recording.name, pieces)
        parts = [
            facts_of_pieces(recording.name, [piece for piece in pieces if piece.part == part])
            for part in dict.fromkeys(piece.part for piece in pieces)
        ]
        self.measures = early_yardsticks(self.facts, parts)

    def cost(self, facts: Mapping[str, Fact]) -> float:
        """Mean over the recording's known facts of u^2 / (1 + u^2)."""
        costs = []
        for name, measure in self.measures.items():
            between = distance(self.facts[name], facts[name])
            u = UNKNOWN if np.isnan(between) else between / (FACTOR * measure.distance)
            costs.append(u * u / (1.0 + u * u))
        return float(np.mean(costs))


def early_yardsticks(whole: Mapping[str, Fact], parts: Sequence[Mapping[str, Fact]]) -> dict[str, Yardstick]:
    """Yardsticks between ``parts`` of the fitted days, for each fact that the ``whole`` of them knows."""
    found = {}
    for name, fact in whole.items():
        if not fact.known:
            continue
        between = [distance(one[name], other[name]) for one, other in combinations(parts, 2)]
        known = [value for value in between if not np.isnan(value)]
        middle = max(LEAST_YARDSTICK, float(np.median(known))) if known else OTHER_YARDSTICK
        found[name] = Yardstick(middle, len(known))
    return found


def calibrate(recording: Recording, *, trials: int, seed: int = 0, start: ScenarioTable | None = None) -> ScenarioTable:
    """A table fitted to the fitted days of ``recording``.

    Args:
        recording: of ``sim.scenarios.recordings.load``.
        trials: sets of sessions that are recorded and compared, over all rows and rounds; 0 = the rows made by hand.
        seed: of the search and of the sessions.
        start: a table to go on from; default: rows made by hand.

    Raises ValueError where the fitted days show too little, or for trials below 0.
    """
    if trials < 0:
        raise ValueError(f"calibrate: trials = {trials}; expected 0 or more")
    target = Target(recording)
    table = start or first_table(recording.name, target.facts)
    if not trials:
        return table
    sessions = Sessions(table, seed)
    blocks = _blocks(knobs_for(recording.name), len(table.rows)) * ROUNDS
    with tqdm(total=trials, desc=recording.name, unit="trial", disable=None) as bar:
        for number, block in enumerate(blocks):
            count = trials // len(blocks) + (number < trials % len(blocks))
            _search(target, sessions, block, count, seed + number, bar)
    return sessions.table


class Block(NamedTuple):
    """Fields that are turned together."""

    knobs: tuple[Knob, ...]
    rows: tuple[int, ...]
    factors: bool  # every row's own value times one factor, else one value for all

    def ranges(self, rows: Sequence[TableRow]) -> dict[str, Range]:
        """What is searched: factors, or values."""
        if self.factors:
            return {knob.field: Range(1.0 / REACH, REACH, True) for knob in self.knobs}
        first = rows[self.rows[0]].values
        found = {knob.field: Range(*bounds_of(knob, first[knob.field].value), not knob.linear) for knob in self.knobs}
        return {name: one for name, one in found.items() if one.low < one.high and (one.low > 0.0 or not one.log)}

    def begin(self, rows: Sequence[TableRow]) -> dict[str, float]:
        """Where the search begins: at the rows as they are."""
        first = rows[self.rows[0]].values
        return {name: 1.0 if self.factors else first[name].value for name in self.ranges(rows)}

    def turned(self, rows: Sequence[TableRow], point: Mapping[str, float]) -> dict[int, TableRow]:
        """The block's rows at a ``point``, by number."""
        return {index: self._row(rows[index], point) for index in self.rows}

    def _row(self, row: TableRow, point: Mapping[str, float]) -> TableRow:
        values = dict(row.values)
        for name, value in point.items():
            wanted = values[name].value * value if self.factors else value
            inside = min(FIELDS[name].high, max(FIELDS[name].low, wanted))
            found = float(f"{inside:.5g}")
            if found != values[name].value:
                values[name] = Value(found, "fitted")
        return row._replace(values=values)


def _blocks(knobs: Sequence[Knob], count: int) -> list[Block]:
    """All rows by factors, what they share, and each row by itself."""
    own = tuple(knob for knob in knobs if not knob.shared)
    shared = tuple(knob for knob in knobs if knob.shared)
    everyone = tuple(range(count))
    found = [Block(tuple(knob for knob in own if not knob.linear), everyone, True), Block(shared, everyone, False)]
    found += [Block(own, (index,), False) for index in everyone]
    return [block for block in found if block.knobs]


def _search(target: Target, sessions: Sessions, block: Block, count: int, seed: int, bar: tqdm) -> None:
    """Turn the knobs of a block ``count`` times and keep the best."""
    if not count:
        return
    rows = sessions.table.rows
    ranges, begin = block.ranges(rows), block.begin(rows)

    def moments(point: Mapping[str, float]) -> tuple[float, np.ndarray]:
        facts = sessions.facts(block.turned(rows, point))
        bar.update()
        return target.cost(facts), residuals(target.facts, facts, target.measures)

    best = (math.inf, begin)
    least = len(ranges) + 1 + len(DAMPINGS)
    if count >= least:
        best = step(begin, ranges, moments, weights(target.facts, sessions.facts({}), target.measures))
        count -= least
    if count:
        found = _evolve(best[1], ranges, lambda point: moments(point)[0], count, seed)
        best = min(best, found, key=lambda pair: pair[0])
    bar.set_postfix(cost=f"{best[0]:.4f}", refresh=False)
    sessions.keep(block.turned(rows, best[1]))


def _evolve(
    begin: Mapping[str, float],
    ranges: Mapping[str, Range],
    cost: Callable[[Mapping[str, float]], float],
    count: int,
    seed: int,
) -> tuple[float, dict[str, float]]:
    """Search by CMA-ES around ``begin``, which is the first trial; the best cost and its point."""

    def trial(asked: optuna.Trial) -> float:
        return cost({name: asked.suggest_float(name, one.low, one.high, log=one.log) for name, one in ranges.items()})

    study = optuna.create_study(sampler=_sampler(dict(begin), seed))
    study.enqueue_trial(dict(begin))
    study.optimize(trial, n_trials=count)
    return study.best_value, study.best_params


def _sampler(begin: dict[str, float], seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is new
        return optuna.samplers.CmaEsSampler(x0=begin, sigma0=_STEP, seed=seed, warn_independent_sampling=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit and write a table; returns the exit status: 0 done, 1 bad data or a file that is there."""
    options = _parser().parse_args(arguments)
    try:
        if options.out.suffix != SUFFIX:
            raise ValueError(f"{options.out}: expected a file name ending in {SUFFIX}")
        refuse_existing(options.out, overwrite=options.overwrite)
        start = load_table(options.start) if options.start else None
        if start is not None and start.set != options.kind:
            raise ValueError(f"--start {options.start} is a table of {start.set!r}, not of {options.kind!r}")
        table = calibrate(load(options.kind, options.data), trials=options.trials, seed=options.seed, start=start)
        save_table(table, options.out, overwrite=options.overwrite)
    except (ValueError, FileExistsError) as error:  # TapeError is a ValueError
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim.scenarios.calibrate", description=__doc__)
    parser.add_argument("data", metavar="DATA", type=Path, help="folder of recordings")
    parser.add_argument("--kind", required=True, choices=tuple(SETS), help="the recorded market to fit to")
    parser.add_argument("--out", required=True, metavar="TABLE", type=Path, help=f"table to write, ending in {SUFFIX}")
    parser.add_argument("--trials", type=int, default=1000, help="budget: sessions recorded and compared; default 1000")
    parser.add_argument("--seed", type=int, default=0, help="of the search and of the sessions; default 0")
    parser.add_argument("--start", metavar="TABLE", help="go on from this table; default: rows made by hand")
    parser.add_argument("--overwrite", action="store_true", help="write over a table that is there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
