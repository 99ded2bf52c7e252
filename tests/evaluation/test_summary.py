"""The machine-readable last line: writer and parser are inverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.summary import Summary, format_summary, parse_summary

amounts = st.integers(-(10**15), 10**15)


@given(amounts, amounts, st.booleans(), st.from_regex(r"[a-z0-9_]+", fullmatch=True))
def test_round_trip(realised, unrealised, kill, reason):
    summary = Summary(realised, unrealised, kill, reason)
    assert parse_summary(format_summary(summary)) == summary


def test_the_line_itself():
    line = format_summary(Summary(-1_250_000, 1, False, "none"))
    assert line == "summary realised=-1.250000 unrealised=0.000001 total=-1.249999 kill=0 reason=none"
    assert parse_summary(f"  {line}\n").total_uusd == -1_249_999


def test_a_bad_reason_is_refused():
    with pytest.raises(ValueError, match="one word"):
        format_summary(Summary(0, 0, True, "daily loss"))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "summary realised=1 unrealised=0 total=1 kill=0 reason=none",
        "summary realised=1.000000 unrealised=0.000000 total=1.000000 kill=2 reason=none",
        "summary realised=1.000000 unrealised=0.000000 total=1.000000 kill=0 reason=none extra",
    ],
)
def test_other_lines_are_refused(line):
    with pytest.raises(ValueError, match="summary line: expected"):
        parse_summary(line)


def test_amounts_must_add_up():
    with pytest.raises(ValueError, match="do not add up"):
        parse_summary("summary realised=1.000000 unrealised=0.000000 total=2.000000 kill=0 reason=none")
