"""Metrics against numbers worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from made_up import hand_made, made_up

from evaluation.episodes import clusters, column_at, market_days
from evaluation.estimates import METRICS, estimate, ratio_parts, spread_cents
from evaluation.metrics import (
    brier,
    entries,
    expected_shortfall,
    max_drawdown,
    ratio,
    sharpe,
    slippage2_uusd,
    sortino,
    time_in_market,
    turnover_uusd,
    value_at_risk,
)
from sim.types import FILL, NO, SECOND_NS, YES


def once(values):
    return np.ones((1, len(values)))


def point(episodes, name):
    return float(ratio(*ratio_parts(episodes)[name], np.ones((1, len(episodes))))[0])


def test_sharpe_by_hand():
    # mean 2, deviation sqrt(((-1)^2 + 0 + 1^2) / 2) = 1, so 2 sqrt(365)
    daily = np.array([1.0, 2.0, 3.0])
    assert sharpe(daily, once(daily))[0] == pytest.approx(2 * math.sqrt(365))


def test_sharpe_is_not_defined_without_variation_or_with_one_day():
    for daily in (np.array([0.1, 0.1, 0.1]), np.array([5.0]), np.zeros(4)):
        assert math.isnan(sharpe(daily, once(daily))[0])


def test_sortino_by_hand():
    # mean 1, downside sqrt((0 + 1 + 0) / 3), so sqrt(3) sqrt(365)
    daily = np.array([2.0, -1.0, 2.0])
    assert sortino(daily, once(daily))[0] == pytest.approx(math.sqrt(3 * 365))
    winners = np.array([1.0, 2.0])
    assert math.isnan(sortino(winners, once(winners))[0])


def test_weights_are_repetitions():
    daily = np.array([3.0, -1.0, 2.0])
    repeated = np.array([3.0, 3.0, -1.0, 2.0, 2.0, 2.0])
    weights = np.array([[2.0, 1.0, 3.0]])
    for statistic in (sharpe, sortino, value_at_risk, expected_shortfall):
        assert statistic(daily, weights)[0] == pytest.approx(statistic(repeated, once(repeated))[0])


def test_value_at_risk_and_shortfall_by_hand():
    # 100 losses of 1 to 100: 95 of them are <= 95; the worst five are 96 to 100, mean 98
    loss = np.arange(1.0, 101.0)
    assert value_at_risk(loss, once(loss))[0] == 95
    assert expected_shortfall(loss, once(loss))[0] == pytest.approx(98)
    # 39 losses of 0 and one of 10: 39/40 = 0.975 are <= 0; the worst two are 10 and 0, mean 5
    loss = np.r_[np.zeros(39), 10.0]
    assert value_at_risk(loss, once(loss))[0] == 0
    assert expected_shortfall(loss, once(loss))[0] == pytest.approx(5)


def test_value_at_risk_takes_exactly_95_percent():
    # 19 of 20 are 0.95: the boundary counts as reached in spite of rounding
    loss = np.arange(1.0, 21.0)
    assert value_at_risk(loss, once(loss))[0] == 19
    assert expected_shortfall(loss, once(loss))[0] == pytest.approx(20)


def test_drawdown_by_hand():
    # peak 120, later 80: 40; never fell: 0
    assert max_drawdown(np.array([[100, 120, 90, 110, 80], [1, 1, 2, 3, 3]])).tolist() == [40, 0]


def test_time_in_market_by_hand():
    # steps of 1, 2 and 4 s; a position at the start of the second: 2 of 7 s
    held, total = time_in_market(np.array([[0, 1, 3, 7]]), np.array([[0, 5, 0, 0]]))
    assert (held[0], total[0]) == (2, 7)


def fills(*rows):
    result = np.zeros(len(rows), FILL)
    for row, values in zip(result, rows, strict=True):
        for name, value in values.items():
            row[name] = value
    return result


def test_turnover_by_hand():
    # 2 contracts of YES at 60 c = 1.20; 1 contract of NO at 1 - 0.60 = 0.40
    made = fills({"qty": 200, "px": 6000, "leg": YES}, {"qty": -100, "px": 6000, "leg": NO})
    assert turnover_uusd(made).tolist() == [1_200_000, 400_000]


def test_slippage_by_hand():
    # one contract bought at 52 c, one sold at 50 c, mid 51 c when sent: each cost one cent, 10,000 micro-dollars
    made = fills({"qty": 100, "px": 5200, "sent_mid2_px": 10_200}, {"qty": -100, "px": 5000, "sent_mid2_px": 10_200})
    assert (slippage2_uusd(made) // 2).tolist() == [10_000, 10_000]


def test_brier_by_hand():
    # 0.6 paid, 1 came: 0.16; 0.6 paid, 0 came: 0.36; a scalar settlement at 0.37: 0.0529
    assert brier(np.array([6000, 6000, 6000]), np.array([10_000, 0, 3700])) == pytest.approx([0.16, 0.36, 0.0529])


def test_entries_by_hand():
    # positions 100, 150, -50, -150, 150 in one episode, then -70 and -40 in a new one
    made = fills(*({"qty": q} for q in (100, 50, -200, -100, 300, -70, 30)))
    assert entries(made, np.array([0, 0, 0, 0, 0, 3, 3])).tolist() == [100, 50, 50, 100, 150, 70, 0]
    assert entries(fills(), np.zeros(0, np.int64)).tolist() == []


MIDS = [5000, 5100, 5200, 5200, 5300, 5400, 5500, 5600]  # 50 c rising to 56 c in seven seconds


def test_one_trade_by_hand():
    # 2 contracts bought at 51 c at 0.05 s, fee 3,500 micro-dollars, paid out at $1
    # result = 200 x (10,000 - 5,100) - 3,500 = 976,500 micro-dollars
    episodes = hand_made(MIDS, [(0.05, 200, 5100, 3500, 0)], payout=10_000, signal_ppm=540_000)
    assert episodes.result_uusd[0] == 976_500
    assert point(episodes, "result_usd") == pytest.approx(0.9765)
    assert point(episodes, "return") == pytest.approx(0.9765 / 10_000)
    assert point(episodes, "fill_ratio") == 0.5
    assert point(episodes, "hit_rate") == 1.0
    assert point(episodes, "turnover_usd") == pytest.approx(1.02)
    assert point(episodes, "slippage_cents") == pytest.approx(1.0)  # 51 - 50
    assert point(episodes, "edge_theoretical_cents") == pytest.approx(4.0)  # 54 - 50
    assert point(episodes, "edge_realised_cents") == pytest.approx(49 - 0.175)  # 0.35 c over two contracts
    assert point(episodes, "edge_ratio") == pytest.approx((49 - 0.175) / 4)
    assert point(episodes, "brier_entries") == pytest.approx(0.49**2)
    assert point(episodes, "brier_forecast") == pytest.approx(0.46**2)
    assert point(episodes, "time_in_market") == pytest.approx(6 / 7)


def test_markouts_by_hand():
    # filled at 0.05 s at 51 c. After 1 s the first mid seen is that of 2 s, 52 c; after 5 s that of 6 s, 55 c
    episodes = hand_made(MIDS, [(0.05, 200, 5100, 0, 0)], payout=0)
    assert spread_cents(episodes) == pytest.approx(-1.0)
    assert point(episodes, "markout_1s_cents") == pytest.approx(1.0)
    assert point(episodes, "markout_5s_cents") == pytest.approx(4.0)
    # 30 s lies behind the settlement at 0
    assert point(episodes, "markout_30s_cents") == pytest.approx(-51.0)


def test_markout_of_a_sale_has_the_other_sign_and_an_unknown_future_does_not_count():
    episodes = hand_made(MIDS, [(0.05, -200, 4900, 0, 1), (6.5, 900, 5600, 0, 0)])
    # the sale at 49 c against 52 c: -3; the second fill's next second lies behind the end of an unsettled episode
    assert point(episodes, "markout_1s_cents") == pytest.approx(-3.0)
    assert math.isnan(point(episodes, "markout_30s_cents"))


def test_the_latent_probability_stands_in_for_a_forecast():
    trade = [(0.05, 200, 5100, 0, 0)]
    assert point(hand_made(MIDS, trade, latent_ppm=520_000), "edge_theoretical_cents") == pytest.approx(2.0)
    assert math.isnan(point(hand_made(MIDS, trade), "edge_theoretical_cents"))


def test_column_at_finds_the_first_column_not_before():
    episodes = made_up(8, 20)
    elapsed = np.array([0, 1, SECOND_NS, SECOND_NS + 1, 1000 * SECOND_NS])
    for episode in range(8):
        last = int(episodes.steps[episode])
        found = column_at(episodes, np.full(5, episode), elapsed)
        assert found.tolist() == [0, 1, 1, 2, last + 1]


def test_days_and_clusters():
    synthetic = made_up(60)
    assert np.bincount(market_days(synthetic)).tolist() == [30, 30]  # floor(60 / 24) days of equal size
    assert clusters(synthetic).tolist() == list(range(59, -1, -1))
    recorded = made_up(60, tapes=6)
    assert np.bincount(clusters(recorded)).tolist() == [10] * 6
    # starts lie 9,000 s apart: 2.5 hours, 60 of them span seven or eight UTC days
    assert len(np.unique(market_days(recorded))) == len(np.unique(recorded.start_ns // (86_400 * SECOND_NS)))


def test_every_metric_is_estimated_and_idle_episodes_are_not_an_error():
    episodes = made_up(30, 20, rate=0.0)
    result = estimate(episodes, resamples=50)
    assert list(result) == [*METRICS, "cost_drawdown", "cost_kill"]
    assert result["result_usd"] == (0.0, 0.0, 0.0)
    for name in ("sharpe", "hit_rate", "fill_ratio", "slippage_cents", "markout_5s_cents", "brier_entries"):
        assert math.isnan(result[name].value), name


def test_every_metric_is_explained():
    text = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name in METRICS:
        assert f"`{name}`" in text, name


def test_estimates_hold_their_points():
    result = estimate(made_up(100, 40, skill=0.9), resamples=200)
    for name, interval in result.items():
        assert math.isnan(interval.low) or interval.low <= interval.value <= interval.high, name
