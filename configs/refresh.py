"""A refresh: go on from a run's policy, in its environment, scenario and networks, as far as nothing else is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from configs.schema import Config, read_run_config, to_config

_OWN = ("curriculum", "init_from", "run_name", "checkpoints")  # of the refresh, whatever the run had


def refreshed(config: Config, overrides: Sequence[str]) -> Config:
    """The config of the run ``config.init_from``, with the ``overrides`` of the command line in it.

    A group that was chosen anew (``scenario=replay``) is taken as it was composed. Raises ValueError where there is no
    run to go on from, or an override does not fit its config.
    """
    assert config.curriculum is not None
    if config.init_from is None:
        raise ValueError(f"+curriculum={config.curriculum.name} goes on from a policy: add from=checkpoints/<run>")
    stored = read_run_config(Path(config.init_from))
    said = [text.lstrip("+").split("=", 1)[0] for text in overrides]
    chosen = [entry.name for entry in fields(Config) if entry.name in said]  # groups, and keys of the top level
    stored.agent.warm_start = None  # who goes on is not taught again
    taken: dict[str, Any] = {name: getattr(config, name) for name in (*_OWN, *chosen)}
    unknown = [
        text for text in overrides if "." not in text and text.lstrip("+").split("=", 1)[0] not in chosen + list(_OWN)
    ]
    if unknown:
        raise ValueError(f"a refresh takes the run's own config: {', '.join(unknown)} cannot be laid over it")
    base = OmegaConf.structured(replace(stored, **taken))
    inside = [text.lstrip("+") for text in overrides if "." in text.split("=", 1)[0]]
    inside = [text for text in inside if text.split(".", 1)[0] not in (*_OWN, *chosen)]
    return to_config(OmegaConf.merge(base, OmegaConf.from_dotlist(inside)))  # type: ignore[arg-type]
