"""What is to be tracked, as lines of a file: a run writes them and never waits, another process sends them on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = "tracking"  # in the folder of what is tracked
START = "start.json"  # how the tracked run is called, and where it goes
JOURNAL = "journal.jsonl"
LOG = "worker.log"


class Rows:
    """Whole lines of a file of JSON objects that another process appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = 0

    def take(self) -> Iterator[dict[str, Any]]:
        """The objects since the last call. A file that was cut, as a resumed run does, is read again from its start."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._place:
                    self._place = 0
                file.seek(self._place)
                lines = file.read().splitlines(keepends=True)
        except FileNotFoundError:
            return
        for line in lines:
            if not line.endswith(b"\n"):
                return
            self._place += len(line)
            try:
                found = json.loads(line)
            except ValueError:  # cut and grown again between two looks
                self._place = 0
                return
            yield found


class Followed:
    """Rows of a file of metrics, each once, by its ``steps``."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._rows, self._prefix, self._last = Rows(path), prefix, -1

    def take(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """``steps`` and the row's other values, prefixed; what does not exist is left out."""
        for row in self._rows.take():
            step = row.get("steps", -1)
            if step > self._last:
                self._last = step
                yield step, standard(row, self._prefix)


def standard(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """A row of metrics under its standard names: those of the file behind the file's prefix, docs/metrics.md."""
    return {f"{prefix}{name}": value for name, value in shown(row).items() if name != "steps"}


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that can be shown: not None, and no number that is not finite."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }
