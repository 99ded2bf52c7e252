"""Can a classifier tell windows of a synthetic market from recorded ones?

Features of 30-second windows go into a logistic regression on all features, their squares and products, with a ridge
penalty. It is trained on some markets and scores the others, so it never sees the market it judges. The score is the
AUC: the chance that a synthetic window gets a higher score than a recorded one; 0.5 is what guessing gives, 1.0 means
that every window is told apart. Two days of one recording against each other give the number to compare it with.

The price itself is not a feature, and windows count only where the mid is within 10 to 90 cents: a set of markets that
happened to trade elsewhere is no sign of a false one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import rankdata

from sim.scenarios.pooled import mid2_at
from sim.scenarios.trace import Feed, Trace
from sim.types import MICRO_PER_LOT, SECOND_NS

WINDOW_S = 30
LEAST_WINDOWS = 20  # of each kind
MOST_WINDOWS = 100  # of one market, evenly spread over it
_LEAST_KNOWN = 0.8  # share of the window with a two-sided book
_MIDS = (2_000, 18_000)  # sums of bid and ask, 1e-4 dollar
_CONTRACT = 100 * MICRO_PER_LOT
_FOLDS = 5
_RIDGE = 1e-2  # of the mean loss a window, for standardised features
_RESAMPLES = 500

# Names by the family that a feed must show
_FEATURES = {
    "spread": ("log mean spread", "share of the time at the narrowest spread"),
    "moves": ("log mid changes", "log range", "log path", "log largest 1 s move", "seconds with a move"),
    "messages": ("log changes", "log median gap", "unevenness of changes"),
    "touch": ("log removed at the touch", "log added at the touch"),
    "depth": ("log level 1", "log level 2", "log levels 3 to 5", "imbalance of level 1"),
    "trades": ("log prints", "log volume"),
}


class Score(NamedTuple):
    """How well windows of the second market are told from those of the first."""

    auc: float
    low: float  # 95 % interval, resampling markets
    high: float
    first: int  # windows
    second: int


def feature_names(feed: Feed) -> tuple[str, ...]:
    """Names of the features that ``feed`` allows; depth below the touch only where it shows five levels."""
    names = [name for family, part in _FEATURES.items() if family in feed.families for name in part]
    return tuple(name for name in names if feed.levels >= 5 or name not in ("log level 2", "log levels 3 to 5"))


def windows(one: Trace, feed: Feed) -> np.ndarray:
    """``(windows, features)`` of whole windows of a trace in which its book was known and its mid in range.

    A trace with room for more than MOST_WINDOWS is looked at in as many, evenly spread.
    """
    names = feature_names(feed)
    if not len(one.state_ns):
        return np.zeros((0, len(names)))
    first = int(one.state_ns[0])
    room = (one.end_ns - first) // (WINDOW_S * SECOND_NS)
    rows = []
    for number in range(min(room, MOST_WINDOWS)):
        start = first + number * room // min(room, MOST_WINDOWS) * WINDOW_S * SECOND_NS
        found = _window(one, start, start + WINDOW_S * SECOND_NS)
        if found:
            rows.append([found[name] for name in names])
    return np.array(rows, np.float64).reshape(-1, len(names))


def score(first: Sequence[Sequence[Trace]], second: Sequence[Sequence[Trace]], feed: Feed, seed: int = 0) -> Score:
    """Tell windows of ``second`` from those of ``first``. Each item is all traces of a market, which is judged unseen.

    The segments of one market and the two sides of one game belong together: a classifier that learnt from one would
    know the other by its game. ``seed`` draws the resamples of the interval. Raises ValueError for fewer than 20
    windows or two markets of a kind.
    """
    kinds = [[rows for one in markets if len(rows := _market_windows(one, feed))] for markets in (first, second)]
    counts = [sum(map(len, kind)) for kind in kinds]
    for which, kind, count in zip(("first", "second"), kinds, counts, strict=True):
        if len(kind) < 2 or count < LEAST_WINDOWS:
            raise ValueError(
                f"classifier: {count} windows of {len(kind)} markets in the {which} kind; expected at least "
                f"{LEAST_WINDOWS} of two or more, each {WINDOW_S} s with a known mid of 10 to 90 cents"
            )
    rows = np.concatenate([market for kind in kinds for market in kind])
    label = np.repeat([0.0, 1.0], counts)
    market = np.repeat(np.arange(len(kinds[0]) + len(kinds[1])), [len(one) for kind in kinds for one in kind])
    scores = _unseen_scores(rows, label, market, _fold_of(kinds))
    low, high = _interval(scores, label, market, seed)
    return Score(auc(scores, label), low, high, *counts)


def _market_windows(traces: Sequence[Trace], feed: Feed) -> np.ndarray:
    return np.concatenate([windows(one, feed) for one in traces])


def auc(scores: np.ndarray, label: np.ndarray) -> float:
    """Chance that a row of label 1 has a higher score than one of label 0; ties count half (Mann-Whitney)."""
    ones = float(label.sum())
    zeros = len(label) - ones
    return float((rankdata(scores)[label == 1.0].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _window(one: Trace, start: int, end: int) -> dict[str, float]:
    """Features of one window by name; empty where its book is not known enough or its mid is out of range."""
    states = slice(max(int(np.searchsorted(one.state_ns, start, "right")) - 1, 0), np.searchsorted(one.state_ns, end))
    stamps = np.clip(one.state_ns[states], start, end)
    seconds = np.diff(stamps, append=end) / SECOND_NS
    bid, ask = one.bid_px[states], one.ask_px[states]
    known = bid > 0
    time = float(seconds[known].sum())
    if time < _LEAST_KNOWN * WINDOW_S:
        return {}
    mid2 = bid + ask
    if not _MIDS[0] <= float(mid2[known] @ seconds[known]) / time <= _MIDS[1]:
        return {}
    spread = (ask - bid)[known]
    narrow = seconds[known][spread == spread.min()].sum() / time
    found = {
        "log mean spread": float(np.log(spread @ seconds[known] / time)),
        "share of the time at the narrowest spread": float(narrow),
    }
    found.update(_mid_features(one, start, mid2[known]))
    found.update(_change_features(one, start, end))
    found.update(_depth_features(one, start, end))
    return found


def _mid_features(one: Trace, start: int, mid2: np.ndarray) -> dict[str, float]:
    steps = np.abs(np.diff(mid2)) / 200  # cents
    each_second = mid2_at(one, start + SECOND_NS * np.arange(WINDOW_S + 1, dtype=np.int64))
    moves = np.abs(np.diff(each_second))[(each_second[1:] > 0) & (each_second[:-1] > 0)] / 200
    return {
        "log mid changes": float(np.log1p((steps > 0).sum())),
        "log range": float(np.log(0.25 + (mid2.max() - mid2.min()) / 200)),
        "log path": float(np.log(0.25 + steps.sum())),
        "log largest 1 s move": float(np.log(0.25 + moves.max(initial=0.0))),
        "seconds with a move": float((moves > 0).sum()),
    }


def _change_features(one: Trace, start: int, end: int) -> dict[str, float]:
    """Of changes of the book and prints."""
    changes = slice(*np.searchsorted(one.message_ns, (start, end)))
    stamps, touch = one.message_ns[changes], one.touch_qty[changes] / _CONTRACT
    gaps = np.diff(stamps)
    gaps = gaps[gaps > 0] / SECOND_NS
    by_second = np.bincount((stamps - start) // SECOND_NS, minlength=WINDOW_S)
    prints = one.trade_qty[slice(*np.searchsorted(one.trade_ns, (start, end)))] / _CONTRACT
    return {
        "log changes": float(np.log1p(len(stamps))),
        "log median gap": float(np.log(1e-4 + np.median(gaps))) if len(gaps) else float(np.log(WINDOW_S)),
        "unevenness of changes": float(by_second.std() / max(by_second.mean(), 1e-9)),
        "log removed at the touch": float(np.log1p(-touch[touch < 0].sum())),
        "log added at the touch": float(np.log1p(touch[touch > 0].sum())),
        "log prints": float(np.log1p(len(prints))),
        "log volume": float(np.log1p(prints.sum())),
    }


def _depth_features(one: Trace, start: int, end: int) -> dict[str, float]:
    samples = slice(*np.searchsorted(one.depth_ns, (start, end)))
    weight = one.depth_weight[samples].astype(np.float64)
    if not weight.sum():
        return {"log level 1": 0.0, "log level 2": 0.0, "log levels 3 to 5": 0.0, "imbalance of level 1": 0.0}
    sizes = one.depth_qty[samples] / _CONTRACT
    mean = np.tensordot(weight / weight.sum(), np.log1p(sizes), 1)  # (2, 10)
    first = sizes[:, :, 0]
    lean = np.abs(first[:, 0] - first[:, 1]) / np.maximum(first.sum(axis=1), 1e-9)
    return {
        "log level 1": float(mean[:, 0].mean()),
        "log level 2": float(mean[:, 1].mean()),
        "log levels 3 to 5": float(mean[:, 2:5].mean()),
        "imbalance of level 1": float(lean @ weight / weight.sum()),
    }


def _fold_of(kinds: list[list[np.ndarray]]) -> np.ndarray:
    """Fold of each market: by turns within its kind, so that every fold trains on both."""
    return np.concatenate([np.arange(len(kind)) % min(_FOLDS, len(kind)) for kind in kinds])


def _unseen_scores(rows: np.ndarray, label: np.ndarray, market: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Score of every row by a fit that saw none of its fold's markets."""
    scores = np.zeros(len(rows))
    for number in np.unique(fold):
        held = fold[market] == number
        if len(np.unique(label[~held])) < 2 or not held.any():
            continue
        fitted = _Logistic(rows[~held], label[~held])
        scores[held] = fitted.logit(rows[held])
    return scores


class _Logistic:
    """Ridge-penalised logistic regression on standardised features, their squares and products; classes weigh alike."""

    def __init__(self, rows: np.ndarray, label: np.ndarray) -> None:
        self._centre, self._scale = rows.mean(axis=0), rows.std(axis=0) + 1e-9
        wide = self._wide(rows)
        self._wide_scale = wide.std(axis=0) + 1e-9
        wide = wide / self._wide_scale
        weight = np.where(label == 1.0, 0.5 / label.mean(), 0.5 / (1.0 - label.mean())) / len(label)
        sign = 2.0 * label - 1.0

        def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
            margin = sign * (wide @ beta[1:] + beta[0])
            slope = -weight * sign / (1.0 + np.exp(np.clip(margin, -50.0, 50.0)))
            gradient = np.concatenate([[slope.sum()], wide.T @ slope + _RIDGE * beta[1:]])
            return float(weight @ np.logaddexp(0.0, -margin) + 0.5 * _RIDGE * beta[1:] @ beta[1:]), gradient

        self._beta = minimize(loss, np.zeros(wide.shape[1] + 1), jac=True, method="L-BFGS-B").x

    def logit(self, rows: np.ndarray) -> np.ndarray:
        """Log odds of label 1."""
        return self._wide(rows) / self._wide_scale @ self._beta[1:] + self._beta[0]

    def _wide(self, rows: np.ndarray) -> np.ndarray:
        # Beyond five deviations a window is just odd: its square must not outweigh all others
        plain = np.clip((rows - self._centre) / self._scale, -5.0, 5.0)
        left, right = np.triu_indices(plain.shape[1])
        return np.concatenate([plain, plain[:, left] * plain[:, right]], axis=1)


def _interval(scores: np.ndarray, label: np.ndarray, market: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % interval of the AUC over resamples of whole markets within each kind."""
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(market == number) for number in np.unique(market)]
    kinds = [[own for own in places if label[own[0]] == kind] for kind in (0.0, 1.0)]
    found = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([kind[index] for kind in kinds for index in rng.integers(0, len(kind), len(kind))])
        found.append(auc(scores[drawn], label[drawn]))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
