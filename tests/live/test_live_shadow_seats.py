"""Who decides: a policy while it is well, the baseline where it is not, always on the same observation."""

import re

import numpy as np
import pytest

from envs.actions import check_actions
from envs.surface import check_controls
from live.shadow.seats import (
    BENCHED,
    FAILED,
    INVALID,
    LATE,
    OBEYED,
    RETURNED,
    WHYS,
    Health,
    Seat,
)
from sim.types import SECOND_NS

OBS, MASK = np.array([[0.25, 0.5]], np.float32), np.ones((1, 21), np.bool_)
MS = 1_000_000


class Ticking:
    """A clock that passes when it is told to."""

    def __init__(self):
        self.ns = SECOND_NS

    def __call__(self):
        return self.ns


class Scripted:
    """Answers, raises or dawdles by its script; keeps what it was asked."""

    masked = True

    def __init__(self, clock, script=(), name="scripted"):
        self.clock, self.script, self.name, self.asked, self.begun = clock, list(script), name, [], []

    def act(self, observations, masks=None):
        self.asked.append((observations.copy(), masks.copy()))
        what = self.script.pop(0) if self.script else np.array([7])
        if isinstance(what, BaseException):
            raise what
        return what() if callable(what) else what

    def begin(self, mask):
        self.begun.append(mask.tolist())


def seated(script, clock=None, baseline=None, check=None, **health):
    clock = clock or Ticking()
    policy = Scripted(clock, script)
    baseline = baseline or Scripted(clock, [], "baseline")
    seat = Seat(
        "policy", policy, baseline, check or (lambda action: check_actions(action, (1,), 21)), Health(**health), clock
    )
    return seat, policy, baseline, clock


def asleep(clock, ms, action):
    def act():
        clock.ns += round(ms * MS)
        return action

    return act


def test_a_policy_that_is_well_is_obeyed():
    seat, policy, baseline, clock = seated([])
    policy.script = [asleep(clock, 49.9, np.array([3]))]
    choice = seat.choose(OBS, MASK)
    assert (choice.action.tolist(), choice.why, choice.took_ns) == ([3], OBEYED, round(49.9 * MS))
    assert seat.well and not baseline.asked and seat.counts == {"obeyed": 1} and not seat.last_fault


@pytest.mark.parametrize(
    ("answer", "why", "says"),
    [
        (RuntimeError("it broke"), FAILED, "failed: it broke"),
        (MemoryError(), FAILED, "failed"),
        (FloatingPointError("not finite"), INVALID, "invalid: not finite"),
        (np.array([np.nan]), INVALID, "expected 1 integers"),
        (np.array([21]), INVALID, "chose 21; the table has rows 0 to 20"),
        (np.array([-1]), INVALID, "chose -1"),
        (np.array([[3]]), INVALID, r"shape \(1,\), got int64 \(1, 1\)"),
        (np.array([3, 3]), INVALID, "expected 1 integers"),
        (np.array([], np.int64), INVALID, "expected 1 integers"),
        (None, INVALID, "expected 1 integers"),
        ("buy", INVALID, "expected 1 integers"),
    ],
)
def test_an_answer_that_is_none_is_the_baselines_on_the_same_observation(answer, why, says):
    seat, policy, baseline, _ = seated([answer])
    choice = seat.choose(OBS, MASK)
    assert (choice.action.tolist(), choice.why) == ([7], why)
    assert baseline.asked[0][0].tobytes() == OBS.tobytes() and baseline.asked[0][1].tobytes() == MASK.tobytes()
    assert seat.counts == {WHYS[why]: 1} and not seat.well
    assert re.search(says, seat.last_fault)
    assert seat.choose(OBS, MASK).why == OBEYED and len(policy.asked) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5])
def test_a_point_that_is_not_on_the_surface_is_the_baselines(value):
    clock = Ticking()
    point = np.zeros((1, 5), np.float32)
    seat, _, _, _ = seated(
        [np.full((1, 5), value, np.float32)], clock, Scripted(clock, [point], "fixed"),
        lambda action: check_controls(action, 1, 1),
    )  # fmt: skip
    choice = seat.choose(OBS, MASK)
    assert choice.why == INVALID and choice.action.tobytes() == point.tobytes()


def test_a_late_answer_is_not_obeyed():
    seat, policy, _, clock = seated([])
    policy.script = [asleep(clock, 50.1, np.array([3])), asleep(clock, 50.0, np.array([4]))]
    choice = seat.choose(OBS, MASK)
    assert (choice.action.tolist(), choice.why, choice.took_ns) == ([7], LATE, round(50.1 * MS))
    assert seat.last_fault == "late: 50.1 ms; 50 ms are allowed"
    assert seat.choose(OBS, MASK).action.tolist() == [4]  # the deadline itself is in time


def test_what_a_policy_does_to_the_arrays_is_its_own_business():
    class Spoiler(Scripted):
        def act(self, observations, masks=None):
            observations[:], masks[:] = 99.0, False
            raise RuntimeError("and broke")

    seat, _, baseline, clock = seated([])
    seat.policy = Spoiler(clock)
    obs, mask = OBS.copy(), MASK.copy()
    seat.choose(obs, mask)
    assert obs.tobytes() == OBS.tobytes() == baseline.asked[0][0].tobytes() and mask.all()


def test_lists_are_as_good_as_arrays():
    seat, _, _, _ = seated([[3]])
    choice = seat.choose(OBS, MASK)
    assert isinstance(choice.action, np.ndarray) and choice.action.tolist() == [3]


def test_after_several_faults_within_a_window_it_is_benched_and_asked_again_later():
    broken = RuntimeError("no")
    seat, policy, _, clock = seated([broken, np.array([1]), broken, broken], faults=3, window=4, bench_s=10.0)
    whys = [seat.choose(OBS, MASK).why for _ in range(4)]
    assert whys == [FAILED, OBEYED, FAILED, FAILED]  # faults at decisions 1, 3 and 4: three within four
    clock.ns += 10 * SECOND_NS - 1
    assert seat.choose(OBS, MASK).why == BENCHED and len(policy.asked) == 4 and not seat.well
    assert seat.choose(OBS, MASK).took_ns == 0 and not policy.begun
    clock.ns += 1
    assert seat.choose(OBS, MASK).why == OBEYED and seat.well
    assert policy.begun == [[True]]  # what it remembers is of before
    assert seat.counts == {"failed": 3, "obeyed": 2, "benched": 2}


def test_faults_that_lie_further_apart_bench_nobody():
    broken = RuntimeError("no")
    script = [broken, broken, np.array([1]), np.array([1]), broken, broken, np.array([1]), np.array([1]), broken]
    seat, _, _, _ = seated(script, faults=3, window=4)
    assert BENCHED not in [seat.choose(OBS, MASK).why for _ in range(len(script) + 1)]


def test_who_was_benched_begins_with_a_clean_sheet():
    broken = RuntimeError("no")
    seat, _, _, clock = seated([broken] * 4, faults=3, window=60, bench_s=1.0)
    for _ in range(3):
        seat.choose(OBS, MASK)
    clock.ns += SECOND_NS
    assert [seat.choose(OBS, MASK).why for _ in range(2)] == [FAILED, OBEYED]


def test_who_gave_back_is_never_asked_again():
    seat, policy, baseline, clock = seated([])
    seat.give_back("it diverges")
    seat.give_back("and again")
    clock.ns += 10**15
    assert seat.choose(OBS, MASK).why == RETURNED and not policy.asked and len(baseline.asked) == 1
    assert seat.returned == "it diverges" and not seat.well


def test_a_fault_of_the_baseline_is_raised():
    clock = Ticking()
    seat, _, _, _ = seated([RuntimeError("first")], clock, Scripted(clock, [OSError("and the baseline too")]))
    with pytest.raises(OSError, match="and the baseline too"):
        seat.choose(OBS, MASK)
    seat, _, _, _ = seated([RuntimeError("first")], clock, Scripted(clock, [np.array([99])]))
    with pytest.raises(ValueError, match="chose 99"):
        seat.choose(OBS, MASK)


def test_a_baseline_that_plays_for_itself_has_nobody_behind_it():
    clock = Ticking()
    alone = Scripted(clock, [asleep(clock, 60_000, np.array([5])), RuntimeError("broke")], "quoter")
    seat = Seat("baseline", alone, alone, lambda action: check_actions(action, (1,), 21), Health(), clock)
    choice = seat.choose(OBS, MASK)
    assert (choice.action.tolist(), choice.why) == ([5], OBEYED) and seat.well and not seat.last_fault
    seat.give_back("no difference")
    assert not seat.returned
    with pytest.raises(RuntimeError, match="broke"):
        seat.choose(OBS, MASK)


@pytest.mark.parametrize(
    "health", [{"deadline_ms": 0.0}, {"faults": 0}, {"faults": 61}, {"bench_s": -1.0}, {"deadline_ms": float("nan")}]
)
def test_health_that_makes_no_sense_is_refused(health):
    with pytest.raises(ValueError, match="expected a deadline above 0"):
        Health(**health)
