"""The taker's law: who takes at random times and sides loses what he pays over the mid, and the fee, and no more.

Result per contract = payout - price - fee (buyer; seller the other way round). Given all that happened until the fill
its mean is latent - price - fee, since the payout's mean is the latent probability. So ``payout - latent`` is a control
variate with a known mean of zero (:func:`benchmarks.outcomes.resolution` tests that), and with coefficient one it takes
the coin of the outcome out of the variance. The law compares the rest with minus the cost:

    excess = result + (average price - mid) + fee = side x (latent - mid)

in cents a contract, within 0.1 of zero with its whole 99 % interval, for every size, price bucket and side. Orders
count where the book was two-sided when they were sent: without a mid there is no half-spread.

Price and fee cancel in that difference, so they are held against the account: the cash of every settled episode has
changed by the sum of side x (payout - price) - fee to the micro-dollar, and every fee lies between
rate x contracts x p (1 - p), in exact integers here, and that plus the schedule's rounding of each of its fills.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from benchmarks.batch import Batch
from benchmarks.intervals import Estimate, per_contract
from sim.scenarios.row import make_rows
from sim.types import ASK, BID, LOTS_PER_CONTRACT, PX_ONE

BOUND = 0.1  # cents a contract
SIZES = (5, 10, 25, 50, 100)  # contracts
BUCKET_EDGES = (0, 10, 20, 40, 60, 80, 90, 100)  # cents
PLANTED = 0.2  # cents a contract
STEP_S = 1.0
SHARE = 0.2  # of the environments send an order in a step
_PER_FEE = PX_ONE * 1_000_000  # (px x px x lots x ppm) / this = micro-dollars

TRADE = np.dtype(
    [
        ("episode", "<i8"),  # number, unique over the whole sample
        ("side", "<i8"),  # +1 bought, -1 sold
        ("size", "<i8"),  # contracts wanted
        ("contracts", "<f8"),  # filled
        ("px", "<f8"),  # average price, cents
        ("mid", "<f8"),  # just before the fill, cents
        ("latent", "<f8"),  # at the fill, cents
        ("fee", "<f8"),  # cents a contract
        ("fills", "<i8"),
        ("lots", "<i8"),
        ("value", "<i8"),  # sum of px x lots, micro-dollars
        ("fee_uusd", "<i8"),
        ("chance", "<i8"),  # sum of px x (10000 - px) x lots
        ("payout", "<f8"),  # cents
    ]
)


def default_market() -> np.ndarray:
    """The default row, with beliefs that start anywhere between 5 and 95 cents so that every bucket is visited."""
    return make_rows(1, belief_low=0.05, belief_high=0.95)


class Sample(NamedTuple):
    """Trades, and how many of the account's records contradict them."""

    trades: np.ndarray  # (T,) TRADE
    wrong_cash: int  # episodes whose cash changed by anything else than the trades say
    wrong_fees: int  # trades whose fee is not the schedule's


def sample(rows: np.ndarray, num_envs: int, episodes: int, seed: int, peek: float = 0.0) -> Sample:
    """Trades of a taker who comes at random times with random sizes.

    With probability ``peek`` he knows the latent probability and takes the better side; else a coin decides.
    """
    batch = Batch(rows, num_envs, seed)
    steps = int(np.ceil(rows["life_s"].max() / STEP_S)) + 1
    parts, wrong_cash, wrong_fees = [], 0, 0
    for episode in range(episodes):
        batch.engine.reset()
        trades = [_one_step(batch, peek, episode * num_envs) for _ in range(steps)]
        part = np.concatenate(trades)
        env = part["episode"] - episode * num_envs
        part["payout"] = batch.market["payout_px"][env] / LOTS_PER_CONTRACT
        wrong_cash += _wrong_cash(batch, part, env)
        wrong_fees += _wrong_fees(batch, part)
        parts.append(part)
    return Sample(np.concatenate(parts), wrong_cash, wrong_fees)


def _wrong_cash(batch: Batch, trades: np.ndarray, env: np.ndarray) -> int:
    """Settled episodes whose cash differs from the start's by anything else than the trades' results."""
    pool = batch.engine.state.pool[:, 0]
    change = pool["cash_uusd"] - pool["start_uusd"]
    payout = batch.market["payout_px"].astype(np.int64)
    expected = np.zeros(batch.num_envs, np.int64)
    result = trades["side"] * (payout[env] * trades["lots"] - trades["value"]) - trades["fee_uusd"]
    np.add.at(expected, env, result)
    return int(((change != expected) & (payout >= 0)).sum())


def _wrong_fees(batch: Batch, trades: np.ndarray) -> int:
    """Trades whose fee is below the exact one, or above it by more than a step a fill and a micro-dollar."""
    schedule = batch.engine.world.fees[batch.market["fee"][0]]
    exact = -(-trades["chance"] * int(schedule["taker_ppm"]) // _PER_FEE)  # rounded up
    rounding = (int(schedule["step_uusd"]) + 1) * trades["fills"]
    return int(((trades["fee_uusd"] < exact) | (trades["fee_uusd"] > exact + rounding)).sum())


def _one_step(batch: Batch, peek: float, first_episode: int) -> np.ndarray:
    random, market = batch.random, batch.market
    side = random.integers(0, 2, batch.num_envs)
    knows = random.random(batch.num_envs) < peek
    better = np.where(market["latent_ppm"] > market["mid2_px"] * 50, BID, ASK)  # mid2 / 2 x 100
    side = np.where(knows, better, side)
    size = random.choice(SIZES, batch.num_envs)
    sends = batch.two_sided() & (random.random(batch.num_envs) < SHARE)
    batch.take(sends, side, size * LOTS_PER_CONTRACT)
    fills = batch.step(STEP_S)
    env = np.flatnonzero(fills.qty.sum(axis=1) > 0)
    lots = fills.qty[env].sum(axis=1)
    trades = np.zeros(len(env), TRADE)
    trades["episode"] = first_episode + env
    trades["side"] = np.where(fills.qty[env, BID] > 0, 1, -1)
    trades["size"] = size[env]
    trades["contracts"] = lots / LOTS_PER_CONTRACT
    trades["fee"] = fills.fee_uusd[env].sum(axis=1) / lots / 100  # 1e-6 dollar a lot = 1e-4 dollar a contract
    trades["fills"], trades["lots"] = fills.rows[env].sum(axis=1), lots
    trades["value"] = fills.value[env].sum(axis=1)
    trades["fee_uusd"], trades["chance"] = fills.fee_uusd[env].sum(axis=1), fills.chance[env].sum(axis=1)
    for name, total in (("px", fills.value), ("mid", fills.mid), ("latent", fills.latent)):
        trades[name] = total[env].sum(axis=1) / lots / 100
    return trades


def excess(trades: np.ndarray, where: np.ndarray | slice = slice(None), controlled: bool = True) -> Estimate:
    """Mean of result + (average price - mid) + fee, cents a contract; with the control variate if ``controlled``."""
    t = trades[where]
    worth = t["latent"] if controlled else t["payout"]
    result = t["side"] * (worth - t["px"]) - t["fee"]
    cost = t["side"] * (t["px"] - t["mid"]) + t["fee"]
    return per_contract((result + cost) * t["contracts"], t["contracts"], t["episode"])


def average(trades: np.ndarray, values: np.ndarray) -> float:
    """Mean over contracts."""
    return float(np.average(values, weights=trades["contracts"]))


def cells(trades: np.ndarray, crossed: bool) -> dict[str, np.ndarray]:
    """Masks of the groups that the law must hold in; ``crossed`` adds every size within every price bucket."""
    by_size = {f"size {size}": trades["size"] == size for size in SIZES}
    by_price = {}
    for low, high in pairwise(BUCKET_EDGES):
        by_price[f"price {low}-{high}"] = (trades["mid"] >= low) & (trades["mid"] < high)
    groups = {"all": np.ones(len(trades), np.bool_), **by_size, **by_price}
    for name, mask in by_price.items():
        groups[f"buys, {name}"] = mask & (trades["side"] > 0)
        groups[f"sells, {name}"] = mask & (trades["side"] < 0)
    if crossed:
        groups |= {f"{size}, {price}": a & b for size, a in by_size.items() for price, b in by_price.items()}
    return groups


def no_free_lunch(num_envs: int, episodes: int, seed: int, crossed: bool = False) -> dict:
    """The law on the default market: holds where every cell's whole interval lies within the bound."""
    trades, wrong_cash, wrong_fees = sample(default_market(), num_envs, episodes, seed)
    found = {name: excess(trades, mask) for name, mask in cells(trades, crossed).items()}
    worst = max(found, key=lambda name: max(-found[name].low, found[name].high))
    return {
        "law": "no free lunch for takers",
        "holds": all(estimate.within(BOUND) for estimate in found.values()) and wrong_cash == wrong_fees == 0,
        "unit": "cents a contract",
        "bound": BOUND,
        "n": len(trades),
        "episodes": num_envs * episodes,
        "episodes_with_other_cash": wrong_cash,
        "trades_with_other_fees": wrong_fees,
        "false_alarm": float(f"{sum(estimate.false_alarm(BOUND) for estimate in found.values()):.1e}"),
        "half_spread": round(average(trades, trades["side"] * (trades["px"] - trades["mid"])), 4),
        "fee": round(average(trades, trades["fee"]), 4),
        "result": round(average(trades, trades["side"] * (trades["payout"] - trades["px"]) - trades["fee"]), 4),
        "excess_uncontrolled": excess(trades, controlled=False).figures(),
        "worst_cell": worst,
        "excess": {name: estimate.figures() for name, estimate in found.items()},
    }


def planted_edge(num_envs: int, episodes: int, seed: int) -> dict:
    """The law's power: a taker who peeks just often enough to earn ``PLANTED`` more must break it.

    How often is measured on another seed: the edge is the share of peeks times the mean distance of latent and mid.
    Holds where the edge is caught: the interval over all trades leaves the bound.
    """
    other = sample(default_market(), num_envs, 1, seed + 1, peek=1.0).trades
    peek = PLANTED / excess(other).mean
    trades = sample(default_market(), num_envs, episodes, seed, peek=peek).trades
    estimate = excess(trades)
    return {
        "law": "a planted edge is caught",
        "holds": not estimate.within(BOUND),
        "unit": "cents a contract",
        "planted": PLANTED,
        "peek": round(peek, 4),
        "n": len(trades),
        "missed_once_in": float(f"{1 / _chance_to_miss(estimate):.1e}"),
        "excess": estimate.figures(),
    }


def _chance_to_miss(estimate: Estimate) -> float:
    """Probability that a sample of this precision passes although the true edge is ``PLANTED``."""
    margin = PLANTED - BOUND + (estimate.high - estimate.mean)
    return max(1e-12, 0.5 * math.erfc(margin / estimate.error / math.sqrt(2.0)))
