"""Baselines on a control surface: the same point for ever, and rows of the table beside it."""

import numpy as np
import pytest

from agents.policy import load

ROWS = [["hold", "YES", 0, "cross"], ["buy", "YES", 5, "passive"]]
SHEET = {
    "markets": 2,
    "observation": ["one", "two"],
    "action_form": "surface",
    "actions": [["offset", "ticks", -4.0, 0.0, 4.0], ["size", "contracts", 0.0, 20.0, 100.0]],
    "rows": ROWS,
}


@pytest.mark.parametrize(
    ("query", "point"),
    [("", (0, 0)), ("?offset=-1", (-0.25, 0)), ("?offset=4&size=60", (1, 0.5)), ("?size=5", (0, -0.75))],
)
def test_a_fixed_point_is_given_in_its_units(query, point):
    policy = load(f"baseline:fixed{query}", SHEET)
    assert policy.name == "fixed"
    action = policy.act(np.zeros((3, 2), np.float32))
    assert action.dtype == np.float32
    np.testing.assert_array_equal(action, [[*point, *point]] * 3)


@pytest.mark.parametrize(
    ("spec", "sheet", "message"),
    [
        ("baseline:fixed?width=1", SHEET, "no coordinate 'width'; they are offset, size"),
        ("baseline:fixed?size=101", SHEET, r"size = 101.0 lies outside \[0.0, 100.0\]"),
        ("baseline:fixed?size=nan", SHEET, "size = nan lies outside"),
        ("baseline:fixed", {**SHEET, "action_form": "table"}, "its points are of a control surface"),
    ],
)
def test_a_fixed_point_that_cannot_be_is_refused(spec, sheet, message):
    with pytest.raises(ValueError, match=message):
        load(spec, sheet)


def test_baselines_act_through_the_table_beside_the_surface():
    sheet = {**SHEET, "markets": 1, "observation": ["bid"]}
    policy = load("baseline:random", sheet)
    assert policy.chooses_rows and len(policy.table.verb) == 2
