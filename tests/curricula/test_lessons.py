"""Rows of a phase: from its ranges, and from entries of the library in the shares that it names."""

from dataclasses import replace

import numpy as np
import pytest

from curricula.entries import load_entry
from curricula.lessons import draw, validation
from curricula.phase import Phase, RowRanges, ranges_of

PHASE = Phase(
    "one", "a lesson", RowRanges(life_s=60.0, half_spread=[0.01, 0.02]), entries={"cascades": 0.25, "opponents": 0.5}
)


def test_entries_have_their_shares_and_the_phase_the_rest():
    """Of 8 rows 2 are of `cascades`, then 4 of `opponents`, 2 the phase's: only they have its life of 60 s."""
    rows = draw(RowRanges(news_rate=3.0), PHASE, 8, seed=4)
    cascades, opponents = (ranges_of(load_entry(name).rows) for name in ("cascades", "opponents"))
    for part, ranges in ((rows[:2], cascades), (rows[2:6], opponents)):
        for name, wanted in ranges.items():
            low, high = wanted if isinstance(wanted, tuple) else (wanted, wanted)
            assert (part[name] >= low).all() and (part[name] <= high).all(), name
    assert (rows["life_s"] == 60.0).tolist() == [False] * 6 + [True] * 2
    assert ((rows["half_spread"] >= 0.01) & (rows["half_spread"] <= 0.02)).all()  # what an entry does not name stays
    assert (rows["news_rate"] == 3.0).all()
    assert (rows["front_rate"] > 0).tolist() == [False, False, True, True, True, True, False, False]


def test_the_phases_own_rows_are_those_without_entries():
    alone = draw(RowRanges(), replace(PHASE, entries={}), 8, seed=4)
    assert (draw(RowRanges(), PHASE, 8, seed=4)[6:] == alone[6:]).all()


def test_validation_adds_a_tenth_for_each_entry_that_training_does_not_have():
    phase = validation(replace(PHASE, unseen=["stale_feed", "toxic_flow"]))
    assert phase.entries == {"cascades": 0.25, "opponents": 0.5, "stale_feed": 0.1, "toxic_flow": 0.1}
    rows = draw(RowRanges(), phase, 20, seed=1)
    assert (np.flatnonzero(rows["stale_rate"] > 0) == [15, 16]).all()  # ends at 5, 15, 17 and 19 of 20


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (replace(PHASE, entries={"cascades": 0.6, "opponents": 0.5}), "at most 1 together"),
        (replace(PHASE, entries={"cascades": 0.0}), "expected shares above 0"),
        (replace(PHASE, entries={"cascades": 0.01}), "8 rows are too few"),
        (replace(PHASE, entries={"basis": 0.5}), "entry basis is more than ranges of rows"),
        (replace(PHASE, entries={"nothing": 0.5}), "no scenario 'nothing' in the library"),
    ],
)
def test_what_cannot_be_drawn_is_refused(phase, words):
    with pytest.raises(ValueError, match=words):
        draw(RowRanges(), phase, 8, seed=0)


def test_an_entry_cannot_be_seen_and_unseen():
    with pytest.raises(ValueError, match="cascades stands in entries and in unseen"):
        validation(replace(PHASE, unseen=["cascades"]))
