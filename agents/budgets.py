"""Budgets: what a constrained learner must not spend, and how an episode's costs are added up to be compared with it.

============== =====================================================================================================
kind           the number that must stay within ``limit``
============== =====================================================================================================
``episode``    E[sum of the episode's costs], undiscounted
``discounted`` E[sum of gamma**t x cost], with the learner's discount
``probability`` P[the event happens in an episode]: the cost is 1 in the one step in which it does, undiscounted
``cvar``       CVaR_alpha of the episode's sum of costs: its mean over the worst 1 - alpha of the episodes
============== =====================================================================================================

An episode that is truncated is counted as it stands, but for ``discounted``, which goes on in value.

CVaR (Rockafellar and Uryasev 2000): CVaR_alpha(L) = min over nu of nu + E[(L - nu)+] / (1 - alpha), and the minimum is
at nu = the alpha-quantile of L. So the learner is charged (L - nu)+ / (1 - alpha) at the end of an episode, and nu
follows the quantile of the losses seen. For the policy to know where it stands its observation has to show the loss so
far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

KINDS = ("episode", "discounted", "probability", "cvar")


@dataclass
class Budget:
    """A limit on one named cost. Units are the cost's own."""

    limit: float = float("nan")  # of the number that `kind` names; must be given
    kind: str = "episode"  # episode, discounted, probability or cvar
    alpha: float = 0.95  # of cvar: its mean is over the worst 1 - alpha of the episodes


@dataclass(frozen=True)
class Constraint:
    """A budget tied to a column of the environment's costs."""

    name: str
    column: int
    kind: str
    limit: float
    alpha: float

    @property
    def tail(self) -> bool:
        """Whether the learner is charged at the end of an episode, by the sum of its costs."""
        return self.kind == "cvar"

    def target(self, margin: float) -> float:
        """What is trained to: ``limit - margin x |limit|``."""
        return self.limit - margin * abs(self.limit)

    def gamma(self, discount: float) -> float:
        """Discount of the constraint's value function."""
        return discount if self.kind == "discounted" else 1.0


def constraints(budgets: Mapping[str, Budget], names: Sequence[str]) -> list[Constraint]:
    """The constraints of ``budgets`` on an environment that charges the costs ``names``, in the order of the costs.

    Raises ValueError naming a budget whose cost the environment does not charge, an unknown kind, a limit that is not
    a finite number, or one that no episode can keep (a probability outside [0, 1)), an alpha outside (0, 1), and a cost
    without a budget.
    """
    for name, budget in budgets.items():
        where = f"agent.budgets.{name}"
        if name not in names:
            raise ValueError(
                f"{where}: the environment charges no such cost; it charges {', '.join(names) or 'none'}. Add it to "
                f"env.costs, or take the budget out"
            )
        if budget.kind not in KINDS:
            raise ValueError(f"{where}.kind = {budget.kind!r}: expected one of {', '.join(KINDS)}")
        if not np.isfinite(budget.limit):
            raise ValueError(f"{where}.limit = {budget.limit}: expected a finite number in units of the cost")
        if budget.kind == "probability" and not 0.0 <= budget.limit < 1.0:
            raise ValueError(f"{where}.limit = {budget.limit}: a probability's budget lies in [0, 1)")
        if not 0.0 < budget.alpha < 1.0:
            raise ValueError(f"{where}.alpha = {budget.alpha}: expected a level in (0, 1)")
    unbudgeted = [name for name in names if name not in budgets]
    if unbudgeted:
        raise ValueError(
            f"agent.budgets: no budget for {', '.join(unbudgeted)}, which the environment charges: give one as "
            f"agent.budgets.{unbudgeted[0]}.limit=..., or take the cost out of env.costs"
        )
    return [
        Constraint(name, column, budgets[name].kind, budgets[name].limit, budgets[name].alpha)
        for column, name in enumerate(names)
    ]


def cvar(losses: np.ndarray, alpha: float) -> tuple[float, float]:
    """``(CVaR, quantile)`` at level ``alpha`` of a sample of losses ``(n,)``, n >= 1; see the top of the file."""
    quantile = float(np.quantile(losses, alpha, method="inverted_cdf"))
    return quantile + float(np.maximum(losses - quantile, 0.0).mean()) / (1.0 - alpha), quantile


def spent_of(entry: Constraint, sums: np.ndarray) -> tuple[float, float]:
    """What ``entry`` limits, estimated from the sums ``(n,)`` of n >= 1 episodes, and its standard error.

    Of a CVaR that of the excess over the quantile, std((L - nu)+) / (1 - alpha) / sqrt(n).
    """
    if not entry.tail:
        return float(sums.mean()), float(sums.std()) / len(sums) ** 0.5
    value, quantile = cvar(sums, entry.alpha)
    excess = np.maximum(sums - quantile, 0.0)
    return value, float(excess.std()) / (1.0 - entry.alpha) / len(sums) ** 0.5
