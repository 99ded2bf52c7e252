"""Where a timing was taken, and how it is printed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """Short hash of the checkout, with + where it has uncommitted changes; empty outside a checkout."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return ""
    dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False).stdout.strip()
    return head.stdout.strip() + ("+" if dirty else "")


def describe(threads: int = 1) -> dict:
    """Processor, cores, threads used, Python, commit and date, for a result line."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "threads": threads,
        "python": platform.python_version(),
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def print_result(result: dict) -> None:
    """Print ``result`` as one JSON line, the last a benchmark prints."""
    print(json.dumps(result))
