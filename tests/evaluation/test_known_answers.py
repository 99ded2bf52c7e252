"""How learnt policies are measured and judged: the best policy passes every problem, slightly worse ones do not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from envs.tasks import LQR, AlmgrenChriss, Garnet, Kelly
from evaluation import __main__ as command
from evaluation.optima import almgren_chriss, cmdp, lqr, market_making
from evaluation.problems import PROBLEMS, Budget, Measured, betting, execution, linear_quadratic, making, tabular


class Known:
    """A policy written down instead of learnt."""

    def __init__(self, chances=None, act=None):
        self.chances, self.act = chances, act

    def probabilities(self, observations):
        return self.chances[observations.argmax(1)]

    def actions(self, observations):
        return self.act(observations)


def verdict(problem, policy):
    measured = Measured(*problem.measure(policy), None if problem.budget is None else problem.budget.dual)
    return measured, problem.failures([measured] * 5)


def test_the_best_tabular_policy_passes_and_its_likeliest_actions_do_not():
    problem = tabular(3)
    best = cmdp.solve(Garnet(instance=3), problem.budget.limit)
    measured, failures = verdict(problem, Known(best.policy))
    assert (measured.achieved, measured.cost) == pytest.approx((problem.optimum, problem.budget.limit), rel=1e-6)
    assert not failures
    free = cmdp.solve(Garnet(instance=3))
    _, failures = verdict(problem, Known(free.policy))
    assert len(failures) == 11  # return and cost of each seed, and the mean cost


@pytest.mark.parametrize("instance", [0, 1, 2])
def test_the_dual_is_the_same_within_the_tolerance_of_the_budget(instance):
    budget = tabular(instance).budget
    duals = [cmdp.solve(Garnet(instance=instance), share * budget.limit).multiplier for share in (0.96, 1.04)]
    assert duals == pytest.approx([budget.dual] * 2, rel=1e-3)


def test_multipliers_are_held_to_the_dual():
    problem = tabular(4)
    good = Measured(problem.optimum, problem.budget.limit, problem.budget.dual * 1.09)
    assert problem.passed([good] * 5)
    assert problem.failures([good] * 4 + [good._replace(multiplier=problem.budget.dual * 0.89)]) == [
        f"seed 4: multiplier {problem.budget.dual * 0.89:.4g}, the dual is {problem.budget.dual:.4g}"
    ]


def test_one_seed_may_spend_a_little_more_than_all():
    problem = replace(linear_quadratic(), budget=Budget("episode", 2.0))
    at = Measured(problem.optimum, 2.0)
    assert problem.passed([at] * 4 + [at._replace(cost=2.079)])
    assert problem.failures([at] * 4 + [at._replace(cost=2.081)]) == [
        "seed 4: cost 2.081, more than 4% above the budget 2"
    ]
    assert problem.failures([at] * 4 + [at._replace(cost=2.081)], first=5)[0].startswith("seed 9: cost 2.081")
    assert problem.failures([at._replace(cost=2.021)] * 5) == ["mean cost 2.021, more than 1% above the budget 2"]


def test_the_best_gain_passes_and_a_third_more_does_not():
    gain = lqr.solve(LQR(), 2.0).gain
    measured, failures = verdict(linear_quadratic(), Known(act=lambda x: -gain * x))
    assert measured[:2] == pytest.approx((-4.134719, 2.0), rel=1e-5)
    assert not failures
    assert verdict(linear_quadratic(), Known(act=lambda x: -gain * 4 / 3 * x))[1]


def test_fractions():
    problem = betting("kelly_cvar_50", Kelly(), 0.5)

    def bet(fraction):
        return Known(act=lambda x: np.full((len(x), 1), fraction / 0.15 - 1))  # 0.3 (a + 1) / 2

    measured, failures = verdict(problem, bet(1 / 6))
    assert measured[:2] == pytest.approx((1 / 6, 0.1))
    assert not failures
    assert verdict(problem, bet(0.18))[1]
    assert not verdict(betting("kelly", Kelly()), bet(0.205))[1]
    assert verdict(betting("kelly", Kelly()), bet(0.193))[1]


def test_the_best_path_passes_and_the_even_one_does_not():
    problem, task = execution(), AlmgrenChriss()
    path = almgren_chriss.solve(task, problem.budget.limit).path

    def follow(path):
        def act(seen):
            step = round((1 - float(seen[0, 0])) * task.steps)
            return np.array([[2 * (1 - path[step + 1] / path[step]) - 1]])

        return Known(act=act)

    measured, failures = verdict(problem, follow(path))
    assert measured[:2] == pytest.approx((0.7795017, 0.5415), rel=1e-5)
    assert not failures
    assert verdict(problem, follow(almgren_chriss.even_path(task)))[1]


@pytest.mark.parametrize("risk_aversion", [0.0, 0.1])
def test_the_best_quotes_pass_and_quotes_a_third_wider_do_not(risk_aversion):
    task = replace(
        PROBLEMS["cartea_jaimungal_penalva"]().task, steps=20, risk_aversion=risk_aversion, running=0.0, terminal=0.0
    )
    quotes = market_making.solve(task).quotes

    def quoting(factor):
        def act(seen):
            step = np.rint((1 - seen[:, 0]) * task.steps).astype(int)
            held = np.rint(seen[:, 1] * task.limit).astype(int) + task.limit
            return 2 * np.minimum(factor * quotes[step, held], task.widest) / task.widest - 1

        return Known(act=act)

    problem = making("quotes", task)
    measured, failures = verdict(problem, quoting(1.0))
    assert measured.achieved == pytest.approx(problem.optimum, rel=1e-9)
    assert not failures
    assert verdict(problem, quoting(4 / 3))[1]


def test_every_problem_can_be_made():
    assert {name: problem().name for name, problem in PROBLEMS.items()} == {name: name for name in PROBLEMS}


@pytest.mark.parametrize("name", ["lqr", "cmdp_0"])
def test_pieces_of_a_batch_play_what_the_batch_plays(name):
    """Also after a reset with the seed of the run, which is what every env runner begins with."""
    problem = PROBLEMS[name]()
    whole, pieces = problem.make(3), [problem.make(3, 0, 200), problem.make(3, 200, problem.num_envs - 200)]
    seen = [env.reset(seed=3)[0].copy() for env in (whole, *pieces)]
    for _ in range(30):
        assert (np.concatenate(seen[1:]) == seen[0]).all()
        actions = np.zeros((problem.num_envs, *whole.single_action_space.shape), whole.single_action_space.dtype)
        parts = [actions, actions[:200], actions[200:]]
        seen = [env.step(part)[0].copy() for env, part in zip((whole, *pieces), parts, strict=True)]


def test_the_command_prints_a_line_a_problem(capsys):
    status = command.main(
        ["known_answers", "--only", "kelly_cvar_90", "--only", "cmdp_0", "--seeds", "2", "--steps", "20000"]
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["name"] for line in lines] == ["cmdp_0", "kelly_cvar_90"]
    assert status == int(not all(line["passed"] for line in lines))
    for line in lines:
        assert set(line) >= {"name", "optimum", "achieved", "cost", "budget", "passed"}
        assert len(line["seeds"]["achieved"]) == 2
        assert line["achieved"] == pytest.approx(np.mean(line["seeds"]["achieved"]))
        assert (line["cost"] is None) == (line["budget"] is None)
    assert lines[0]["multiplier"] is not None


def test_the_command_refuses_what_it_does_not_know(capsys):
    assert command.main([]) == 2
    assert "known_answers" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["known_answers", "--only", "chess"])
    assert "expected one of cmdp_0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["known_answers", "--seeds", "0"])
