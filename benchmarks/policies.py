"""Two hundred random policies, of takers and of makers, and what a contract of theirs earns.

Each policy is a compiled strategy with random weights over what the book shows: imbalance, last moves, last prints, its
own position and its own profit; takers also follow scripts, such as to buy several times and then to sell all (pump and
dump). What a fill earned is judged by the market's true probability at that moment, ``side x (latent - price) - fee``:
the payout's mean given everything until then, so nothing but noise is left out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from benchmarks.intervals import Estimate, per_contract
from sim.backtest import CompiledStrategy, backtest, strategy
from sim.engine import Engine
from sim.kernel import inner
from sim.rng import POLICY, philox, uniform
from sim.scenarios import synthetic
from sim.strategies import Parameter
from sim.strategies.market_makers import two_sided
from sim.strategies.ordering import net_contracts, place, pull, quote
from sim.types import ASK, BID, IOC, LOTS_PER_CONTRACT, PX_ONE

POLICIES = 200
FALSE_ALARM = 0.01  # of a whole family of policies: each is tested at a 200th of it
_WEIGHT = (-1.0, 1.0)
_WEIGHTS = ("imbalance", "move", "trend", "print", "position", "noise", "bias")
_PARAMETERS = (
    *(Parameter(name, 0.0, *_WEIGHT, "weight") for name in _WEIGHTS),
    Parameter("threshold", 0.5, 0.0, 2.0, "score from which it acts"),
    Parameter("size", 10.0, 1.0, 200.0, "contracts an order"),
    Parameter("limit", 100.0, 1.0, 1000.0, "largest net position"),
    Parameter("pump", 0.0, 0.0, 20.0, "0 = by score; else so many orders on one side, then all back"),
    Parameter("offset", 0.0, 0.0, 3.0, "ticks behind the touch (makers)"),
    Parameter("seed", 0.0, 0.0, 1e9, "of its noise"),
)
_TICK = PX_ONE // 100
_LAST, _TREND, _COUNT, _DOWN = 0, 1, 2, 3  # memory: last mid, its trend, orders so far, 1 = selling off


@inner
def _score(seen, params, memory, chance):
    """Weighted sum of what the book shows, about in [-3, 3]; positive = buy."""
    mid = seen["mid2_px"] / (2.0 * _TICK)  # cents
    if memory[_LAST] == 0.0:
        memory[_LAST] = mid
    move = mid - memory[_LAST]
    memory[_LAST] = mid
    memory[_TREND] = 0.8 * memory[_TREND] + move
    shown = seen["bid_qty"] + seen["ask_qty"]
    lean = (seen["bid_qty"] - seen["ask_qty"]) / shown if shown > 0 else 0.0
    printed = 0.0
    if seen["last_side"] >= 0 and seen["now_ns"] - seen["trade_ns"] < 1_000_000_000:
        printed = 1.0 if seen["last_side"] == BID else -1.0
    held = net_contracts(seen) / params[9]
    return (
        params[0] * lean + params[1] * move + params[2] * memory[_TREND] + params[3] * printed + params[4] * held
        + params[5] * (2.0 * chance - 1.0) + params[6]
    )  # fmt: skip


@inner
def _chance(seen, seed):
    """A uniform of this moment."""
    now = seen["now_ns"]
    word, _, _, _ = philox(int(seed), 0, now & 0xFFFFFFFF, POLICY, now >> 32, 0)
    return uniform(word)


@inner
def _take(seen, order, side, contracts):
    """Take what is shown at the touch and a tick behind it."""
    px = min(seen["ask_px"] + _TICK, PX_ONE - _TICK) if side == BID else max(seen["bid_px"] - _TICK, _TICK)
    place(seen, order, side, px, int(contracts * LOTS_PER_CONTRACT), IOC, 0)


@strategy("takes by a random score, or pumps and dumps", *_PARAMETERS)
def wild_taker(screen, orders):
    """Takers."""
    seen, params, memory = screen.seen[0], screen.params, screen.memory[0]
    if not two_sided(seen):
        return
    score = _score(seen, params, memory, _chance(seen, params[12]))
    net, size, limit, pump = net_contracts(seen), params[8], params[9], int(params[10])
    if pump == 0:
        if score > params[7] and net + size <= limit:
            _take(seen, orders[0, BID], BID, size)
        elif score < -params[7] and net - size >= -limit:
            _take(seen, orders[0, ASK], ASK, size)
        return
    side = BID if params[6] >= 0.0 else ASK
    if memory[_DOWN] == 0.0:
        _take(seen, orders[0, side], side, size)
        memory[_COUNT] += 1.0
        memory[_DOWN] = 1.0 if memory[_COUNT] >= pump else 0.0
    elif abs(net) >= 0.01:
        _take(seen, orders[0, 1 - side], 1 - side, abs(net))
    else:
        memory[_DOWN] = 0.0
        memory[_COUNT] = 0.0


@strategy("quotes by a random score", *_PARAMETERS)
def wild_maker(screen, orders):
    """Makers: a side is quoted while the score does not speak against it."""
    seen, params, memory = screen.seen[0], screen.params, screen.memory[0]
    score = _score(seen, params, memory, _chance(seen, params[12]))
    net, size, limit, behind = net_contracts(seen), params[8], params[9], int(params[11]) * _TICK
    lots = int(size * LOTS_PER_CONTRACT)
    bid, ask = seen["bid_px"] - behind, seen["ask_px"] + behind
    if two_sided(seen) and bid > 0 and score > -params[7] and net + size <= limit:
        quote(seen, orders[0, BID], BID, bid, lots, 0.0, 0)
    else:
        pull(seen, orders[0, BID], BID)
    if two_sided(seen) and ask < PX_ONE and score < params[7] and net - size >= -limit:
        quote(seen, orders[0, ASK], ASK, ask, lots, 0.0, 0)
    else:
        pull(seen, orders[0, ASK], ASK)


def draw_policies(count: int, seed: int, *, pumps: float) -> list[dict[str, float]]:
    """Parameters of ``count`` policies; a share ``pumps`` of them pumps and dumps."""
    random = np.random.default_rng([seed, count])
    policies = []
    for index in range(count):
        values = {name: float(random.uniform(*_WEIGHT)) for name in _WEIGHTS}
        values["threshold"] = float(random.uniform(0.1, 1.2))
        values["size"] = float(random.choice([1, 5, 10, 25, 50, 100]))
        values["limit"] = values["size"] * float(random.integers(1, 11))
        values["pump"] = float(random.integers(1, 16)) if random.random() < pumps else 0.0
        values["offset"] = float(random.integers(0, 3))
        values["seed"] = float(index)
        policies.append(values)
    return policies


class Earned(NamedTuple):
    """What a contract earned, in cents."""

    net: Estimate  # after the fee
    gross: Estimate  # before it
    excess: Estimate  # gross, and what a taker paid over the mid added, or what a maker posted over it taken off


def earned(
    chosen: CompiledStrategy, values: dict[str, float], rows: np.ndarray, num_envs: int, seed: int, maker: bool
) -> Earned | None:
    """What a contract of a policy's earned; None where it traded in fewer than two episodes.

    A taker's half-spread is the distance of the price from the mid just before the fill, a maker's that from the mid
    when the order was sent.
    """
    engine = Engine(synthetic(rows), num_envs, seed=seed, window_s=float(np.max(rows["life_s"])) + 1.0)
    result = backtest(engine, chosen, values, dt_s=1.0)
    wanted = result.fills["maker"] == int(maker)
    fills, env = result.fills[wanted], result.fill_env[wanted]
    if len(np.unique(env)) < 2:
        return None
    lots = np.abs(fills["qty"])
    signed = np.sign(fills["qty"])
    latent, price = fills["latent_ppm"] / 1e4, fills["px"] / 100
    fee = fills["fee_uusd"] / lots / 100
    gross = signed * (latent - price)
    mid = fills["sent_mid2_px" if maker else "mid2_px"] / 200
    excess = gross - signed * (mid - price)
    return Earned(*(per_contract(value * lots, lots, env) for value in (gross - fee, gross, excess)))


def z_of(share: float) -> float:
    """Standard normal quantile of 1 - share, by bisection."""
    low, high = 0.0, 40.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if 0.5 * math.erfc(middle / math.sqrt(2.0)) > share else (low, middle)
    return low


def best_of(estimates: list[Estimate]) -> dict:
    """The policy with the largest lower bound; corrected for ``len(estimates)`` looks (Bonferroni)."""
    z = z_of(FALSE_ALARM / max(1, len(estimates)))
    bounds = [(e.mean - z * e.error, e.mean, index) for index, e in enumerate(estimates)]
    low, mean, index = max(bounds)
    return {"policy": index, "mean": round(mean, 4), "low": round(low, 4), "judged": len(bounds)}
