"""Scenario tables: bounds, ranges, what the kernels get; and where episodes come from."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import FREE, INTERPRETED, POLYMARKET, opening, tape

from sim.engine import Engine
from sim.scenarios import Place, Scenario, load_tapes, mix, replay, synthetic
from sim.scenarios.compiled import ARRIVALS, compile_rows
from sim.scenarios.row import FIELDS, ROW, check_rows, default_rows, draw_rows, make_rows
from sim.tape import write


def test_defaults_lie_within_their_bounds():
    check_rows(default_rows(3))
    for name, field in FIELDS.items():
        assert field.low <= field.default <= field.high, name
        assert field.unit, name
        assert field.meaning, name
    assert ROW.names == tuple(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_bounded(name):
    field = FIELDS[name]
    for value in (np.nextafter(field.low, -np.inf), np.nextafter(field.high, np.inf), np.nan, np.inf):
        with pytest.raises(ValueError, match=f"scenario row 0: {name} = .* lies outside"):
            make_rows(1, **{name: value})


def test_a_misspelt_field_is_named():
    with pytest.raises(ValueError, match="no field 'half_spred'; the fields are belief_low"):
        make_rows(1, half_spred=0.01)
    with pytest.raises(ValueError, match="no field 'lifes'"):
        draw_rows(3, {"lifes": 3.0}, 0)


def test_the_row_that_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"scenario row 2: news_rate = -1\.0 1/s lies outside \[0\.0, 100\.0\]"):
        make_rows(3, news_rate=np.array([0.0, 1.0, -1.0]))
    with pytest.raises(ValueError, match=r"scenario row 1: belief_low = 0\.7 exceeds belief_high = 0\.6"):
        make_rows(2, belief_low=np.array([0.1, 0.7]), belief_high=0.6)
    with pytest.raises(ValueError, match=r"signal_err_low = 0\.1 exceeds signal_err_high"):
        make_rows(1, signal_err_low=0.1)


@pytest.mark.parametrize("bad", [np.zeros(0, ROW), np.zeros((2, 2), ROW), np.zeros(2)])
def test_a_table_of_another_shape_is_refused(bad):
    with pytest.raises(ValueError, match="expected a non-empty one-dimensional array of ROW"):
        check_rows(bad)


def test_draws_are_uniform_and_depend_on_seed_and_field_only():
    ranges = {"noise_rate": (1.0, 3.0), "depth": (50.0, 60.0), "life_s": 20.0}
    rows = draw_rows(2000, ranges, 0)
    assert (rows["life_s"] == 20.0).all()
    assert rows["noise_rate"].min() >= 1.0
    assert rows["noise_rate"].max() <= 3.0
    # mean of 2,000 uniforms on [1, 3]: standard error .577 / sqrt 2000 = .0129; five of them
    assert abs(rows["noise_rate"].mean() - 2.0) < 0.065
    alone = draw_rows(2000, {"noise_rate": (1.0, 3.0)}, 0)
    assert (alone["noise_rate"] == rows["noise_rate"]).all()
    assert (draw_rows(2000, ranges, 0) == rows).all()
    assert not (draw_rows(2000, ranges, 1)["depth"] == rows["depth"]).any()  # 0 is a seed of its own


def test_opponents_who_take_as_much_as_we_do_are_refused():
    with pytest.raises(ValueError, match=r"scenario row 1: front_share \+ copy_share = 1\.2 must stay below 1"):
        make_rows(2, front_share=np.array([0.3, 0.6]), copy_share=np.array([0.3, 0.6]))


def test_shocks_become_thresholds_of_a_word():
    row = compile_rows(make_rows(1, news_rate=1.0, outage_rate=0.5, tick_rate=0.5))[0]
    assert row["shock_ns"] == 1e9 / 2
    assert (row["shock"] / 2**32).tolist() == [0.5, 0.75, 0.75, 0.75, 0.75, 1.0]
    assert compile_rows(make_rows(1, news_rate=0.0))[0]["shock_ns"] == 0.0  # nothing ever comes


def test_rates_become_thresholds_of_a_word():
    rates = dict(zip(ARRIVALS, (1.0, 2.0, 0.0, 1.0, 3.0, 0.5, 0.5, 0.0, 0.0, 0.0), strict=True))
    row = compile_rows(make_rows(1, **rates))[0]
    assert row["interval_ns"] == 1e9 / 8
    shares = np.diff(row["threshold"], prepend=0) / 2**32
    assert shares == pytest.approx([1 / 8, 2 / 8, 0, 1 / 8, 3 / 8, 0.5 / 8, 0.5 / 8, 0, 0, 0], abs=1e-9)
    assert row["threshold"][-1] == 2**32


def test_gaps_of_clumps_keep_their_mean():
    """E^2 has the mean gamma(3) = 2, E^1.5 gamma(2.5) = 0.75 sqrt(pi)."""
    rows = compile_rows(make_rows(3, clump=np.array([1.0, 2.0, 1.5]), **dict.fromkeys(ARRIVALS, 0.8)))
    assert rows["interval_ns"] == pytest.approx(np.full(3, 1e9 / 8))
    assert rows["clump_ns"] == pytest.approx(1e9 / 8 / np.array([1.0, 2.0, 0.75 * np.pi**0.5]), rel=1e-8)


def test_a_rate_limit_below_one_a_second_would_pass_nothing():
    with pytest.raises(ValueError, match=r"row 0: rate_limit = 0\.5 would pass nothing; expected 0"):
        make_rows(1, rate_limit=0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"places": (Place("nyse"),)}, "no venue 'nyse'; the venues are kalshi, polymarket"),
        ({"replay_share": 0.5}, "replay_share is 0.5 but there are no tapes"),
        ({"replay_share": 1.5}, "replay_share is a probability, got 1.5"),
    ],
)
def test_a_scenario_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        Scenario(default_rows(), **arguments)


def test_tapes_are_read_from_folders_and_one_venue(tmp_path):
    kalshi = tape(*opening({4900: 1}, {5000: 1}), fees=(FREE,))
    polymarket = tape(*opening({4900: 1}, {5000: 1}), fees=(POLYMARKET,))
    write(tmp_path / "b.parquet", kalshi)
    write(tmp_path / "a.parquet", kalshi)
    write(tmp_path / "other" / "c.parquet", polymarket)
    assert load_tapes([tmp_path])[1] == ("a", "b")
    assert replay([tmp_path]).venue_names == ("kalshi",)
    assert replay([tmp_path]).replay_share == 1.0
    with pytest.raises(ValueError, match="several venues, kalshi, polymarket: name one, or split them"):
        replay([tmp_path, tmp_path / "other"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no tape \(\*\.parquet\) in .*empty"):
        replay([tmp_path / "empty"])


def test_a_mix_plays_its_share_of_replays(tmp_path):
    write(tmp_path / "a.parquet", tape(*opening({4900: 1}, {5000: 1}), fees=(FREE,)))
    count = 400 if INTERPRETED else 4000
    engine = Engine(mix([tmp_path], replay_share=0.25), count)
    engine.reset()
    share = (engine.state.market["tape"] >= 0).mean()
    assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / count)  # five standard errors


def test_every_row_of_a_table_is_played():
    rows = make_rows(3, depth=np.array([100.0, 200.0, 300.0]))
    count = 300 if INTERPRETED else 3000
    engine = Engine(synthetic(rows), count)
    engine.reset()
    counts = np.bincount(engine.state.account["row"], minlength=3)
    assert (abs(counts - count / 3) < 5 * np.sqrt(count / 3 * 2 / 3)).all()  # five standard errors
