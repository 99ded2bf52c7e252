"""The best quotes of a maker, by the dynamic programme of the environment's own time step.

With ``J(q)`` the value of inventory q after a step, a step from q is worth, over bid hit or not (b) and ask hit or not
(a), independent of each other,

    sum over b, a of P(b) P(a) x outcome(b below + a above - penalty, J(q + b - a))
    outcome(gain, value) = value + gain                        without risk aversion
                         = value x exp(-gamma gain)            with it, values being minus expected exponentials

The best distance on one side, given the other's, is where ``(e**z - 1) / (k z)``, which falls with it, meets what a
fill gains, which rises; z is the expected number of orders in a step. The two sides matter to each other only through
steps in which both are hit, so taking turns converges in a few rounds.

Closed forms for continuous time are here to check the programme as the step shrinks, and the Avellaneda-Stoikov quotes
as a baseline: those are an approximation of the optimum. Sources: see ``envs.tasks.market_making``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import expm

from envs.tasks.market_making import MarketMaking

_ROUNDS = 5
_HALVINGS = 40


class Optimum(NamedTuple):
    """The best quotes."""

    value: float  # of an episode from inventory 0: cents, or with risk aversion the certainty equivalent in cents
    quotes: np.ndarray  # (steps, 2 Q + 1, 2): distances of bid and ask at each step and inventory -Q to Q, cents


def solve(task: MarketMaking) -> Optimum:
    """The optimum over quotes from 0 to ``widest``."""
    values = _final(task)
    quotes = np.empty((task.steps, 2 * task.limit + 1, 2))
    chosen = np.full((2 * task.limit + 1, 2), min(1 / max(task.decay, 1e-9), task.widest))
    for step in range(task.steps - 1, -1, -1):
        after = _moved(task, values)
        chosen = _best(task, after, chosen)
        quotes[step] = chosen
        values = _before(task, after, chosen)
    return Optimum(_equivalent(task, values[task.limit]), quotes)


def evaluate(task: MarketMaking, quotes: np.ndarray) -> float:
    """The value of ``quotes`` ``(steps, 2 Q + 1, 2)``, cents, in the same unit as that of the optimum.

    Raises ValueError for another shape, or a distance that is not in [0, widest].
    """
    shape = (task.steps, 2 * task.limit + 1, 2)
    if quotes.shape != shape or not ((quotes >= 0) & (quotes <= task.widest)).all():
        raise ValueError(f"market_making: expected quotes {shape} from 0 to {task.widest} cents, got {quotes.shape}")
    values = _final(task)
    for step in range(task.steps - 1, -1, -1):
        values = _before(task, _moved(task, values), quotes[step])
    return _equivalent(task, values[task.limit])


def avellaneda_stoikov(task: MarketMaking) -> np.ndarray:
    """Their approximate quotes, ``(steps, 2 Q + 1, 2)``, cut to [0, widest]; ``risk_aversion`` > 0.

    Reservation price ``s - q gamma sigma**2 (T - t)``, spread
    ``gamma sigma**2 (T - t) + (2 / gamma) log(1 + gamma / k)``.
    """
    risk = task.risk_aversion * task.sigma**2 * task.dt * np.arange(task.steps, 0, -1)[:, None]
    half = risk / 2 + math.log1p(task.risk_aversion / task.decay) / task.risk_aversion
    shift = risk * _inventories(task)
    return np.clip(np.stack((half + shift, half - shift), -1), 0.0, task.widest)


def continuous(task: MarketMaking) -> tuple[np.ndarray, np.ndarray]:
    """Values ``(2 Q + 1,)``, cents, and bid distances ``(2 Q,)``, inventory -Q to Q - 1, at t = 0 in continuous time.

    Without risk aversion equation 10.11 of Cartea, Jaimungal and Penalva, with it theorem 1 of Gueant, Lehalle and
    Fernandez-Tapia, who have no penalties: raises ValueError where both are asked for.
    """
    k, gamma, q = task.decay, task.risk_aversion, _inventories(task)
    if gamma == 0.0:
        pay, own, speed = 1 / k, -task.running * k * q**2, task.intensity / math.e
    elif task.running or task.terminal:
        raise ValueError("market_making: the closed form with risk aversion is without running and terminal penalties")
    else:
        pay, own = math.log1p(gamma / k) / gamma, -k * gamma * task.sigma**2 / 2 * q**2
        speed = task.intensity * (1 + gamma / k) ** -(1 + k / gamma)
    matrix = np.diag(own) + speed * (np.eye(len(q), k=1) + np.eye(len(q), k=-1))
    values = np.log(expm(matrix * task.horizon) @ np.exp(-task.terminal * k * q**2)) / k
    return values, pay - np.diff(values)


def _inventories(task: MarketMaking) -> np.ndarray:
    return np.arange(-task.limit, task.limit + 1, dtype=np.float64)


def _outcome(task: MarketMaking, gain: np.ndarray | float, value: np.ndarray) -> np.ndarray:
    return value + gain if task.risk_aversion == 0.0 else value * np.exp(-task.risk_aversion * np.asarray(gain))


def _final(task: MarketMaking) -> np.ndarray:
    """Value of each inventory when the time is over."""
    neutral = np.zeros(2 * task.limit + 1) if task.risk_aversion == 0.0 else np.full(2 * task.limit + 1, -1.0)
    return _outcome(task, -task.terminal * _inventories(task) ** 2, neutral)


def _equivalent(task: MarketMaking, value: float) -> float:
    """A value in cents: with risk aversion the sure gain that has the same utility."""
    return float(value) if task.risk_aversion == 0.0 else -math.log(-value) / task.risk_aversion


def _moved(task: MarketMaking, values: np.ndarray) -> np.ndarray:
    """Values before the mid moves, whose mean move is 0: ``E exp(-gamma q m e) = exp((gamma q m)**2 / 2)``."""
    risk = task.risk_aversion * task.sigma**2 * task.dt * _inventories(task) ** 2 / 2
    return _outcome(task, -risk, values)


def _chance(task: MarketMaking, distance: np.ndarray) -> np.ndarray:
    """Probabilities that bid and ask are hit, ``(2 Q + 1, 2)``; 0 where the side is not quoted."""
    chance = -np.expm1(-task.intensity * task.dt * np.exp(-task.decay * distance))
    chance[-1, 0] = chance[0, 1] = 0.0
    return chance


def _other_side(
    task: MarketMaking, after: np.ndarray, distance: np.ndarray, chance: np.ndarray, step: int
) -> np.ndarray:
    """Value before a side that moves the inventory by ``step`` = +1 or -1 is hit or not."""
    hit = _outcome(task, distance, _shifted(after, step))
    return after + chance * (hit - after)


def _shifted(values: np.ndarray, step: int) -> np.ndarray:
    """``values`` at inventory q + step; past the limits the value at the limit, which nobody reaches."""
    last = len(values) - 1
    return values[np.clip(np.arange(last + 1) + step, 0, last)]


def _before(task: MarketMaking, after: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Values ``(2 Q + 1,)`` before a step with ``quotes`` ``(2 Q + 1, 2)``."""
    chance = _chance(task, quotes)
    bid_settled = _both(task, after, quotes, chance)
    return _outcome(task, -task.running * task.dt * _inventories(task) ** 2, bid_settled)


def _both(task: MarketMaking, after: np.ndarray, quotes: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """The four outcomes of a step, weighted."""
    missed, hit = _given_bid(task, after, quotes[:, 1], chance[:, 1])
    return missed + chance[:, 0] * (_outcome(task, quotes[:, 0], hit) - missed)


def _given_bid(
    task: MarketMaking, after: np.ndarray, above: np.ndarray, sold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values with the bid missed, and with it hit but not yet paid, over what the ask does."""
    missed = _other_side(task, after, above, sold, -1)
    bought = _shifted(after, +1)
    hit = bought + sold * (_outcome(task, above, after) - bought)
    return missed, hit


def _best(task: MarketMaking, after: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Best distances ``(2 Q + 1, 2)``: bid given ask and ask given bid, in turns. The ask is the bid mirrored."""
    quotes = start.copy()
    for _ in range(_ROUNDS):
        quotes[:, 0] = _best_bid(task, after, quotes)
        mirrored = quotes[::-1, ::-1]
        quotes[:, 1] = _best_bid(task, after[::-1], mirrored)[::-1]
    return quotes


def _best_bid(task: MarketMaking, after: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """``(2 Q + 1,)``: the distance at which falling ``(e**z - 1) / (k z)`` meets the rising surplus of a fill."""
    missed, hit = _given_bid(task, after, quotes[:, 1], _chance(task, quotes)[:, 1])
    low, high = np.zeros(len(after)), np.full(len(after), task.widest)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        orders = task.intensity * task.dt * np.exp(-task.decay * middle)
        rising = np.expm1(orders) / (task.decay * orders) < _surplus(task, middle, missed, hit)
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    return (low + high) / 2


def _surplus(task: MarketMaking, distance: np.ndarray, missed: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """What a fill gains over none, in cents at the margin."""
    if task.risk_aversion == 0.0:
        return distance + hit - missed
    return np.expm1(task.risk_aversion * distance + np.log(missed / hit)) / task.risk_aversion
