"""Walk-forward: no market in two parts, nothing within the embargo, nothing later than what is judged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.folds import Fold, Span, fold_files, fold_of, span_of
from configs.schema import ReplayConfig
from configs.tapes import split_of
from sim.tape import FeeRates, Header, Market, seal, write
from sim.types import EVENT, SECOND_NS

HOUR_NS = 3600 * SECOND_NS


def walk_forward(spans, folds, embargo=0):
    """All folds."""
    return tuple(fold_of(spans, number, folds, embargo) for number in range(1, folds + 1))


def hours(*bounds):
    return [Span(start * HOUR_NS, end * HOUR_NS) for start, end in bounds]


def test_by_hand():
    """Six markets of an hour, one every two hours, two folds: blocks 01, 23, 45. Fold 1 is judged from hour 4: with an
    embargo of an hour market 1 (2 to 3) is too late, for 3 + 1 is not before 4. Fold 2 is judged from hour 8."""
    spans = hours((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11))
    assert walk_forward(spans, 2) == (Fold((0, 1), (2, 3), ()), Fold((0, 1, 2, 3), (4, 5), ()))
    assert walk_forward(spans, 2, HOUR_NS) == (Fold((0,), (2, 3), (1,)), Fold((0, 1, 2), (4, 5), (3,)))


def test_a_market_that_outlives_a_block_is_purged_from_the_fold_it_reaches_into():
    spans = hours((0, 9), (1, 2), (4, 5), (6, 7), (8, 10), (10, 11))
    first, second = walk_forward(spans, 2)
    assert first == Fold((1,), (2, 3), (0,)) and second == Fold((1, 2, 3), (4, 5), (0,))


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=3, max_size=40),
    st.integers(1, 4),
    st.integers(0, 10),
)
def test_laws(pairs, folds, embargo):
    spans = [Span(start, start + life) for start, life in pairs]
    try:
        found = walk_forward(spans, folds, embargo)
    except ValueError:
        return  # too few starts, or nothing to train on
    judged = [index for fold in found for index in fold.judged]
    assert len(found) == folds and len(set(judged)) == len(judged)  # a market is judged once at most
    for fold in found:
        first = min(spans[index].start_ns for index in fold.judged)
        last = max(spans[index].start_ns for index in fold.judged)
        assert fold.train and not set(fold.train) & set(fold.judged)
        assert all(spans[index].end_ns + embargo < first for index in fold.train)
        assert all(spans[index].end_ns + embargo >= first for index in fold.purged)
        # every market is in one part of the fold, or later than all of it
        rest = set(range(len(spans))) - set(fold.train) - set(fold.judged) - set(fold.purged)
        assert all(spans[index].start_ns > last for index in rest)


@pytest.mark.parametrize(
    "spans, folds, embargo, message",
    [
        (hours((0, 1), (1, 2)), 2, 0, "2 markets do not fill 3 blocks"),
        (hours((0, 1), (0, 2), (0, 3)), 1, 0, "3 markets do not fill 2 blocks by their starts"),
        (hours((0, 5), (1, 2)), 1, 0, "nothing to train on: 1 earlier markets end less than 0 s before"),
        (hours((0, 1), (2, 3)), 0, 0, "expected 1 to scenario.folds = 0"),
        (hours((0, 1), (2, 3)), 1, -1, "embargo from 0 on"),
        (hours((1, 0), (2, 3)), 1, 0, "market 0 ends at 0, before it starts"),
    ],
)
def test_what_cannot_be_split_is_explained(spans, folds, embargo, message):
    with pytest.raises(ValueError, match=message):
        fold_of(spans, 1, folds, embargo)


def save(path, market, start_h, end_h, *others):
    header = Header(
        venue="polymarket",
        markets=tuple(Market(name, "a market", 0, 0) for name in (market, *others)),
        tick_tables=(((0, 10_000, 100),),) * (1 + len(others)),
        fee_schedules=(FeeRates("free", "polymarket", 0),) * (1 + len(others)),
        sources=(),
    )
    events = np.zeros(3, EVENT)
    events["local_ns"] = np.array([start_h, end_h, (start_h + end_h) / 2]) * HOUR_NS  # stamps may run backwards
    write(path, seal(events, header))


@pytest.fixture
def folder(tmp_path):
    """Market A on two tapes, before and after B began; C and D later."""
    for name, market, start, end in (
        ("game1_x", "A", 0, 1), ("game2_y", "B", 2, 3), ("game1_z", "A", 4, 5), ("game3_x", "C", 6, 7),
        ("game3_y", "D", 8, 9), ("game4_x", "E", 12, 13),
    ):  # fmt: skip
        save(tmp_path / f"{name}.parquet", market, start, end)
    return tmp_path


def names(split):
    return [[path.stem for path in part] for part in split]


def test_tapes_of_a_market_go_together(folder):
    """Markets by start: A (0 to 5), B, C, D, E. Two folds: blocks AB, CD (5 x 1 / 3 rounds up), E."""
    files = sorted(folder.glob("*.parquet"))
    assert span_of(folder / "game1_x.parquet") == Span(0, HOUR_NS)
    assert names(fold_files(files, 1, 2, 0.0)) == [["game1_x", "game1_z", "game2_y"], ["game3_x", "game3_y"], []]
    assert names(fold_files(files, 1, 2, 1.0)) == [  # A ends at 5, C starts at 6
        ["game2_y"], ["game3_x", "game3_y"], ["game1_x", "game1_z"],
    ]  # fmt: skip
    assert names(fold_files(files, 2, 2, 2.5))[0] == ["game1_x", "game1_z", "game2_y", "game3_x", "game3_y"]


def test_an_event_is_what_a_pattern_finds(folder):
    """By game: 1 (0 to 5), 2, 3 (6 to 9), 4: of three folds the last is judged on game 4, and 3 is too near."""
    files = sorted(folder.glob("*.parquet"))
    train, judged, purged = names(fold_files(files, 3, 3, 3.5, "^(game[0-9])"))
    assert (train, judged) == (["game1_x", "game1_z", "game2_y"], ["game4_x"])
    assert purged == ["game3_x", "game3_y"]
    with pytest.raises(ValueError, match="is not found in game1_x"):
        fold_files(files, 1, 2, 0.0, "game9")


def test_tapes_that_share_a_market_with_others_go_together(tmp_path):
    """P holds A and B, Q holds B and C, R holds A alone: one market of three tapes, though no two ids are alike."""
    save(tmp_path / "p.parquet", "A", 0, 1, "B")
    save(tmp_path / "q.parquet", "B", 8, 9, "C")
    save(tmp_path / "r.parquet", "A", 2, 3)
    save(tmp_path / "s.parquet", "D", 4, 5)
    save(tmp_path / "t.parquet", "E", 6, 7)
    files = sorted(tmp_path.glob("*.parquet"))
    assert names(fold_files(files, 2, 2, 0.0)) == [["s"], ["t"], ["p", "r", "q"]]
    with pytest.raises(ValueError, match="nothing to train on"):
        fold_files(files, 1, 2, 0.0)  # the market of three tapes is not over before the fifth
    assert names(split_of(ReplayConfig(tapes=str(tmp_path), folds=2, fold=2))) == [["s"], ["t"], ["p", "r", "q"]]
    with pytest.raises(ValueError, match=r"scenario\.held_out = 0\.2 with scenario\.folds = 2: a fold says itself"):
        split_of(ReplayConfig(tapes=str(tmp_path), folds=2, fold=2, held_out=0.2))


def test_a_scenario_names_its_fold(folder):
    wanted = ReplayConfig(tapes=str(folder), folds=2, fold=2, embargo_h=2.5)
    assert names(split_of(wanted))[1] == ["game4_x"]
    assert names(split_of(ReplayConfig(tapes=str(folder), held_out=0.0)))[1] == []
    with pytest.raises(ValueError, match="expected fold and folds together"):
        split_of(ReplayConfig(tapes=str(folder), fold=2))
    with pytest.raises(ValueError, match="expected fold and folds together"):
        split_of(ReplayConfig(tapes=str(folder), embargo_h=2.0))
    with pytest.raises(ValueError, match=r"scenario.fold = 3: expected 1 to scenario.folds = 2"):
        split_of(ReplayConfig(tapes=str(folder), folds=2, fold=3))
