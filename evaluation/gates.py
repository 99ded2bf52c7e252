"""Whether a policy has learnt a lesson: figures on validation rows against thresholds, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr

from evaluation.bootstrap import Interval, bootstrap, plain
from evaluation.episodes import Episodes
from evaluation.estimates import daily_usd
from evaluation.metrics import max_drawdown, sharpe, value_at_risk
from evaluation.patterns import Success
from sim.types import UUSD

DEPTH = 5  # halvings of the rows: 32 buckets
LEAST_BUCKETS = 30
LEAST_ENTRIES = 100  # on patterns: fewer say nothing of a share
LEAST_TRADED = 0.5  # of the days: idle ones have no risk, and make any ratio look good
WORST = 0.99  # of the episodes fall less: the very largest fall would only say how many were played
_Z95 = 1.959964


class Thresholds(NamedTuple):
    """What is asked for; None = nothing. See `curricula.phase.Gate`."""

    success: float | None = None
    sharpe: float | None = None
    drawdown: float | None = None
    generalisation: float | None = None


class Figures(NamedTuple):
    """What a gate asks of E episodes of a policy, over D days."""

    result_usd: np.ndarray  # (E,)
    daily_usd: np.ndarray  # (D,) their sums, see `evaluation.estimates.daily_usd`
    fall: np.ndarray  # (E,) the largest from a peak, share of the cash


def figures_of(episodes: Episodes) -> Figures:
    """The figures of ``episodes``, without their paths."""
    falls = max_drawdown(episodes.equity_uusd) / episodes.start_uusd
    return Figures(episodes.result_uusd / UUSD, daily_usd(episodes), falls)


class Verdict(NamedTuple):
    """One question, what was measured, and whether that is enough. Figures that are not defined are not enough."""

    name: str
    wanted: str
    figure: Interval
    passed: bool
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: null stands for what is not defined."""
        return {
            "name": self.name,
            "wanted": self.wanted,
            **plain(self.figure),
            "passed": self.passed,
            "note": self.note,
        }


def verdicts(
    asked: Thresholds,
    validation: Figures,
    *,
    agent: Success | None,
    random: Success | None,
    generalisation: Interval | None,
    seed: int = 0,
) -> list[Verdict]:
    """A verdict for each threshold that is not None.

    ``agent`` and ``random``: of entries on patterns. ``generalisation``: see `rank_correlation`; None = not measured,
    which does not pass.
    """
    found: list[Verdict] = []
    if asked.success is not None:
        assert agent is not None and random is not None
        found.append(_success(asked.success, agent, random))
    if asked.sharpe is not None:
        found.append(_sharpe(asked.sharpe, validation, seed))
    if asked.drawdown is not None:
        found.append(_drawdown(asked.drawdown, validation, seed))
    if asked.generalisation is not None:
        found.append(_generalisation(asked.generalisation, generalisation))
    return found


def _success(least: float, agent: Success, random: Success) -> Verdict:
    enough = agent.entries >= LEAST_ENTRIES and agent.share.value > least
    enough = enough and not agent.share.value <= random.share.value  # a random policy that met none is nothing to beat
    return Verdict(
        "success", f"more than {least:.0%} of entries on a pattern gain, and more than random's", agent.share, enough,
        f"{agent.entries:,} entries; random {random.share.value:.1%} of {random.entries:,}",
    )  # fmt: skip


def _sharpe(least: float, validation: Figures, seed: int) -> Verdict:
    daily = validation.daily_usd
    figure = bootstrap(lambda weights: sharpe(daily, weights), len(daily), seed=seed)
    wanted = f"more than {least:g} a year, of daily sums"
    traded = float(np.mean(daily != 0.0))
    enough = figure.value > least and traded >= LEAST_TRADED
    return Verdict("sharpe", wanted, figure, enough, f"{len(daily)} days, {traded:.0%} of them traded")


def _drawdown(most: float, validation: Figures, seed: int) -> Verdict:
    falls = validation.fall
    figure = bootstrap(lambda weights: value_at_risk(falls, weights, WORST), len(falls), seed=seed)
    wanted = f"less than {most:.0%} of the cash, the largest fall within an episode in {WORST:.0%} of them"
    return Verdict("drawdown", wanted, figure, figure.value < most, f"the worst of {len(falls):,}: {falls.max():.1%}")


def _generalisation(least: float, found: Interval | None) -> Verdict:
    figure = found or Interval(math.nan, math.nan, math.nan)
    wanted = (
        f"rank correlation above {least:g} of validation with training results, over {LEAST_BUCKETS} buckets or more"
    )
    note = "" if found else "there are not that many buckets of rows to compare"
    return Verdict("generalisation", wanted, figure, figure.value > least, note)


def rank_correlation(rows: tuple[np.ndarray, np.ndarray], results: tuple[np.ndarray, np.ndarray]) -> Interval | None:
    """Spearman's correlation of results on validation rows with those on training rows, over buckets of rows.

    ``rows``: of each training and validation episode, ``(E,)`` ROW; ``results`` its dollars. Buckets are 32 boxes: the
    training episodes are halved at the median of the field that goes with the result most, each half by the next
    field, and so on, so no validation result has a say in them. The interval is Fisher's with the variance of Bonett
    and Wright (2000). None where fewer than 30 boxes hold episodes of both.
    """
    boxes = _boxes(*rows, results[0])
    means = []
    for box, result in zip(boxes, results, strict=True):
        count = np.bincount(box, minlength=2**DEPTH)
        means.append(np.bincount(box, result, 2**DEPTH) / np.where(count > 0, count, np.nan))
    both = np.isfinite(means[0]) & np.isfinite(means[1])
    if both.sum() < LEAST_BUCKETS or np.ptp(means[0][both]) == 0 or np.ptp(means[1][both]) == 0:
        return None
    value = float(spearmanr(means[0][both], means[1][both]).statistic)
    half = _Z95 * math.sqrt((1.0 + value**2 / 2.0) / (int(both.sum()) - 3))
    middle = math.atanh(min(max(value, -1 + 1e-9), 1 - 1e-9))
    return Interval(value, math.tanh(middle - half), math.tanh(middle + half))


def _boxes(training: np.ndarray, validation: np.ndarray, result: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The box of every training and of every validation episode."""
    names = [name for name in training.dtype.names if _divides(training[name])]  # type: ignore[union-attr]
    strength = {name: abs(float(spearmanr(training[name], result).statistic)) for name in names}
    order = sorted(names, key=lambda name: -strength[name])
    boxes = np.zeros(len(training), np.int64), np.zeros(len(validation), np.int64)
    for level in range(DEPTH if order else 0):
        name = order[level % len(order)]
        cuts = np.array([_median(training[name][boxes[0] == box]) for box in range(2**level)])
        boxes = tuple(  # type: ignore[assignment]
            2 * box + (rows[name] > cuts[box]) for box, rows in zip(boxes, (training, validation), strict=True)
        )
    return boxes


def _divides(values: np.ndarray) -> bool:
    """Whether a median halves them: not where a third or more are one and the same."""
    return int(np.unique(values, return_counts=True)[1].max()) < len(values) / 3


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else 0.0


def verdict_lines(found: Mapping[str, Any]) -> list[str]:
    """What `measure` found, a line a question, for a terminal."""
    return [
        f"{'passed' if entry['passed'] else 'FAILED'}  {entry['name']}: {_shown(entry)}; wanted {entry['wanted']}"
        + (f" ({entry['note']})" if entry["note"] else "")
        for entry in found["verdicts"]
    ]


def _shown(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        return "not defined"
    around = "" if entry["low"] is None else f" [{entry['low']:.4g}, {entry['high']:.4g}]"
    return f"{entry['value']:.4g}{around}"
