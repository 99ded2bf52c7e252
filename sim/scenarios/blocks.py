"""The random words of the coming arrivals of a synthetic market, eight at a time.

Word ``i`` of arrival ``n`` is word ``i`` of the Philox block of step ``n``: which arrivals are computed together
decides nothing. Eight blocks side by side fill the lanes of a vector unit, and so do the logarithms that turn the first
and the last word of a block into exponential variates; one at a time they were half of the event loop's time.

The logarithm is that of fdlibm 5.3 (``e_log.c``, Copyright (C) 1993 by Sun Microsystems, Inc.; permission to use, copy,
modify, and distribute it is freely granted, provided that this notice is preserved), error below 1 ulp; it is written
with + - * / and the bits of a float only, so that compiled and interpreted kernels agree.
"""

from __future__ import annotations

import math

import numpy as np

from sim.kernel import hot, inner
from sim.rng import FLOW
from sim.state import BLOCKS

EXPO_BITS = 26  # exponential variates are kept in units of 2**-26 of their mean
EXPO_UNIT = 2.0**-EXPO_BITS
KIND, PLACE = 0, 1  # rows of MARKET["words"]
WAIT, SIZE = 0, 1  # parts of MARKET["expo"]

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = 0x9E3779B9
_W1 = 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MASK = 0xFFFFFFFF

_TWO52 = 4503599627370496.0
_TWO52_BITS = 0x4330000000000000  # the bits of 2.0**52: or a word below 2**52 into them and the float is 2**52 + word
_HALF_ROOT = 0x3FE6A09E00000000  # a little below the bits of sqrt(1/2)
_ONE = 0x3FF0000000000000
_EXPONENT = 0x7FF0000000000000
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_L1 = 6.666666666666735130e-01
_L2 = 3.999999999940941908e-01
_L3 = 2.857142874366239149e-01
_L4 = 2.222219843214978396e-01
_L5 = 1.818357216161805012e-01
_L6 = 1.531383769920937332e-01
_L7 = 1.479819860511658591e-01
_SCALE = 2.0**EXPO_BITS


@hot
def exponential(word):
    """``floor(-log((word + 1/2) / 2**32) x 2**26)``: a standard exponential variate, below 2**31 as log(2**33) < 32."""
    x = (np.int64(word | _TWO52_BITS).view(np.float64) - _TWO52) + 0.5  # exact
    shifted = np.float64(x).view(np.int64) - _HALF_ROOT
    power = (shifted & _EXPONENT) + _ONE - _ONE
    k = (np.int64((power >> 52) | _TWO52_BITS).view(np.float64) - _TWO52) - 32.0
    f = np.int64(np.float64(x).view(np.int64) - power).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    half = 0.5 * f * f
    r = w * (_L2 + w * (_L4 + w * _L6)) + z * (_L1 + w * (_L3 + w * (_L5 + w * _L7)))
    value = k * _LN2_HIGH - ((half - (s * (half + r) + k * _LN2_LOW)) - f)
    floor = math.floor(-value * _SCALE)
    return np.float64(floor + _TWO52).view(np.int64) - _TWO52_BITS


@inner
def refill(market, seed, episode, number, stream, lanes):
    """Compute the words of the next eight arrivals, from ``market["draws"]`` on, which is a multiple of eight.

    ``lanes`` is eight. The compiler must not know it: it would unroll the loop of the logarithms before it could put
    them side by side. That of the blocks it must know, to unroll the ten rounds.
    """
    words, expo = market["words"], market["expo"]
    first = market["draws"]
    c2 = np.uint64(number & _MASK)
    c3 = np.uint64(stream & _MASK)
    for lane in range(BLOCKS):
        x0 = np.uint64((first + lane) & _MASK)
        x1 = np.uint64(FLOW)
        x2 = c2
        x3 = c3
        for turn in range(10):
            key0 = np.uint64((seed + turn * _W0) & _MASK)
            key1 = np.uint64((episode + turn * _W1) & _MASK)
            product0 = _M0 * x0  # below 2**64: both factors have 32 bits
            product1 = _M1 * x2
            x0 = (product1 >> _SHIFT) ^ x1 ^ key0
            x1 = product1 & _LOW
            x2 = (product0 >> _SHIFT) ^ x3 ^ key1
            x3 = product0 & _LOW
        expo[lane] = np.uint32(x0)
        words[KIND, lane] = np.uint32(x1)
        words[PLACE, lane] = np.uint32(x2)
        expo[lane + BLOCKS] = np.uint32(x3)
    for lane in range(2 * lanes):
        expo[lane] = np.uint32(exponential(np.int64(expo[lane])))
