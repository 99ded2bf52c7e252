"""What the fill models are called in tables and plots: the probabilistic one is fitted, and says on what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.fillfit.table import entries, row_fields

FITTED = "probabilistic"


def fill_set_of(rows: np.ndarray) -> str:
    """The set whose fitted fill model all scenario ``rows`` carry, e.g. ``kalshi_btc15m``; "" where they differ."""
    flat = np.ravel(rows)
    for name in dict.fromkeys(entry["set"] for entry in entries()):
        if all((flat[field] == value).all() for field, value in row_fields(name).items()):
            return name
    return ""


def shown_names(fill_models: Sequence[str], fill_set: str) -> dict[str, str]:
    """Fill model -> how it is shown: the probabilistic one as ``fitted (set)``, without a known set as ``fitted``."""
    fitted = f"fitted ({fill_set})" if fill_set else "fitted"
    return {model: fitted if model == FITTED else model for model in fill_models}
