"""Laws of resting orders: what a quoter earns, how often he is filled, and that quoting alone earns nothing."""

from __future__ import annotations

import numpy as np

from benchmarks.batch import HIGHEST_PX, LOWEST_PX, SIDES, Batch
from benchmarks.intervals import Estimate, less, per_contract
from sim.scenarios.row import default_rows, make_rows
from sim.types import ASK, BID, LOTS_PER_CONTRACT

QUOTE_QTY = 10 * LOTS_PER_CONTRACT
LIFE_S = 5.0
JOIN_RANGE = (0.40, 0.50)  # share of ten contracts that join the touch and are filled within five seconds
TAKE_RANGE = (0.85, 1.00)
TAKER_SIZES = (5, 10, 25, 50, 100)
INFORMED = {"informed_rate": 3.0, "informed_edge": 0.0}  # traders who take whatever the belief says is mispriced


def quote(
    rows: np.ndarray, num_envs: int, steps: int, seed: int, fill_model: str = "queue"
) -> tuple[Estimate, Estimate]:
    """A quoter who keeps ten contracts at both touches, looking once a second: what a filled contract earned, in cents.

    Returns (earned, earned less the half-spread posted): the first is latent less price of a buy, price less latent
    of a sale; the half-spread is the distance of the mid from the price when the order was sent. Fees left out.
    """
    batch = Batch(rows, num_envs, seed, fill_model)
    batch.engine.reset()
    episode, earned, posted, contracts = [], [], [], []
    for _ in range(steps):
        over = batch.engine.terminated | batch.engine.truncated
        if over.any():
            batch.engine.reset(over)
        two_sided = batch.two_sided()
        batch.cancel(~two_sided)
        for side in SIDES:
            batch.post(two_sided, np.full(num_envs, side), QUOTE_QTY, batch.touch_px())
        fills = batch.step(1.0)
        for side, sign in ((BID, 1), (ASK, -1)):
            env = np.flatnonzero(fills.qty[:, side])
            episode.append(env + num_envs * batch.engine.state.account["episode"][env])
            earned.append(sign * (fills.latent - fills.value)[env, side])
            posted.append(sign * (fills.sent_mid - fills.value)[env, side])
            contracts.append(fills.qty[env, side] / LOTS_PER_CONTRACT)
    key, lots = np.concatenate(episode), np.concatenate(contracts)
    to_cents = 1.0 / (100 * LOTS_PER_CONTRACT)
    gain, spread = np.concatenate(earned) * to_cents, np.concatenate(posted) * to_cents
    return per_contract(gain, lots, key), per_contract(gain - spread, lots, key)


def quoter_earnings(num_envs: int, steps: int, seed: int, fill_model: str = "queue") -> dict:
    """Without informed flow a quoter earns no more than the half-spread he posted; with it he earns less."""
    calm, calm_excess = quote(make_rows(1, informed_rate=0.0), num_envs, steps, seed, fill_model)
    toxic, toxic_excess = quote(make_rows(1, **INFORMED), num_envs, steps, seed + 1, fill_model)
    default, _ = quote(default_rows(), num_envs, steps, seed + 2, fill_model)
    loss = less(toxic, calm)
    return {
        "law": "a quoter earns no more than the half-spread, and less with informed flow",
        "holds": calm_excess.high <= 0.0 and toxic_excess.high <= 0.0 and loss.high < 0.0,
        "unit": "cents a contract",
        "fill_model": fill_model,
        "n": calm.n + toxic.n,
        "earned_without": calm.figures(),
        "over_the_half_spread_without": calm_excess.figures(),
        "earned_with": toxic.figures(),
        "with_less_without": loss.figures(),
        "earned_default_row": default.figures(),
    }


def fill_rates(num_envs: int, rounds: int, seed: int) -> dict:
    """The default row's fill rates: joiners of the touch under ``probabilistic``, takers at the touch they saw."""
    joined = {model: _joined(num_envs, rounds, seed, model) for model in ("pessimistic", "probabilistic", "optimistic")}
    taken = {size: _taken(num_envs, rounds, seed, size) for size in TAKER_SIZES}
    share = float(np.mean(joined["probabilistic"]))
    whole = float(np.mean(joined["probabilistic"] == 1.0))
    takers = float(np.mean(list(taken.values())))
    inside = all(JOIN_RANGE[0] <= rate <= JOIN_RANGE[1] for rate in (share, whole))
    return {
        "law": "fill rates of the default row",
        "holds": inside and TAKE_RANGE[0] <= takers <= TAKE_RANGE[1],
        "n": len(joined["probabilistic"]),
        "joiner_filled_share": {model: round(float(np.mean(shares)), 4) for model, shares in joined.items()},
        "joiner_filled_whole": {model: round(float(np.mean(shares == 1.0)), 4) for model, shares in joined.items()},
        "joiner_range": JOIN_RANGE,
        "taker_filled_share": round(takers, 4),
        "taker_filled_by_size": {str(size): round(rate, 4) for size, rate in taken.items()},
        "taker_range": TAKE_RANGE,
    }


def _fresh_markets(batch: Batch) -> np.ndarray:
    """Let five seconds pass without an order; (N,) bool: where an order may go now."""
    for _ in range(5):
        batch.step(1.0)
    over = batch.engine.terminated | batch.engine.truncated
    if over.any():
        batch.engine.reset(over)
    return batch.two_sided()


def _joined(num_envs: int, rounds: int, seed: int, fill_model: str) -> np.ndarray:
    """Filled share of each order of ten contracts that joined the touch and was cancelled after ``LIFE_S``."""
    batch = Batch(default_rows(), num_envs, seed, fill_model)
    batch.engine.reset()
    shares = []
    for _ in range(rounds):
        mask = _fresh_markets(batch)
        batch.post(mask, batch.random.integers(0, 2, num_envs), QUOTE_QTY, batch.touch_px())
        filled = batch.step(1.0).qty.sum(axis=1)
        mask &= batch.engine.state.account["n_rejects"] == 0  # the touch moved onto the price on the way: never rested
        for _ in range(int(LIFE_S) - 1):
            filled += batch.step(1.0).qty.sum(axis=1)
        batch.cancel(mask)
        filled += batch.step(1.0).qty.sum(axis=1)  # the cancel takes as long as the order took
        shares.append(filled[mask] / QUOTE_QTY)
    return np.concatenate(shares)


def _taken(num_envs: int, rounds: int, seed: int, size: int) -> float:
    """Filled share of takers of ``size`` contracts whose limit is the touch they saw."""
    batch = Batch(default_rows(), num_envs, seed)
    batch.engine.reset()
    filled, wanted = 0, 0
    for _ in range(rounds):
        mask = _fresh_markets(batch)
        limit = batch.touch_px()[:, ::-1]  # a buyer's limit is the ask
        batch.take(mask, batch.random.integers(0, 2, num_envs), size * LOTS_PER_CONTRACT, limit)
        filled += int(batch.step(1.0).qty.sum())
        wanted += int(mask.sum()) * size * LOTS_PER_CONTRACT
    return filled / wanted


def post_and_cancel(num_envs: int, rounds: int, seed: int) -> dict:
    """Orders that are posted and cancelled without a fill leave cash, marks and the market exactly as they were.

    Two batches on one seed take the same position. One also posts behind, at and inside the touch, and cancels a step
    later; wherever it has not been filled, every integer of account, market and book must be the other's. A round has
    eight such steps in a new episode.
    """
    active, idle = (Batch(default_rows(), num_envs, seed, "pessimistic") for _ in range(2))
    compared = resting = different = locked = 0
    for _ in range(rounds):
        for batch in (active, idle):
            batch.engine.reset()
            batch.take(batch.two_sided(), np.arange(num_envs) % 2, QUOTE_QTY)
            batch.step(1.0)
        unfilled = np.ones(num_envs, np.bool_)
        for step in range(8):
            if step % 2:
                active.cancel(unfilled)
            else:
                _post_anywhere(active, unfilled)
            unfilled &= active.step(1.0).qty.sum(axis=1) == 0
            idle.step(1.0)
            reserved = active.engine.state.pool["reserved_uusd"][unfilled, 0]
            resting += int((reserved > 0).sum())
            locked += int((reserved != 0).sum()) if step % 2 else 0
            different += int((_different(active, idle) & unfilled).sum())
            compared += int(unfilled.sum())
    return {
        "law": "posting and cancelling earns nothing and moves no mark",
        "holds": different == 0 and locked == 0 and resting > 0,
        "n": compared,
        "steps_with_an_order_resting": resting,
        "different": different,
        "cash_still_locked": locked,
    }


def _post_anywhere(batch: Batch, mask: np.ndarray) -> None:
    """Ten contracts on one side, from a cent inside the touch to three cents behind it."""
    behind = 100 * batch.random.integers(-1, 4, (batch.num_envs, 2)) * np.array([-1, 1])
    price = (batch.touch_px() + behind).clip(LOWEST_PX, HIGHEST_PX)
    batch.post(batch.two_sided() & mask, batch.random.integers(0, 2, batch.num_envs), QUOTE_QTY, price)


def _different(batch: Batch, other: Batch) -> np.ndarray:
    """(N,) bool: account, market or book differ, our own orders aside."""
    one, two = batch.engine.state, other.engine.state
    same = (one.book == two.book).all(axis=(1, 2))
    for name in ("cash_uusd", "equity_uusd", "peak_uusd", "fees_uusd", "escrow_uusd", "counterparty_uusd"):
        place = "account" if name in one.account.dtype.names else "pool"
        same &= np.ravel(getattr(one, place)[name]) == np.ravel(getattr(two, place)[name])
    for name in ("yes_qty", "no_qty"):
        same &= one.position[name] == two.position[name]
    for name in ("mid2_px", "best_bid", "best_ask", "latent_ppm", "last_px", "bought_qty", "sold_qty"):
        same &= one.market[name] == two.market[name]
    return ~same
