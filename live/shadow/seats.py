"""Who decides for an account: a policy while it is well, the baseline where it is not.

A policy that raises, answers what no environment would take, or answers too late is not obeyed in that decision: the
baseline decides, on the same observation. After several such faults in a row of decisions it is benched: it is no
longer asked, until some time has passed. Every fault is counted and has a word.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.policy import Policy, choose
from sim.types import SECOND_NS

_LOG = logging.getLogger(__name__)

OBEYED, LATE, INVALID, FAILED, BENCHED, RETURNED = range(6)
WHYS = ("obeyed", "late", "invalid", "failed", "benched", "returned")  # of a choice
FALLBACKS = (LATE, INVALID, FAILED, BENCHED, RETURNED)


@dataclass
class Health:
    """When a policy is not obeyed."""

    deadline_ms: float = 50.0  # of an answer
    faults: int = 3  # within ``window`` decisions: the policy is benched
    window: int = 60
    bench_s: float = 300.0  # before it is asked again

    def __post_init__(self) -> None:
        if not (self.deadline_ms > 0 and self.window >= self.faults > 0 and self.bench_s >= 0):
            raise ValueError(f"{self}: expected a deadline above 0, 0 < faults <= window, and bench_s of at least 0")


class Choice(NamedTuple):
    """What an account does, and who said so."""

    action: np.ndarray  # (1, ...) as the environment takes it
    why: int  # one of WHYS; all but OBEYED: the baseline's action
    took_ns: int  # of the policy; 0 = it was not asked


class Seat:
    """An account's policy and the baseline behind it.

    Args:
        name: of the account, for people.
        policy: decides.
        baseline: decides where the policy does not. May be the same object: then nothing stands behind it, what it
            raises is raised, and a late answer is obeyed all the same.
        check: raises ValueError for an action that the environment would not take.
        health: when the policy is not obeyed.
        monotonic_ns: reads a clock.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        baseline: Policy,
        check: Callable[[np.ndarray], object],
        health: Health,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self.name, self.policy, self.baseline, self.health = name, policy, baseline, health
        self.returned = ""  # why the baseline decides from now on; "" = the policy does
        self.counts: Counter[str] = Counter()  # choices by WHYS
        self.last_fault = ""
        self._check, self._monotonic_ns = check, monotonic_ns
        self._faults: deque[int] = deque(maxlen=health.faults)  # decisions of the last faults
        self._decisions = 0
        self._benched_until_ns = 0

    @property
    def well(self) -> bool:
        """Whether the policy is asked, and its last answer was obeyed."""
        return not self.returned and not self._benched_until_ns and not self._recent()

    def choose(self, obs: np.ndarray, mask: np.ndarray) -> Choice:
        """The action for one observation ``(1, ...)`` and its mask.

        Raises what the baseline raises: nothing is left to decide then.
        """
        self._decisions += 1
        choice = self._asked(obs, mask)
        self.counts[WHYS[choice.why]] += 1
        return choice

    def give_back(self, why: str) -> None:
        """Let the baseline decide from now on; where it does already nothing changes."""
        if not self.returned and self.policy is not self.baseline:
            _LOG.warning("%s: the baseline decides from now on: %s", self.name, why)
            self.returned = why

    def _asked(self, obs: np.ndarray, mask: np.ndarray) -> Choice:
        began_ns = self._monotonic_ns()
        if self.returned or began_ns < self._benched_until_ns:
            return Choice(self._by_baseline(obs, mask), RETURNED if self.returned else BENCHED, 0)
        if self._benched_until_ns:
            self._benched_until_ns = 0
            begin = getattr(self.policy, "begin", None)
            if begin is not None:  # what it remembers is of before
                begin(np.ones(1, np.bool_))
        try:
            # what a policy does to the arrays is its own business: the log and the baseline see what was seen
            action = np.asarray(choose(self.policy, obs.copy(), mask.copy()))
            took_ns = self._monotonic_ns() - began_ns
            self._check(action)
        except Exception as error:  # a policy is anybody's code, and no fault of it may end the session
            if self.policy is self.baseline:
                raise
            took_ns = self._monotonic_ns() - began_ns
            why = INVALID if isinstance(error, ValueError | FloatingPointError) else FAILED
            self._fault(f"{WHYS[why]}: {error}")
            return Choice(self._by_baseline(obs, mask), why, took_ns)
        if took_ns > self.health.deadline_ms * 1e6 and self.policy is not self.baseline:
            self._fault(f"late: {took_ns / 1e6:.1f} ms; {self.health.deadline_ms:g} ms are allowed")
            return Choice(self._by_baseline(obs, mask), LATE, took_ns)
        return Choice(action, OBEYED, took_ns)

    def _by_baseline(self, obs: np.ndarray, mask: np.ndarray) -> np.ndarray:
        action = choose(self.baseline, obs, mask)
        self._check(action)
        return action

    def _fault(self, what: str) -> None:
        self.last_fault = what
        self._faults.append(self._decisions)
        _LOG.warning("%s: %s is not obeyed: %s", self.name, self.policy.name, what)
        if self._recent() == self.health.faults:
            self._benched_until_ns = self._monotonic_ns() + round(self.health.bench_s * SECOND_NS)
            self._faults.clear()
            _LOG.warning("%s: %s is benched for %g s", self.name, self.policy.name, self.health.bench_s)

    def _recent(self) -> int:
        return sum(self._decisions - one < self.health.window for one in self._faults)
