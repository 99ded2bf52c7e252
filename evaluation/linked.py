"""What a rollout keeps of environments with links: the orders that take, and how they are known again in the fills."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.links import Links

SENT = np.dtype(
    [
        ("env", "<i8"),  # whose: the environment, or the episode
        ("step", "<i8"),
        ("ns", "<i8"),  # when it went out
        (
            "first_id",
            "<i8",
        ),  # the step's messages are numbered [first_id, end_id): of a market and side one is an order
        ("end_id", "<i8"),
        ("market", "<i8"),
        ("side", "<i8"),
        ("leg", "<i8"),
        ("px", "<i8"),  # limit, YES space
        ("qty", "<i8"),  # lots
        ("fee", "<i8"),  # the market's schedule when it went out
    ]
)


class Linked(NamedTuple):
    """Immediate orders of all episodes, by episode and step, and what the markets' links promise."""

    sent: np.ndarray  # (S,) SENT
    links: Links
    fees: np.ndarray  # (F,) FEE: the schedules
