"""The tape format, its validation and its command line."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim import tape as tape_module
from sim.tape import FeeRates, Header, Market, Source, Tape, TapeError, read, read_header, seal, write
from sim.tape_cli import main
from sim.types import (
    ASK,
    BID,
    CLEAR,
    DELTA,
    END_OF_BATCH,
    EVENT,
    GAP,
    LEVEL,
    QUOTE,
    SETTLE,
    TICKS,
    TRADE,
)
from sim.validate import validate

MICRO = 1_000_000
MS = 1_000_000


def header(**changes):
    fields = {
        "venue": "kalshi",
        "markets": (Market("M", "a market", 0, 10**15),),
        "tick_tables": (((0, 10_000, 100),),),
        "fee_schedules": (FeeRates("quadratic", "kalshi", 70_000),),
        "sources": (Source("made-up", "0" * 64, "MIT", "this test"),),
        "quotes": "order",
    }
    return Header(**{**fields, **changes})


def rows(*tuples):
    """(kind, side, px, contracts or code, extra fields) -> EVENT rows, a millisecond apart, each a whole batch."""
    events = np.zeros(len(tuples), EVENT)
    for index, (kind, side, px, qty, *extra) in enumerate(tuples):
        stamp = (1_000 + index) * MS
        scale = MICRO if kind in (DELTA, LEVEL, TRADE) else 1
        events[index] = (stamp, stamp, qty * scale, px, -1, END_OF_BATCH, 0, kind, side)
        for name, value in (extra[0] if extra else {}).items():
            events[index][name] = value
    return events


def book_tape(*more, **changes):
    """Bid 100 at 49 cents, ask 100 at 51 cents, then ``more``."""
    opening = (CLEAR, -1, 0, 0, {"flags": 0}), (LEVEL, BID, 4900, 100, {"flags": 0}), (LEVEL, ASK, 5100, 100)
    return seal(rows(*opening, *more), header(**changes))


def random_tape(count, seed=0):
    random = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    for name in EVENT.names:
        limits = np.iinfo(EVENT[name])
        events[name] = random.integers(limits.min, limits.max, count, dtype=EVENT[name], endpoint=True)
    return seal(events, header())


@pytest.mark.parametrize("count", [0, 1, 7, (1 << 15) + 3])
def test_a_tape_comes_back_byte_for_byte_whatever_its_values(tmp_path, count):
    written = random_tape(count)
    write(tmp_path / "a.parquet", written)
    back = read(tmp_path / "a.parquet")
    assert back.events.dtype == EVENT
    assert back.events.tobytes() == written.events.tobytes()
    assert back.header == written.header == read_header(tmp_path / "a.parquet")
    assert back.header.events == count


def test_the_same_tape_gives_the_same_file_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", random_tape(1000))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_nothing_is_overwritten_and_no_temporary_is_left(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, random_tape(10))
    before = path.read_bytes()
    with pytest.raises(TapeError, match=r"a\.parquet: exists already"):
        write(path, random_tape(11))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.parquet"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fails(*_arguments, **_options):
        raise OSError("disk full")

    monkeypatch.setattr(tape_module.pq, "write_table", fails)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "a.parquet", random_tape(10))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_torn_file_is_named_wherever_it_was_cut(tmp_path, share):
    path = tmp_path / "whole.parquet"
    write(path, random_tape(5000))
    content = path.read_bytes()
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TapeError, match=r"torn\.parquet: torn.*again"):
        read(torn)
    read(path)  # the whole one still reads


def test_a_damaged_byte_in_the_rows_is_noticed(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, random_tape(5000))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(TapeError, match=r"a\.parquet"):
        read(path)


def rewrite(path, change_header=None, change_table=None):
    """Write the tape at ``path`` again with other metadata or columns, as another program might."""
    table = pq.read_table(path)
    fields = json.loads(table.schema.metadata[b"shadowbook.tape"])
    if change_header:
        change_header(fields)
    if change_table:
        table = change_table(table)
    pq.write_table(table.replace_schema_metadata({b"shadowbook.tape": json.dumps(fields).encode()}), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.update(schema_version=2), "schema version 2; this program reads version 1"),
        (lambda fields: fields.pop("schema_version"), "header is not readable"),
        (lambda fields: fields.update(venu="kalshi"), "does not fit.*venu"),
        (lambda fields: fields.update(venue="nasdaq"), "does not fit.*nasdaq"),
        (lambda fields: fields.update(digest="0" * 64), "the header says 0000000000000000"),
        (lambda fields: fields.update(events=4), "expected the header's 4 events, got 3"),
        (lambda fields: fields.update(markets=[]), "header.markets is empty"),
        (lambda fields: fields.update(tick_tables=[[[0, 10_000, 300]]]), r"tick_tables\[0\].*divides"),
    ],
)
def test_a_header_that_does_not_fit_says_what_was_expected(tmp_path, change, message):
    path = tmp_path / "a.parquet"
    write(path, book_tape())
    rewrite(path, change_header=change)
    with pytest.raises(TapeError, match=message) as caught:
        read(path)
    assert "a.parquet" in str(caught.value)


def test_wrong_columns_are_named(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, book_tape())
    rewrite(path, change_table=lambda table: table.drop_columns(["seq"]))
    with pytest.raises(TapeError, match="seq: expected int32, got none"):
        read(path)


def test_a_changed_value_breaks_the_digest(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, book_tape())

    def change(table):
        index = table.schema.get_field_index("px")
        return table.set_column(
            index, table.schema.field("px"), pa.chunked_array([pa.array([0, 4900, 5200], pa.int32())])
        )

    rewrite(path, change_table=change)
    with pytest.raises(TapeError, match="digest"):
        read(path)


def test_files_that_are_no_tapes(tmp_path):
    with pytest.raises(TapeError, match="no such file"):
        read(tmp_path / "missing.parquet")
    pq.write_table(pq.read_table(_written(tmp_path, book_tape())).replace_schema_metadata(None), tmp_path / "b.parquet")
    with pytest.raises(TapeError, match="without a tape header"):
        read(tmp_path / "b.parquet")


def _written(folder, tape, name="tape"):
    path = folder / f"{name}.parquet"
    write(path, tape)
    return path


def test_seal_refuses_other_arrays():
    with pytest.raises(TapeError, match=r"array of sim\.types\.EVENT"):
        seal(np.zeros(3), header())


def test_write_refuses_events_changed_after_sealing(tmp_path):
    tape = book_tape()
    tape.events["px"][1] = 4800
    with pytest.raises(TapeError, match="seal the events anew"):
        write(tmp_path / "a.parquet", tape)


# Validation ---------------------------------------------------------------------------------------------------------


def test_a_sound_tape_has_no_errors_and_its_quotes_are_counted():
    # Quotes: 49/51 agrees; then 50 more bids at 50 cents, and 50/51 agrees while 49/51 does not; a lone ask agrees.
    report = validate(
        book_tape(
            (QUOTE, BID, 4900, -1, {"flags": 0}),
            (QUOTE, ASK, 5100, -1),
            (DELTA, BID, 5000, 50),
            (QUOTE, BID, 5000, -1, {"flags": 0}),
            (QUOTE, ASK, 5100, -1),
            (QUOTE, BID, 4800, -1, {"flags": 0}),
            (QUOTE, ASK, 5100, -1),
            (TRADE, ASK, 5000, 50),
            (QUOTE, ASK, 5100, -1),
            (SETTLE, -1, 3700, 0),
        )
    )
    assert report.errors == []
    assert (report.agree, report.quotes) == (3, 4)
    assert (report.negative, report.brief_crossings, report.lasting_crossings, report.open_batches) == (0, 0, 0, 0)


def test_quotes_by_stamp_match_any_state_of_their_millisecond_and_only_within_the_recording():
    def at(ms, **more):
        return {"venue_ns": ms * MS, "local_ns": 1_000 * MS, **more}

    tape = book_tape(
        (DELTA, BID, 5000, 10, at(2_000)),
        (DELTA, BID, 5000, -10, at(2_000)),
        (DELTA, BID, 4800, 10, at(2_005)),
        (QUOTE, BID, 5000, -1, at(2_000, flags=0)),  # true for a part of that millisecond
        (QUOTE, ASK, 5100, -1, at(2_000)),
        (QUOTE, BID, 4900, -1, at(2_003, flags=0)),  # the state that stood then
        (QUOTE, ASK, 5100, -1, at(2_003)),
        (QUOTE, BID, 5000, -1, at(2_005, flags=0)),  # no longer true
        (QUOTE, ASK, 5100, -1, at(2_005)),
        (QUOTE, BID, 5000, -1, at(2_006, flags=0)),  # after the last change that was recorded: not compared
        (QUOTE, ASK, 5100, -1, at(2_006)),
        quotes="stamp",
    )
    report = validate(tape)
    assert (report.agree, report.quotes) == (2, 3)


def test_a_crossing_inside_a_batch_is_counted_and_one_that_outlasts_it_is_an_error():
    brief = validate(book_tape((DELTA, BID, 5100, 10, {"flags": 0}), (DELTA, BID, 5100, -10)))
    assert (brief.brief_crossings, brief.lasting_crossings, brief.errors) == (1, 0, [])
    locked = validate(book_tape((DELTA, BID, 5100, 10), (DELTA, BID, 5100, -10)))
    assert (locked.brief_crossings, locked.lasting_crossings) == (0, 1)
    assert locked.errors == [
        "row 3: DELTA px 5100 qty 10000000 side 0 ends its batch with the bid at 5100 and the ask at 5100 "
        "(1 such batches); expected bid < ask at the end of a batch"
    ]


def test_a_negative_size_is_an_error_that_names_its_row():
    report = validate(book_tape((DELTA, ASK, 5100, -101)))
    assert report.negative == 1
    assert "row 3: DELTA px 5100" in report.errors[0]
    assert "negative" in validate(book_tape((LEVEL, BID, 4800, -1))).errors[0]


def test_after_a_gap_nothing_is_held_against_the_book_until_it_is_known_again():
    report = validate(
        book_tape(
            (GAP, -1, 0, 0),
            (DELTA, BID, 4900, -500),
            (LEVEL, BID, 5500, 10),
            (QUOTE, BID, 4000, -1),
            (CLEAR, -1, 0, 0, {"flags": 0}),
            (LEVEL, BID, 4000, 10),
            (QUOTE, BID, 4000, -1),
        )
    )
    assert (report.errors, report.gaps, report.agree, report.quotes) == ([], 1, 1, 1)


def test_stamps_and_sequence_numbers_are_counted_not_errors():
    report = validate(
        book_tape(
            (DELTA, BID, 4800, 1, {"seq": 7, "local_ns": 1}),
            (DELTA, BID, 4800, 1, {"seq": 8, "venue_ns": 1}),
            (DELTA, BID, 4800, 1, {"seq": 10}),  # 9 was lost and nothing says so
            (GAP, -1, 0, 0),
            (DELTA, BID, 4800, 1, {"seq": 15, "flags": 0}),  # lost, but told
        )
    )
    assert report.errors == []
    assert (report.local_regressions, report.venue_regressions) == (1, 1)
    assert (report.sequence_gaps, report.gaps, report.open_batches) == (1, 1, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((14, -1, 0, 0), "unknown kind"),
        ((LEVEL, BID, 10_000, 1), "price of a level"),
        ((TRADE, BID, 10_001, 1), "price; expected 0 to 10000"),
        ((LEVEL, -1, 4000, 1), "side of a level"),
        ((TICKS, -1, 0, 1), "tick table"),
        ((LEVEL, BID, 4000, 1, {"market": 1}), "market index"),
    ],
)
def test_fields_that_cannot_be_are_errors(row, message):
    errors = validate(book_tape(row)).errors
    assert len(errors) == 1
    assert errors[0].startswith("row 3: ")
    assert message in errors[0]


def test_settlement_is_the_last_event():
    errors = validate(book_tape((SETTLE, -1, 10_000, 0), (DELTA, BID, 4800, 1))).errors
    assert "after SETTLE" in errors[0]


def test_an_empty_tape_is_sound():
    assert validate(seal(np.zeros(0, EVENT), header())).errors == []


# Command line -------------------------------------------------------------------------------------------------------


def test_validate_command_prints_counts_and_fails_on_errors(tmp_path, capsys):
    _written(tmp_path / "good", book_tape((QUOTE, BID, 4900, -1)), "sound")
    assert main(["validate", str(tmp_path / "good")]) == 0
    out = capsys.readouterr().out
    assert "sound" in out
    assert "1 tapes, 0 errors, quotes agree 1 of 1" in out

    _written(tmp_path / "bad", book_tape((DELTA, BID, 4900, -101)), "negative")
    torn = tmp_path / "bad" / "torn.parquet"
    torn.write_bytes((tmp_path / "good" / "sound.parquet").read_bytes()[:500])
    assert main(["validate", str(tmp_path / "good"), str(tmp_path / "bad")]) == 1
    out = capsys.readouterr().out
    assert "3 tapes, 2 errors" in out  # the sound one is still counted
    assert "negative.parquet: row 3" in out
    assert "torn.parquet: torn" in out


def test_info_command(tmp_path, capsys):
    path = _written(tmp_path, book_tape())
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "LEVEL 2, CLEAR 1" in out
    assert read_header(path).digest in out


def test_command_line_errors(tmp_path, capsys):
    assert main(["validate", str(tmp_path)]) == 1
    assert "no tapes" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "nothing"), str(tmp_path)]) == 1
    assert "no such file or folder" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["import", "resolvedkit", str(tmp_path), "--format", "kalshi_btc15"])
    assert stop.value.code == 2
    assert "kalshi_btc15m" in capsys.readouterr().err


def test_the_module_runs_as_a_program(tmp_path):
    path = _written(tmp_path, book_tape())
    done = subprocess.run(
        [sys.executable, "-m", "sim.tape", "info", str(path)], capture_output=True, text=True, check=True
    )
    assert "a market" in done.stdout
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(b"PAR1")
    done = subprocess.run([sys.executable, "-m", "sim.tape", "info", str(torn)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "torn.parquet: torn" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_tape_is_a_named_tuple():
    events, head = book_tape()
    assert isinstance(book_tape(), Tape)
    assert len(events) == head.events == 3
