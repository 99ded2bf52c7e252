"""A policy that is hunted: how it scores on rows, and whether it fails on one for certain.

Whoever looks at hundreds of rows finds some that are only unlucky. What is declared a failure is therefore tested on
episodes that nothing was chosen by, and the tests of one search share one chance to be wrong: test k of a search (k =
1, 2, ...) has a level of

    alpha_k = ALPHA / k**2 / (1 + 1/4 + ... + 1/TESTS**2),

so that over all of them the chance of any false declaration is at most ALPHA (Bonferroni's inequality; the weights are
spending as in D. Foster and R. Stine, Alpha-investing, JRSS B 70 (2008), without its earnings). A candidate comes to a
test only where it failed a screening, which declares nothing and so costs nothing.

Every look has chance of its own: seeds follow from the search's seed, the purpose of the look, and its number.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from evaluation.adversary import Player, fails, find_score, score_interval, scores
from evaluation.bootstrap import RESAMPLES, Interval
from evaluation.seeds import derived_seed

ALPHA = 0.05  # chance that a search declares any failure where there is none, at most
TESTS = 12  # that a search may make; the last one has a level of 0.02 %
MARGIN = 2.0  # a minimised failure keeps so many times the distance to the end of its interval from the threshold
SCREEN = 0.0025  # level of a screening: what only touches the threshold must not use up the tests
LEAST_EPISODES = 16  # of a test
_TAIL_RESAMPLES = 20  # resamples beyond the end that a test looks at, on average
_SCORE, _SCREEN, _TEST, _GLIMPSE = 0xAD01, 0xAD02, 0xAD03, 0xAD04


class Verdict(NamedTuple):
    """What came of a test."""

    failed: bool
    value: float  # the score, on the test's own episodes
    seed: int  # of those episodes


def level_of(number: int) -> float:
    """alpha_k of test ``number``, from 1 to TESTS; see the module."""
    return ALPHA / number**2 / sum(1.0 / k**2 for k in range(1, TESTS + 1))


class Prey:
    """One policy in one search, with the search's ``seed``.

    Raises ValueError for an unknown score, too few episodes to confirm on, or a seed below 0.
    """

    def __init__(
        self, play: Player, score: str, threshold: float, *, episodes: int, confirm_episodes: int, seed: int
    ) -> None:
        find_score(score)
        if confirm_episodes < LEAST_EPISODES or episodes < 1 or seed < 0:
            raise ValueError(
                f"adversary: expected an episode or more to score on, {LEAST_EPISODES} or more to confirm on, and a "
                f"seed from 0 on, got {episodes}, {confirm_episodes} and {seed}"
            )
        self.play, self.score, self.threshold = play, score, threshold
        self.episodes, self.confirm_episodes, self.seed = episodes, confirm_episodes, seed
        self.screened = self.tests = 0  # looks taken so far

    def scores(self, rows: np.ndarray, generation: int) -> np.ndarray:
        """``(C,)`` scores of rows, each generation on chance of its own; what a search climbs."""
        return scores(self.play(rows, self.episodes, derived_seed(self.seed, _SCORE, generation)), self.score)

    def confirm(self, row: np.ndarray) -> bool:
        """Whether a row fails: it is screened on fresh episodes, and tested on others where it failed there."""
        if self.tests == TESTS:
            return False
        self.screened += 1
        seed = derived_seed(self.seed, _SCREEN, self.screened)
        return fails(self._interval(row, seed, SCREEN), self.threshold) and self.test(row).failed

    def test(self, row: np.ndarray) -> Verdict:
        """The next test of this search, on episodes that nothing has met; once all are spent, nothing fails any more.

        A row fails where the lower end of the score's one-sided interval at the test's level is above the threshold.
        """
        if self.tests == TESTS:
            return Verdict(False, math.nan, 0)
        self.tests += 1
        seed = derived_seed(self.seed, _TEST, self.tests)
        interval = self._interval(row, seed, level_of(self.tests))
        return Verdict(fails(interval, self.threshold), interval.value, seed)

    def glimpse(self, row: np.ndarray) -> float:
        """The score of a row on one set of episodes kept for choosing among rows: no test will meet them."""
        return self._glimpsed(row).value

    def holds(self, row: np.ndarray) -> bool:
        """Whether a row fails by a margin on the episodes of `glimpse`: what minimisation goes by.

        Minimisation ends where the failure is about to vanish; without a margin it would not outlive fresh episodes.
        """
        interval = self._glimpsed(row, level_of(min(self.tests + 1, TESTS)))
        return bool(interval.value - MARGIN * (interval.value - interval.low) > self.threshold)

    def _glimpsed(self, row: np.ndarray, alpha: float = SCREEN) -> Interval:
        return self._interval(row, derived_seed(self.seed, _GLIMPSE, 0), alpha)

    def _interval(self, row: np.ndarray, seed: int, alpha: float) -> Interval:
        """The score with an interval whose lower end is wrong with probability ``alpha``."""
        resamples = max(RESAMPLES, math.ceil(_TAIL_RESAMPLES / alpha))
        played = self.play(row, self.confirm_episodes, seed)
        return score_interval(played, self.score, level=1.0 - 2.0 * alpha, resamples=resamples)
