"""The Ray that work is handed to: the one there is, else one of our own on this machine."""

from __future__ import annotations

import logging
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def start_ray(cpus: int) -> bool:
    """Join the Ray that runs, or that RAY_ADDRESS names; else start one of ``cpus``, without a dashboard.

    True where it was started here: `ray.shutdown` it then. Nothing is reported to anybody.
    """
    import ray  # imported where it is used: it takes seconds

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if ray.is_initialized():
        return False
    for name in ("ray", "ray.rllib", "ray.tune"):  # they warn of what cannot be helped; errors are shown
        logging.getLogger(name).setLevel(logging.ERROR)
    own = "RAY_ADDRESS" not in os.environ
    # local: not that of somebody else on this machine, which Ray would look for
    settings: dict[str, Any] = {"address": "local", "num_cpus": cpus, "include_dashboard": False} if own else {}
    if own:
        keep_token()
    ray.init(configure_logging=False, log_to_driver=False, **settings)
    return own


def cpus_for(runners: int, each: float) -> int:
    """CPUs of a Ray for so many env runners, and one for who learns."""
    return math.ceil(runners * each) + 1


def keep_token() -> None:
    """A token for this user's Rays where there is none; nobody else may read it, as they may one that Ray writes."""
    token = Path.home() / ".ray" / "auth_token"
    token.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        number = os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    if token.stat().st_mode & 0o077:
        token.chmod(0o600)


@contextmanager
def running_ray(cpus: int) -> Iterator[None]:
    """A Ray to work with, as `start_ray` finds or starts it; shut down at the end where it was started here."""
    import ray

    own = start_ray(cpus)
    try:
        yield
    finally:
        if own:
            ray.shutdown()
