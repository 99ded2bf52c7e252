"""``python -m evaluation promoted``: the line of promoted policies, every file checked."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from evaluation.promotion import registry


def main(arguments: list[str]) -> int:
    """One JSON line an entry, oldest first; exit status 1 where a file of a policy was changed."""
    parser = argparse.ArgumentParser(prog="python -m evaluation promoted", description=__doc__)
    parser.add_argument("--registry", type=Path, default=registry.DEFAULT)
    where = parser.parse_args(arguments).registry
    line = registry.entries(where)
    stack = registry.standing(line)
    status = 0
    for entry in line:
        told = {key: getattr(entry, key) for key in ("number", "what", "policy", "date", "reason")}
        if entry.what == registry.PROMOTED:
            told |= {"standing": entry.policy in stack, "current": stack[-1:] == [entry.policy], "whole": True}
            try:
                registry.checked(where, line, entry.policy)
            except ValueError as error:
                told |= {"whole": False, "error": str(error)}
                status = 1
        sys.stdout.write(json.dumps(told) + "\n")
    if not line:
        sys.stdout.write(f"{where}: nothing is promoted\n")
    return status
