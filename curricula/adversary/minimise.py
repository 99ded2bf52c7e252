"""A failure with as little in it as it takes: fields go back to their defaults while the failure stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from curricula.adversary.space import Axis

HALVINGS = 4  # of the way back to the default, for each field that has to stay
_DIGITS = 3  # significant ones that a value is rounded to, where the failure stays


class Minimal(NamedTuple):
    """What is left of a failure."""

    values: dict[str, float]  # fields that differ from their defaults; a part of those that were given
    trials: int  # how often it was asked whether something fails


def minimise(
    values: Mapping[str, float],
    defaults: Mapping[str, float],
    axes: Mapping[str, Axis],
    fails: Callable[[Mapping[str, float]], bool],
) -> Minimal:
    """The fields of ``values`` that a failure needs, each as near to its default as ``HALVINGS`` show.

    Fields are taken out one by one, those nearest to their defaults first, in passes until a pass takes none out: then
    no single one of them can be spared. Each field left is then moved to the middle of its way back, on its axis, as
    long as the failure stays, and rounded. Every step is judged by ``fails``, which must not change its mind; what is
    left has been chosen by it, so whether it fails is to be asked once more of something else.

    Raises ValueError where ``values`` do not fail to begin with, or hold a field without default or axis.
    """
    missing = [name for name in values if name not in defaults or name not in axes]
    if missing:
        raise ValueError(f"minimise: no default or axis for {', '.join(missing)}")
    search = _Search(fails)
    kept = {name: float(value) for name, value in values.items() if value != defaults[name]}
    if not search.fails(kept):
        raise ValueError(f"minimise: {dict(values)} is no failure to begin with")
    kept = _spare(kept, defaults, axes, search)
    for name in list(kept):
        kept[name] = _nearer(kept, name, defaults[name], axes[name], search)
    for name in list(kept):
        rounded = float(f"{kept[name]:.{_DIGITS}g}")
        if rounded != kept[name] and axes[name].low <= rounded <= axes[name].high:
            kept[name] = rounded if search.fails({**kept, name: rounded}) else kept[name]
    return Minimal(kept, search.trials)


class _Search:
    def __init__(self, fails: Callable[[Mapping[str, float]], bool]) -> None:
        self._fails, self.trials = fails, 0

    def fails(self, values: Mapping[str, float]) -> bool:
        self.trials += 1
        return bool(self._fails(values))


def _spare(
    kept: dict[str, float], defaults: Mapping[str, float], axes: Mapping[str, Axis], search: _Search
) -> dict[str, float]:
    """Without the fields that can be spared."""

    def distance(name: str) -> float:
        return abs(axes[name].unit(kept[name]) - axes[name].unit(defaults[name]))

    names, spared = sorted(kept, key=lambda name: (distance(name), name)), True
    while spared:
        spared = False
        for name in names:
            rest = {other: value for other, value in kept.items() if other != name}
            if name in kept and search.fails(rest):
                kept, spared = rest, True
    return kept


def _nearer(kept: Mapping[str, float], name: str, default: float, axis: Axis, search: _Search) -> float:
    """The value of a field as near to its default as bisection shows that the failure stays."""
    fails, holds = axis.unit(kept[name]), axis.unit(default)
    value = kept[name]
    for _ in range(HALVINGS):
        middle = 0.5 * (fails + holds)
        tried = float(axis.value(middle))
        if search.fails({**kept, name: tried}):
            fails, value = middle, tried
        else:
            holds = middle
    return value
