"""The scenario library: every entry loads, draws and is described; what is wrong in a file is named."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from curricula.entries import DEFAULTS, FOLDER, entry_names, load_entry
from curricula.lessons import draw
from curricula.phase import RowRanges, ranges_of
from sim.scenarios.row import FIELDS
from sim.scenarios.tables import load_table, rows_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "scenarios.md"
HEAD = 'title = "T"\nversion = 1\nmeaning = "M"\nbase = "defaults"\n'
KINDS = {  # what a library must have an entry of, and a field that says so
    "volatility": ("volatility_low", "volatility_high", "news_jumps"),
    "spread": ("spread_wide", "spread_shocks"),
    "depth": ("depth_thin", "depth_shocks"),
    "outages": ("venue_outages",),
    "latency": ("latency_spikes",),
    "partial fills": ("partial_fills",),
    "cancels": ("cancel_storm",),
    "basis": ("basis",),
    "toxic flow": ("toxic_flow",),
    "fees": ("fee_changes",),
    "void": ("void_settlements",),
    "inventory": ("inventory_long",),
}


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", entry_names())
def test_every_entry_draws_rows_within_its_ranges(name):
    entry = load_entry(name)
    assert entry.name == name and entry.version >= 1 and len(entry.meaning) > 20
    rows = draw(entry.rows, None, 64, seed=3, base=entry.base_rows())
    ranges = ranges_of(entry.rows)
    for field, wanted in ranges.items():
        low, high = wanted if isinstance(wanted, tuple) else (wanted, wanted)
        assert rows[field].min() >= low and rows[field].max() <= high
    if entry.base == DEFAULTS:
        others = [field for field in FIELDS if field not in ranges and not field.startswith("fill_")]
        assert all((rows[field] == FIELDS[field].default).all() for field in others)


@pytest.mark.parametrize("names", KINDS.values(), ids=KINDS)
def test_every_kind_of_scenario_is_there(names):
    assert set(names) <= set(entry_names())


def test_the_page_describes_every_entry_with_its_meaning():
    text = DOCUMENT.read_text(encoding="utf-8")
    lines = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| `")}
    assert set(lines) == set(entry_names())
    for name in entry_names():
        assert load_entry(name).meaning in lines[name]


def test_a_file_of_ones_own(tmp_path):
    text = HEAD.replace('"defaults"', '"kalshi_weather"') + "[rows]\ndepth = [5, 10]\n[env]\nstart_contracts = 20\n"
    entry = load_entry(written(tmp_path, text))
    table = load_table("kalshi_weather")
    assert (entry.name, entry.env, entry.place) == ("mine", {"start_contracts": 20.0}, table.place)
    assert (entry.base_rows() == rows_of(table)).all()
    assert ranges_of(entry.overlaid(RowRanges(depth=7, life_s=30))) == {"depth": 7.0, "life_s": 30.0}
    assert ranges_of(entry.rows) == {"depth": (5.0, 10.0)}  # as it was


def test_the_digest_is_the_files():
    one, other = load_entry("toxic_flow"), load_entry(FOLDER / "toxic_flow.toml")
    assert one.digest == other.digest != load_entry("reference").digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "colour = 1\n", r"mine\.toml: no key 'colour'; an entry has title, version, meaning, base, place"),
        (HEAD.replace("version = 1\n", ""), r"mine\.toml: no 'version'; an entry must have title, version"),
        (HEAD.replace("version = 1", "version = 0"), r"version = 0; expected a whole number from 1 on"),
        (HEAD.replace("version = 1", 'version = "1"'), r"version = '1'; expected a whole number"),
        (HEAD.replace('"defaults"', '"nowhere"'), r"base = 'nowhere'; expected defaults, kalshi_crypto"),
        (HEAD.replace('"M"', '""'), r"meaning = ''; expected a text"),
        (HEAD + "[rows]\nnews = 1\n", r"mine\.toml: rows has no 'news'; it may have belief_low, belief_high"),
        (HEAD + "[rows]\ndepth = [9, 3]\n", r"rows\.depth = \[9, 3\]: expected a number, or \[low, high\]"),
        (HEAD + "[rows]\nnews_rate = [1, 1000]\n", r"rows\.news_rate = \[1, 1000\] 1/s leaves \[0\.0, 100\.0\]"),
        (HEAD + "[env]\ncash = 5\n", r"env has no 'cash'; it may have start_contracts"),
        (HEAD + "[env]\nstart_contracts = -1\n", r"env\.start_contracts = -1; expected a number from 0 on"),
        (HEAD + '[place]\ncity = "x"\n', r"place has no 'city'; it may have venue, fees, ticks, later_fees"),
        (HEAD + "[place]\nvenue = 3\n", r"place\.venue = 3; expected a text"),
        (HEAD + '[[groups]]\nsort = "same"\n', r"groups has no 'sort'; it may have kind, venues"),
        (HEAD + '[place]\nvenue = "kalshi"\n[[groups]]\nkind = "same"\n', "groups bring their venues; leave place out"),
        (HEAD + "groups = 3\n", r"groups = 3; expected \[\[groups\]\]"),
        ("title = [", r"mine\.toml: .*; expected TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_entry(written(tmp_path, text))


def test_an_entry_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"no scenario 'storm' in the library; .* one of basis, basis_outages"):
        load_entry("storm")


def test_ranges_can_be_sent_to_other_processes():
    rows = RowRanges(depth=[1, 2])
    assert pickle.loads(pickle.dumps(rows)) == rows


def test_rows_of_a_base_are_taken_in_turn():
    entry = load_entry("toxic_crypto")
    base = entry.base_rows()
    rows = draw(entry.rows, None, 2 * len(base) + 1, seed=0, base=base)
    assert (rows["maker_rate"] == np.resize(base["maker_rate"], len(rows))).all()
