"""Training never sees a market that is later than one it is judged on."""

import numpy as np
import pytest

from configs.tapes import SAMPLE, sample_tapes, split_tapes, tape_files
from sim.tape import FeeRates, Header, Market, seal, write
from sim.types import EVENT


def save_tape(path, close_ns):
    header = Header(
        venue="polymarket",
        markets=(Market(path.stem, "a market", 0, close_ns),),
        tick_tables=(((0, 10_000, 100),),),
        fee_schedules=(FeeRates("free", "polymarket", 0),),
        sources=(),
    )
    write(path, seal(np.zeros(0, EVENT), header))


@pytest.fixture
def folder(tmp_path):
    for name, close_ns in (("a", 30), ("b", 10), ("c", 20), ("d", 40)):  # by close: b c a d
        save_tape(tmp_path / f"{name}.parquet", close_ns)
    return tmp_path


@pytest.mark.parametrize(
    "share, train, held_out", [(0.25, "bca", "d"), (0.5, "bc", "ad"), (0, "bcad", ""), (0.99, "b", "cad")]
)
def test_the_last_markets_by_time_are_held_out(folder, share, train, held_out):
    split = split_tapes(str(folder), share)
    assert "".join(path.stem for path in split.train) == train
    assert "".join(path.stem for path in split.held_out) == held_out


def test_one_market_is_trained_on(tmp_path):
    save_tape(tmp_path / "only.parquet", 1)
    split = split_tapes(str(tmp_path), 0.9)
    assert len(split.train) == 1 and not split.held_out


def test_what_cannot_be_split_is_named(tmp_path, folder):
    with pytest.raises(ValueError, match=r"scenario\.held_out = 1.0: expected a share in \[0, 1\)"):
        split_tapes(str(folder), 1.0)
    with pytest.raises(FileNotFoundError, match=r"scenario\.tapes = .*/none: no tape \(\*\.parquet\) there"):
        tape_files(str(tmp_path / "none"))


def test_the_sample_is_imported_once_and_split_twelve_to_six(tmp_path, monkeypatch):
    monkeypatch.setenv("SHADOWBOOK_CACHE", str(tmp_path))
    split = split_tapes(SAMPLE, 1 / 3)
    assert len(split.train) == 12 and len(split.held_out) == 6
    assert max(split.train) < min(split.held_out)  # the sample's names end with their time
    before = [path.stat().st_mtime_ns for path in tape_files(SAMPLE)]
    assert [path.stat().st_mtime_ns for path in tape_files(SAMPLE)] == before
    assert [path.name for path in (tmp_path / "shadowbook").iterdir()] == [sample_tapes().name]  # no litter


def test_an_import_that_fails_leaves_no_half_of_a_sample(tmp_path, monkeypatch):
    monkeypatch.setenv("SHADOWBOOK_CACHE", str(tmp_path))
    written = []

    def full(path, tape):
        if len(written) == 3:
            raise OSError("disk full")
        written.append(path)
        path.write_bytes(b"")

    monkeypatch.setattr("configs.tapes.write", full)
    with pytest.raises(OSError, match="disk full"):
        sample_tapes()
    assert list((tmp_path / "shadowbook").iterdir()) == []
