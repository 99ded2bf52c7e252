"""The search loop: propose, score, and look again at what scored beyond the threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from curricula.adversary.searchers import Searcher


class Hunt(NamedTuple):
    """What a search came to."""

    point: np.ndarray | None  # (D,) the confirmed failure; None = none within the budget
    evaluations: int  # points that were scored, up to and with the failure where there is one
    rejected: int  # points beyond the threshold that fresh chance did not confirm
    best: float  # highest score seen
    generations: int  # that were scored


def hunt(
    searcher: Searcher,
    score: Callable[[np.ndarray, int], np.ndarray],
    confirm: Callable[[np.ndarray], bool],
    threshold: float,
    evaluations: int,
) -> Hunt:
    """Search until a point fails, or ``evaluations`` points have been scored.

    Args:
        searcher: see `curricula.adversary.searchers`.
        score: ``(n, D)`` points and the number of their generation to ``(n,)`` scores. The points of a generation
            should meet the same chance, so that they are compared fairly, and each generation other chance: a search
            that always meets the same learns where that chance is unlucky, and not where the policy is weak.
        confirm: whether a point ``(D,)`` fails on chance that the search has not seen, other chance with every call:
            hundreds are asked about, and some are lucky on any chance that stays the same.
        threshold: a score above it is a failure, once it is confirmed.
        evaluations: budget. Scoring stops with the last point that fits; what `confirm` plays is not counted.

    A generation's points are confirmed in the order they were asked for, so ``evaluations`` counts as if they had been
    scored one by one. The searcher is told of every whole generation, the last one included. Raises ValueError for a
    budget below one.
    """
    if evaluations < 1:
        raise ValueError(f"hunt: expected a budget of at least one evaluation, got {evaluations}")
    used, rejected, best, generation = 0, 0, -np.inf, 0
    while used < evaluations:
        asked = searcher.ask()
        points = asked[: evaluations - used]
        scores = score(points, generation)
        best = max(best, float(scores.max()))
        if len(points) == len(asked):
            searcher.tell(points, scores)  # before it may end here: whoever goes on with it, goes on from this
        for index in np.flatnonzero(scores > threshold):
            if confirm(points[index]):
                return Hunt(points[index], used + int(index) + 1, rejected, best, generation + 1)
            rejected += 1
        used, generation = used + len(points), generation + 1
    return Hunt(None, used, rejected, best, generation)


def deepen(
    searcher: Searcher,
    score: Callable[[np.ndarray, int], np.ndarray],
    judge: Callable[[np.ndarray], float],
    found: np.ndarray,
    first: int,
    generations: int,
) -> np.ndarray:
    """Go on behind a confirmed failure ``found`` (D,) for so many generations, and take the worst of what they show.

    A search that stops at its first failure stops at the edge of what fails, where every field looks needed.
    ``first``: number of the first of these generations. ``judge``: the score of a point on chance that the search has
    not seen; the best of each generation and ``found`` are compared by it. What is best of several there is too good:
    no proof rests on that chance.
    """
    worst, most = found, judge(found)
    for generation in range(first, first + generations):
        points = searcher.ask()
        scores = score(points, generation)
        searcher.tell(points, scores)
        leader = points[int(np.argmax(scores))]
        value = judge(leader)
        if value > most:
            worst, most = leader, value
    return worst
