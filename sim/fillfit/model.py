"""Logistic regression of a fill within a life, with signs that a queue demands and a ridge penalty.

Minimised over b (K + 1 numbers): sum over rows of log(1 + exp(x b)) - y x b, plus l2 / 2 x the sum of squares of the
slopes of *standardised* terms, each slope kept to its term's sign (:data:`sim.fillmodel.SIGNS`). Solved by L-BFGS-B, in
scipy; the result is given in the terms' own units. A term that never varies gets the coefficient 0.

:func:`fit_coin` fits the probability that the engine's coin needs. There a coin falls at every print at our price with
the chance 1 - (1 - p) ** (dt / life), so after the last of them, at the part e of the life, P(filled) is
1 - (1 - p) ** e, whatever came between; prints through the price fill besides. The likelihood takes the orders as they
met prints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from sim.fillmodel import SIGNS, TERMS

MIN_ROWS = 200
MIN_EVENTS = 20
_TINY = 1e-12


class Fit(NamedTuple):
    """Coefficients, in the units of the terms."""

    base: float
    coefficients: np.ndarray  # (K,) float64 in the order of sim.fillmodel.TERMS; 0 for a term left out
    iterations: int


def fit(terms: np.ndarray, filled: np.ndarray, *, used: Sequence[str] = TERMS, l2: float = 10.0) -> Fit:
    """Fit ``filled`` (R,) of 0 and 1 on ``terms`` (R, K).

    Raises ValueError for shapes that do not agree, values that are not finite, an unknown term, a negative penalty, too
    few rows or too few of one outcome, or a search that does not end.
    """
    _check(terms, filled, used, l2)

    def loss(logit: np.ndarray) -> tuple[float, np.ndarray]:
        value = float(np.sum(-log_expit(logit) + (1.0 - filled) * logit))
        return value, expit(logit) - filled

    return _search(terms, loss, used, l2, float(filled.mean()))


def fit_coin(
    terms: np.ndarray,
    filled_at: np.ndarray,
    exposure: np.ndarray,
    *,
    used: Sequence[str] = TERMS,
    l2: float = 10.0,
) -> Fit:
    """Fit the life's probability p so that coins at recorded prints fill as often as the queue does.

    ``filled_at`` (R,) 0 or 1: filled by a print at the price; ``exposure`` (R,) in [0, 1]: the part of the life at
    which the last print at the price came (of a filled order: the print that filled it). Rows without prints say
    nothing. -log L = sum of (1 - y) e h - y log(1 - exp(-e h)), with h = -log(1 - p) = log(1 + exp(logit)).
    Raises ValueError as :func:`fit`.
    """
    met = exposure > 0.0
    terms, filled_at, exposure = terms[met], filled_at[met], exposure[met]
    _check(terms, filled_at, used, l2)

    def loss(logit: np.ndarray) -> tuple[float, np.ndarray]:
        hazard = exposure * -log_expit(-logit)
        reached = -np.expm1(-hazard)
        value = np.sum((1.0 - filled_at) * hazard - filled_at * np.log(reached + _TINY))
        slope = (1.0 - filled_at) - filled_at * (1.0 - reached) / (reached + _TINY)
        return float(value), slope * exposure * expit(logit)

    return _search(terms, loss, used, l2, 0.5)


def predict(model: Fit, terms: np.ndarray) -> np.ndarray:
    """(R,) probability of each row."""
    return expit(model.base + terms @ model.coefficients)


def wrong_signs(model: Fit) -> list[str]:
    """Terms whose coefficient has the sign that a queue forbids; empty for anything :func:`fit` returned."""
    pairs = zip(TERMS, SIGNS, model.coefficients, strict=True)
    return [name for name, sign, value in pairs if sign * value < 0.0]


def _search(
    terms: np.ndarray,
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]],
    used: Sequence[str],
    l2: float,
    start: float,
) -> Fit:
    mean, spread = terms.mean(axis=0), terms.std(axis=0)
    live = np.array([name in used for name in TERMS]) & (spread > 1e-12)
    scaled = (terms[:, live] - mean[live]) / spread[live]

    def penalised(b: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = loss(b[0] + scaled @ b[1:])
        gradient = np.concatenate([[slope.sum()], scaled.T @ slope + l2 * b[1:]])
        return value + 0.5 * l2 * float(b[1:] @ b[1:]), gradient

    bounds: list[tuple[float | None, float | None]] = [(None, None)]
    bounds += [(0.0 if sign > 0 else None, 0.0 if sign < 0 else None) for sign in np.array(SIGNS)[live].tolist()]
    first = np.zeros(1 + int(live.sum()))
    first[0] = np.log(start / (1.0 - start))
    found = minimize(penalised, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000})
    if not found.success:
        raise ValueError(f"the fit did not end: {found.message}; a larger l2 than {l2} makes it easier")
    coefficients = np.zeros(len(TERMS))
    coefficients[live] = found.x[1:] / spread[live]
    return Fit(float(found.x[0] - coefficients @ mean), coefficients, int(found.nit))


def _check(terms: np.ndarray, filled: np.ndarray, used: Sequence[str], l2: float) -> None:
    if terms.shape != (len(filled), len(TERMS)):
        raise ValueError(f"fit: expected terms of shape ({len(filled)}, {len(TERMS)}), got {terms.shape}")
    if not np.isfinite(terms).all():
        row, column = np.argwhere(~np.isfinite(terms))[0]
        raise ValueError(f"fit: the term {TERMS[column]} of row {row} is {terms[row, column]}")
    unknown = sorted(set(used) - set(TERMS))
    if unknown:
        raise ValueError(f"fit: no term {unknown[0]!r}; the terms are {', '.join(TERMS)}")
    if not l2 >= 0.0:
        raise ValueError(f"fit: the penalty l2 must be 0 or more, got {l2}")
    events = int(min(filled.sum(), len(filled) - filled.sum())) if len(filled) else 0
    if len(filled) < MIN_ROWS or events < MIN_EVENTS:
        raise ValueError(
            f"fit: too little data: {len(filled)} orders, of which {events} with the rarer outcome; expected at least "
            f"{MIN_ROWS} and {MIN_EVENTS}. Take more recordings, or a longer life"
        )
