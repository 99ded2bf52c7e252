"""The optima of the textbook tasks: published and independently computed figures, and slow obvious searches."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

from envs.tasks import (
    CARTEA_JAIMUNGAL_PENALVA,
    GUEANT_LEHALLE_FERNANDEZ_TAPIA,
    LQR,
    AlmgrenChriss,
    AlmgrenChrissVectorEnv,
    Garnet,
    Kelly,
    LQRVectorEnv,
    MarketMaking,
    MarketMakingVectorEnv,
)
from envs.tasks.cmdp import make_tables
from evaluation.optima import almgren_chriss, cmdp, kelly, lqr, market_making


def by_value_iteration(task, price):
    """The best value of reward - price x cost: no linear programme in it."""
    tables = make_tables(task)
    value = np.zeros(task.states)
    for _ in range(2000):
        value = (tables.rewards - price * tables.costs + task.gamma * tables.transitions @ value).max(1)
    return value.mean()


class TestTabular:
    def test_without_a_budget_it_is_value_iteration(self):
        optimum = cmdp.solve(Garnet())
        assert optimum.value == pytest.approx(17.7132, abs=5e-5)
        assert optimum.value == pytest.approx(by_value_iteration(Garnet(), 0.0), rel=1e-9)
        assert optimum.multiplier == 0.0

    @pytest.mark.parametrize("instance", [3, 4, 5])
    def test_the_dual_closes_the_gap(self, instance):
        # strong duality: max over policies of R - m (C - budget) equals the constrained optimum at its multiplier m
        task = Garnet(instance=instance)
        budget = cmdp.budget_between(task, 0.4)
        optimum = cmdp.solve(task, budget)
        dual = by_value_iteration(task, optimum.multiplier) + optimum.multiplier * budget
        assert optimum.value == pytest.approx(dual, rel=1e-9)
        assert optimum.cost == pytest.approx(budget, rel=1e-9)
        for other in (0.8, 1.2):  # and no other multiplier bounds it more closely
            price = other * optimum.multiplier
            assert by_value_iteration(task, price) + price * budget > optimum.value + 1e-4
        # a budget more than policies that keep to one action a state can spend exactly: one state is mixed
        assert ((optimum.policy > 1e-9).sum(1) == 2).sum() == 1

    def test_a_policy_is_worth_what_it_earns_step_by_step(self):
        task = Garnet(states=3, actions=2, branches=2, gamma=0.5)
        policy = np.array([[0.3, 0.7], [1.0, 0.0], [0.5, 0.5]])
        tables = make_tables(task)
        at, reward, cost = np.full(3, 1 / 3), 0.0, 0.0
        for step in range(60):  # 0.5**60 is below what a float notices
            occupation = at[:, None] * policy * 0.5**step
            reward += (occupation * tables.rewards).sum()
            cost += (occupation * tables.costs).sum()
            at = np.einsum("sa,sat->t", at[:, None] * policy, tables.transitions)
        assert cmdp.evaluate(task, policy) == pytest.approx((reward, cost), rel=1e-12)

    def test_budgets_that_nobody_keeps_are_refused(self):
        low = cmdp.cheapest(Garnet())
        with pytest.raises(ValueError, match=r"the cheapest costs 2\.97214"):
            cmdp.solve(Garnet(), low * 0.99)
        with pytest.raises(ValueError, match="each row summing to 1"):
            cmdp.evaluate(Garnet(), np.full((12, 4), 0.3))


class TestLinearQuadratic:
    def test_known_figures(self):
        optimum = lqr.solve(LQR(), 2.0)
        assert optimum.gain == pytest.approx(0.695492, abs=5e-7)
        assert optimum.multiplier == pytest.approx(0.901100, abs=5e-7)
        assert -optimum.value == pytest.approx(4.134719, abs=1e-6)
        assert optimum.cost == pytest.approx(2.0, rel=1e-9)

    def test_the_gain_solves_the_riccati_equation(self):
        task, price = LQR(), 0.7
        p = 1.0
        for _ in range(500):
            k = task.gamma * task.a * task.b * p / (price + task.gamma * task.b**2 * p)
            p = 1 + task.gamma * task.a**2 * p - (task.gamma * task.a * task.b * p) * k
        assert lqr.gain(task, price) == pytest.approx(k, rel=1e-12)

    def test_quadrature_agrees_with_the_closed_form(self):
        for k in (0.0, 0.5, 0.9):
            assert lqr.evaluate(LQR(), lambda x, k=k: -k * x) == pytest.approx(lqr.linear_control(LQR(), k), rel=1e-6)

    def test_no_other_gain_does_better_and_no_bent_control(self):
        task = LQR()
        optimum = lqr.solve(task, 2.0)
        for bend in (-0.02, 0.02):
            value, cost = lqr.evaluate(task, lambda x, bend=bend: -optimum.gain * x + bend * x**3)
            assert value - optimum.multiplier * (cost - 2.0) < optimum.value

    def test_a_loose_budget_costs_nothing(self):
        assert lqr.solve(LQR(), 1e3).multiplier == 0.0
        with pytest.raises(ValueError, match="positive budget"):
            lqr.solve(LQR(), 0.0)

    def test_played_episodes_agree(self):
        env = LQRVectorEnv(2048, LQR(horizon=100))
        obs, _ = env.reset(seed=0)
        paid, weight = np.zeros(2048), np.ones(2048)
        for _ in range(200):  # a first episode of any length, and one of 100 steps
            obs, reward, _, truncated, _ = env.step(np.clip(-0.6 * obs, -4, 4))
            second = env.state.episode - truncated == 1  # the step was the second episode's
            paid += np.where(second, weight * reward, 0.0)
            weight *= np.where(second, 0.95, 1.0)
        # beyond 100 steps lies 0.95**100 = 0.6 % of a steady state's worth. A return's deviation is about 3: of
        # 2,048 the mean's is 0.07; five of them fail once in a million
        assert paid.mean() == pytest.approx(lqr.linear_control(LQR(), 0.6)[0], abs=0.35)


class TestKelly:
    def test_known_figures(self):
        optimum = kelly.solve(Kelly())
        assert optimum.fraction == pytest.approx(0.2)
        assert optimum.value == pytest.approx(0.02013551, abs=5e-9)
        tight = kelly.solve(Kelly(), 0.1, 0.9)
        assert (tight.fraction, tight.value, tight.multiplier) == pytest.approx((0.1, 0.01504190, 0.10101), abs=5e-6)
        median = kelly.solve(Kelly(), 0.1, 0.5)
        assert (median.fraction, median.multiplier) == pytest.approx((0.166667, 0.057143), abs=5e-7)
        assert kelly.solve(Kelly(fee_rate=0.07)).fraction == pytest.approx(0.170984, abs=5e-7)
        # the no-trade band is up to 0.5 + 0.07 / 4
        assert kelly.solve(Kelly(fee_rate=0.07, belief=0.5174)).fraction == 0.0
        assert kelly.solve(Kelly(fee_rate=0.07, belief=0.5176)).fraction > 0.0

    @pytest.mark.parametrize("task", [Kelly(), Kelly(price=0.2, belief=0.5, most=0.9), Kelly(fee_rate=0.07)])
    def test_no_fraction_grows_faster(self, task):
        found = minimize_scalar(lambda f: -kelly.growth(task, f), bounds=(0, 0.99), options={"xatol": 1e-10}).x
        assert kelly.solve(task).fraction == pytest.approx(found, abs=1e-5)

    @pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 0.75, 0.9])
    def test_cvar_is_the_smallest_bound_of_rockafellar_and_uryasev(self, alpha):
        losses, chances = np.array([0.3, -0.3]), np.array([0.4, 0.6])  # f = 0.3 at a price of 0.5
        bounds = np.linspace(-0.3, 0.3, 6001)
        means = bounds + (np.maximum(losses - bounds[:, None], 0) @ chances) / (1 - alpha)
        assert kelly.cvar(Kelly(), 0.3, alpha) == pytest.approx(means.min(), abs=1e-9)

    def test_the_multiplier_is_the_slope_of_the_optimum(self):
        low, high = kelly.solve(Kelly(), 0.0999, 0.5), kelly.solve(Kelly(), 0.1001, 0.5)
        slope = (high.value - low.value) / 0.0002
        assert kelly.solve(Kelly(), 0.1, 0.5).multiplier == pytest.approx(slope, rel=1e-4)
        assert kelly.solve(Kelly(), 0.5, 0.5).multiplier == 0.0
        with pytest.raises(ValueError, match="at least 0"):
            kelly.solve(Kelly(), -0.1)
        with pytest.raises(ValueError, match="level alpha"):
            kelly.solve(Kelly(), 0.1, 1.0)


class TestExecution:
    def test_the_papers_example(self):
        task = AlmgrenChriss()
        path = almgren_chriss.best_path(task, 1.0)  # 1e-6 a dollar
        np.testing.assert_allclose(path, [1, 0.541956, 0.289854, 0.147897, 0.062142, 0], atol=1e-6)
        cost, variance = almgren_chriss.measure(task, path)
        assert (cost, math.sqrt(variance)) == pytest.approx((0.911227, 0.603431), abs=5e-7)
        cost, variance = almgren_chriss.measure(task, almgren_chriss.even_path(task))
        assert (cost, math.sqrt(variance)) == pytest.approx((0.6625, 1.040673), abs=5e-7)

    def test_half_the_variance(self):
        optimum = almgren_chriss.solve(AlmgrenChriss(), 1.083 / 2)
        assert optimum.multiplier == pytest.approx(0.5388627, abs=5e-7)
        assert optimum.cost == pytest.approx(0.7795017, abs=1e-6)

    def test_a_search_over_paths_finds_the_same(self):
        task = AlmgrenChriss()

        def whole(inner):
            return np.concatenate(([1.0], inner, [0.0]))

        found = minimize(
            lambda inner: almgren_chriss.measure(task, whole(inner))[0], [0.8, 0.6, 0.4, 0.2],
            method="SLSQP", tol=1e-12,
            constraints={"type": "ineq", "fun": lambda inner: 0.5415 - almgren_chriss.measure(task, whole(inner))[1]},
        )  # fmt: skip
        optimum = almgren_chriss.solve(task, 0.5415)
        np.testing.assert_allclose(found.x, optimum.path[1:-1], atol=1e-5)
        assert almgren_chriss.solve(task, 2.0).multiplier == 0.0

    def test_the_environment_charges_what_the_formula_says(self):
        task = AlmgrenChriss()
        path = almgren_chriss.best_path(task, 1.0)
        env = AlmgrenChrissVectorEnv(1, task)
        env.reset(seed=0)
        paid = variance = 0.0
        for share in 1 - path[1:] / path[:-1]:
            _, reward, *_, info = env.step(np.array([[2 * share - 1]]))
            paid -= reward[0]
            variance += info["costs"][0, 0]
        assert (paid, variance) == pytest.approx(almgren_chriss.measure(task, path), rel=1e-6)

    def test_bad_bounds_are_refused(self):
        with pytest.raises(ValueError, match="positive bound"):
            almgren_chriss.solve(AlmgrenChriss(), 0.0)
        with pytest.raises(ValueError, match="trade in more steps"):
            almgren_chriss.best_path(AlmgrenChriss(eta=0.1), 1.0)


def step_by_hand(task, after, inventory, below, above):
    """One step's value as a sum over its four outcomes, with scalars."""
    gamma, total = task.risk_aversion, 0.0
    chance = [1 - math.exp(-task.intensity * task.dt * math.exp(-task.decay * d)) for d in (below, above)]
    chance[0] *= inventory < task.limit
    chance[1] *= inventory > -task.limit
    for bought in (0, 1):
        for sold in (0, 1):
            weight = (chance[0] if bought else 1 - chance[0]) * (chance[1] if sold else 1 - chance[1])
            held = inventory + bought - sold
            if weight == 0.0:
                continue
            gain = below * bought + above * sold - task.running * task.dt * inventory**2
            value = after[held + task.limit]
            if gamma == 0.0:
                total += weight * (gain + value)
            else:
                risk = (gamma * held) ** 2 * task.sigma**2 * task.dt / 2
                total += weight * value * math.exp(risk - gamma * gain)
    return total


COARSE = {"steps": 3, "limit": 2, "horizon": 0.3}


@pytest.mark.parametrize(
    "task",
    [
        replace(CARTEA_JAIMUNGAL_PENALVA, **COARSE, running=0.5, terminal=0.3),
        replace(GUEANT_LEHALLE_FERNANDEZ_TAPIA, **COARSE, intensity=20.0, risk_aversion=0.5),
    ],
)
def test_quotes_are_the_best_of_a_fine_grid(task):
    grid = np.linspace(0, 2, 81)
    inventories = range(-2, 3)
    gamma = task.risk_aversion
    values = [-task.terminal * q * q if gamma == 0 else -1.0 for q in inventories]
    for _ in range(task.steps):
        values = [max(step_by_hand(task, values, q, b, a) for b in grid for a in grid) for q in inventories]
    best = values[2] if gamma == 0 else -math.log(-values[2]) / gamma
    optimum = market_making.solve(task)
    assert best < optimum.value < best + 1e-3  # the grid is 0.025 apart: half of that, squared, times the curvature
    assert market_making.evaluate(task, optimum.quotes) == pytest.approx(optimum.value, rel=1e-12)


class TestMarketMaking:
    def test_continuous_closed_forms(self):
        values, bids = market_making.continuous(CARTEA_JAIMUNGAL_PENALVA)
        assert (values[3], values[0], values[6]) == pytest.approx((9.19400, 8.54318, 8.54318), abs=5e-6)
        assert bids[3] == pytest.approx(0.7209, abs=5e-5)
        _, bids = market_making.continuous(GUEANT_LEHALLE_FERNANDEZ_TAPIA)
        assert (bids[5], bids[0], bids[9]) == pytest.approx((0.6777, 0.1649, 1.1259), abs=5e-5)
        with pytest.raises(ValueError, match="without running"):
            market_making.continuous(replace(GUEANT_LEHALLE_FERNANDEZ_TAPIA, running=0.1))

    @pytest.mark.parametrize("task", [CARTEA_JAIMUNGAL_PENALVA, GUEANT_LEHALLE_FERNANDEZ_TAPIA])
    def test_shorter_steps_approach_continuous_time(self, task):
        limit = market_making.continuous(task)[0][task.limit]
        gaps = [limit - market_making.solve(replace(task, steps=steps)).value for steps in (200, 400, 800)]
        assert gaps[0] > gaps[1] > gaps[2] > 0
        # the gap is proportional to the step: doubling the steps halves it, and Richardson's extrapolation meets 0
        assert 2 * gaps[2] - gaps[1] == pytest.approx(0.0, abs=0.01 * limit)

    def test_the_approximate_quotes_fall_short(self):
        task = GUEANT_LEHALLE_FERNANDEZ_TAPIA
        quotes = market_making.avellaneda_stoikov(task)
        assert quotes[0, 5] == pytest.approx([0.8454, 0.8454], abs=5e-5)
        assert 0.95 < market_making.evaluate(task, quotes) / market_making.solve(task).value < 0.98

    @pytest.mark.parametrize("task", [CARTEA_JAIMUNGAL_PENALVA, replace(GUEANT_LEHALLE_FERNANDEZ_TAPIA, steps=50)])
    def test_played_episodes_agree(self, task):
        quotes = np.full((task.steps, 2 * task.limit + 1, 2), 0.8)
        quotes[:, : task.limit, 0] = 0.5  # short: bid closer
        env = MarketMakingVectorEnv(4096, task)
        env.reset(seed=0)
        total = np.zeros(4096)
        for step in range(task.steps):
            held = env.state.values[:, 0].astype(int) + task.limit
            total += env.step(2 * quotes[step, held] / task.widest - 1)[1]
        expected = market_making.evaluate(task, quotes)
        if task.risk_aversion:
            gamma = task.risk_aversion
            expected = (1 - math.exp(gamma * (task.benchmark * task.horizon - expected))) / gamma
        assert total.mean() == pytest.approx(expected, abs=4 * total.std() / math.sqrt(4096))

    def test_bad_quotes_are_refused(self):
        with pytest.raises(ValueError, match=r"expected quotes \(100, 7, 2\)"):
            market_making.evaluate(CARTEA_JAIMUNGAL_PENALVA, np.zeros((99, 7, 2)))
        with pytest.raises(ValueError, match=r"from 0 to 2\.0 cents"):
            market_making.evaluate(CARTEA_JAIMUNGAL_PENALVA, np.full((100, 7, 2), np.nan))
        assert MarketMaking().dt == 0.01
