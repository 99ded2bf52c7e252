"""Adverse selection of the reference quoter in a scenario table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sim.fillfit.markouts import HORIZONS_S, Markout
from sim.scenarios import markouts
from sim.scenarios.portfolio import Place
from sim.scenarios.tables import ScenarioTable, TableRow, Value, load_table, save_table

CALM = {
    "belief_low": 0.45, "belief_high": 0.55, "life_s": 15.0, "levels": 2.0, "depth": 5.0, "add_rate": 0.0,
    "cancel_rate": 0.0, "noise_rate": 4.0, "noise_size": 10.0, "informed_rate": 0.0, "news_rate": 0.0,
    "maker_rate": 8.0, "half_spread": 0.004,
}  # fmt: skip


def table_of(**changes):
    values = {name: Value(value) for name, value in {**CALM, **changes}.items()}
    return ScenarioTable("tiny", "", Place(), (TableRow("all", values),))


def test_without_news_a_fill_earns_the_distance_to_the_makers_estimate():
    values, session = markouts.quoter_markouts(table_of(), seed=3, times=2)
    assert values.shape[1] == len(HORIZONS_S) and len(session) == len(values) > 5
    assert set(session) <= {0, 1, 2, 3}  # two copies and two mirror images
    five = values[:, 1]
    # quotes of 0.4 cents either side of a fixed estimate, rounded outwards to whole cents: 0.5 or 1 cent from their mid
    assert np.nanmean(five) > 0.4
    assert np.isnan(values[:, 2:]).all()  # no session lasts 30 s


def test_informed_takers_cost():
    jumpy = table_of(news_rate=1.0, news_size=0.08, life_s=20.0, maker_rate=1.0, noise_rate=0.2, depth=20.0)
    toxic = markouts.with_toxicity(jumpy, 0.75)
    assert toxic.rows[0].values["noise_rate"] == Value(0.05, "fitted")  # a quarter of 0.2 noise takers a second
    assert toxic.rows[0].values["news_take"] == Value(0.75, "fitted")
    values, _ = markouts.quoter_markouts(toxic, seed=3, times=4)
    # nearly every fill is by one who comes with a jump of 8 cents that the makers learn within the second
    assert len(values) > 20
    assert np.nanmean(values[:, 0]) < -2.0


def test_the_nearest_share_is_taken(monkeypatch):
    """Markouts of -0.1 - 2 x toxicity at 1 s and -toxicity at 5 s; wanted -0.5 and -0.2: 0.2 is nearest."""
    shown = {}

    def fake(table, seed, times, delay_ms):
        shown["share"] = table.rows[0].values["news_take"].value
        return np.array([[-0.1 - 2 * shown["share"], -shown["share"], 9.0, 9.0]]), np.zeros(1)

    monkeypatch.setattr(markouts, "quoter_markouts", fake)
    monkeypatch.setattr(markouts, "TOXICITIES", (0.0, 0.1, 0.2, 0.4))
    wanted = [Markout(h, mean, mean, mean, 1, 1) for h, mean in zip(HORIZONS_S, (-0.5, -0.2, 0.0, 0.0), strict=True)]
    share, fitted = markouts.fit_toxicity(table_of(), wanted)
    assert share == 0.2
    assert fitted.rows[0].values["news_take"] == Value(0.2, "fitted")
    assert fitted.rows[0].values["noise_rate"] == Value(3.2, "fitted")


def fills_file(path):
    frame = pd.DataFrame({"ts": pd.to_datetime(["2026-05-15", "2026-05-20"] * 3), "ticker": list("aabbcc")})
    for number, horizon in enumerate(HORIZONS_S):
        frame[f"markout_{horizon}s"] = [-1.0 + number, -0.5 + number] * 3
    frame.to_parquet(path)
    return path


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(markouts, "TOXICITIES", (0.0,))
    path, fills = tmp_path / "tiny.toml", fills_file(tmp_path / "fills.parquet")
    save_table(table_of(life_s=8.0), path)
    out = tmp_path / "toxic.toml"
    assert markouts.main([str(path), str(fills), "--times", "1", "--out", str(out)]) == 0
    assert load_table(out).rows[0].values["news_take"] == Value(0.0, "fitted")
    text = capsys.readouterr().out
    assert "synthetic" in text and "real maker, early" in text and "-1.00" in text
    assert markouts.main([str(path), str(fills), "--out", str(out)]) == 1
    assert "exists: name another file, or say --overwrite" in capsys.readouterr().err
    assert markouts.main([str(path), "--out", str(tmp_path / "x.toml")]) == 1
    assert "--out needs FILLS" in capsys.readouterr().err


def test_what_cannot_be_measured():
    with pytest.raises(ValueError, match=r"toxicity = 1\.5; expected 0 to 1"):
        markouts.with_toxicity(table_of(), 1.5)
    toxic = markouts.with_toxicity(table_of(), 1.0)
    with pytest.raises(ValueError, match="row 0 of 'tiny' has noise_rate = 0, and a share of nobody is nobody"):
        markouts.with_toxicity(toxic, 0.5)  # its noise takers are gone: no share of them can come back
    with pytest.raises(ValueError, match="times = 0; expected at least 1"):
        markouts.quoter_markouts(table_of(), times=0)
    with pytest.raises(ValueError, match="the quoter had no fill in 2 sessions of 'tiny'"):
        markouts.quoter_markouts(table_of(noise_rate=0.0, life_s=2.0))
