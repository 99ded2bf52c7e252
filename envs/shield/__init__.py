"""The safety shield: hard limits that stand between any policy and any venue. docs/shield.md has the definitions.

`certify` is pure: orders in, safe orders out, with a reason for each that it changed. It is the same code in training,
in evaluation and beside a venue. `Limits` says what it keeps, `PRESETS` are tiers of them.
"""

from __future__ import annotations

from envs.shield.boundary import orders_from_floats
from envs.shield.codes import CRITICAL, NORMAL, ORDER_REASONS, REGIME_REASONS, REGIMES, WARNING
from envs.shield.limits import LIMITS, PRESETS, Limits, read_limits
from envs.shield.pure import Verdict, assess_triggers, certify, lift, new_watch
from envs.shield.regime import WATCH

__all__ = [
    "CRITICAL", "LIMITS", "NORMAL", "ORDER_REASONS", "PRESETS", "REGIMES", "REGIME_REASONS", "WARNING", "WATCH",
    "Limits", "Verdict", "assess_triggers", "certify", "lift", "new_watch", "orders_from_floats", "read_limits",
]  # fmt: skip
