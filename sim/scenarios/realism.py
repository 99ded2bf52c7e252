"""``python -m sim.scenarios.realism TABLE DATA``: how far a synthetic market is from the recorded ones, fact by fact.

TABLE is what stands for the synthetic market: a scenario table (a name, or a file ending in .toml), whose sessions are
then played; a folder of tapes that it was written to (one folder for each set, named as in
:mod:`sim.scenarios.splits`, or one for all); or the word ``recorded``: then the days that are fitted stand for it,
which says what a perfect copy of them would get. DATA is the folder of recordings. Only days that are not fitted are
compared with, by samples of one size (:mod:`sim.scenarios.samples`); a table is played with five seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from sim.scenarios.classifier import Score, score
from sim.scenarios.distance import FACTOR, Comparison, Yardstick, compare, share_passed
from sim.scenarios.facts import Fact, to_json
from sim.scenarios.realism_plots import write_plots
from sim.scenarios.recordings import Recording, facts_of_pieces, facts_of_traces, load, traces_as
from sim.scenarios.samples import Sampler, amount, markets_of_pieces
from sim.scenarios.sessions import play
from sim.scenarios.shelf import SUFFIX as TABLE_SUFFIX
from sim.scenarios.splits import SETS
from sim.scenarios.tables import load_table, table_names
from sim.scenarios.trace import Feed, Trace
from sim.tape import SUFFIX, TapeError, read

RECORDED = "recorded"
SEED = 1_000_000  # of the sessions that are judged: not the fit's
SEEDS = 5  # plays of a table, each compared with a recorded sample of its own
APART = 100_000  # between the seeds of two plays
TIMES = 2  # sessions of every row and copy of a table
_PIPE_WIDTH = 120  # columns where the output is no terminal


class Report(NamedTuple):
    """A synthetic market against the reported days of one recorded market."""

    name: str
    recorded: dict[str, Fact]  # of all reported days
    synthetic: dict[str, Fact]  # of all plays
    measures: dict[str, Yardstick]
    comparisons: list[Comparison]
    alone: list[tuple[int, int]]  # facts passed, and comparable, by each play alone
    told_apart: Score | None  # windows of the synthetic market from recorded ones
    baseline: Score | None  # windows of the reported days from those of the fitted days
    why_not: tuple[str, ...] = ()  # the classifier could not be asked


def judge(recording: Recording, plays: Sequence[Sequence[np.ndarray]] | None) -> Report:
    """Compare ``plays`` with the reported days of ``recording``.

    Each play is EVENT arrays of sessions; None = samples of the fitted days themselves.
    """
    name = recording.name
    traces = None if plays is None else [traces_as(name, streams) for streams in plays]
    seconds = math.inf if traces is None else min(sum(amount(one, Feed()) for one in play[0]) for play in traces)
    sampler = Sampler(recording, seconds)
    fitted = facts_of_pieces(name, recording.only("fit"))
    measures = {key: found for key, found in sampler.yardsticks().items() if fitted[key].known}
    pairs = []
    for number in range(SEEDS if traces is None else len(traces)):
        rng = np.random.default_rng([SEED, number])
        other = sampler.recorded("fit", rng) if traces is None else sampler.synthetic(traces[number], rng)
        pairs.append((sampler.recorded("report", rng), other))
    if traces is None:
        synthetic = fitted
    else:
        pooled = {source: [one for play in traces for one in play[source]] for source in traces[0]}
        synthetic = facts_of_traces(name, pooled)
    told_apart, baseline, why_not = _classified(recording, None if traces is None else traces[0][0])
    return Report(
        name, facts_of_pieces(name, recording.only("report")), synthetic, measures, compare(pairs, measures),
        [share_passed(compare([pair], measures)) for pair in pairs], told_apart, baseline, why_not,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison of every set asked for; returns the exit status: 0 done, 1 bad data."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    try:
        for name in options.set or _sets_of(options.table):
            plays = None if options.table == RECORDED else plays_of(Path(options.table), name)
            report = judge(load(name, Path(options.data)), plays)
            _print(console, report, options.all)
            if options.out:
                _write(Path(options.out) / name, report)
    except ValueError as error:  # TapeError is one
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    return 0


def is_table(table: str | Path) -> bool:
    """Whether a scenario table is meant, not a folder of tapes."""
    return Path(table).suffix == TABLE_SUFFIX or (str(table) in table_names() and not Path(table).is_dir())


def _sets_of(table: str) -> Sequence[str]:
    """The sets to compare with where none is named: a table's own, else all."""
    return (load_table(table).set,) if is_table(table) else tuple(SETS)


def plays_of(table: Path, name: str) -> list[list[np.ndarray]]:
    """Events of sessions by play: of a scenario table five, of tapes one, in ``table / name``, or in ``table`` itself.

    Raises ValueError where a scenario table cannot be read or was fitted to another set, TapeError where there are no
    tapes, or one cannot be read.
    """
    if is_table(table):
        found = load_table(table)
        if found.set != name:
            raise ValueError(f"{table}: fitted to {found.set or 'no set'}; compared with {name}: expected the same")
        return [play(found, SEED + APART * number, TIMES) for number in range(SEEDS)]
    folder = table / name if (table / name).is_dir() else table
    paths = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    if not paths:
        raise TapeError(
            f"{folder}: no tapes (*{SUFFIX}) of a synthetic market; expected a folder of them, a scenario table "
            f"({', '.join(table_names())}, or a file ending in {TABLE_SUFFIX}), or the word {RECORDED!r}"
        )
    return [[read(path).events for path in paths]]


def _classified(
    recording: Recording, sessions: Sequence[Trace] | None
) -> tuple[Score | None, Score | None, tuple[str, ...]]:
    """Score of the synthetic windows, and of fitted days against reported ones, by the set's first source."""
    feed = recording.set.sources[0].feed
    reported, fitted = (
        markets_of_pieces([p for p in recording.only(use) if p.source == 0]) for use in ("report", "fit")
    )
    scores: list[Score | None] = []
    why_not = []
    for others in (None if sessions is None else [[one] for one in sessions], fitted):
        try:
            scores.append(None if others is None else score(reported, others, feed))
        except ValueError as error:
            scores.append(None)
            why_not.append(str(error))
    return scores[0], scores[1], tuple(why_not)


def _print(console: Console, report: Report, everything: bool) -> None:
    passed, comparable = share_passed(report.comparisons)
    share = f"{passed / comparable:.0%}" if comparable else "none"
    console.print(f"\n{SETS[report.name].title} ({report.name})", style="bold", highlight=False)
    console.print(
        f"{passed} of {comparable} comparable facts within {FACTOR} yardsticks: {share}; "
        f"{len(report.comparisons) - comparable} not comparable", highlight=False,
    )  # fmt: skip
    alone = sorted(f"{one / of:.0%}" if of else "none" for one, of in report.alone)
    console.print(f"medians of {len(alone)} plays; each alone: {', '.join(alone)}", highlight=False)
    for words, found in (
        ("synthetic from recorded", report.told_apart),
        ("fitted from reported days", report.baseline),
    ):
        if found is not None:
            console.print(
                f"classifier, {words}: AUC {found.auc:.3f} [{found.low:.3f}, {found.high:.3f}] "
                f"({found.second} and {found.first} windows)", highlight=False,
            )  # fmt: skip
    for why in report.why_not:
        console.print(why, highlight=False, soft_wrap=True)
    console.print(_kind_table(report.comparisons))
    console.print(_fact_table(report, everything))
    for one in report.comparisons:
        if one.verdict == "not comparable":
            console.print(f"not comparable: {one.name}: {one.why}", highlight=False, soft_wrap=True)


def _kind_table(comparisons: Sequence[Comparison]) -> Table:
    """Facts by kind: how many pass, and the medians of their yardsticks and distances."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in ("fact", "passed", "comparable", "not comparable", "median yardstick", "median distance"):
        table.add_column(title, justify="left" if title == "fact" else "right")
    for kind in dict.fromkeys(one.name.split("/")[0] for one in comparisons):
        own = [one for one in comparisons if one.name.split("/")[0] == kind]
        known = [one for one in own if one.verdict != "not comparable"]
        counts = (share_passed(own)[0], len(known), len(own) - len(known))
        middles = (_median([one.yardstick for one in known]), _median([one.distance for one in known]))
        table.add_row(kind, *map(str, counts), *map(_number, middles))
    return table


def _fact_table(report: Report, everything: bool) -> Table:
    """Misses, or every fact that is comparable."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in ("fact", "verdict", "distance", "yardstick", "noise", "recorded", "synthetic"):
        table.add_column(title, justify="right" if title in ("distance", "yardstick", "noise") else "left")
    for one in report.comparisons:
        if one.verdict == "miss" or (everything and one.verdict == "pass"):
            values = (_values(facts[one.name]) for facts in (report.recorded, report.synthetic))
            measure = report.measures[one.name]
            table.add_row(one.name, one.verdict, *map(_number, (one.distance, *measure[::2])), *values)
    return table


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _values(fact: Fact) -> str:
    return " ".join(f"{value:.3g}" for value in fact.values) or "-"


def _write(folder: Path, report: Report) -> None:
    """Facts, comparisons and plots as files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recorded.json").write_text(to_json(report.recorded))
    (folder / "synthetic.json").write_text(to_json(report.synthetic))
    rows = [one._asdict() for one in report.comparisons]
    for row in rows:
        row.update({name: None for name in ("distance", "yardstick") if math.isnan(row[name])})
    (folder / "comparison.json").write_text(json.dumps(rows, indent=1))
    write_plots(folder, report.recorded, report.synthetic, report.comparisons)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim.scenarios.realism", description=__doc__)
    parser.add_argument(
        "table", metavar="TABLE", help=f"scenario table, folder of the synthetic market's tapes, or the word {RECORDED}"
    )
    parser.add_argument("data", metavar="DATA", help="folder of recordings")
    parser.add_argument("--set", action="append", choices=tuple(SETS), help="one recorded market; default: all")
    parser.add_argument("--out", help="folder for facts, comparisons and plots")
    parser.add_argument("--all", action="store_true", help="list facts that pass, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
