from __future__ import annotations

import inspect
import math
import re
import sys
from decimal import Context, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from sim.mathematics import exp, log, normal


def ulps(got, exact: Decimal) -> float:
    """Distance in units of the last place of ``got``."""
    return float(abs(Decimal(float(got)) - exact) / Decimal(math.ulp(got)))


def log_points(rng: np.random.Generator, n: int) -> np.ndarray:
    breaks = 1 + (np.arange(129) + 0.5) / 128  # where the table's entry changes
    return np.concatenate(
        [
            np.exp(rng.uniform(-708, 709, n)),
            rng.uniform(0, 3, n),
            1 + rng.normal(0, 1e-2, n),
            1 + rng.normal(0, 1e-9, n),
            1 + np.arange(-20, 21) * 2.0**-53,
            breaks,
            np.nextafter(breaks, 0),
            breaks / 2,
            rng.uniform(0, 2.2e-308, 50),
            [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, math.sqrt(2), math.sqrt(0.5)],
        ]
    )


def test_log_is_within_2_ulp():
    points = log_points(np.random.default_rng(1), 1000)
    with localcontext(Context(prec=45)):
        worst = max(ulps(log(float(x)), Decimal(float(x)).ln()) for x in points if x != 1)
    assert worst < 2


def test_log_next_to_1_is_nearly_exact():
    # c = 1 here: nothing but the series and its last addition rounds
    points = 1 + np.random.default_rng(6).uniform(-1 / 512, 1 / 256, 3000)
    with localcontext(Context(prec=45)):
        worst = max(ulps(log(float(x)), Decimal(float(x)).ln()) for x in points)
    assert worst < 0.6


def test_exp_is_within_1_ulp():
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.uniform(-708, 709.7, 2000), rng.normal(0, 1, 2000), rng.normal(0, 1e-6, 500)])
    with localcontext(Context(prec=45)):
        worst = max(ulps(exp(float(x)), Decimal(float(x)).exp()) for x in points)
    assert worst < 1


def test_exp_of_large_negative_numbers_is_within_1_ulp_of_the_subnormals():
    points = np.random.default_rng(3).uniform(-745, -708, 300)
    with localcontext(Context(prec=45)):
        worst = max(ulps(exp(float(x)), Decimal(float(x)).exp()) for x in points)
    assert worst < 1.01  # the last scaling rounds once more


@pytest.mark.parametrize(
    ("x", "expected"),
    [(0.0, -math.inf), (-0.0, -math.inf), (1.0, 0.0), (math.inf, math.inf), (-1.0, math.nan), (-5e-324, math.nan),
     (-math.inf, math.nan), (math.nan, math.nan)],
)  # fmt: skip
def test_log_at_the_edges(x, expected):
    assert np.array_equal(log(x), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("x", "expected"),
    [(0.0, 1.0), (-0.0, 1.0), (709.7827128933841, math.inf), (math.inf, math.inf), (-745.14, 0.0), (-745.0, 5e-324),
     (-math.inf, 0.0), (math.nan, math.nan)],
)  # fmt: skip
def test_exp_at_the_edges(x, expected):
    assert np.array_equal(exp(x), expected, equal_nan=True)


def test_exp_just_below_overflow():
    # the largest argument with a finite result: exp(709.782712893384) = 1.797693134862273e308, the largest float is
    # 1.7976931348623157e308
    assert exp(709.782712893384) == pytest.approx(1.797693134862273e308, rel=1e-15)


@given(st.floats(1e-300, 1e300))
@settings(max_examples=200)
def test_exp_undoes_log(x):
    # log has an error of 2 ulp of up to 691: 2 x 1.1e-13, which exp turns into a relative error
    assert exp(log(x)) == pytest.approx(x, rel=3e-13)


@pytest.mark.parametrize(
    ("u", "z"), [(0.25, -0.6744897501960817), (0.001, -3.090232306167814), (1e-20, -9.262340089798408)]
)
def test_normal_published_values(u, z):
    # the check values of AS 241
    assert normal(u) == pytest.approx(z, rel=2e-15)


def test_normal_against_scipy():
    rng = np.random.default_rng(4)
    u = np.concatenate([rng.random(3000), np.exp(rng.uniform(-700, 0, 2000)), [2.0**-33, 0.075, 0.925, 5e-324]])
    got = np.array([normal(float(x)) for x in u])
    assert abs(got / ndtri(u) - 1).max() < 3e-15


@given(st.integers(1, 2**32))
@settings(max_examples=200)
def test_normal_is_odd(word):
    u = word / 2**33  # 1 - u is exact
    assert normal(1.0 - u) == -normal(u)


def test_normal_rises():
    z = [normal(float(u)) for u in np.concatenate([np.linspace(1e-12, 1 - 1e-12, 20_001), [0.5]])]
    assert (np.diff(z[:-1]) > 0).all()
    assert z[-1] == 0


@pytest.mark.parametrize(
    ("u", "z"),
    [(0.0, -math.inf), (1.0, math.inf), (-0.1, math.nan), (1.1, math.nan), (math.nan, math.nan), (math.inf, math.nan)],
)
def test_normal_at_the_edges(u, z):
    assert np.array_equal(normal(u), z, equal_nan=True)


def test_only_exact_operations_of_math_are_used():
    # another machine's math.log may differ in the last bit, which no test on this one can see
    used = set(re.findall(r"\bmath\.(\w+)", inspect.getsource(sys.modules["sim.mathematics"])))
    assert used == {"sqrt", "floor", "inf", "nan"}


BOTH_WAYS = """
import numpy as np
from sim.mathematics import exp, log, normal
rng = np.random.default_rng(5)
near = 1 + rng.normal(0, 1e-6, 200)
for x in np.concatenate([rng.random(1500), near, 10 ** rng.uniform(-320, 308, 500), [0.0, np.inf]]):
    print(float(log(float(x))).hex(), float(log(x)).hex())
for x in np.concatenate([rng.uniform(-750, 715, 1000), rng.normal(0, 1, 500)]):
    print(float(exp(float(x))).hex(), float(exp(x)).hex())
for u in np.concatenate([rng.random(1000), 10 ** rng.uniform(-300, 0, 500), [0.0, 1.0, 2.0]]):
    print(float(normal(float(u))).hex(), float(normal(u)).hex())
"""


def test_compiled_and_interpreted_agree_to_the_bit(run_other_way, capsys):
    exec(compile(BOTH_WAYS, "both_ways", "exec"), {})
    assert capsys.readouterr().out == run_other_way(BOTH_WAYS)
