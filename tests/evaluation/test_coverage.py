"""How often intervals hold a truth: counted by hand, and of few draws."""

import math

from evaluation.bootstrap import Interval
from evaluation.montecarlo.coverage import WANTED_OF_FEW, check_pareto, tally

NAN = math.nan


def test_coverage_by_hand():
    """Of five intervals of a truth of 1 two hold it, one lies below, one above, one is none: 2 of 4."""
    found = [(1.0, 0.0, 2.0), (1.0, 0.5, 1.5), (0.0, -1.0, 0.5), (3.0, 2.0, 4.0), (1.0, NAN, NAN)]
    row = tally(lambda number: {"a": Interval(*found[number])}, {"a": 1.0}, 5, progress=False)
    assert row["figures"]["a"] == {
        "truth": 1.0, "coverage": 0.5, "width": (2.0 + 1.0 + 1.5 + 2.0) / 4, "below": 1, "above": 1, "none": 1,
    }  # fmt: skip
    assert row["outside"] == ["a"] and not row["holds"]


def test_what_never_has_an_interval_is_not_taken_for_covered():
    row = tally(lambda _: {"a": Interval(5.0, NAN, NAN)}, {"a": 1.0}, 3, progress=False)
    assert row["figures"]["a"]["coverage"] is None and row["figures"]["a"]["none"] == 3 and row["holds"]


def test_a_thousand_draws_leave_cvar_without_an_interval_and_the_rest_with_honest_ones():
    """200 repeats; an interval that covers 95 % or more is below 91 % with a probability of 0.7 %."""
    found = check_pareto(200, 1000, 0, WANTED_OF_FEW, progress=False)["figures"]
    for name in ("cvar95_usd", "cvar99_usd"):
        assert found[name]["none"] == 200 and found[name]["coverage"] is None
    assert all(found[name]["none"] == 0 and found[name]["coverage"] >= 0.91 for name in ("kill", "var95_usd"))
