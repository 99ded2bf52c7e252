"""Run a policy beside a venue, without trading: what it would have done, and what would have become of it.

``python shadow.py checkpoint=checkpoints/<run> venue=kalshi markets=[TICKER]``
``python shadow.py checkpoint=promoted venue=polymarket markets=[SLUG] mode=paper``
``python shadow.py checkpoint=checkpoints/<a> other=checkpoints/<b> mode=ab venue=kalshi markets=[TICKER]``
``python shadow.py replay=shadow/<session>``: play a session again from its log, and compare

Without an account: ``python -m live.fake kalshi`` is a venue on this machine, and prints the command to try. docs/shadow.md
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import hydra
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from configs.beside import plan_of, replay_env
from configs.schema import to_config
from live.clock import SystemClock
from live.errors import VenueError
from live.monitor.summary import as_text
from live.monitor.terminal import TerminalView
from live.program import GivenUpError
from live.recording.layout import LogError
from live.recording.seal import seal
from live.secrets import SecretError
from live.shadow.config import ShadowConfig, check_config
from live.shadow.records import read_session
from live.shadow.replay import replay
from live.shadow.shell import Shadow

ConfigStore.instance().store(name="shadow_schema", node=ShadowConfig)


@hydra.main(version_base=None, config_path="configs", config_name="shadow")
def main(composed: DictConfig) -> None:
    """Compose, connect, run, report."""
    config: ShadowConfig = to_config(composed)
    check_config(config)
    torch.set_num_threads(1)
    try:
        status = _replay(config.replay) if config.replay is not None else _run(config, composed)
    except (GivenUpError, LogError, SecretError, VenueError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        status = 1
    if status:
        sys.exit(status)
