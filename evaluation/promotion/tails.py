"""Is a policy's tail better than another's on the same episodes, and its mean no worse?

Three gains, each above zero where the candidate is better, in dollars an episode:

* mean: mean result of the candidate less the reference's;
* CVaR: the reference's mean loss in its worst twentieth of the episodes less the candidate's in its own;
* drawdown: the reference's 95 % quantile of the largest drawdown in an episode less the candidate's.

All are paired: both played the same episodes, and a resample draws the same ones for both, so what both met alike
cancels. Mean and CVaR have BCa intervals. A quantile's jackknife is degenerate (Efron and Tibshirani 1993, chapter 11),
so the drawdown's interval is the percentile one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.bootstrap import LEVEL, RESAMPLES, Interval, Statistic, bootstrap, of_tail, plain
from evaluation.episodes import Episodes, check_pairs, clusters
from evaluation.metrics import TAIL, expected_shortfall, max_drawdown, ratio, value_at_risk
from evaluation.promotion.budgets import Budget, over
from evaluation.promotion.gates import Gate
from sim.types import UUSD

MEAN, CVAR, DRAWDOWN = "mean_usd", "cvar95_usd", "drawdown95_usd"
LABELS = {
    MEAN: "mean result", CVAR: "CVaR 95 % of the loss", DRAWDOWN: "95 % quantile of the largest drawdown",
}  # fmt: skip
_METHOD = {MEAN: "bca", CVAR: "bca", DRAWDOWN: "percentile"}


@dataclass(frozen=True)
class Terms:
    """What "better with confidence" asks for. The lower end of a paired interval must be above what is asked."""

    mean_margin: float = 0.05  # share of the reference's mean, without its sign, that the mean may be lower by
    drawdown_margin: float = 0.05  # share of the reference's drawdown that the drawdown may be deeper by
    slack_usd: float = 0.0  # dollars an episode that every gain may fall short by; 0 but for trials of the machinery
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0  # of the bootstrap

    def __post_init__(self) -> None:
        for name in ("mean_margin", "drawdown_margin", "slack_usd"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"promotion: {name} = {getattr(self, name)}: expected a finite number of 0 or more")

    def options(self, name: str) -> dict[str, Any]:
        """Of `bootstrap`, for a figure or a gain."""
        return {"seed": self.seed, "resamples": self.resamples, "level": self.level, "method": _METHOD[name]}


USUAL = Terms()


def tails(episodes: Episodes, terms: Terms = USUAL) -> dict[str, Interval]:
    """Mean, CVaR and drawdown of one policy's episodes, each with its interval."""
    count, statistics = _statistics(episodes)
    return {name: _interval(name, one, count, terms) for name, one in statistics.items()}


def gains(candidate: Episodes, reference: Episodes, terms: Terms = USUAL) -> dict[str, Interval]:
    """What the candidate gains over the reference, paired, with intervals; above zero = better.

    Raises ValueError where they did not play the same episodes.
    """
    check_pairs(candidate, reference)
    count, ours = _statistics(candidate)
    _, theirs = _statistics(reference)

    def gain(name: str) -> Statistic:
        sign = 1.0 if name == MEAN else -1.0
        return lambda weights: sign * (ours[name](weights) - theirs[name](weights))

    return {name: _interval(name, gain(name), count, terms) for name in LABELS}


def _interval(name: str, statistic: Statistic, count: int, terms: Terms) -> Interval:
    """Too few draws in the tail give its figures no interval, so they do not pass; a trial with slack looks past it."""
    found = bootstrap(statistic, count, **terms.options(name))
    return found if name == MEAN or terms.slack_usd > 0.0 else of_tail(found, count, TAIL)


def idle(episodes: Episodes) -> bool:
    """Whether nothing was risked: every episode came out at zero and never fell."""
    return not episodes.result_uusd.any() and not max_drawdown(episodes.equity_uusd).any()


def tail_gate(name: str, candidate: Episodes, reference: Episodes, who: str, terms: Terms = USUAL) -> Gate:
    """Whether the candidate earns its place against a reference called ``who``.

    Against one that trades: the mean is not lower by more than the margin, the CVaR is better, and the drawdown not
    deeper by more than the margin, each at the lower end of its paired interval. Who risks nothing has no tail to beat:
    against a reference that is `idle` the mean alone is asked, and must be above zero.
    """
    theirs, found = tails(reference, terms), gains(candidate, reference, terms)
    asked = _asked(theirs, terms, nothing_risked=idle(reference))
    lows = {key: found[key].low for key in asked}
    # an interval that is not defined is not above anything
    missed = [key for key, (least, strict) in asked.items() if not _reached(lows[key], least, strict=strict)]
    expected = f"against {who}, " + ", ".join(
        f"{LABELS[key]} better by {'more than' if strict else 'at least'} {least:.4g} dollars"
        for key, (least, strict) in asked.items()
    )
    came = ", ".join(f"{LABELS[key]} {_text(found[key])}" for key in missed or asked)
    return Gate(
        name, not missed, f"{expected} at the lower end of the paired {100 * terms.level:g} % interval", came,
        {
            "reference": who, "episodes": len(candidate), "missed": missed,
            "candidate": {key: plain(one) for key, one in tails(candidate, terms).items()},
            "theirs": {key: plain(one) for key, one in theirs.items()},
            "gain": {key: plain(one) for key, one in found.items()},
            "asked": {key: {"least": least, "strict": strict} for key, (least, strict) in asked.items()},
        },
    )  # fmt: skip


def best_baseline(runs: Mapping[str, Episodes], budgets: tuple[Budget, ...]) -> str:
    """The baseline with the highest mean result among those within the budgets; among all where none is.

    The estimate alone decides whether a baseline is within them: a doubtful one is one more to beat.
    Raises ValueError without baselines.
    """
    if not runs:
        raise ValueError("promotion: no baseline to compare with; expected at least noop")
    able = {name: episodes for name, episodes in runs.items() if not over(budgets, episodes)} or dict(runs)
    return max(able, key=lambda name: able[name].result_uusd.mean())


def _asked(theirs: Mapping[str, Interval], terms: Terms, *, nothing_risked: bool) -> dict[str, tuple[float, bool]]:
    """Gain -> the least lower end, and whether it must be above it and not just at it."""
    slack, strict = terms.slack_usd, terms.slack_usd == 0.0
    if nothing_risked:
        return {MEAN: (0.0 - slack, strict)}
    return {
        MEAN: (-terms.mean_margin * abs(theirs[MEAN].value) - slack, False),
        CVAR: (0.0 - slack, strict),
        DRAWDOWN: (-terms.drawdown_margin * theirs[DRAWDOWN].value - slack, False),
    }


def _reached(low: float, least: float, *, strict: bool) -> bool:
    return bool(low > least if strict else low >= least)


def _statistics(episodes: Episodes) -> tuple[int, dict[str, Statistic]]:
    """How many clusters there are, and each figure as a function of their weights."""
    groups = clusters(episodes)
    result, fall = episodes.result_uusd / UUSD, max_drawdown(episodes.equity_uusd) / UUSD
    one = np.ones(len(result))
    return int(groups.max()) + 1, {
        MEAN: lambda weights: ratio(result, one, weights[:, groups]),
        CVAR: lambda weights: expected_shortfall(-result, weights[:, groups]),
        DRAWDOWN: lambda weights: value_at_risk(fall, weights[:, groups]),
    }


def _text(interval: Interval) -> str:
    value, low, high = (0.0 + end for end in interval)  # no -0
    return f"{value:+.4g} [{low:+.4g}, {high:+.4g}]"
