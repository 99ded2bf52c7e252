"""resolvedkit's published late_favorite result, with its engine and with ours on the imported tapes.

Theirs: pnl 277.479231, fees 15.91546. Ours: 277.476570 and 15.915330: the same to the cent, 0.2661 cents less. Why:

* Their sizes are real numbers, ours whole lots of 0.01 share. Three orders found enough depth and left a part of a lot
  unbought: .0041026, .0009195 and .0073684 shares of favourites that won .22, .13 and .24 a share:
  -.000903, -.000120, -.001768 dollars before fees.
* The fees: the missing parts of lots paid none, and the venue rounds every match to $0.00001 where the package rounds
  an order's sum: +.000040, +.000010, 0, -.000010, +.000090.

Nothing else differs: the same five orders at the same milliseconds, the same levels taken.
"""

from __future__ import annotations

import json

import pytest
from by_hand import INTERPRETED

from benchmarks.resolvedkit import PUBLISHED, main, our_trades, published_spec, resolvedkit_result

pytestmark = pytest.mark.skipif(INTERPRETED, reason="36 replays of a whole market: slow interpreted")


@pytest.fixture(scope="module")
def result():
    return resolvedkit_result()


def test_theirs_is_what_they_published(result):
    assert {name: round(value, 2) for name, value in result["theirs"].items()} == PUBLISHED
    assert result["theirs"]["pnl_usd"] == pytest.approx(277.479231, abs=1e-9)
    assert result["theirs"]["fees_usd"] == pytest.approx(15.91546, abs=1e-9)


def test_ours_is_the_same_to_the_cent(result):
    assert result["holds"], result
    assert result["ours"] == {
        "pnl_usd": 277.476570, "fees_usd": 15.915330, "partial_fills": 2, "markets_traded": 5,
    }  # fmt: skip


def test_every_micro_dollar_of_the_difference_is_explained(result):
    rows = result["ours_less_theirs"]
    assert [row["of_whole_lots_uusd"] for row in rows] == [-903, -120, 0, 0, -1768]
    assert [row["of_fees_uusd"] for row in rows] == [40, 10, 0, -10, 90]
    assert [row["unexplained_uusd"] for row in rows] == [0] * 5
    for row in rows:
        assert row["pnl_uusd"] == row["of_whole_lots_uusd"] + row["of_fees_uusd"]


def test_a_view_that_is_not_stale_gives_another_strategy(result):
    """Market ...8700: the limit is .73 + .02, not .81 + .02, so the order stops after 75 + 55 + 15 shares."""
    assert result["ours_without_stale_views"]["partial_fills"] == 3
    first = our_trades(published_spec(), by_token=False)[0]
    assert first.limit_px == 7500
    assert first.levels == [(7300, 7500), (7400, 5500), (7500, 1500)]
    # 75 x .27 + 55 x .26 + 15 x .25 = 38.30, less fees of 1.9724
    assert first.pnl_uusd == 38_300_000 - 1_972_400


def test_the_command_prints_one_line(capsys):
    assert main([]) == 0
    assert json.loads(capsys.readouterr().out)["holds"]
