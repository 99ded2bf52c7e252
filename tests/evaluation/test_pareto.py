"""Several objectives within budgets: the front by hand, a front that is known, and a search that goes on."""

import csv
import json
import math

import pytest

from evaluation.pareto import Measured, Range, Search, Trial, best_within, better, deflated, feasible, pareto, run
from evaluation.pareto_report import FILES, write_outcome
from evaluation.workers import Alone

OBJECTIVES = ("result_usd", "cvar95_usd")  # more, less


def trial(number, result, cvar, cost=0.0, error=""):
    return Trial(number, {"x": 0.0}, {"result_usd": result, "cvar95_usd": cvar, "cost_kill": cost}, [], 1.0, error)


TRIALS = [
    trial(0, 1.0, 1.0, 0.1), trial(1, 2.0, 2.0, 0.1), trial(2, 0.5, 2.0), trial(3, 9.0, 0.0, 0.9),
    trial(4, 2.0, 3.0, 0.1), trial(5, math.nan, 0.0), trial(6, 99.0, 0.0, error="broke"),
]  # fmt: skip


def test_the_front_by_hand():
    """Trial 3 beats all, beyond the budget; within it 2 is beaten by 0 and 1, 4 by 1, and 0 and 1 stand."""
    assert [one.number for one in pareto(TRIALS, OBJECTIVES, {})] == [3]
    assert [one.number for one in pareto(TRIALS, OBJECTIVES, {"cost_kill": 0.5})] == [0, 1]
    assert [one.number for one in pareto(TRIALS, OBJECTIVES, {"cost_kill": -1.0})] == []
    assert not feasible(TRIALS[0], {"cost_unknown": 1.0})


def test_what_a_budget_costs():
    found = best_within(TRIALS, "result_usd", {"cost_kill": 0.5, "cvar95_usd": 1.5})
    assert {label: one and one.number for label, one in found.items()} == {
        "no budget": 3, "cost_kill <= 0.5": 1, "cvar95_usd <= 1.5": 3, "cost_kill <= 0.5 and cvar95_usd <= 1.5": 0,
    }  # fmt: skip
    assert best_within(TRIALS, "cvar95_usd", {"cost_kill": -1.0})["cost_kill <= -1"] is None


def test_whether_more_is_better_is_known():
    assert (better("sharpe"), better("cvar95_usd"), better("cost_anything")) == (1, -1, -1)
    for name in ("nope", "turnover_usd"):
        with pytest.raises(ValueError, match=f"'{name}' cannot be an objective"):
            better(name)


def known(params):
    """Of (x, y): result x, risk x^2 + y^2, cost 2 x. The front is y = 0; a budget of 1 for the cost ends it at 1/2."""
    x, y = params["x"], params["y"]
    figures = {"result_usd": x, "cvar95_usd": x * x + y * y, "cost_kill": 2 * x}
    return Measured(figures, [x, -x, 2 * x, 0.5 * x], 0.0)


SEARCH = Search({"x": Range(0.0, 1.0), "y": Range(0.001, 1.0, log=True)}, OBJECTIVES, {"cost_kill": 1.0}, seed=1)


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_a_front_that_is_known_is_found_within_its_budget(tmp_path, sampler):
    trials = run(SEARCH._replace(sampler=sampler), known, 150, tmp_path, progress=False)
    front = pareto(trials, OBJECTIVES, SEARCH.budgets)
    assert len(trials) == 150 and len(front) >= 8
    assert all(one.params["x"] <= 0.5 for one in front)
    assert max(one.params["x"] for one in front) > 0.4
    late = [feasible(one, SEARCH.budgets) for one in trials[75:]]
    assert sum(late) > 0.6 * len(late)  # half of the space keeps the budget: proposals have learnt of it


def test_a_search_goes_on_where_it_was_and_keeps_every_trial(tmp_path):
    calls = []

    def measure(params):
        calls.append(params)
        if len(calls) == 3:
            raise RuntimeError("this one broke")
        if len(calls) == 5:
            raise KeyboardInterrupt
        return known(params)

    with pytest.raises(KeyboardInterrupt):
        run(SEARCH, measure, 8, tmp_path, progress=False)
    trials = run(SEARCH, measure, 8, tmp_path, progress=False)
    assert len(trials) == 8 and len(calls) == 9  # the interrupted one was begun anew
    assert [one.error for one in trials if one.error] == ["this one broke"]
    assert len({one.params["x"] for one in trials}) == 8  # no draw comes twice
    assert trials[:2] == run(SEARCH, measure, 8, tmp_path, progress=False)[:2] and len(calls) == 9


@pytest.mark.parametrize(
    "change, message",
    [
        ({"budgets": {}}, r"budgets.cost_kill = 1.0, not None"),
        ({"sampler": "tpe"}, "sampler = nsga2, not tpe"),
        ({"seed": 2}, "seed = 1, not 2"),
        ({"ranges": {**SEARCH.ranges, "x": Range(0.0, 2.0)}}, r"ranges.x = \[0.0, 1.0, False, False\], not"),
        ({"facts": {"policy": "quoter", "episodes": 16}}, "policy = joiner, not quoter"),
        ({"facts": {"policy": "joiner", "episodes": 17}}, "episodes = 16, not 17"),
    ],
)
def test_a_folder_refuses_another_search(tmp_path, change, message):
    search = SEARCH._replace(facts={"policy": "joiner", "episodes": 16})
    run(search, known, 1, tmp_path, progress=False)
    with pytest.raises(ValueError, match=f"plan.json: begun with {message}"):
        run(search._replace(**change), known, 2, tmp_path, progress=False)
    assert len(run(search, known, 1, tmp_path, progress=False)) == 1
    (tmp_path / "plan.json").unlink()
    with pytest.raises(ValueError, match="trials of nobody knows what"):
        run(search, known, 2, tmp_path, progress=False)


def test_the_tables_say_what_there_is(tmp_path):
    trials = [one._replace(daily_usd=[1.0, 2.0 + one.number, 0.0]) for one in TRIALS]
    search = SEARCH._replace(ranges={"x": Range(0.0, 1.0)}, budgets={"cost_kill": 0.5})
    fresh = {0: {"result_usd": 0.7, "cvar95_usd": 1.2, "cost_kill": 0.2}}
    outcome = write_outcome(tmp_path, trials, search, fresh=fresh)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    assert json.loads((tmp_path / "pareto.json").read_text()) == outcome
    assert (outcome["trials"], outcome["failed"], outcome["within_budgets"]) == (7, 1, 5)
    assert [one["number"] for one in outcome["pareto"]] == [0, 1]
    assert outcome["pareto"][0]["fresh"]["result_usd"] == 0.7 and outcome["pareto"][1]["fresh"] is None
    assert outcome["deflated_sharpe"]["trials"] == 6
    with (tmp_path / "trials.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["pareto"] for line in lines] == ["1", "1", "0", "0", "0", "0", "0"]
    assert lines[6]["error"] == "broke" and lines[3]["feasible"] == "0"


def test_a_search_without_daily_results_has_no_deflated_ratio():
    assert deflated(TRIALS, {}) is None
    found = deflated([TRIALS[6], TRIALS[0]._replace(daily_usd=[1.0, 2.0])], {})
    assert found.best == 0 and found.trials == 1


def test_the_deflated_ratio_is_that_of_the_best_within_budgets_and_all_that_was_tried_counts():
    """Trial 3 has the best ratio and costs too much: of the others 1 is the best, and five were tried."""
    days = {0: [1.0, 0.0, 1.0], 1: [2.0, 1.0, 2.0], 2: [0.0, 1.0, -1.0], 3: [9.0, 9.0, 8.9], 4: [1.0, 0.0, 0.5]}
    trials = [TRIALS[number]._replace(daily_usd=daily) for number, daily in days.items()]
    assert (deflated(trials, {}).best, deflated(trials, {}).trials) == (3, 5)
    found = deflated(trials, {"cost_kill": 0.5})
    assert (found.best, found.trials) == (1, 5) and found.expected_best == deflated(trials, {}).expected_best
    assert deflated(trials, {"cost_kill": -1.0}) is None


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sampler": "nope"}, "no sampler 'nope'"),
        ({"ranges": {}}, "a parameter, an objective and a trial"),
        ({"objectives": ()}, "a parameter, an objective and a trial"),
        ({"ranges": {"x": Range(0.0, 1.0, log=True)}}, "above 0 for log"),
        ({"ranges": {"x": Range(1.0, 1.0)}}, "low < high"),
        ({"objectives": ("nope",)}, "cannot be an objective"),
        ({"budgets": {"cvar_95": 1.0}}, "'cvar_95' cannot have a budget, which is the most it may be"),
        ({"budgets": {"result_usd": 1.0}}, "'result_usd' cannot have a budget"),
    ],
)
def test_wrong_use_is_explained(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        run(SEARCH._replace(**change), known, 2, tmp_path, progress=False)


def test_what_is_not_measured_is_said(tmp_path):
    trials = run(SEARCH, lambda params: Measured({"result_usd": 1.0}), 1, tmp_path, progress=False)
    assert "nothing was measured of 'cvar95_usd'" in trials[0].error


class Several(Alone):
    """Three at a time, each lot finished in the order of ``turn``."""

    count = 3

    def __init__(self, turn):
        self.turn = turn

    def each(self, function, jobs, called=str):
        return iter([(job, function(job)) for job in list(jobs)[:: self.turn]])


def test_what_a_search_finds_depends_on_the_number_of_workers_and_not_on_who_was_faster(tmp_path):
    search = Search({"x": Range(-1.0, 1.0), "y": Range(-1.0, 1.0)}, OBJECTIVES, {})
    found = [run(search, known, 7, tmp_path / str(turn), workers=Several(turn), progress=False) for turn in (1, -1)]
    assert [one.params for one in found[0]] == [one.params for one in found[1]] and len(found[0]) == 7
    assert [one.figures for one in found[0]] == [one.figures for one in found[1]]


def test_a_trial_that_was_interrupted_is_measured_again(tmp_path):
    search, tried = Search({"x": Range(-1.0, 1.0), "y": Range(-1.0, 1.0)}, OBJECTIVES, {}), []

    def killed(params):
        tried.append(dict(params))
        if len(tried) == 3:
            raise KeyboardInterrupt
        return known(params)

    with pytest.raises(KeyboardInterrupt):
        run(search, killed, 5, tmp_path, progress=False)
    found = run(search, known, 5, tmp_path, progress=False)
    assert [one.number for one in found] == [0, 1, 2, 3, 4] and [one.params for one in found[:3]] == tried
