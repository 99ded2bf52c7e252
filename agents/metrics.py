"""Training metrics as JSON lines and as CSV, one row an update, on disk as soon as the update is done."""

from __future__ import annotations

import csv
import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from stable_baselines3.common.logger import KVWriter

TIME = "time/"  # keys of what a clock says: they go into a file of their own, since no two runs agree on them


NAMES = ("metrics.jsonl", "metrics.csv", "speed.jsonl")
_MIB = 1 << 20
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes that getrusage counts memory in


class MetricsWriter(KVWriter):
    """Writes ``metrics.jsonl``, ``metrics.csv`` and ``speed.jsonl`` into a folder.

    The first row fixes the columns of the CSV. The metrics of two equal runs are equal, byte for byte; what depends on
    the machine's speed stands in ``speed.jsonl``. ``lengths``: a resumed run cuts each file to the bytes it had at the
    checkpoint and goes on from there; without an entry a file must not exist.
    """

    def __init__(self, folder: Path, lengths: Mapping[str, int] | None = None) -> None:
        lengths = lengths or {}
        for name, length in lengths.items():
            _refuse_shorter(folder / name, length)
        self._files = {name: _open(folder / name, lengths.get(name)) for name in NAMES}
        self._table: csv.DictWriter | None = None
        self._headed = bool(lengths.get("metrics.csv"))

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """One row. A value that does not exist in this update (no episode ended) is null, or empty in the CSV."""
        row = {"steps": step} | {key: value for key, value in key_values.items() if not key.startswith(TIME)}
        self._append("metrics.jsonl", row)
        self._append(
            "speed.jsonl",
            {"steps": step} | {k.removeprefix(TIME): v for k, v in key_values.items() if k.startswith(TIME)},
        )
        file = self._files["metrics.csv"]
        if self._table is None:
            self._table = csv.DictWriter(file, row.keys())
            if not self._headed:
                self._table.writeheader()
        self._table.writerow(row)
        file.flush()

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        file = self._files[name]
        file.write(json.dumps(row, allow_nan=False) + "\n")
        file.flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


class StandardNames(KVWriter):
    """Hands on to ``writer`` under the names of docs/metrics.md: those of the files, each behind its file's prefix."""

    def __init__(self, writer: KVWriter) -> None:
        self._writer = writer

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """One row."""
        self._writer.write(
            {_standard(key): value for key, value in key_values.items()},
            {_standard(key): value for key, value in key_excluded.items()},
            step,
        )

    def close(self) -> None:
        """Close the writer."""
        self._writer.close()


def _standard(key: str) -> str:
    return f"speed/{key.removeprefix(TIME)}" if key.startswith(TIME) else f"train/{key}"


def lengths_of(folder: Path) -> dict[str, int]:
    """Bytes of each metric file of a run: what `MetricsWriter` cuts them to."""
    return {name: (folder / name).stat().st_size for name in NAMES}


def emptied(folder: Path) -> dict[str, int]:
    """What `MetricsWriter` needs to begin again: no bytes of each metric file that is there."""
    return {name: 0 for name in NAMES if (folder / name).exists()}


def _refuse_shorter(path: Path, length: int) -> None:
    size = path.stat().st_size
    if size < length:
        raise ValueError(f"{path}: {size} bytes, but it had {length} at the checkpoint; the file was changed since")


def _open(path: Path, length: int | None) -> TextIO:
    if length is None:
        return path.open("x", encoding="utf-8", newline="")
    file = path.open("r+", encoding="utf-8", newline="")
    file.truncate(length)
    file.seek(length)
    return file


class StepSums:
    """Sums over the steps of a rollout, by name."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Sequence[str], np.ndarray]] = {}

    def add(self, prefix: str, names: Sequence[str], values: np.ndarray) -> None:
        """A step's ``values`` (N, K), of the K ``names``, which are always the same behind a ``prefix``."""
        sums = values.sum(0)
        if prefix in self._sums:
            sums = sums + self._sums[prefix][1]
        self._sums[prefix] = (names, sums)

    @classmethod
    def joined(cls, parts: Sequence[StepSums]) -> StepSums:
        """The sums of all ``parts``, which have the same names."""
        whole = cls()
        for part in parts:
            for prefix, (names, sums) in part._sums.items():
                whole.add(prefix, names, sums[None])
        return whole

    def means(self, transitions: int) -> dict[str, float]:
        """Per transition, by the prefixed names."""
        return {
            f"{prefix}{name}": total / transitions
            for prefix, (names, sums) in self._sums.items()
            for name, total in zip(names, sums.tolist(), strict=True)
        }


class Machine:
    """What a stretch of work, from its construction on, takes of the machine."""

    def __init__(self) -> None:
        self._started, self._cpu = time.perf_counter(), time.process_time()

    def usage(self) -> dict[str, float]:
        """Seconds; processors kept busy; most memory that the process has taken so far, MiB, and that of a GPU."""
        seconds = time.perf_counter() - self._started
        found = {
            "seconds": seconds,
            "cpus": (time.process_time() - self._cpu) / seconds,
            "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / _MIB,
        }
        if torch.cuda.is_initialized():
            found["gpu_memory_mib"] = torch.cuda.max_memory_allocated() / _MIB
        return found


def mean_or_none(values: list[float]) -> float | None:
    """The mean, or None where no episode ended."""
    return float(np.mean(values)) if values else None


def defined(value: float | None) -> float | None:
    """``value``, or None where it does not exist (the explained variance of constant returns)."""
    return value if value is not None and np.isfinite(value) else None


def explained_variance(values: torch.Tensor, returns: torch.Tensor) -> float:
    """``1 - var(returns - values) / var(returns)``; NaN where the returns do not vary."""
    spread = returns.double().var().item()
    return 1.0 - (returns - values).double().var().item() / spread if spread > 0.0 else float("nan")
