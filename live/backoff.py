"""How long to wait before trying again: exponential, with full jitter, counted, and ended where the caller says so.

The n-th wait is uniform in [0, min(cap, base x 2**n)]: clients that were cut off together do not come back together
(M. Brooker, "Exponential backoff and jitter", 2015).
"""

from __future__ import annotations

import logging
import random

from live.clock import nanoseconds
from sim.types import SECOND_NS

_LOG = logging.getLogger(__name__)
_LARGEST_POWER = 62


class Backoff:
    """Waits between attempts at one thing.

    Args:
        what: its name, for the log.
        rng: where the jitter comes from.
        base_s: the first wait is at most this long.
        cap_s: and no wait is longer than this.
        healthy_s: after so long without a failure the count begins anew.
        attempts: failures in a row after which there is no more waiting; None = never, for links that must come back.
    """

    def __init__(
        self,
        what: str,
        rng: random.Random,
        *,
        base_s: float = 0.5,
        cap_s: float = 30.0,
        healthy_s: float = 60.0,
        attempts: int | None = None,
    ) -> None:
        if not 0 < base_s <= cap_s or healthy_s < 0 or (attempts is not None and attempts < 1):
            raise ValueError(
                f"backoff of {what}: base {base_s}, cap {cap_s}, healthy {healthy_s}, attempts {attempts}; expected "
                "0 < base <= cap, healthy >= 0 and at least one attempt"
            )
        self._what, self._rng = what, rng
        self._base_s, self._cap_s, self._attempts = base_s, cap_s, attempts
        self._healthy_ns = nanoseconds(healthy_s)
        self._up_ns: int | None = None
        self.failures = 0  # in a row
        self.total = 0

    def succeeded(self, now_ns: int) -> None:
        """It works since ``now_ns`` (monotonic), unless it did before."""
        if self._up_ns is None:
            self._up_ns = now_ns

    def failed(self, now_ns: int, why: str, at_least_s: float = 0.0) -> int | None:
        """Nanoseconds to wait after a failure at ``now_ns``; None = give up.

        ``at_least_s``: what the venue asked for.
        """
        if self._up_ns is not None and now_ns - self._up_ns >= self._healthy_ns:
            self.failures = 0
        self._up_ns = None
        self.failures += 1
        self.total += 1
        if self._attempts is not None and self.failures >= self._attempts:
            _LOG.error("%s: %s; given up after %d failures in a row", self._what, why, self.failures)
            return None
        most_s = min(self._cap_s, self._base_s * 2.0 ** min(self.failures - 1, _LARGEST_POWER))
        wait_ns = nanoseconds(max(self._rng.uniform(0.0, most_s), at_least_s))
        _LOG.warning(
            "%s: %s; failure %d in a row, %d in all; next attempt in %.3f s",
            self._what, why, self.failures, self.total, wait_ns / SECOND_NS,
        )  # fmt: skip
        return wait_ns
