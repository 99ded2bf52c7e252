"""Training metrics as JSON lines and as CSV, one row an update, on disk as soon as the update is done."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter


class MetricsWriter(KVWriter):
    """Writes ``metrics.jsonl`` and ``metrics.csv`` into a folder. The first row fixes the columns of the CSV."""

    def __init__(self, folder: Path) -> None:
        self._json = (folder / "metrics.jsonl").open("x", encoding="utf-8")
        self._csv = (folder / "metrics.csv").open("x", encoding="utf-8", newline="")
        self._table: csv.DictWriter | None = None

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """One row. A value that does not exist in this update (no episode ended) is null, or empty in the CSV."""
        row = {"steps": step, **key_values}
        self._json.write(json.dumps(row, allow_nan=False) + "\n")
        self._json.flush()
        if self._table is None:
            self._table = csv.DictWriter(self._csv, row.keys())
            self._table.writeheader()
        self._table.writerow(row)
        self._csv.flush()

    def close(self) -> None:
        """Close both files."""
        self._json.close()
        self._csv.close()
