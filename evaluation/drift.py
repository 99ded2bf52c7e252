"""Whether a policy still does what it did: strength of patterns, entries on them, and money, then and now.

Two triggers ask for a refresh: performance, where the mean result of an episode fell by more than a fifth of what it
was, and accuracy, where the share of entries on patterns that gain fell by more than 15 points. Each change has its
interval: where that holds 0, chance alone explains it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluation.bootstrap import Interval, bootstrap
from evaluation.episodes import Episodes, clusters
from evaluation.metrics import ratio
from evaluation.patterns import entries_by_cluster
from sim.types import UUSD

PERFORMANCE = 0.20  # share of the reference's mean result
ACCURACY = 0.15  # of the share of entries that gain


class Seen(NamedTuple):
    """A policy's episodes, and the patterns that its observations showed."""

    episodes: Episodes
    fills: np.ndarray  # (F, P) bool: the fill was decided on the pattern
    looks: np.ndarray  # (P,) share of its looks, market by market, that showed the pattern


class Change(NamedTuple):
    """One figure then and now; ``change`` = now less then, with its interval; ``fell``: it trips the trigger."""

    name: str
    then: float
    now: float
    change: Interval
    fell: bool


def drift(then: Seen, now: Seen, patterns: Sequence[str], *, seed: int = 0) -> list[Change]:
    """Performance, accuracy over all patterns, and for each pattern how often it shows and its accuracy.

    Only the first two are triggers. Where a figure is not defined, then or now, nothing has been seen to fall.
    """
    money = _change("performance", _results(then), _results(now), seed)
    fell = money.then > 0.0 and money.change.value < -PERFORMANCE * money.then
    found = [money._replace(fell=fell)]
    total = _change("accuracy", _accuracy(then, None), _accuracy(now, None), seed)
    found.append(total._replace(fell=total.change.value < -ACCURACY))
    for index, name in enumerate(patterns):
        looks = float(now.looks[index] - then.looks[index])
        strength = Interval(looks, float("nan"), float("nan"))
        found.append(Change(f"{name}_strength", float(then.looks[index]), float(now.looks[index]), strength, False))
        found.append(_change(f"{name}_accuracy", _accuracy(then, index), _accuracy(now, index), seed))
    return found


def as_report(found: Sequence[Change]) -> dict[str, Any]:
    """Plain JSON values: null stands for what is not defined; ``refresh`` where a trigger was tripped."""
    changes = {entry.name: _plain(entry) for entry in found}
    return {"refresh": any(entry.fell for entry in found), "changes": changes}


def lines(report: Mapping[str, Any]) -> list[str]:
    """The report for a terminal, a figure a line."""
    return [
        f"{'FELL ' if entry['fell'] else '     '}{name:20s} {_shown(entry['then'])} -> {_shown(entry['now'])}"
        + (
            ""
            if entry["low"] is None
            else f"   change {entry['change']:+.4g} [{entry['low']:+.4g}, {entry['high']:+.4g}]"
        )
        for name, entry in report["changes"].items()
    ]


class _Parts(NamedTuple):
    above: np.ndarray  # (C,) by cluster
    below: np.ndarray


def _results(seen: Seen) -> _Parts:
    cluster = clusters(seen.episodes)
    size = int(cluster.max()) + 1
    return _Parts(np.bincount(cluster, seen.episodes.result_uusd / UUSD, size), np.bincount(cluster, minlength=size))


def _accuracy(seen: Seen, pattern: int | None) -> _Parts:
    """Entries that gained and all entries, on one pattern or on any."""
    shown = np.any(seen.fills, axis=1) if pattern is None else seen.fills[:, pattern]
    return _Parts(*entries_by_cluster(seen.episodes, shown))


def _change(name: str, then: _Parts, now: _Parts, seed: int) -> Change:
    """Clusters of both sides are drawn from one pool: how many fall to a side varies, and a ratio does not mind."""
    sizes = len(then.above), len(now.above)

    def difference(weights: np.ndarray) -> np.ndarray:
        old, new = weights[:, : sizes[0]], weights[:, sizes[0] :]
        return ratio(now.above, now.below, new) - ratio(then.above, then.below, old)

    before, after = (float(ratio(part.above, part.below, np.ones((1, len(part.above))))[0]) for part in (then, now))
    return Change(name, before, after, bootstrap(difference, sum(sizes), seed=seed), False)


def _plain(entry: Change) -> dict[str, Any]:
    numbers = {
        "then": entry.then, "now": entry.now, "change": entry.change.value, "low": entry.change.low,
        "high": entry.change.high,
    }  # fmt: skip
    return {key: None if np.isnan(value) else value for key, value in numbers.items()} | {"fell": entry.fell}


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
