"""Counter-based random numbers: Philox4x32-10.

A random word is a function of what it is for, and of nothing else:

    key     = (seed, episode)
    counter = (step, purpose, environment number, stream)

So a result does not depend on how many environments run, in which order, or on how many threads: two runs that ask for
the same key and counter get the same words. A fork that shares its stream keeps the counter; a fork that splits it
takes another ``stream``. A caller that needs more than four words for one step and purpose counts them in ``stream`` or
uses another purpose; it never draws "the next number".

Each of the six words has 32 bits and ``philox`` looks at no more than the low 32. A number that can be larger (a seed)
goes through ``fold`` once, where it enters.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011;
checked against the known answers published with Random123 (``kat_vectors``).
"""

from __future__ import annotations

import numpy as np

from sim.kernel import kernel

# Purposes: the second word of the counter. A number is never given a second meaning.
FLOW = 1  # the synthetic market's events
FILL = 2  # the probabilistic fill model
RESET = 3  # what an episode starts from: row, tape, belief
POLICY = 4  # actions of random policies
SIGNAL = 5  # errors of forecasts
OUTCOME = 6  # how a market resolves
LATENCY = 7  # delays of messages
FORK = 8  # seeds of copies that go their own way
SHOCK = 9  # what happens to all markets of an environment: news, halts
BURST = 10  # takers who follow takers
TASK = 11  # the textbook tasks

MAX_SEED = 2**63 - 1

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MASK = 0xFFFFFFFF
_TO_UNIT = 2.0**-32


@kernel
def _word(x: int) -> np.uint64:
    return np.uint64(int(x) & _MASK)


@kernel
def philox(k0: int, k1: int, c0: int, c1: int, c2: int, c3: int) -> tuple[int, int, int, int]:
    """Four independent words, each an int64 in [0, 2**32), for a key of two words and a counter of four.

    Of each argument the low 32 bits count. The words are int64 like every other integer of a kernel: uint64 is slower
    to turn into a float, and would compile each function that takes a word a second time.
    """
    key0, key1 = _word(k0), _word(k1)
    x0, x1, x2, x3 = _word(c0), _word(c1), _word(c2), _word(c3)
    for _ in range(10):
        product0 = _M0 * x0  # below 2**64: both factors have 32 bits
        product1 = _M1 * x2
        x0 = (product1 >> _SHIFT) ^ x1 ^ key0
        x1 = product1 & _LOW
        x2 = (product0 >> _SHIFT) ^ x3 ^ key1
        x3 = product0 & _LOW
        key0 = (key0 + _W0) & _LOW
        key1 = (key1 + _W1) & _LOW
    return np.int64(x0), np.int64(x1), np.int64(x2), np.int64(x3)  # type: ignore[return-value]


@kernel
def uniform(word: int) -> float:
    """Float in (0, 1) from a word: ``(word + 1/2) / 2**32``; never 0 and never 1."""
    return (word + 0.5) * _TO_UNIT


@kernel
def below(word: int, n: int) -> int:
    """Integer in [0, n) from a word, ``0 < n < 2**31``: the high part of ``word * n``.

    A value's probability is off from 1/n by at most 2**-32. Source: D. Lemire, "Fast random integer generation in an
    interval", ACM TOMACS 29, 2019, without the rejection step: a draw always costs one word.
    """
    return (int(word) * int(n)) >> 32


def share_ends(weights: np.ndarray) -> np.ndarray:
    """``(R,)`` int64: where the share of the 2**32 words that falls to each of R choices ends, for `chosen`.

    ``weights`` ``(R,)`` need not sum to 1; equal ones choose as `below` does. A choice of weight 0 has no words.
    Raises ValueError for weights that are not finite or below 0, or all 0.
    """
    if weights.ndim != 1 or not np.isfinite(weights).all() or (weights < 0.0).any() or not weights.any():
        raise ValueError(f"weights: expected finite numbers of 0 or more, and one above 0, got {weights!r}")
    if (weights == weights[0]).all():
        return -(-(np.arange(len(weights)) + 1) * 2**32 // len(weights))
    sums = np.cumsum(weights, dtype=np.float64)
    return np.minimum(np.ceil(sums / sums[-1] * 2.0**32), 2.0**32).astype(np.int64)


@kernel
def chosen(word: int, ends: np.ndarray) -> int:
    """Which of R choices a word makes: the first whose end, of `share_ends`, lies above it."""
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if ends[middle] > word:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _fold(x: int) -> int:
    high = np.uint64((x >> 32) & _MASK)  # the finaliser of MurmurHash3, 32 bits: it maps 0 to 0
    high ^= high >> np.uint64(16)
    high = (high * np.uint64(0x85EBCA6B)) & _LOW
    high ^= high >> np.uint64(13)
    high = (high * np.uint64(0xC2B2AE35)) & _LOW
    high ^= high >> np.uint64(16)
    return np.int64(_word(x) ^ high)  # type: ignore[return-value]


def fold(x: int) -> int:
    """32-bit word of a non-negative 64-bit integer: its low half, xored with a mix of its high half.

    Below 2**32 nothing changes, so small seeds are themselves. Two larger numbers share a word with probability 2**-32.
    Raises ValueError for a negative number or one above ``MAX_SEED``, and TypeError for what is not an integer.
    """
    if isinstance(x, bool) or not isinstance(x, (int, np.integer)):
        raise TypeError(f"seed: expected an integer, got {x!r} of type {type(x).__name__}")
    if not 0 <= x <= MAX_SEED:
        raise ValueError(f"seed: expected an integer from 0 to {MAX_SEED}, got {x}")
    return int(_fold(int(x)))
