"""What an entry of the library does, measured: a market that is left alone, one that is taken from, one that is quoted.

Every environment of every entry plays the same chance at the same number, so the reference market is its own control.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from configs.build import generated, make_env, settled
from configs.schema import DirectionalConfig, LibraryConfig
from sim.backtest import backtest
from sim.engine import Engine
from sim.strategies.market_makers import joiner
from sim.types import BID, DO_PLACE, INTENT, IOC, OPEN

ENVS, STEP_S, STEPS = 32, 0.5, 120
CASH_UUSD = 10**11
LOTS = 2000  # of the taker's orders


def engine(name):
    """Environments without a wrapper, each on a row of its own."""
    wanted = LibraryConfig(name=name, row_count=ENVS)
    scenario = replace(generated(wanted, None, 1, at_random=True), sequential=True)
    return Engine(
        scenario, ENVS, seed=1, window_s=np.inf, fill_model="queue", cash_uusd=[CASH_UUSD] * len(scenario.venues)
    )


@cache
def measured(name):
    """Figures of an entry, floats by name; see the functions below."""
    return {**_begun(name), **_alone(engine(name)), **_taken(engine(name)), **_quoted(engine(name))}


def _begun(name):
    """What an environment holds when an episode of the entry begins."""
    wanted = LibraryConfig(name=name, row_count=ENVS)
    env = make_env(settled(DirectionalConfig(), wanted), generated(wanted, None, 1), num_envs=ENVS, seed=1)
    env.reset()
    held = env.engine.state.position["yes_qty"].mean() / 100
    env.close()
    return {"held": held}


def _alone(one):
    """Nobody of ours is there: sizes, spreads, moves, halts, and how the markets end."""
    one.reset()
    nothing = np.zeros((ENVS, one.num_markets, 2), INTENT)
    market, book, count = one.state.market, one.state.book, one.num_markets
    touch, spread, mid, open_, left, stale, fee, grid, gap = ([] for _ in range(9))
    before = None
    for _ in range(STEPS):
        one.submit(nothing)
        one.advance(STEP_S)
        bid, ask = market["best_bid"], market["best_ask"]
        two = (bid >= 0) & (ask < book.shape[2]) & (market["status"] == OPEN)
        lane = np.flatnonzero(two)
        touch += list(book[lane, BID, bid[lane]] / 100.0)
        px = one.world.px_of
        spread += list((px[ask[lane]] - px[bid[lane]]) / 100.0)
        if before is not None:
            stayed, level, size = before
            left += list(np.minimum(book[stayed, BID, level], size) / size)
        before = lane, bid[lane].copy(), book[lane, BID, bid[lane]].astype(np.float64)
        mid.append(np.where(two, market["mid2_px"] / 200.0, np.nan))
        open_.append((market["status"] == OPEN) | (market["status"] > 2) & (market["status"] < 5))
        stale.append(market["stale_until_ns"] > np.repeat(one.state.account["now_ns"], count))
        fee.append(market["fee"].copy())
        grid.append(market["tick_grid"].copy())
    mid = np.array(mid)
    moves = np.abs(np.diff(mid, axis=0))
    moves = moves[~np.isnan(moves)]
    if count == 2:
        gap = np.abs(mid.reshape(STEPS, ENVS, 2)[:, :, 0] - mid.reshape(STEPS, ENVS, 2)[:, :, 1])
    closed = (market["status"] > 2) & (market["status"] < 5)
    return {
        "touch": np.mean(touch), "touch10": np.quantile(touch, 0.1), "spread": np.mean(spread),
        "spread95": np.quantile(spread, 0.95), "left": np.mean(left), "move": np.mean(moves),
        "calm": np.mean(moves[moves <= 4.0]), "move_top": np.quantile(moves, 0.999), "jump_share": np.mean(moves > 4),
        "open": np.mean(open_), "stale": np.mean(stale), "fees_seen": float(len(np.unique(np.array(fee)))),
        "grids_seen": float(len(np.unique(np.array(grid)))), "gap": float(np.nanmean(gap)) if count == 2 else 0.0,
        "closed": np.mean(closed), "depth": np.mean(market["bid_total_qty"]) / 100,
    }  # fmt: skip


def _taken(one):
    """A taker buys 20 contracts with every decision: how late, at which cost, what is refused, how it ends."""
    one.reset()
    orders = np.zeros((ENVS, one.num_markets, 2), INTENT)
    for name, value in (("qty", LOTS), ("px", 9900), ("do", DO_PLACE), ("tif", IOC)):
        orders[name][:, 0, BID] = value
    spread, waits, refused = [], [], 0
    account, market, px = one.state.account, one.state.market, one.world.px_of
    sent = [{} for _ in range(ENVS)]
    for _ in range(STEPS):
        now, first = account["now_ns"].copy(), account["next_id"].copy()
        one.submit(orders)
        for env in range(ENVS):
            sent[env] |= dict.fromkeys(range(first[env], account["next_id"][env]), now[env])
        one.advance(STEP_S)
        refused += int(account["n_rejects"].sum())
        bid, ask = market["best_bid"], market["best_ask"]
        two = (bid >= 0) & (ask < one.state.book.shape[2])
        spread += list((px[ask[two]] - px[bid[two]]) / 100.0)
        for env in range(ENVS):
            fills = account["fills"][env, : account["n_fills"][env]]
            waits += [
                (fill["ns"] - sent[env][fill["order_id"]]) / 1e9 for fill in fills if fill["order_id"] in sent[env]
            ]
    return {
        "refused": float(refused), "taken_spread": np.mean(spread), "takes": float(len(waits)),
        "wait_low": np.quantile(waits, 0.05), "wait": np.median(waits), "wait_top": np.quantile(waits, 0.99),
    }  # fmt: skip


def _quoted(one):
    """A joiner quotes 20 contracts at the touch."""
    played = backtest(one, joiner, {"size": 20.0}, dt_s=STEP_S)
    fills = played.fills
    lots = np.abs(fills["qty"]).astype(np.float64)
    side = np.sign(fills["qty"])
    ids = played.fill_env.astype(np.int64) * 10**9 + fills["order_id"]
    gain = side * (fills["latent_ppm"] / 100.0 - fills["px"]) / 100.0  # cents, against the belief at the fill
    payout = one.state.market["payout_px"]
    ends = payout[payout >= 0]
    return {
        "bad": float(lots[gain < 0].sum() / lots.sum()), "gain": float((gain * lots).sum() / lots.sum()),
        "fee": float(fills["fee_uusd"].sum() / lots.sum()),
        "pieces": len(ids) / len(np.unique(ids)), "quoted": lots.sum() / 100 / ENVS,
        "piece": lots.mean() / 100, "void": float(np.mean((ends > 0) & (ends < 10_000))) if len(ends) else 0.0,
    }  # fmt: skip
