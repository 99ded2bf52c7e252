"""What the numbers of an environment mean: names and digests that a trained policy is tied to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from envs.actions import ActionTable
from envs.features import Schema
from envs.surface import Surface


def make_sheet(
    schema: Schema,
    table: ActionTable,
    surface: Surface | None = None,
    *,
    markets: int,
    flatten: bool,
    costs: Sequence[str],
    rewards: Mapping[str, float],
) -> dict[str, Any]:
    """Plain lists and strings. With several markets the digests cover their number, and how they are laid out; those
    of one of them are ``..._digest_each``.

    ``observation`` names the last axis of an observation: F features, or M x F with ``flatten``. ``action_form`` is
    "table", then ``actions`` are its rows; or "surface", then ``actions`` are its coordinates, ``reference`` is where
    they start from, and ``rows`` is the table that baselines act through (`TradingVectorEnv.step_rows`).
    """
    form = table if surface is None else surface
    names, observation, actions = schema.names, schema.digest, form.digest
    if markets > 1:
        layout = "flat" if flatten else "axis"
        observation, actions = _mixed(observation, markets, layout), _mixed(actions, markets, "axis")
        if flatten:
            names = [f"market_{index}.{name}" for index in range(markets) for name in names]
    sheet = {
        "markets": markets,
        "observation": names,
        "observation_digest": observation,
        "observation_digest_each": schema.digest,
        "action_form": "table" if surface is None else "surface",
        "actions": form.listed,
        "action_digest": actions,
        "action_digest_each": form.digest,
        "costs": list(costs),
        "rewards": list(rewards),
    }
    return sheet if surface is None else sheet | {"reference": surface.reference, "rows": table.listed}


def _mixed(digest: str, markets: int, layout: str) -> str:
    return hashlib.sha256(json.dumps([digest, markets, layout]).encode()).hexdigest()
