"""The parts of a result add up to it, to the micro-dollar."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import hand_made, made_up

from evaluation.attribution import attribute


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("maker", [False, True])
@pytest.mark.parametrize("settle", [False, True])
def test_identity_on_random_paths(seed, maker, settle):
    episodes = made_up(40, 50, seed=seed, maker=maker, settle=settle, rate=0.4)
    # halves of micro-dollars do occur
    assert (episodes.mid2_px % 2 == 1).any() and (episodes.fill["qty"] % 2 == 1).any()
    parts = attribute(episodes)
    assert (parts.total_uusd() == episodes.result_uusd).all()
    assert (parts.fees_uusd == -episodes.fees_uusd).all()
    assert (parts.settlement_uusd[~episodes.settled] == 0).all()
    assert all(part.dtype == np.int64 for part in parts)


def test_parts_by_hand():
    mids = [5000, 5100, 5200, 5200, 5300, 5400, 5500, 5600]
    parts = attribute(hand_made(mids, [(0.05, 200, 5100, 3500, 0)], payout=10_000))
    # 200 lots: bought at 51 c against a mid of 50; 5 s later (seen at 6 s) 55; last mid 56; payout 100
    assert parts.spread_uusd[0] == 200 * (5000 - 5100)
    assert parts.adverse_selection_uusd[0] == 200 * (5500 - 5000)
    assert parts.inventory_uusd[0] == 200 * (5600 - 5500)
    assert parts.settlement_uusd[0] == 200 * (10_000 - 5600)
    assert parts.fees_uusd[0] == -3500


def test_a_fill_near_the_end_is_adverse_selection_up_to_the_last_mid():
    mids = [5000, 5100, 5200, 5200, 5300, 5400, 5500, 5600]
    parts = attribute(hand_made(mids, [(5.5, -100, 5450, 0, 1)]))
    # sold a contract at 54.5 c, mid 54; the episode ends at 56 before five seconds are over
    assert parts.spread_uusd[0] == 100 * 50
    assert parts.adverse_selection_uusd[0] == -100 * 200
    assert parts.inventory_uusd[0] == parts.settlement_uusd[0] == 0


def test_half_micro_dollars_round_down_like_the_account():
    # one lot at 50 c, the mid ends half a price unit higher: bid + ask = 10,001, marked at floor(10,001 / 2)
    episodes = hand_made([5000, 5000, 5000], [(0.5, 1, 5000, 0, 0)])
    mid2 = episodes.mid2_px.copy()
    mid2[0, -1] = 10_001
    parts = attribute(replace(episodes, mid2_px=mid2))
    assert parts.total_uusd()[0] == episodes.result_uusd[0] == 0


def test_a_lost_fill_is_an_error():
    episodes = made_up(10, 30)
    lost = replace(
        episodes, fill=episodes.fill[1:], fill_episode=episodes.fill_episode[1:], fill_step=episodes.fill_step[1:]
    )
    with pytest.raises(ValueError, match="a fill was lost"):
        attribute(lost)
