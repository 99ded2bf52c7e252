"""exp, log and the inverse normal distribution, bit for bit the same compiled and interpreted.

A compiler may call another ``exp`` than Python does, and the last bit then differs from machine to machine. These use
only + - * / sqrt and exact operations on the bits of a float, each of which IEEE 754 fixes to the bit. Nothing here is
contracted or reordered: ``sim.kernel`` keeps fastmath off.

Sources: ``log`` and ``exp`` are a table and a short series, after P. T. P. Tang, "Table-driven implementation of the
logarithm function in IEEE floating-point arithmetic", ACM TOMS 16, 1990, and of the exponential function, ACM TOMS 15,
1989; ``normal`` is M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
Statistics 37, 1988 (PPND16).
"""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext

import numpy as np

from sim.kernel import kernel

_LN2_HIGH = 6.93147180369123816490e-01  # its last 32 bits are 0: k * _LN2_HIGH is exact
_LN2_LOW = 1.90821492927058770002e-10

_STEPS = 64  # the table of exp: 2**(j / 64)
_STEPS_BY_LN2 = 64 / 0.6931471805599453
_STEP_HIGH = _LN2_HIGH / _STEPS  # exact
_STEP_LOW = _LN2_LOW / _STEPS
_EXP_OVERFLOW = 7.09782712893383973096e02
_EXP_UNDERFLOW = -7.45133219101941108420e02

_SMALLEST_NORMAL = 2.2250738585072014e-308
_LARGEST = 1.7976931348623157e308
_TWO54 = 18014398509481984.0
_FRACTION = 0x000FFFFFFFFFFFFF  # the 52 bits of a float's fraction
_ONE_BITS = 0x3FF0000000000000  # the bits of 1.0
_HALF_STEP = 1 << 44  # half of 1/128, in units of the fraction's last bit
_FROM_SQRT = 128 - 54  # (j + this) >> 7 is 1 from j = 54 on: 1 + 54/128 is the first entry above sqrt(2)
_THIRD = 1.0 / 3.0
_SIXTH = 1.0 / 6.0
_SEVENTH = 1.0 / 7.0
_24TH = 1.0 / 24.0
_120TH = 1.0 / 120.0
_720TH = 1.0 / 720.0


def _log_table() -> tuple[np.ndarray, np.ndarray]:
    """1 / c and log(c), or log(c / 2) from j = 54 on, for c = 1 + j / 128, j = 0 to 128; each the nearest float.

    The logarithms come from ``decimal``, which rounds correctly on every machine.
    """
    inverse = np.empty(129)
    logarithm = np.empty(129)
    with localcontext(Context(prec=40)):
        for j in range(129):
            c = 1 + Decimal(j) / 128
            inverse[j] = float(1 / c)
            logarithm[j] = float((c if j < 54 else c / 2).ln())
    return inverse, logarithm


def _exp_table() -> tuple[np.ndarray, np.ndarray]:
    """2**(j / 64), j = 0 to 63: the nearest float, and what it leaves of the true value."""
    head, tail = np.empty(_STEPS), np.empty(_STEPS)
    with localcontext(Context(prec=50)):
        for j in range(_STEPS):
            power = Decimal(2) ** (Decimal(j) / _STEPS)
            head[j] = float(power)
            tail[j] = float(power - Decimal(float(power)))
    return head, tail


_INVERSE, _LOG = _log_table()
_POWER, _POWER_TAIL = _exp_table()


@kernel
def log(x: float) -> float:
    """Natural logarithm; error below 2 ulp, the largest seen being 1.86.

    log(0) = -inf, log(inf) = inf; NaN of a negative number and of NaN.
    """
    x = np.float64(x)
    if not (x >= _SMALLEST_NORMAL and x <= _LARGEST):
        return _log_special(x)
    return _log_normal(x, 0)


@kernel
def _log_special(x: float) -> float:
    """Zero, subnormal, negative, infinite, NaN."""
    if x == 0.0:
        return -math.inf
    if x > _LARGEST:
        return math.inf
    if x > 0.0:
        return _log_normal(x * _TWO54, -54)
    return math.nan


@kernel
def _log_normal(x: float, k: int) -> float:
    """log(x) + k log(2) of a positive normal float.

    x = 2**k z with 1 <= z < 2; c is the multiple of 1/128 next to z and r = (z - c) / c, so abs(r) <= 1/256 and
    log(x) = k log(2) + log(c) + log(1 + r). z - c is exact. From the square root of 2 on, the table holds log(c / 2)
    and k is one more: next to x = 1 on either side the table's entry is 0, k is 0, r is exact, and nothing cancels.
    log(1 + r) is its series to r**7; what is left out is below 2**-58 of r.
    """
    bits = np.float64(x).view(np.int64)
    fraction = bits & _FRACTION
    j = (fraction + _HALF_STEP) >> 45
    exponent = float(k + (bits >> 52) - 1023 + ((j + _FROM_SQRT) >> 7))
    z = np.int64(fraction | _ONE_BITS).view(np.float64)
    r = (z - (1.0 + j * 0.0078125)) * _INVERSE[j]
    square = r * r
    series = (r * _THIRD - 0.5) + square * ((r * 0.2 - 0.25) + square * (r * _SEVENTH - _SIXTH))
    return (exponent * _LN2_HIGH + _LOG[j]) + (r + (square * series + exponent * _LN2_LOW))


@kernel
def exp(x: float) -> float:
    """e**x, error below 1 ulp. Above 709.782... inf, below -745.133... 0, exp(NaN) = NaN.

    x = (64 m + j) log(2) / 64 + r with abs(r) <= log(2) / 128, so e**x = 2**m x 2**(j / 64) x e**r. The table holds
    2**(j / 64) in two floats; e**r - 1 is its series to r**6, and what is left out is below 2**-64.
    """
    x = np.float64(x)
    if x > _EXP_OVERFLOW:
        return math.inf
    if x < _EXP_UNDERFLOW:
        return 0.0
    if x != x:
        return math.nan
    k = math.floor(x * _STEPS_BY_LN2 + 0.5)
    r = (x - k * _STEP_HIGH) - k * _STEP_LOW
    square = r * r
    series = r + square * ((0.5 + r * _SIXTH) + square * ((_24TH + r * _120TH) + square * _720TH))
    j = k & (_STEPS - 1)
    m = k >> 6
    y = _POWER[j] + (_POWER[j] * series + _POWER_TAIL[j])
    if m > -1022 and m < 1023:
        return np.int64(np.float64(y).view(np.int64) + (m << 52)).view(np.float64)
    # in two exact factors: 2**m alone does not exist for m = 1024 or m < -1022
    half = m >> 1
    return y * _power_of_two(half) * _power_of_two(m - half)


@kernel
def _power_of_two(k: int) -> float:
    return np.int64(np.int64(k + 1023) << 52).view(np.float64)


@kernel
def normal(u: float) -> float:
    """The z with P(Z <= z) = u for a standard normal Z; relative error below 1e-15 (AS 241, PPND16: about 1 in 10**16).

    normal(0) = -inf, normal(1) = inf, outside [0, 1] and for NaN: NaN.
    """
    u = np.float64(u)
    if not (u > 0.0 and u < 1.0):
        if u == 0.0:
            return -math.inf
        if u == 1.0:
            return math.inf
        return math.nan
    q = u - 0.5
    if q >= -0.425 and q <= 0.425:
        return q * _central(0.180625 - q * q)
    r = math.sqrt(-log(u if q < 0.0 else 1.0 - u))
    z = _near_tail(r - 1.6) if r <= 5.0 else _far_tail(r - 5.0)
    return -z if q < 0.0 else z


@kernel
def _central(r: float) -> float:
    """AS 241: abs(u - 1/2) <= 0.425, in r = 0.425**2 - (u - 1/2)**2."""
    top = 6.7265770927008700853e4 + r * (3.3430575583588128105e4 + r * 2.5090809287301226727e3)
    top = 1.3731693765509461125e4 + r * (4.5921953931549871457e4 + r * top)
    top = 3.3871328727963666080e0 + r * (1.3314166789178437745e2 + r * (1.9715909503065514427e3 + r * top))
    bottom = 3.9307895800092710610e4 + r * (2.8729085735721942674e4 + r * 5.2264952788528545610e3)
    bottom = 5.3941960214247511077e3 + r * (2.1213794301586595867e4 + r * bottom)
    bottom = 1.0 + r * (4.2313330701600911252e1 + r * (6.8718700749205790830e2 + r * bottom))
    return top / bottom


@kernel
def _near_tail(r: float) -> float:
    """AS 241: sqrt(-log(tail)) <= 5, in r = sqrt(-log(tail)) - 1.6."""
    top = 2.41780725177450611770e-1 + r * (2.27238449892691845833e-2 + r * 7.74545014278341407640e-4)
    top = 3.64784832476320460504e0 + r * (1.27045825245236838258e0 + r * top)
    top = 1.42343711074968357734e0 + r * (4.63033784615654529590e0 + r * (5.76949722146069140550e0 + r * top))
    bottom = 1.51986665636164571966e-2 + r * (5.47593808499534494600e-4 + r * 1.05075007164441684324e-9)
    bottom = 6.89767334985100004550e-1 + r * (1.48103976427480074590e-1 + r * bottom)
    bottom = 1.0 + r * (2.05319162663775882187e0 + r * (1.67638483018380384940e0 + r * bottom))
    return top / bottom


@kernel
def _far_tail(r: float) -> float:
    """AS 241: sqrt(-log(tail)) > 5, in r = sqrt(-log(tail)) - 5."""
    top = 1.24266094738807843860e-3 + r * (2.71155556874348757815e-5 + r * 2.01033439929228813265e-7)
    top = 2.96560571828504891230e-1 + r * (2.65321895265761230930e-2 + r * top)
    top = 6.65790464350110377720e0 + r * (5.46378491116411436990e0 + r * (1.78482653991729133580e0 + r * top))
    bottom = 1.84631831751005468180e-5 + r * (1.42151175831644588870e-7 + r * 2.04426310338993978564e-15)
    bottom = 1.48753612908506148525e-2 + r * (7.86869131145613259100e-4 + r * bottom)
    bottom = 1.0 + r * (5.99832206555887937690e-1 + r * (1.36929880922735805310e-1 + r * bottom))
    return top / bottom
