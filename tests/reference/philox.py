"""Philox4x32-10 as published (Salmon et al., SC 2011), in Python's whole numbers."""

from __future__ import annotations

import math

LOW = 0xFFFFFFFF

# purposes: the second word of a counter (docs/determinism.md)
FLOW, FILL, RESET, SIGNAL, OUTCOME, LATENCY, SHOCK, BURST = 1, 2, 3, 5, 6, 7, 9, 10


def philox(key: tuple[int, int], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Four words of 32 bits."""
    k0, k1 = key
    x0, x1, x2, x3 = (word & LOW for word in counter)
    for _ in range(10):
        product0, product1 = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = (product1 >> 32) ^ x1 ^ k0, product1 & LOW, (product0 >> 32) ^ x3 ^ k1, product0 & LOW
        k0, k1 = (k0 + 0x9E3779B9) & LOW, (k1 + 0xBB67AE85) & LOW
    return x0, x1, x2, x3


def uniform(word: int) -> float:
    """A number between 0 and 1, neither of them possible."""
    return (word + 0.5) / 2**32


def exponential(word: int) -> float:
    """A standard exponential variate, in whole units of 2**-26."""
    return math.floor(-math.log(uniform(word)) * 2**26) / 2**26


def below(word: int, n: int) -> int:
    """A whole number from 0 to n - 1."""
    return word * n // 2**32
