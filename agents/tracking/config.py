"""Whether and where runs are tracked: plain dataclasses, which entry points make known to Hydra."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

MODES = ("auto", "online", "offline", "off")
_OF_WANDB = {"online": "online", "run": "online", "offline": "offline", "dryrun": "offline", "disabled": "off"}


@dataclass
class TrackingConfig:
    """Of every entry point; docs/metrics.md says what is sent under which name."""

    # online: to the server as it happens; offline: into the folder, for `wandb sync`; off: nothing of W&B's
    # auto: what WANDB_MODE says, else online where WANDB_API_KEY is set, else off
    mode: str = "auto"
    project: str | None = None  # default: WANDB_PROJECT, else shadowbook
    entity: str | None = None  # default: WANDB_ENTITY, else the key's own
    group: str | None = None  # default: the grid or curriculum that a run belongs to
    tags: list[str] = field(default_factory=list)
    connect_s: float = 20.0  # without an answer for so long a run is kept offline
    finish_s: float = 60.0  # a run that is over waits at most so long for what is still to be sent


def check_tracking(config: TrackingConfig) -> None:
    """Raise ValueError for settings that cannot be meant, also for a WANDB_MODE that nobody knows."""
    if config.mode not in MODES:
        raise ValueError(f"tracking.mode = {config.mode}: expected one of {', '.join(MODES)}")
    for name in ("connect_s", "finish_s"):
        if not getattr(config, name) > 0.0:
            raise ValueError(f"tracking.{name} = {getattr(config, name)}: expected more than 0 seconds")
    settled_mode(config)


def settled_mode(config: TrackingConfig, environ: Mapping[str, str] = os.environ) -> str:
    """``online``, ``offline`` or ``off``.

    A login that the machine remembers turns nothing on: it was made for other projects, and what runs send may be
    nobody else's business. A key in the environment of this very process is meant.

    Raises ValueError for a WANDB_MODE that nobody knows.
    """
    if config.mode != "auto":
        return config.mode
    said = environ.get("WANDB_MODE", "")
    if not said:
        return "online" if environ.get("WANDB_API_KEY") else "off"
    if said not in _OF_WANDB:
        raise ValueError(f"WANDB_MODE = {said}: expected one of {', '.join(_OF_WANDB)}; or set tracking.mode")
    return _OF_WANDB[said]
