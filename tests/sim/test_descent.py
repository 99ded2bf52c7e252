"""The damped least-squares step of a fit, on problems whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.scenarios.descent import DAMPINGS, Range, residuals, step, weights
from sim.scenarios.distance import Yardstick
from sim.scenarios.facts import Fact

RANGES = {"rate": Range(0.1, 1000.0, True), "share": Range(0.0, 1.0, False)}


def moments(point):
    """Two moments, linear in log(rate) and in share; both right at a rate of 7 and a share of 0.4."""
    gap = np.array([math.log(point["rate"] / 7.0) + 2.0 * (point["share"] - 0.4), 3.0 * (point["share"] - 0.4)])
    return float(gap @ gap), gap


def test_a_linear_problem_is_all_but_solved_in_one_step():
    calls = []

    def counted(point):
        calls.append(point)
        return moments(point)

    cost, point = step({"rate": 5.0, "share": 0.6}, RANGES, counted, np.ones(2))
    assert len(calls) == len(RANGES) + 1 + len(DAMPINGS)
    assert cost < 0.02 * moments({"rate": 5.0, "share": 0.6})[0]
    assert point["rate"] == pytest.approx(7.0, rel=0.1) and point["share"] == pytest.approx(0.4, abs=0.03)


def test_no_point_leaves_its_range():
    narrow = {"rate": Range(4.9, 5.1, True), "share": Range(0.0, 1.0, False)}
    tried = []
    step({"rate": 5.1, "share": 1.0}, narrow, lambda point: tried.append(point) or moments(point), np.ones(2))
    assert all(4.9 <= point["rate"] <= 5.1 and 0.0 <= point["share"] <= 1.0 for point in tried)


def test_residuals_and_weights_by_hand():
    def fact(*values):
        return Fact("x", "moves", "share", "", ("a", "b"), values)

    measures = {"x": Yardstick(0.2, 1)}
    wanted, found = {"x": fact(0.5, 0.5)}, {"x": fact(0.8, 0.5)}
    # 0.3 / (1.5 x 0.2) = 1, over the root of two components; u^2 = 1/2, the weight 1 / 1.5^2
    assert residuals(wanted, found, measures) == pytest.approx([1 / math.sqrt(2), 0.0])
    assert weights(wanted, found, measures) == pytest.approx([1 / 2.25] * 2)
    assert residuals(wanted, {"x": Fact("x", "moves", "share", "", ("a", "b"))}, measures).tolist() == [0.0, 0.0]
