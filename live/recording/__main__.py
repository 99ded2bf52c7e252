"""``python -m live.recording validate|seal``: what is in a recording, and tapes of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from live.recording.layout import LogError
from live.recording.seal import seal
from live.recording.validate import recorded_paths, tables, validate_recording
from sim.tape import TapeError

_PIPE_WIDTH = 140  # columns where the output is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 1 bad data."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, markup=False, highlight=False)
    try:
        return options.command(options, console)
    except (LogError, TapeError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 1


def validate_command(options: argparse.Namespace, console: Console) -> int:
    """Read every frame; status 1 where something is wrong."""
    found = validate_recording(recorded_paths(options.path), replay=options.replay)
    console.print(tables(found), soft_wrap=True)
    return found.status


def seal_command(options: argparse.Namespace, console: Console) -> int:
    """Make the tapes of an ended session."""
    manifest = seal(options.path, delete_raw=options.delete_raw)
    events = sum(tape.events for tape in manifest.tapes)
    damaged = sum(bool(segment.damage) for segment in manifest.segments)
    console.print(
        f"{options.path}: {len(manifest.segments)} segments ({damaged} damaged) sealed as {len(manifest.tapes)} tapes, "
        f"{events:,} events",
        soft_wrap=True,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m live.recording", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="validate|seal")
    checking = commands.add_parser("validate", help="read every frame; exit status 1 where something is wrong")
    checking.add_argument("path", help="folder of a session, or one segment")
    checking.add_argument("--replay", action="store_true", help="make the tapes in memory and validate those too")
    checking.set_defaults(command=validate_command)
    sealing = commands.add_parser("seal", help="make tapes of a session that has ended")
    sealing.add_argument("path", help="folder of a session")
    sealing.add_argument(
        "--delete-raw", action="store_true", help="remove the raw segments once their tapes are checked"
    )
    sealing.set_defaults(command=seal_command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
