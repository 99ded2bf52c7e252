"""A fit finds the fields of a synthetic recording again; it says what it cannot do; its table can be judged."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from sim.scenarios import calibrate, realism, starts
from sim.scenarios.distance import Yardstick
from sim.scenarios.facts import facts_of
from sim.scenarios.portfolio import Place
from sim.scenarios.recordings import Piece, Recording, traces_as
from sim.scenarios.sessions import Sessions, play
from sim.scenarios.splits import SETS, MarketSet, Source
from sim.scenarios.starts import KNOBS, bounds_of, first_table, knobs_for
from sim.scenarios.tables import ScenarioTable, TableRow, Value, load_table, save_table
from sim.scenarios.trace import Feed

TRUTH = {
    "belief_low": 0.3, "belief_high": 0.4, "life_s": 40.0, "levels": 3.0, "add_rate": 9.0, "cancel_rate": 4.0,
    "noise_rate": 0.5, "maker_rate": 1.0, "news_rate": 0.2,
}  # fmt: skip
FAMILIES = frozenset({"spread", "depth", "messages", "touch", "moves"})


def table_of(**changes):
    values = {name: Value(value) for name, value in {**TRUTH, **changes}.items()}
    return ScenarioTable("tiny", "tiny", Place(), (TableRow("all", values),))


@cache
def pieces():
    """Two fitted parts and two reported ones, each two sessions of 40 s."""
    found = []
    for number, (use, part) in enumerate((("fit", "a"), ("fit", "b"), ("report", "c"), ("report", "d"))):
        traces = traces_as("tiny", play(table_of(), 50 + number))[0]
        found += [Piece(f"{part}{i}", 0, part, use, one) for i, one in enumerate(traces)]
    return tuple(found)


@pytest.fixture
def tiny(monkeypatch):
    """A recorded market that is a synthetic one."""
    monkeypatch.setitem(SETS, "tiny", MarketSet("tiny", (Source("none", Feed(FAMILIES, levels=5), ()),)))
    monkeypatch.setitem(starts.PLACES, "tiny", Place())
    monkeypatch.setitem(starts.LIVES_S, "tiny", 40.0)
    monkeypatch.setattr(starts, "LEAST_SECONDS", 100.0)
    return Recording("tiny", pieces())


@pytest.mark.compiled
def test_a_fit_finds_the_rates_again(tiny, monkeypatch):
    wanted = {"add_rate", "cancel_rate"}
    monkeypatch.setattr(calibrate, "knobs_for", lambda name: tuple(k for k in KNOBS if k.field in wanted))
    wrong = table_of(add_rate=3.0, cancel_rate=12.0)
    target = calibrate.Target(tiny)
    fitted = calibrate.calibrate(tiny, trials=24, start=wrong)
    found = {name: fitted.rows[0].values[name] for name in wanted}
    assert {entry.source for entry in found.values()} == {"fitted"}
    # nine and four a second are meant, three and twelve were told: off by factors of 3, now by less than half of that
    for name, entry in found.items():
        assert 1 / 1.6 < entry.value / TRUTH[name] < 1.6, name
    assert fitted.rows[0].values["maker_rate"] == Value(1.0)  # not turned
    costs = [target.cost(Sessions(one, 0).facts({})) for one in (wrong, fitted)]
    assert costs[1] < 0.7 * costs[0]


def test_no_trials_give_the_rows_made_by_hand(tiny):
    table = calibrate.calibrate(tiny, trials=0)
    assert [row.name for row in table.rows] == ["10 to 50 cents, calm", "10 to 50 cents, busy"]
    assert [row.copies for row in table.rows] == [12, 6]
    calm, busy = (row.values for row in table.rows)
    # 13 orders a second come and go, and reprices: half are taken for adds, sqrt(0.6) of that in calm hours, sqrt(1.8)
    # in busy ones; news comes 0.6 and 1.8 times as often
    assert busy["add_rate"].value == pytest.approx(3.0**0.5 * calm["add_rate"].value, rel=1e-4)
    assert 0.5 * 0.6**0.5 * 8 < calm["add_rate"].value < 0.5 * 0.6**0.5 * 25
    assert busy["news_rate"].value == pytest.approx(3.0 * calm["news_rate"].value, rel=1e-4)
    assert calm["excite"].source == calm["noise_size"].source == "prior"  # no prints in this feed
    assert calm["add_rate"].source == "moments"
    assert calm["presence"].source == "prior"


def test_too_little_data(tiny):
    short = tiny._replace(pieces=tuple(piece for piece in tiny.pieces if piece.part in ("a", "c")))
    with pytest.raises(ValueError, match=r"tiny: 80 seconds of known two-sided book in the fitted .* at least 100"):
        calibrate.calibrate(short, trials=0)
    with pytest.raises(ValueError, match=r"calibrate: trials = -1; expected 0 or more"):
        calibrate.calibrate(tiny, trials=-1)


def test_no_price_that_can_be_fitted(tiny, monkeypatch):
    monkeypatch.setattr(starts, "LEAST_SECONDS", 0.0)
    facts = facts_of([play(table_of(life_s=5.0), 1)[0]])
    with pytest.raises(ValueError, match="no price bucket of the fitted part shows spread and moves"):
        first_table("tiny", facts)


def test_sessions_record_only_the_row_that_a_trial_turns(tiny):
    values = {name: Value(value) for name, value in {**TRUTH, "life_s": 6.0}.items()}
    table = ScenarioTable("tiny", "tiny", Place(), (TableRow("one", values), TableRow("two", values)))
    sessions = Sessions(table, 3)
    begun = list(sessions.traces)
    busy = TableRow("two", {**values, "add_rate": Value(60.0)})
    told, kept = sessions.facts({1: busy}), sessions.facts({})
    assert repr(told) != repr(kept)
    sessions.keep({1: busy})
    assert sessions.traces[0] is begun[0] and sessions.traces[1] is not begun[1]
    assert sessions.table.rows == (table.rows[0], busy)
    # the same seed and rows, the same facts: what a trial was told is what it keeps
    assert repr(sessions.facts({})) == repr(told) == repr(Sessions(sessions.table, 3).facts({}))


def test_what_a_recording_cannot_tell_is_not_searched():
    weather = {knob.field for knob in knobs_for("kalshi_weather")}
    assert {"half_spread", "depth", "news_size"} <= weather
    assert not {"noise_size", "large_share", "excite"} & weather  # it says nothing of prints
    assert {knob.field for knob in knobs_for("kalshi_crypto")} == {knob.field for knob in KNOBS}
    knob = next(knob for knob in KNOBS if knob.field == "presence")
    assert bounds_of(knob, 0.9) == (0.05, 1.0)
    knob = next(knob for knob in KNOBS if knob.field == "maker_rate")
    assert bounds_of(knob, 50.0) == (50.0 / 8, 100.0)  # a factor of eight, cut at the field's bound


def test_the_cost_by_hand(tiny):
    target = calibrate.Target(tiny)
    target.measures = {"message_rate/20-40": Yardstick(0.2, 1)}
    fact = target.facts["message_rate/20-40"]

    def cost(rate):
        return target.cost({fact.name: type(fact)(**{**fact.__dict__, "values": rate})})

    assert cost(fact.values) == 0.0
    # log(e^0.3) = 0.3 = 1.5 yardsticks: u = 1 and 1 / (1 + 1); the resolution of 0.001 counts in both
    assert cost(((fact.values[0] + 0.001) * np.exp(0.3) - 0.001,)) == pytest.approx(0.5)
    assert cost(()) == pytest.approx(9 / 10)  # not known: u = 3


def test_the_command_refuses(tmp_path, capsys):
    path = tmp_path / "t.toml"
    save_table(table_of(), path)
    assert calibrate.main([str(tmp_path), "--kind", "kalshi_sports", "--out", str(path)]) == 1
    assert "exists: name another file, or say --overwrite" in capsys.readouterr().err
    assert calibrate.main([str(tmp_path), "--kind", "kalshi_sports", "--out", "t.yaml"]) == 1
    assert "expected a file name ending in .toml" in capsys.readouterr().err
    assert calibrate.main([str(tmp_path), "--kind", "kalshi_sports", "--out", str(tmp_path / "new.toml")]) == 1
    assert "no such file or folder" in capsys.readouterr().err


def test_the_command_writes_a_table(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "load", lambda kind, data: tiny)
    monkeypatch.setattr(calibrate, "SETS", {"tiny": None})
    path = tmp_path / "tiny.toml"
    assert calibrate.main([str(tmp_path), "--kind", "tiny", "--out", str(path), "--trials", "0"]) == 0
    assert load_table(path).set == "tiny"


def test_realism_judges_a_table(tiny, tmp_path, monkeypatch, capsys):
    path = tmp_path / "tiny.toml"
    save_table(table_of(), path)
    monkeypatch.setattr(realism, "load", lambda name, data: tiny)
    assert realism.main([str(path), str(tmp_path), "--all"]) == 0
    text = capsys.readouterr().out
    assert "tiny (tiny)" in text and "comparable facts within 1.5 yardsticks" in text
    assert "medians of 5 plays" in text
    with pytest.raises(ValueError, match="fitted to tiny; compared with kalshi_crypto"):
        realism.plays_of(path, "kalshi_crypto")
    with pytest.raises(ValueError, match="times = 0; expected at least 1"):
        play(table_of(), 0, 0)
    assert not realism.is_table(Path("recorded"))
