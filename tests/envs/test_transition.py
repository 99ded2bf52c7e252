"""What a step changed, and the rewards, costs and ends read off it, by hand."""

import numpy as np
import pytest
from hand import START, empty_state, hold

from envs import memory as memories
from envs.costs import TERMS as COSTS
from envs.costs import pick_costs, write_costs
from envs.rewards import TERMS as REWARDS
from envs.rewards import pick_rewards, write_rewards
from envs.terminations import GAP, REASONS, RESOLUTION, RUIN, RUNNING, TAPE_END, WINDOW, write_ends
from envs.transition import CHANGE, measure
from sim.types import REJECT_CASH, REJECT_NO_QUOTE, SECOND_NS, SETTLED, UUSD

EVERYONE = np.ones(1, np.bool_)


class Ledger:
    """Measures step after step of environment 0."""

    def __init__(self, kill=0.05):
        self.state = empty_state()
        self.memory = memories.allocate(1)
        memories.begin(self.memory, self.state.account, EVERYONE)
        self.kill = kill

    def step(self, equity, *, seconds=1, messages=0, refused=0, reject=0):
        """Dollars of equity after the step, and what happened in it."""
        account = self.state.account[0]
        account["equity_uusd"] = round(equity * UUSD)
        account["peak_uusd"] = max(account["peak_uusd"], account["equity_uusd"])
        account["now_ns"] += seconds * SECOND_NS
        account["n_messages"] = messages
        account["n_rejects"] = refused
        account["last_reject"] = REJECT_CASH if refused else 0
        rejects, changes = np.array([reject], np.int32), np.zeros(1, CHANGE)
        measure(self.state.account, self.state.market, self.memory.past, rejects, self.kill, 0, 1, changes)
        return changes, int(rejects[0])


def rewards(changes, **weights):
    codes, values = pick_rewards(weights)
    terms, total = np.zeros((1, len(codes))), np.zeros(1)
    write_rewards(changes, codes, values, 0, 1, terms, total)
    return terms[0].tolist(), total[0]


def costs(changes, names=tuple(COSTS)):
    out = np.zeros((1, len(names)), np.float32)
    write_costs(changes, pick_costs(names), 0, 1, out)
    return out[0].tolist()


def test_rewards_telescope_to_the_change_of_equity():
    ledger = Ledger()
    path = [10_000.000001, 9_990.5, 10_123.45, 9_000, 9_000]
    total = sum(int(ledger.step(equity)[0]["pnl_uusd"][0]) for equity in path)
    assert total == 9_000 * UUSD - START


def test_terms_by_hand():
    ledger = Ledger()
    hold(ledger.state, 0, yes=50, no=250)  # net -200 contracts
    changes, reason = ledger.step(9_900, seconds=2, messages=3, refused=1, reject=REJECT_NO_QUOTE)
    assert reason == REJECT_NO_QUOTE  # the decoder's reason goes before the venue's
    terms, total = rewards(changes, pnl=1.0, inventory=0.5, drawdown=0.1, messages=0.01, rejects=2.0)
    assert terms == [-100.0, -4.0, -100.0, -3.0, -2.0]  # 200 contracts x 2 s / 100 = 4
    assert total == pytest.approx(-100 - 0.5 * 4 - 0.1 * 100 - 0.01 * 3 - 2 * 2)
    assert rewards(changes, messages=1.0)[0] == [-3.0]
    assert costs(changes) == [100.0, 0.0, 4.0, 3.0, 100.0, 0.0, 0.0]
    assert costs(changes, ("order_rate", "drawdown")) == [3.0, 100.0]
    assert costs(changes, ()) == []
    assert rewards(changes, left=1.0, inventory_squared=1.0)[0] == [0.0, -8.0]  # (200 / 100) squared x 2 s
    ledger.state.account["done"] = 1
    changes, _ = ledger.step(9_900, seconds=2)
    assert rewards(changes, left=1.0)[0] == [-200.0] and costs(changes, ("left",)) == [200.0]


@pytest.mark.parametrize(("forecast", "edge"), [(600_000, 9.075), (-1, 0.0)])
def test_edge_is_what_the_fills_gain_if_the_forecast_is_right(forecast, edge):
    ledger = Ledger()
    account = ledger.state.account[0]
    ledger.state.market[0]["signal_ppm"] = forecast
    account["n_fills"] = 2
    # bought 100 contracts at 50 cents, fee 1.75, and sold 50 at 65 cents, fee 1.675; forecast 60 cents:
    # 100 x 0.10 - 1.75 + (-50) x (0.60 - 0.65) - 1.675 = 9.075
    for row, (contracts, cents, fee) in enumerate([(100, 50, 1.75), (-50, 65, 1.675)]):
        fill = account["fills"][row]
        fill["qty"], fill["px"], fill["fee_uusd"] = contracts * 100, cents * 100, round(fee * UUSD)
    changes, _ = ledger.step(10_000)
    assert rewards(changes, edge=1.0) == ([edge], edge)


def test_the_venues_reason_comes_through_where_the_decoder_had_none():
    assert Ledger().step(10_000, refused=2)[1] == REJECT_CASH


def test_drawdown_counts_each_new_low_once_and_the_kill_once():
    ledger = Ledger(kill=0.05)
    seen = []
    for equity in (10_100, 10_000, 10_050, 9_650, 9_595, 9_594, 9_000, 11_000, 10_000):
        drawdown, kill, *_ = costs(ledger.step(equity)[0])
        seen.append((drawdown, kill))
    # peak 10,100: drawdowns 0, 100, 50, 450, 505, 506, 1,100; then peak 11,000 and 1,000: no new largest
    assert seen == [(0, 0), (100, 0), (0, 0), (350, 0), (55, 1), (1, 0), (594, 0), (0, 0), (0, 0)]
    assert sum(drawdown for drawdown, _ in seen) == 1_100


def test_a_new_episode_forgets():
    ledger = Ledger()
    ledger.step(9_000)
    ledger.state.account["equity_uusd"] = ledger.state.account["peak_uusd"] = START
    memories.begin(ledger.memory, ledger.state.account, EVERYONE)
    changes, _ = ledger.step(9_400)
    assert costs(changes)[:2] == [600.0, 1.0]
    assert changes["pnl_uusd"][0] == -600 * UUSD


@pytest.mark.parametrize("weights", [{}, {"pnl": 1.0, "pln": 1.0}])
def test_an_unknown_reward_names_the_terms(weights):
    with pytest.raises(ValueError, match=", ".join(REWARDS)):
        pick_rewards(weights)
    with pytest.raises(ValueError, match="weight of pnl is nan"):
        pick_rewards({"pnl": float("nan")})


@pytest.mark.parametrize("names", [("drawdown", "drawdwn"), ("kill", "kill")])
def test_an_unknown_cost_names_the_costs(names):
    with pytest.raises(ValueError, match=", ".join(COSTS)):
        pick_costs(names)


@pytest.mark.parametrize(
    ("over", "cut", "resting", "state", "reason"),
    [
        (False, False, False, {}, RUNNING),
        (True, False, False, {"status": SETTLED}, RESOLUTION),
        (True, False, False, {"status": SETTLED, "ruined": 1}, RESOLUTION),
        (True, False, False, {"ruined": 1}, RUIN),
        (False, True, False, {}, WINDOW),
        (False, True, False, {"tape": 0, "cursor": 9, "cursor_end": 9}, TAPE_END),
        (False, True, False, {"tape": 0, "cursor": 9, "cursor_end": 9, "gap": 1}, GAP),
        (False, True, False, {"tape": -1, "cursor": 9, "cursor_end": 9}, WINDOW),
        (True, False, True, {"status": SETTLED}, RUNNING),
    ],
)
def test_reasons(over, cut, resting, state, reason):
    made = empty_state()
    for name, value in state.items():
        (made.market if name in made.market.dtype.names else made.account)[name] = value
    terminated, truncated, reasons = np.ones(1, np.bool_), np.ones(1, np.bool_), np.full(1, -1, np.int8)
    arrays = (np.array([over]), np.array([cut]), np.array([not resting]))
    write_ends(made.account, made.market, *arrays, 0, 1, terminated, truncated, reasons)
    assert REASONS[reasons[0]] == REASONS[reason]
    assert (terminated[0], truncated[0]) == (over and not resting, cut and not resting)
