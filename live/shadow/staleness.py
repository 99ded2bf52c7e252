"""How old everything is that a decision rests on, and whether that is too old for an order.

A pure rule over times that it is given. What is too old for an order is not too old to be looked at: a market that is
stale holds its orders back, and lets cancels through.

* quote: the time since the market's book last changed. How long it may stay silent is measured by itself: ``grace``
  times its usual interval between messages, within ``[quote_s, quiet_s]``; half of that when it moves fast, and
  nothing but silence itself while trading is halted. A connection over which nothing at all has come, pings
  included, for ``silence_s`` makes every market of it stale.
* bar: how much longer than a usual step it took until the market was played on: what features sum up over time then
  spans more than it did in training. Where steps are counted in events there is no usual time.
* feature: the time from the observation until the order goes out.
* prediction: the time since the forecast the market was told last, where there ever was one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.types import OPEN, SECOND_NS

PARTS = ("lost", "crossed", "connection", "quote", "bar", "feature", "prediction")
LOST, CROSSED, CONNECTION, QUOTE, BAR, FEATURE, PREDICTION = range(len(PARTS))
_MEMORY = 32.0  # messages over which a market's usual interval is averaged
_FAST = 0.25  # of the usual interval: the market moves fast


@dataclass
class TimeToLive:
    """Seconds that things stay good."""

    quote_s: float = 5.0  # a busy market's book; never less
    quiet_s: float = 900.0  # a quiet market's book; never more
    grace: float = 30.0  # usual intervals between messages that a book may stay silent
    silence_s: float = 25.0  # of a connection, pings included
    bar_s: float = 5.0
    feature_s: float = 1.0
    prediction_s: float = 600.0

    def __post_init__(self) -> None:
        times = (self.quote_s, self.quiet_s, self.grace, self.silence_s, self.bar_s, self.feature_s, self.prediction_s)
        if not all(one > 0 for one in times) or self.quote_s > self.quiet_s:
            raise ValueError(f"{self}: expected times above 0, and quote_s not above quiet_s")


class Ages(NamedTuple):
    """Nanoseconds, of M markets, at the moment of a decision."""

    connection_ns: int  # since anything came
    quote_ns: np.ndarray  # (M,) since the book changed
    bar_ns: int  # beyond a usual step
    feature_ns: int
    prediction_ns: np.ndarray  # (M,); -1 = there never was one


class Verdict(NamedTuple):
    """Of M markets."""

    stale: np.ndarray  # (M,) bool: no order goes out, cancels do
    quality: np.ndarray  # (M,) in [0, 1]: 1 = all is new; 0 = stale
    parts: np.ndarray  # (M, len(PARTS)) bool: what is too old


class Freshness:
    """Judges M markets by `TimeToLive`."""

    def __init__(self, rules: TimeToLive, markets: int) -> None:
        self.rules = rules
        self._interval_ns = np.full(markets, np.nan)  # usual, between two changes of the book
        self._last_interval_ns = np.full(markets, np.nan)
        self._changed_ns = np.zeros(markets, np.int64)

    def changed(self, index: int, local_ns: int) -> None:
        """The book of a market changed."""
        before, self._changed_ns[index] = int(self._changed_ns[index]), local_ns
        if not before or local_ns <= before:
            return
        interval = float(local_ns - before)
        self._last_interval_ns[index] = interval
        usual = self._interval_ns[index]
        self._interval_ns[index] = interval if np.isnan(usual) else usual + (interval - usual) / _MEMORY

    def quote_age_ns(self, now_ns: int) -> np.ndarray:
        """``(M,)``: since each book changed."""
        return np.maximum(now_ns - self._changed_ns, 0)

    def allowed_ns(self, status: np.ndarray) -> np.ndarray:
        """``(M,)``: how long each book may stay silent, with markets' STATUS codes ``status``."""
        rules = self.rules
        usual = np.where(np.isnan(self._interval_ns), rules.quiet_s * SECOND_NS, self._interval_ns)
        allowed = np.clip(rules.grace * usual, rules.quote_s * SECOND_NS, rules.quiet_s * SECOND_NS)
        fast = self._last_interval_ns < _FAST * usual
        allowed = np.where(fast, np.maximum(allowed / 2, rules.quote_s * SECOND_NS), allowed)
        return np.where(status == OPEN, allowed, rules.quiet_s * SECOND_NS)

    def judge(self, ages: Ages, status: np.ndarray, lost: np.ndarray, crossed: np.ndarray) -> Verdict:
        """What is too old, market by market; ``lost`` and ``crossed`` bool ``(M,)`` are never good enough."""
        rules = self.rules
        age = np.zeros((len(status), len(PARTS)))  # in times to live
        age[:, LOST], age[:, CROSSED] = np.where(lost, np.inf, 0), np.where(crossed, np.inf, 0)
        age[:, CONNECTION] = ages.connection_ns / (rules.silence_s * SECOND_NS)
        age[:, QUOTE] = ages.quote_ns / self.allowed_ns(status)
        age[:, BAR] = ages.bar_ns / (rules.bar_s * SECOND_NS)
        age[:, FEATURE] = ages.feature_ns / (rules.feature_s * SECOND_NS)
        age[:, PREDICTION] = np.maximum(ages.prediction_ns, 0) / (rules.prediction_s * SECOND_NS)
        parts = age >= 1.0
        return Verdict(np.any(parts, 1), np.clip(1.0 - age.max(1), 0.0, 1.0), parts)
