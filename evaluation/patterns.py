"""Patterns that a policy may trade on, read off its observations, and how often its entries on them gained.

An entry is a fill that opens or adds to a position. It is on a pattern where the last observation before it shows one:
there its order was sent, or left to rest. It gained where a contract was worth more, 30 s after the fill, than it cost
with its fee: the mid then, or the payout where the market had settled, or the last mid where the episode had ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evaluation.bootstrap import Interval, bootstrap
from evaluation.episodes import Episodes, clusters, column_at, value2_at
from evaluation.estimates import entry_lots
from evaluation.metrics import ratio
from evaluation.rollout import Policy
from evaluation.wrapped import Wrapped
from sim.types import SECOND_NS

HORIZON_S = 30
_TWO_CENTS = 0.02 / (0.02 + 0.05)  # as soft(x, 0.05) shows it
_A_CENT = 0.01 / (0.01 + 0.05)


class Pattern(NamedTuple):
    """What the observation shows where there is one."""

    features: tuple[str, ...]  # the largest magnitude among them counts; of `near` the smallest
    least: float
    near: bool
    text: str


PATTERNS: dict[str, Pattern] = {
    "signal": Pattern(("signal_edge",), _TWO_CENTS, False, "a forecast 2 cents or more from the mid"),
    "flow": Pattern(("taker_imbalance_fast",), 0.5, False, "three takers of four on one side in the last seconds"),
    "anchor": Pattern(("anchor_25", "anchor_50", "anchor_75"), _TWO_CENTS, True, "a mid within 2 cents of an anchor"),
    "cascade": Pattern(("cascade",), 0.3, False, "depth that falls while takers press one side"),
    "link": Pattern(("link_violation",), _A_CENT, False, "mids that break a bound by a cent or more"),
}


class Success(NamedTuple):
    """Entries on patterns, and how many of them gained."""

    share: Interval
    entries: int


class Watcher(Wrapped):
    """A policy that notes where its observations show one of ``patterns``.

    ``observation`` names the columns, as a spec sheet has them: with M markets side by side ``market_0.NAME`` ...
    Raises ValueError for a pattern that is none, or whose features are not observed.
    """

    def __init__(self, policy: Policy, patterns: Sequence[str], observation: Sequence[str], markets: int) -> None:
        super().__init__(policy)
        self.markets = markets
        self._columns = pattern_columns(patterns, observation, markets)
        self._patterns = [PATTERNS[name] for name in patterns]
        self._calls: list[np.ndarray] = []
        self._starts: list[list[int]] = []  # of each environment: the call that each of its episodes began with

    def begin(self, mask: np.ndarray) -> None:
        """Episodes of the environments in ``mask`` were reset."""
        self._starts = self._starts or [[] for _ in mask]
        for env in np.flatnonzero(mask).tolist():
            self._starts[env].append(len(self._calls))
        super().begin(mask)

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """What the policy does."""
        seen = np.zeros((len(observations), self.markets, len(self._patterns)), np.bool_)
        for index, (pattern, columns) in enumerate(zip(self._patterns, self._columns, strict=True)):
            size = np.abs(observations[:, columns])  # (N, M, features of the pattern)
            near = size.min(axis=2) <= pattern.least
            seen[..., index] = near if pattern.near else size.max(axis=2) >= pattern.least
        self._calls.append(seen)
        return super().act(observations, masks)

    def looks(self, episodes: Episodes) -> np.ndarray:
        """``(P,)``: of all looks at a market of ``episodes``, which it has just played, the share that showed each."""
        found, total = np.zeros(len(self._patterns)), 0
        for place, env, steps in zip(self._places(episodes), episodes.slot, episodes.steps, strict=True):
            seen = [call[env] for call in self._calls[place : place + steps]]
            found += np.sum(seen, axis=(0, 1))
            total += len(seen) * self.markets
        return found / total

    def _places(self, episodes: Episodes) -> np.ndarray:
        """``(E,)`` int64: the call that each episode began with."""
        place, turns = np.zeros(len(episodes), np.int64), [0] * len(self._starts)
        for number, env in enumerate(episodes.slot.tolist()):
            place[number] = self._starts[env][turns[env]]
            turns[env] += 1
        return place

    def shown(self, episodes: Episodes) -> np.ndarray:
        """``(F, P)`` bool: the fills of ``episodes``, which it has just played, that were decided on each pattern."""
        if not len(episodes.fill):
            return np.zeros((0, len(self._patterns)), np.bool_)
        calls = np.stack(self._calls)
        at = self._places(episodes)[episodes.fill_episode] + episodes.fill_step
        return calls[at, episodes.slot[episodes.fill_episode], episodes.fill["market"]]


def gained_entries(episodes: Episodes, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(F,)`` bool each: the fills in ``shown`` that are entries, and those of them that gained."""
    counted = shown & (entry_lots(episodes) > 0)
    return counted, counted & (_gain2_uusd(episodes) > 0)


def entries_by_cluster(episodes: Episodes, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(C,)`` each, by what a bootstrap draws: the entries in ``shown`` that gained, and all of them."""
    counted, gained = gained_entries(episodes, shown)
    cluster = clusters(episodes)
    of_fill, size = cluster[episodes.fill_episode], int(cluster.max()) + 1
    return np.bincount(of_fill, gained, size), np.bincount(of_fill, counted, size)


def success(episodes: Episodes, shown: np.ndarray, *, seed: int = 0) -> Success:
    """Share of the entries in ``shown`` that gained, with its interval; a cluster is drawn as a whole."""
    gained, counted = entries_by_cluster(episodes, shown)
    share = bootstrap(lambda weights: ratio(gained, counted, weights), len(counted), seed=seed)
    return Success(share, int(counted.sum()))


def _gain2_uusd(episodes: Episodes) -> np.ndarray:
    """``(F,)`` int64: twice what each fill had gained after `HORIZON_S`, its fee paid."""
    fill, episode = episodes.fill, episodes.fill_episode
    until = fill["ns"] - episodes.start_ns[episode] + HORIZON_S * SECOND_NS
    column = np.minimum(column_at(episodes, episode, until), episodes.steps[episode])
    value2, _ = value2_at(episodes, episodes.fill_lane, column)
    return fill["qty"] * (value2 - 2 * fill["px"].astype(np.int64)) - 2 * fill["fee_uusd"]


def pattern_columns(patterns: Sequence[str], observation: Sequence[str], markets: int) -> list[np.ndarray]:
    """``(M, features)`` int64 for each of ``patterns``: where its features stand in an observation; see `Watcher`."""
    return [_columns(name, list(observation), markets) for name in patterns]


def _columns(name: str, observation: list[str], markets: int) -> np.ndarray:
    """``(M, features)`` int64: where a pattern's features stand."""
    if name not in PATTERNS:
        raise ValueError(f"pattern {name!r}: expected one of {', '.join(PATTERNS)}")
    features = PATTERNS[name].features
    wanted = [[f"market_{m}.{f}" if markets > 1 else f for f in features] for m in range(markets)]
    missing = [feature for row in wanted for feature in row if feature not in observation]
    if missing:
        raise ValueError(f"pattern {name}: {missing[0]} is not observed; add its group to env.features")
    return np.array([[observation.index(feature) for feature in row] for row in wanted])


def observed_patterns(observation: Sequence[str], markets: int) -> list[str]:
    """Names of the patterns whose features stand in an observation."""
    first = "market_0." if markets > 1 else ""
    return [
        name
        for name, entry in PATTERNS.items()
        if all(f"{first}{feature}" in observation for feature in entry.features)
    ]
