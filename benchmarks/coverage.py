"""``python -m benchmarks coverage``: do 95 % intervals of Monte Carlo runs hold the truth 95 % of the time?

Two laws whose tails are known exactly. In the first a strategy plays the real simulator: it buys ten contracts at the
ask of a market without news or fees and holds them to the settlement, so an episode is a coin with the belief's odds at
a price that the belief decides (`evaluation.montecarlo.coverage.holding_law`). The second is a discrete Pareto law,
whose losses have three moments and no fourth; it is played with many draws, and with a thousand, of whose tail CVaR has
no interval.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from gymnasium.vector import AutoresetMode

from benchmarks.machine import describe, print_result
from envs.vector import TradingVectorEnv
from evaluation.montecarlo.coverage import WANTED_OF_FEW, check_holding, check_pareto
from evaluation.montecarlo.shards import Shard, counted
from sim.backtest import Trader, strategy
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Place
from sim.scenarios.row import make_rows
from sim.strategies import Parameter
from sim.strategies.ordering import take
from sim.types import BID, LOTS_PER_CONTRACT

CONTRACTS = 10.0  # at ticks of 0.1 cent a result is whole cents
BELIEFS = (0.02, 0.98)
HALF_SPREAD = 0.002
CASH, KILL = 100.0, 0.08  # dollars, and the share of them whose loss is the kill
PLACE = Place("polymarket", "geopolitics", "0.001")  # no fee


@strategy("buys once at the ask and holds", Parameter("size", CONTRACTS, 0.01, 1000.0, "contracts"))
def holder(screen, orders):
    """One order in an episode."""
    for market in range(len(screen.seen)):
        seen = screen.seen[market]
        if screen.memory[market, 0] == 0.0 and seen["open"] == 1:
            screen.memory[market, 0] = 1.0
            take(seen, orders[market, BID], BID, 9990, int(screen.params[0] * LOTS_PER_CONTRACT))


def rows() -> np.ndarray:
    """A market in which nothing happens between its first second and its settlement."""
    still = dict.fromkeys(("news_rate", "add_rate", "cancel_rate", "noise_rate", "informed_rate"), 0.0)
    delays = {"order_delay_ms": 0.0, "cancel_delay_ms": 0.0}
    # the touch is one lot deep with a probability of 2**-16, else above 150 contracts
    depth = {"depth": 1e5, "depth_touch": 100.0}
    low, high = BELIEFS
    return make_rows(
        1, life_s=2.0, maker_rate=0.001, half_spread=HALF_SPREAD, belief_low=low, belief_high=high, **still, **delays,
        **depth,
    )  # fmt: skip


def hold(episodes: int, seed: int) -> Shard:
    """So many episodes of the strategy, played by the simulator."""
    env = TradingVectorEnv(
        episodes, scenario=Scenario(rows(), places=(PLACE,)), features=("time",), costs=("kill",), window_s=np.inf,
        cash=CASH, kill_drawdown=KILL, seed=seed, autoreset_mode=AutoresetMode.DISABLED,
    )  # fmt: skip
    trader = Trader(env.engine, holder)
    env.reset()
    outcomes = env.play_through(trader)
    env.close()
    return counted(outcomes)


def main(arguments: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks coverage", description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--episodes", type=int, default=10_000, help="of each repeat in the simulator")
    parser.add_argument("--draws", type=int, default=100_000, help="of each repeat of the Pareto law")
    parser.add_argument("--few", type=int, default=1000, help="draws of each repeat of a short run's row")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    started = time.perf_counter()
    kill_cents = round(100 * CASH * KILL)
    found = {
        "holding": check_holding(hold, BELIEFS, HALF_SPREAD, kill_cents, chosen.repeats, chosen.episodes, chosen.seed),
        "pareto": check_pareto(chosen.repeats, chosen.draws, chosen.seed),
        "pareto_few": check_pareto(chosen.repeats, chosen.few, chosen.seed, WANTED_OF_FEW),
    }
    seconds = round(time.perf_counter() - started, 1)
    print_result({"benchmark": "coverage", "repeats": chosen.repeats, "laws": found, "seconds": seconds, **describe()})
    return 0 if all(law["holds"] for law in found.values()) else 1
