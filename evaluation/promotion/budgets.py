"""Does a policy keep its budgets with confidence, and spend no more than the one it replaces?

The kinds are those of docs/training.md. Of ``probability`` the interval is the wider of the exact binomial and the
bootstrap: the first knows that nothing seen is not nothing, the second that recorded episodes of one market come
together. An undiscounted sum stands in for a ``discounted`` one: costs are not negative, so it is no less.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from evaluation.bootstrap import LEVEL, Interval, Statistic, bootstrap, plain
from evaluation.episodes import Episodes, check_pairs, clusters
from evaluation.metrics import expected_shortfall, ratio
from evaluation.parity import rate_interval
from evaluation.promotion.gates import Gate


class Budget(NamedTuple):
    """A limit on what a named cost comes to in an episode, in the cost's unit."""

    name: str
    limit: float
    kind: str = "episode"  # episode, discounted, probability or cvar
    alpha: float = 0.95  # of cvar


def spent(budget: Budget, episodes: Episodes, *, seed: int = 0, level: float = LEVEL) -> Interval:
    """What the episodes spent, as the budget counts it. Raises ValueError for a cost that they do not have."""
    values, groups = _values(budget, episodes), clusters(episodes)
    found = bootstrap(_statistic(budget, values, groups), int(groups.max()) + 1, seed=seed, level=level)
    if budget.kind != "probability":
        return found
    exact = rate_interval(int(values.sum()), len(values), level)
    return Interval(exact.value, float(np.fmin(exact.low, found.low)), float(np.fmax(exact.high, found.high)))


def over(budgets: tuple[Budget, ...], episodes: Episodes) -> list[str]:
    """Names of the budgets that the episodes overspent, by the estimate alone."""
    names = []
    for budget in budgets:
        values = _values(budget, episodes)
        if _statistic(budget, values, np.arange(len(values)))(np.ones((1, len(values))))[0] > budget.limit:
            names.append(budget.name)
    return names


def budget_gate(
    budgets: tuple[Budget, ...], candidate: Episodes, incumbent: Episodes | None, *, seed: int = 0, level: float = LEVEL
) -> Gate:
    """Every budget is kept at the upper end of its interval, and none is spent more of than by the incumbent.

    More = the paired interval of candidate less incumbent lies above zero as a whole.
    """
    if not budgets:
        return Gate("budgets", True, "every budget of the run kept", "the run has no budgets")
    if incumbent is not None:
        check_pairs(candidate, incumbent)
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    for budget in budgets:
        came = spent(budget, candidate, seed=seed, level=level)
        kept = bool(came.high <= budget.limit)  # not so where the interval is not defined
        entry: dict[str, Any] = {
            "kind": budget.kind,
            "limit": budget.limit,
            **plain(came),
            "kept": kept,
            "more": None,
            "worse": False,
        }
        if not kept:
            wrong.append(f"{budget.name} {came.value:.4g}, upper end {came.high:.4g}, limit {budget.limit:g}")
        if incumbent is not None:
            more = _more(budget, candidate, incumbent, seed, level)
            entry |= {"more": plain(more), "worse": bool(more.low > 0.0)}
            if entry["worse"]:
                wrong.append(f"{budget.name} more than the incumbent's by {more.value:.4g}, lower end {more.low:.4g}")
        figures[budget.name] = entry
    expected = f"the upper end of each {100 * level:g} % interval within its limit, and none above the incumbent's"
    came_text = "; ".join(wrong) or ", ".join(f"{name} {entry['value']:.4g}" for name, entry in figures.items())
    return Gate("budgets", not wrong, expected, came_text, figures)


def _more(budget: Budget, candidate: Episodes, incumbent: Episodes, seed: int, level: float) -> Interval:
    groups = clusters(candidate)
    ours, theirs = (_statistic(budget, _values(budget, one), groups) for one in (candidate, incumbent))
    return bootstrap(lambda weights: ours(weights) - theirs(weights), int(groups.max()) + 1, seed=seed, level=level)


def _values(budget: Budget, episodes: Episodes) -> np.ndarray:
    if budget.name not in episodes.cost_names:
        raise ValueError(
            f"promotion: budget {budget.name}: the episodes have no such cost; they have "
            f"{', '.join(episodes.cost_names)}"
        )
    sums = episodes.costs[:, episodes.cost_names.index(budget.name)]
    return (sums > 0.0).astype(np.float64) if budget.kind == "probability" else sums


def _statistic(budget: Budget, values: np.ndarray, groups: np.ndarray) -> Statistic:
    if budget.kind == "cvar":
        return lambda weights: expected_shortfall(values, weights[:, groups], budget.alpha)
    return lambda weights: ratio(values, np.ones(len(values)), weights[:, groups])
