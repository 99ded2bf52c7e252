"""A batch of engines as the laws use it: send orders to some environments, let time pass, read the fills."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.engine import Engine
from sim.scenarios import synthetic
from sim.types import ASK, BID, DO_CANCEL, DO_PLACE, GTC, INTENT, IOC, NO, PX_ONE, YES

RICH_UUSD = 10**13  # ten million dollars: no order is refused for want of cash
LOWEST_PX, HIGHEST_PX = 100, 9900
SIDES = (BID, ASK)


class Fills(NamedTuple):
    """One row per environment and side of ours: what was filled in the last step. (N, 2) arrays."""

    qty: np.ndarray  # lots
    rows: np.ndarray  # fills
    value: np.ndarray  # sum of px x lots, YES space
    fee_uusd: np.ndarray
    chance: np.ndarray  # sum of price x (dollar - price) x lots, in price units squared: what fees go by
    latent: np.ndarray  # sum of latent probability x lots, in price units
    mid: np.ndarray  # sum of mid x lots, at the fill
    sent_mid: np.ndarray  # sum of mid x lots, when the order was sent


class Batch:
    """Synthetic markets of one table of rows, all episodes in step."""

    def __init__(self, rows: np.ndarray, num_envs: int, seed: int, fill_model: str = "queue") -> None:
        self.engine = Engine(
            synthetic(rows), num_envs, seed=seed, window_s=np.inf, cash_uusd=RICH_UUSD, fill_model=fill_model
        )
        self.num_envs = num_envs
        self.random = np.random.default_rng([seed, 1])  # the policy's coins, not the market's
        self._all_intents = np.zeros((num_envs, 1, 2), INTENT)
        self._intents = self._all_intents[:, 0]  # of the one market
        self._intents["leg"][:, ASK] = NO  # a sale opens NO, so that nothing ever depends on what is held
        self._intents["leg"][:, BID] = YES

    @property
    def market(self) -> np.ndarray:
        """The (N,) MARKET records."""
        return self.engine.state.market

    def two_sided(self) -> np.ndarray:
        """(N,) bool: the market is open and its book shows both sides."""
        market = self.market
        shown = (market["best_bid"] >= 0) & (market["best_ask"] < len(self.engine.grid.px_of))
        return shown & (market["payout_px"] < 0)

    def touch_px(self) -> np.ndarray:
        """(N, 2): best bid and best ask; meaningless where the book is not two-sided."""
        last = len(self.engine.grid.px_of) - 1
        levels = np.stack([self.market["best_bid"].clip(min=0), self.market["best_ask"].clip(max=last)], axis=1)
        return self.engine.grid.px_of[levels]

    def step(self, seconds: float) -> Fills:
        """Send what was asked for since the last step, let time pass, forget the requests."""
        self.market["n_prints"] = 0  # as a look at the market does
        self.engine.submit(self._all_intents)
        self.engine.advance(seconds)
        self._intents["do"] = 0
        return self._fills()

    def take(
        self, mask: np.ndarray, side: np.ndarray, qty: np.ndarray | int, limit_px: np.ndarray | None = None
    ) -> None:
        """Immediate-or-cancel orders of ``qty`` lots, in YES space; no limit unless one is given, (N, 2)."""
        self._intents["tif"] = IOC
        self._intents["post_only"] = 0
        self._intents["px"][:, BID] = HIGHEST_PX
        self._intents["px"][:, ASK] = LOWEST_PX
        if limit_px is not None:
            self._intents["px"] = limit_px
        self._place(mask, side, qty)

    def post(self, mask: np.ndarray, side: np.ndarray, qty: np.ndarray | int, px: np.ndarray) -> None:
        """Resting orders that never take, at ``px`` (N, 2)."""
        self._intents["tif"] = GTC
        self._intents["post_only"] = 1
        self._intents["px"] = px
        self._place(mask, side, qty)

    def cancel(self, mask: np.ndarray) -> None:
        """Cancel both sides."""
        self._intents["do"][mask] = DO_CANCEL

    def _place(self, mask: np.ndarray, side: np.ndarray, qty: np.ndarray | int) -> None:
        chosen = np.flatnonzero(mask)
        self._intents["do"][chosen, side[chosen]] = DO_PLACE
        self._intents["qty"] = np.broadcast_to(qty, self.num_envs)[:, None]

    def _fills(self) -> Fills:
        state = self.engine.state
        fills = state.fills
        filled = np.arange(fills.shape[1]) < state.account["n_fills"][:, None]
        bought = np.where(filled & (fills["qty"] > 0), fills["qty"], 0)
        sold = np.where(filled & (fills["qty"] < 0), -fills["qty"], 0)
        lots = np.stack([bought, sold], axis=1)  # (N, 2, fills)

        def total(values: np.ndarray) -> np.ndarray:
            return (lots * values[:, None]).sum(axis=2)

        fee = np.where(filled, fills["fee_uusd"], 0)[:, None] * (lots > 0)
        return Fills(
            qty=lots.sum(axis=2),
            rows=(lots > 0).sum(axis=2),
            value=total(fills["px"]),
            fee_uusd=fee.sum(axis=2),
            chance=total(fills["px"].astype(np.int64) * (PX_ONE - fills["px"])),
            latent=total(fills["latent_ppm"] / 100),
            mid=total(fills["mid2_px"] / 2),
            sent_mid=total(fills["sent_mid2_px"] / 2),
        )
