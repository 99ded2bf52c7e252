"""Scenario tables as text: written, read back, refused; those that come with the package."""

from __future__ import annotations

import pytest

from sim.scenarios.portfolio import Place
from sim.scenarios.row import FIELDS
from sim.scenarios.splits import SETS
from sim.scenarios.tables import (
    ScenarioTable,
    TableRow,
    Value,
    load_table,
    rows_of,
    save_table,
    scenario_of,
    table_names,
    table_path,
)

SMALL = ScenarioTable(
    'A "market"',
    "",
    Place("kalshi", "quadratic", "deci_cent"),
    (
        TableRow("calm", {"belief_low": Value(0.1), "belief_high": Value(0.3), "add_rate": Value(7.25, "fitted")}, 2),
        TableRow("busy", {"add_rate": Value(70.0, "fitted")}, 1, mirrored=False),
    ),
)


def test_round_trip(tmp_path):
    save_table(SMALL, tmp_path / "small.toml")
    assert load_table(tmp_path / "small.toml") == SMALL
    text = (tmp_path / "small.toml").read_text()
    assert 'add_rate = {value = 7.25, unit = "1/s", low = 0.0, high = 1000.0, source = "fitted"}' in text


def test_rows_stand_as_often_as_they_say_and_mirrored():
    rows = rows_of(SMALL)
    # 2 copies of the calm row and 2 mirror images, 1 busy row
    assert len(rows) == 5
    assert rows["add_rate"].tolist() == [7.25] * 4 + [70.0]
    assert sorted(rows["belief_low"][:4].round(6).tolist()) == [0.1, 0.1, 0.7, 0.7]
    assert sorted(rows["belief_high"][:4].round(6).tolist()) == [0.3, 0.3, 0.9, 0.9]
    assert rows["maker_rate"].tolist() == [FIELDS["maker_rate"].default] * 5


def test_a_table_that_is_there_stays(tmp_path):
    path = tmp_path / "small.toml"
    save_table(SMALL, path)
    with pytest.raises(FileExistsError, match=r"small\.toml exists: name another file, or say --overwrite"):
        save_table(SMALL._replace(title="other"), path)
    assert load_table(path) == SMALL
    save_table(SMALL._replace(title="other"), path, overwrite=True)
    assert load_table(path).title == "other"


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("value = 7.25", "value = -1.0", r"row 0 \(calm\): add_rate = -1\.0 lies outside \[0\.0, 1000\.0\]"),
        ("value = 0.3,", "value = 0.05,", r"row 0 \(calm\): scenario row 0: belief_low = 0\.1 exceeds belief_high"),
        (
            'value = 7.25, unit = "1/s", low = 0.0, high = 1000.0',
            'value = 7000.25, unit = "1/s", low = 0.0, high = 10000.0',
            r"row 0 \(calm\): scenario row 0: add_rate = 7000\.25 1/s lies outside \[0\.0, 1000\.0\]",
        ),
        ("add_rate", "ad_rate", r"row 0 \(calm\): no field 'ad_rate'; the fields are belief_low"),
        ('"1/s"', '"1/h"', r"row 0 \(calm\): add_rate is in 1/s, got '1/h'"),
        ('"fitted"', '"guessed"', r"source 'guessed'; expected prior, moments, fitted"),
        ("value = 7.25", 'value = "x"', r"row 0 \(calm\): add_rate: value = 'x'; expected a number"),
        ("mirrored = true", 'mirrored = "no"', r"row 0 \(calm\): mirrored = 'no'; expected true or false"),
        ('set = ""', 'set = "nothing"', r"set = 'nothing'; expected one of kalshi_crypto"),
        ("copies = 2", "copies = 0", r"row 0 \(calm\): copies = 0; expected a whole number above 0"),
        ("{value = 7.25", "{price = 7.25", r"add_rate = .* expected \{value, unit, low, high, source\}"),
        ("title", "name", r"small\.toml: no 'title'; a table has title, set"),
        ("title =", "title", r"small\.toml: .* expected TOML as save_table writes it"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, old, new, message):
    path = tmp_path / "small.toml"
    save_table(SMALL, path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        load_table(path)


def test_unknown_table():
    with pytest.raises(ValueError, match=r"no scenario table 'nowhere'; expected a file ending in \.toml, or one of"):
        table_path("nowhere")


def test_every_recorded_market_has_a_table():
    assert table_names() == tuple(sorted(SETS))


@pytest.mark.parametrize("name", sorted(SETS))
def test_tables_of_the_package(name):
    table = load_table(name)
    assert table.set == name
    scenario = scenario_of(name)
    assert scenario.places == (table.place,)
    assert len(scenario.rows) == sum(row.copies * (1 + row.mirrored) for row in table.rows)
    assert {entry.source for row in table.rows for entry in row.values.values()} <= {"fitted", "moments", "prior"}
    # both legs are met alike: the mean of first beliefs is one half
    assert (scenario.rows["belief_low"] + scenario.rows["belief_high"]).mean() == pytest.approx(1.0)
