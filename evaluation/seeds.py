"""Seeds that follow from a seed: one for each purpose and number, alike nowhere."""

from __future__ import annotations

import numpy as np


def derived_seed(seed: int, purpose: int, number: int) -> int:
    """63 bits of Philox with key (``seed``, ``purpose``) and counter ``number``."""
    generator = np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, 0, number]))
    return int(generator.integers(0, 2**63 - 1))
