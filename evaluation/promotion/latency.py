"""How long a decision takes: one observation in, one action out, batch 1, as it will be asked live."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.policy import choose
from evaluation.promotion.gates import Gate
from evaluation.promotion.walk import Walk
from evaluation.rollout import Policy

CALLS, WARM_UP = 2000, 200


def latency_gate(
    policy: Policy, places: Walk, limit_us: float, clock: Callable[[], int], *, calls: int = CALLS
) -> Gate:
    """99 of 100 decisions come within ``limit_us`` microseconds.

    ``policy`` fresh; ``places`` are asked in turn; ``clock()`` says nanoseconds. Raises ValueError for a limit that is
    not positive.
    """
    if not limit_us > 0.0:
        raise ValueError(f"latency: expected a positive number of microseconds, got {limit_us}")
    if hasattr(policy, "begin"):
        policy.begin(np.ones(1, np.bool_))
    taken = np.zeros(calls + WARM_UP, np.int64)
    for index in range(len(taken)):
        at = index % len(places.observations)
        observation, mask = places.observations[at : at + 1], places.masks[at : at + 1]
        began = clock()
        choose(policy, observation, mask)  # type: ignore[arg-type]
        taken[index] = clock() - began
    p50, p99 = (float(value) for value in np.percentile(taken[WARM_UP:] / 1000.0, [50.0, 99.0]))
    figures = {"p50_us": round(p50, 2), "p99_us": round(p99, 2), "limit_us": limit_us, "calls": calls}
    return Gate(
        "latency", p99 <= limit_us, f"p99 of a decision within {limit_us:g} microseconds",
        f"p50 {p50:.0f}, p99 {p99:.0f} microseconds of {calls} decisions, batch 1", figures,
    )  # fmt: skip
