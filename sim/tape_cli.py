"""``python -m sim.tape import|info|validate``: recordings to tapes, what is on them, and whether they hold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from sim.importers import FORMATS, convert
from sim.tape import SUFFIX, Header, TapeError, read, write
from sim.types import KIND_NAMES, SECOND_NS
from sim.validate import Report, validate

_PIPE_WIDTH = 140  # columns where the output is no terminal
_COLUMNS = (
    "tape", "quotes\nagree", "events", "crossed\nin batch", "crossed\nafter", "negative\nsizes", "local\nback",
    "venue\nback", "lost\nseq", "gaps", "open\nend",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 1 bad data."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    try:
        return options.command(options, console)
    except TapeError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1


def import_command(options: argparse.Namespace, console: Console) -> int:
    """Convert a source to tapes in a folder."""
    conversion = convert(options.source, options.format)
    folder = Path(options.out_dir)
    events = count = 0
    for name, tape in tqdm(conversion.tapes, total=conversion.total, unit="tape", desc=conversion.format):
        write(folder / f"{name}{SUFFIX}", tape)
        events += len(tape.events)
        count += 1
    console.print(f"{count} tapes, {events:,} events from {options.source} in {folder}", markup=False, soft_wrap=True)
    return 0


def info_command(options: argparse.Namespace, console: Console) -> int:
    """Print the header of each tape and its rows by kind."""
    for path in tape_paths(options.paths):
        tape = read(path)
        table = Table("", "", title=str(path), title_justify="left", show_header=False)
        for name, text in _header_lines(tape.header):
            table.add_row(name, text)
        counts = np.bincount(tape.events["kind"], minlength=len(KIND_NAMES))
        table.add_row("rows", ", ".join(f"{name} {n:,}" for name, n in zip(KIND_NAMES, counts, strict=False) if n))
        if len(tape.events):
            span = tape.events["local_ns"].max() - tape.events["local_ns"].min()
            table.add_row("recorded", f"{_time(int(tape.events['local_ns'].min()))}, for {span / SECOND_NS:,.1f} s")
        console.print(table)
    return 0


def validate_command(options: argparse.Namespace, console: Console) -> int:
    """Check every tape; status 1 where one has an error."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in _COLUMNS:
        table.add_column(title, justify="left" if title == "tape" else "right", no_wrap=True)
    total = Report()
    problems = []
    paths = tape_paths(options.paths)
    for path in tqdm(paths, unit="tape", desc="validate"):
        try:
            report = validate(read(path))
        except TapeError as error:
            problems.append(str(error))
            continue
        problems += [f"{path}: {error}" for error in report.errors]
        _add_row(table, path.stem, report)
        total = total.plus(report)
    _add_row(table, f"all {len(paths)}", total)
    console.print(table)
    console.print(
        f"{len(paths)} tapes, {len(problems)} errors, quotes agree {total.agree} of {total.quotes}", highlight=False
    )
    for problem in problems:
        console.print(f"error: {problem}", style="red", markup=False, soft_wrap=True)
    return 1 if problems else 0


def tape_paths(paths: Sequence[str | Path]) -> list[Path]:
    """Tapes that ``paths`` name: files as they are, folders by their ``*.parquet``. Raises TapeError where none is."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            raise TapeError(f"{path}: no tapes (*{SUFFIX}) in this folder; `python -m sim.tape import` makes some")
        found += inside
    return found


def _add_row(table: Table, name: str, report: Report) -> None:
    counts = (
        report.events, report.brief_crossings, report.lasting_crossings, report.negative, report.local_regressions,
        report.venue_regressions, report.sequence_gaps, report.gaps, report.open_batches,
    )  # fmt: skip
    agreement = f"{report.agree:,} of {report.quotes:,}" if report.quotes else "-"
    table.add_row(name, agreement, *(f"{count:,}" for count in counts))


def _header_lines(header: Header) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = [("venue", header.venue)]
    for market in header.markets:
        lines.append(("market", f"{market.id}: {market.title}"))
        lines.append(("window", f"{_time(market.open_ns)} to {_time(market.close_ns)}"))
    lines += [("ticks", str([list(part) for part in table])) for table in header.tick_tables]
    lines += [
        ("fees", f"{fee.name}: takers {fee.rate_ppm} ppm, makers {fee.maker_ppm} ppm") for fee in header.fee_schedules
    ]
    lines += [("source", f"{s.name} ({s.licence}) {s.attribution}; sha256 {s.sha256}") for s in header.sources]
    lines += [("note", note) for note in header.notes]
    return [*lines, ("digest", header.digest)]


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if ns else "not said"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim.tape", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="import|info|validate")
    importing = commands.add_parser("import", help="convert a recording to tapes")
    importing.add_argument(
        "source", help="a file or folder, or the word resolvedkit for the installed package's sample"
    )
    importing.add_argument("out_dir", help="folder for the tapes; existing files are never overwritten")
    importing.add_argument("--format", choices=tuple(FORMATS), help="default: by what the source looks like")
    importing.set_defaults(command=import_command)
    for name, command, text in (
        ("info", info_command, "print headers and counts"),
        ("validate", validate_command, "replay tapes and check them; exit status 1 where one has an error"),
    ):
        sub = commands.add_parser(name, help=text)
        sub.add_argument("paths", nargs="+", metavar="TAPE", help="tapes, or folders of tapes")
        sub.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
