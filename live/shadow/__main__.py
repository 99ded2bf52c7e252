"""``python -m live.shadow table FOLDER``: the decisions of a session as a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from live.recording.layout import LogError
from live.shadow.table import FILE, write_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 there is no session, or the file is there."""
    options = _parser().parse_args(arguments)
    try:
        path, rows = write_table(options.folder, options.out)
    except LogError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{path}: {rows:,} rows\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m live.shadow", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="table")
    table = commands.add_parser("table", help="one row for each decision, account and market, as Parquet")
    table.add_argument("folder", help="of a session")
    table.add_argument("--out", help=f"file; default {FILE} in the session's folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
