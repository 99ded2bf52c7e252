"""Does the same evaluation give the same bytes twice? Digests of what a policy saw, did, and was left with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from evaluation.episodes import Episodes
from evaluation.promotion.gates import Gate
from evaluation.wrapped import Wrapped


class Digests(NamedTuple):
    """SHA-256 of one play of a policy."""

    decisions: str  # every observation and every action, in order
    results: str  # every array of the episodes


class Witness(Wrapped):
    """A policy, and a digest of all that goes in and out of it."""

    def __init__(self, policy: Any) -> None:
        super().__init__(policy)
        self._hash = hashlib.sha256()

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """What the policy does."""
        actions = super().act(observations, masks)
        for array in (observations, np.asarray(actions)):
            _add(self._hash, array)
        return actions

    def digest(self) -> str:
        """Of everything so far."""
        return self._hash.hexdigest()


def digest_episodes(episodes: Episodes) -> str:
    """SHA-256 over every array of the episodes, with names, shapes and types."""
    result = hashlib.sha256()
    for field in fields(episodes):
        _add_value(result, field.name, getattr(episodes, field.name))
    return result.hexdigest()


def replay_gate(first: Digests, second: Digests) -> Gate:
    """Two plays of the same evaluation, the policy loaded anew for the second, are equal to the byte."""
    differ = [name for name, one, other in zip(Digests._fields, first, second, strict=True) if one != other]
    came = ", ".join(f"{name} {first._asdict()[name][:16]} and {second._asdict()[name][:16]}" for name in differ)
    figures = {"first": first._asdict(), "second": second._asdict(), "differ": differ}
    same = f"both times decisions {first.decisions[:16]}, results {first.results[:16]}"
    return Gate("replay", not differ, "equal digests of decisions and results in two plays", came or same, figures)


def _add_value(result: Any, name: str, value: Any) -> None:
    result.update(name.encode())
    if isinstance(value, np.ndarray):
        _add(result, value)
    elif hasattr(value, "_fields"):  # a named tuple of arrays
        for inner, part in value._asdict().items():
            _add_value(result, inner, part)
    elif isinstance(value, Mapping):
        raise TypeError(f"digest: {name} is a mapping; expected arrays, numbers or texts")
    else:
        result.update(repr(value).encode())


def _add(result: Any, array: np.ndarray) -> None:
    result.update(f"{array.dtype}{array.shape}".encode())
    result.update(np.ascontiguousarray(array).tobytes())
