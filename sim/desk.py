"""What a kernel sees of one environment and one of its markets: records by pointer, the ladder, the rules."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Desk(NamedTuple):
    """One environment's account and one market of it. L ladder levels, F fee schedules."""

    account: np.void  # ACCOUNT record, written through
    market: np.void  # MARKET record, written through
    book: np.ndarray  # (2 or 6, L) int64, see sim.state
    row: np.void  # COMPILED_ROW of the episode's scenario
    px_of: np.ndarray  # (L,) int64
    level_of: np.ndarray  # (10001,) int64
    fees: np.ndarray  # (F,) FEE
