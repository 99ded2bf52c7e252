"""The baseline of a control surface that always wants the same. Knows the surface by its spec sheet alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

FIXED = "fixed"


class FixedPolicy:
    """The same point of a control surface at every step and in every market: quotes that only the market moves."""

    masked = False

    def __init__(self, values: Mapping[str, float], sheet: Mapping[str, Any]) -> None:
        if sheet.get("action_form") != "surface":
            raise ValueError(f"baseline:{FIXED}: its points are of a control surface; this environment has a table")
        self.name = FIXED
        known = {name: (low, default, high) for name, _, low, default, high in sheet["actions"]}
        for key in values:
            if key not in known:
                raise ValueError(f"baseline:{FIXED}: no coordinate {key!r}; they are {', '.join(known)}")
        point = [_position(name, values.get(name, limits[1]), *limits) for name, limits in known.items()]
        self.point = np.tile(np.array(point, np.float32), sheet.get("markets", 1))

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """``(N, M x D)`` float32, the same row N times."""
        return np.tile(self.point, (len(observations), 1))


def _position(name: str, value: float, low: float, default: float, high: float) -> float:
    """Where a value lies in [-1, 1]: the inverse of what the environment makes of an action."""
    if not low <= value <= high:
        raise ValueError(f"baseline:{FIXED}: {name} = {value} lies outside [{low}, {high}]")
    if value == default:
        return 0.0
    return (value - default) / (default - low if value < default else high - default)
