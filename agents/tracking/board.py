"""The same for TensorBoard: event files in the folder of what is tracked, beside those that training writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.tracking.journal import shown

if TYPE_CHECKING:  # it is slow to load, and few want it
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


class Board:
    """Scalars under their standard names, and the config as text."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self._folder, self._about = folder / FOLDER, about
        self._writer: SummaryWriter | None = None

    def open(self) -> None:
        """Begin an event file."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder))
        self._writer.add_text("config", f"```json\n{json.dumps(self._about, indent=2, default=str)}\n```")

    def write(self, values: Mapping[str, Any], step: int) -> None:
        """Numbers and truths; texts are left to the files that hold them."""
        assert self._writer is not None
        for name, value in shown(values).items():
            if isinstance(value, bool | int | float):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Everything is in the file."""
        if self._writer is not None:
            self._writer.close()
