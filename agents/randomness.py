"""Draws of inference: each depends on a seed, on the number of the call, and on its place in the batch alone."""

from __future__ import annotations

import numpy as np


def uniforms(seed: int, call: int, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 in (0, 1) that depend on seed, call and position: a larger batch continues a smaller one's draws."""
    generator = np.random.Generator(np.random.Philox(key=[seed, call]))
    return np.maximum(generator.random(shape), 2.0**-53)
