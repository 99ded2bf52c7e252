"""A market as text: the ladder around the touch with our orders in it, what we hold and what it is worth."""

from __future__ import annotations

import numpy as np

from sim.state import State
from sim.types import ASK, BID, LOTS_PER_CONTRACT, PX_ONE, SECOND_NS, UUSD

_STATUS = ("pending", "open", "paused", "closed", "settled", "halted")
_LEVELS = 5  # quoted levels a side


def draw_environment(px_of: np.ndarray, state: State, env: int) -> str:
    """Lines of text: every market of the environment and its account."""
    account, pool = state.account[env], state.pool[env]
    markets = state.clock.shape[1] - 1
    lines = []
    for index in range(markets):
        heading = f"market {index}  " if markets > 1 else ""
        lines += _draw_market(px_of, state, env, env * markets + index, heading)
    lines.append(
        f"cash ${pool['cash_uusd'].sum() / UUSD:,.2f}  equity ${account['equity_uusd'] / UUSD:,.2f}  "
        f"fees ${pool['fees_uusd'].sum() / UUSD:,.2f}"
    )
    return "\n".join(lines) + "\n"


def _draw_market(px_of: np.ndarray, state: State, env: int, slot: int, heading: str) -> list[str]:
    """A heading, up to five quoted levels a side from the top down, what we hold.

    Columns of a level: our size there (``*``), bids, price in dollars, asks, our size.
    """
    account, market, position = state.account[env], state.market[slot], state.position[slot]
    seconds = (account["now_ns"] - account["start_ns"]) / SECOND_NS
    left = max(0, int(market["close_ns"] - account["now_ns"])) / SECOND_NS
    status = _STATUS[market["status"]]
    lines = [f"{heading}step {account['step']}  {seconds:.1f} s played  {left:.1f} s to the close  {status}"]
    lines += [_line(px_of, state, slot, level) for level in _shown_levels(state, slot)]
    if market["payout_px"] >= 0:
        lines.append(f"settled at {market['payout_px'] / PX_ONE:.4f}")
    if market["signal_ppm"] >= 0:
        lines.append(f"forecast {market['signal_ppm'] / UUSD:.4f} +- {market['signal_err_ppm'] / UUSD:.4f}")
    lines.append(f"YES {position['yes_qty'] / LOTS_PER_CONTRACT:g}  NO {position['no_qty'] / LOTS_PER_CONTRACT:g}")
    return lines


def _shown_levels(state: State, slot: int) -> list[int]:
    """Levels to draw, dearest first: the best quoted ones of each side, and those of our orders."""
    bids = np.flatnonzero(state.book[slot, BID] > 0)[::-1][:_LEVELS]
    asks = np.flatnonzero(state.book[slot, ASK] > 0)[:_LEVELS]
    orders = state.orders[slot]
    ours = orders["level"][orders["id"] > 0]
    return sorted({int(level) for level in (*bids, *asks, *ours)}, reverse=True)


def _line(px_of: np.ndarray, state: State, slot: int, level: int) -> str:
    bid, ask = _size(state.book[slot, BID, level]), _size(state.book[slot, ASK, level])
    own_bid, own_ask = _own(state, slot, BID, level), _own(state, slot, ASK, level)
    return f"{own_bid:>9} {bid:>10}  {px_of[level] / PX_ONE:.4f}  {ask:<10} {own_ask:<9}".rstrip()


def _size(qty: int) -> str:
    return f"{qty / LOTS_PER_CONTRACT:g}" if qty > 0 else ""


def _own(state: State, slot: int, side: int, level: int) -> str:
    orders = state.orders[slot]
    ours = (orders["id"] > 0) & (orders["side"] == side) & (orders["level"] == level)
    qty = int(orders["qty"][ours].sum())
    return f"*{_size(qty)}" if qty else ""
