"""What an action can be: a row of a table (``envs.actions``), or a point of a control surface (``envs.surface``)."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import numpy as np

from envs.actions import ActionTable, make_table
from envs.surface import SURFACES, Surface, make_surface


def action_form(
    actions: str | Sequence[Sequence] | Surface, cross_ticks: int, sizes: Sequence[float] | None = None
) -> tuple[ActionTable, Surface | None]:
    """An action table alone, or a control surface and the table that baselines act through beside it.

    Raises ValueError for ``sizes`` with a surface, whose sizes are no list.
    """
    if sizes is not None and (isinstance(actions, Surface) or actions in SURFACES):
        raise ValueError(f"sizes = {list(sizes)}: a control surface has none to choose from; give an action table")
    if isinstance(actions, Surface):
        return make_table("full", cross_ticks=cross_ticks), actions
    if isinstance(actions, str) and actions in SURFACES:
        return make_table("full", cross_ticks=cross_ticks), make_surface(actions)
    return make_table(actions, cross_ticks=cross_ticks, sizes=sizes), None


def action_space(
    rows: int, markets: int, surface: Surface | None
) -> gym.spaces.Box | gym.spaces.Discrete | gym.spaces.MultiDiscrete:
    """Of one environment: a point of the surface, or a row of the table, for each market."""
    if surface is not None:
        return gym.spaces.Box(-1.0, 1.0, (markets * len(surface.listed),), np.float32)
    return gym.spaces.Discrete(rows) if markets == 1 else gym.spaces.MultiDiscrete([rows] * markets)
