"""Lagrange multipliers: the price of a unit of each budgeted cost, in units of reward.

The learner maximises J_r - sum_k lambda_k (J_k - d_k). A multiplier rises while its budget is overspent and falls while
it is not. Costs and rewards come in units of every size, so a step is stated in the natural unit of the price,

    u_k = spread of the reward's advantages / spread of the cost's advantages

(of a reward that does not vary 1; and u_k = 0 for a cost that does not: it has no price), and the error as a share of
the budget, e_k = (J_k - d_k) / max(|d_k|, 2 standard errors of J_k), at most 1 either way. Two rules:

* ``ascent``: lambda_k <- clip(lambda_k + gain x u_k x e_k, 0, cap x u_k), projected gradient ascent on the dual;
* ``pid`` (Stooke, Achiam and Abbeel 2020): the same integral, plus ``kp`` x u_k x the smoothed error, plus ``kd`` x u_k
  x the rise of the smoothed error. The integral stands still while the sum is out of its bounds and the error would
  drive it further (anti-windup).

A multiplier is thus the dual variable of its constraint and can be compared with one: nothing is normalised away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RULES = ("ascent", "pid")
PATIENCE = 50  # updates at the cap after which a budget may be called unreachable


@dataclass
class MultiplierConfig:
    """How multipliers move; gains are dimensionless, see the top of the file."""

    rule: str = "pid"
    gain: float = 0.05  # of the integral
    kp: float = 0.3  # pid: of the smoothed error
    kd: float = 0.0  # pid: of its rise
    smoothing: float = 0.8  # pid: share of the old value in the smoothed error
    cap: float = 10.0  # largest multiplier, in units of u_k


class Multipliers:
    """The K multipliers of a run. ``values`` (K,) float64, in reward per unit of cost."""

    def __init__(self, count: int, config: MultiplierConfig) -> None:
        if config.rule not in RULES:
            raise ValueError(f"agent.multipliers.rule = {config.rule!r}: expected one of {', '.join(RULES)}")
        for name in ("gain", "cap"):
            if not getattr(config, name) > 0.0:
                raise ValueError(f"agent.multipliers.{name} = {getattr(config, name)}: expected a positive number")
        if not 0.0 <= config.smoothing < 1.0 or not (config.kp >= 0.0 and config.kd >= 0.0):
            raise ValueError(
                f"agent.multipliers: smoothing = {config.smoothing} must lie in [0, 1), kp = {config.kp} and "
                f"kd = {config.kd} must not be negative"
            )
        self.config = config
        self.values = np.zeros(count)
        self.integral = np.zeros(count)
        self.smoothed = np.zeros(count)
        self.capped = np.zeros(count, np.int64)  # updates in a row at the cap
        self.moves = np.zeros(count, np.int64)
        self.stuck = np.zeros(count, np.int64)  # 1 once it has stood at the cap for `PATIENCE` updates in a row

    def update(self, errors: np.ndarray, units: np.ndarray) -> None:
        """Move by ``errors`` (K,), e_k, NaN where no episode ended, in ``units`` (K,), u_k >= 0."""
        config = self.config
        for k in np.flatnonzero(np.isfinite(errors)):
            error, unit = float(errors[k]), float(units[k])
            top = config.cap * unit
            before = self.smoothed[k]
            keep = config.smoothing if self.moves[k] else 0.0
            self.smoothed[k] = keep * before + (1.0 - keep) * error
            extra = 0.0
            if config.rule == "pid":
                rise = max(0.0, self.smoothed[k] - before) if self.moves[k] else 0.0
                extra = unit * (config.kp * self.smoothed[k] + config.kd * rise)
            moved = min(max(self.integral[k] + config.gain * unit * error, 0.0), top)
            outside = (moved + extra > top and error > 0.0) or (moved + extra < 0.0 and error < 0.0)
            if config.rule == "ascent" or not outside:
                self.integral[k] = moved
            wanted = moved + extra if outside else self.integral[k] + extra
            self.values[k] = min(max(wanted, 0.0), top)
            self.capped[k] = self.capped[k] + 1 if self.values[k] >= top > 0.0 else 0
            self.stuck[k] |= self.capped[k] >= PATIENCE
            self.moves[k] += 1

    @property
    def unreachable(self) -> np.ndarray:
        """``(K,)`` bool: has stood at the cap for `PATIENCE` updates in a row, now or before."""
        return self.stuck > 0

    def state(self) -> dict[str, np.ndarray]:
        """What decides the coming updates: the arrays themselves, not copies."""
        return {name: getattr(self, name) for name in ("values", "integral", "smoothed", "capped", "moves", "stuck")}
