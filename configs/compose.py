"""A config of train.py out of words, where Hydra does not run the program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir

from configs.schema import Config, register, to_config


def composed(overrides: Sequence[str]) -> Config:
    """What train.py would make of ``overrides``; raises Hydra's errors, and those of `configs.schema.to_config`."""
    register()
    with initialize_config_dir(str(Path(__file__).parent), version_base=None):
        return to_config(compose("config", list(overrides)))
